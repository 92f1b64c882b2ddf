//! At which address others reach a node that listens on all of them.
//!
//! On that of the interface by which the world is reached: connecting a datagram socket makes the
//! system choose it, and sends nothing. Where there is no default route, as on an internal container
//! network, on the first that other machines can reach. A guess all the same, so it is logged, and
//! `--advertise` overrides it.
//!
//! A node on `[::]` hears IPv4 as well, and is advertised by it where there is any: a node on 0.0.0.0
//! could not reach it otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::broadcast::{self, Interface};

/// Addresses that belong to no machine (TEST-NET-1 of RFC 5737, and the prefix of RFC 3849) and lie
/// behind every default route.
const FAR_AWAY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The port there, to which nothing is sent.
const DISCARD: u16 = 9;

/// The address of this machine at which others are most likely to reach a node that listens on
/// `listen`, all addresses of a kind; one of loopback if there is none.
pub(crate) fn reachable(listen: IpAddr) -> IpAddr {
    let routes = FAR_AWAY.into_iter().filter_map(default_route);
    chosen(listen, routes, &broadcast::interfaces())
}

fn chosen(
    listen: IpAddr,
    routes: impl Iterator<Item = IpAddr>,
    interfaces: &[Interface],
) -> IpAddr {
    // In the order of FAR_AWAY: IPv4 first.
    let own = interfaces.iter().map(|interface| interface.ip);
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(IpAddr::is_ipv6);
    let loopback = match listen {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    routes
        .chain(own)
        .filter(|ip| ip.is_ipv4() || listen.is_ipv6())
        .find(|ip| Interface { ip: *ip, broadcast: None, index: None }.is_reachable())
        .unwrap_or(loopback)
}

fn default_route(far_away: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match far_away {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far_away, DISCARD)).ok()?;
    let local: SocketAddr = socket.local_addr().ok()?;
    Some(local.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_of_this_machines_own() {
        for listen in ["0.0.0.0", "::"] {
            let ip = reachable(listen.parse().unwrap());
            assert!(!ip.is_unspecified());
            UdpSocket::bind((ip, 0)).expect("an own address can be bound");
        }
    }

    #[test]
    fn the_default_routes_address_is_first_then_any_that_others_reach_and_ipv4_before_ipv6() {
        let of = |listen: &str, routes: &[&str], own: &[&str]| {
            let parsed = |texts: &[&str]| -> Vec<IpAddr> {
                texts.iter().map(|text| text.parse().unwrap()).collect()
            };
            let own = parsed(own).into_iter();
            let own: Vec<_> =
                own.map(|ip| Interface { ip, broadcast: None, index: None }).collect();
            chosen(listen.parse().unwrap(), parsed(routes).into_iter(), &own).to_string()
        };
        let both = ["127.0.0.1", "::1", "fe80::5", "2001:db8::5", "10.0.0.5"];
        let six = ["127.0.0.1", "::1", "fe80::5", "fd00::5", "2001:db8::5"];
        for (listen, routes, own, chosen) in [
            ("0.0.0.0", &["10.0.0.9", "2001:db8::9"][..], &both[..], "10.0.0.9"),
            ("0.0.0.0", &["2001:db8::9"], &both, "10.0.0.5"),
            ("0.0.0.0", &["2001:db8::9"], &six, "127.0.0.1"),
            ("::", &["10.0.0.9", "2001:db8::9"], &both, "10.0.0.9"),
            ("::", &["2001:db8::9"], &both, "2001:db8::9"),
            ("::", &[], &both, "10.0.0.5"),
            ("::", &["2001:db8::5"], &six, "2001:db8::5"),
            ("::", &["fe80::5"], &six, "fd00::5"),
            ("::", &[], &six, "fd00::5"),
            ("::", &[], &six[..3], "::1"),
        ] {
            assert_eq!(of(listen, routes, own), chosen, "{listen} {routes:?} {own:?}");
        }
    }
}
