//! At which address others reach a node that listens on all of them.
//!
//! On that of the interface by which the world is reached: connecting a datagram socket makes the
//! system choose it, and sends nothing. Where there is no default route, as on an internal container
//! network, on the first that is not loopback. A guess all the same, so it is logged, and
//! `--advertise` overrides it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use super::broadcast;

/// An address that belongs to nobody (TEST-NET-1, RFC 5737) and lies behind every default route.
const FAR_AWAY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The address of this machine that others are most likely to reach.
pub(crate) fn reachable() -> IpAddr {
    let own = || broadcast::interfaces().into_iter().map(|interface| interface.ip);
    default_route()
        .ok()
        .filter(|ip| !ip.is_unspecified())
        .or_else(|| own().find(|ip| !ip.is_loopback()).map(IpAddr::V4))
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn default_route() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(FAR_AWAY)?;
    socket.local_addr().map(|local: SocketAddr| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_of_this_machines_own() {
        let ip = reachable();
        assert!(!ip.is_unspecified());
        UdpSocket::bind((ip, 0)).expect("an own address can be bound");
    }
}
