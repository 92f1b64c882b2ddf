//! Where a call goes so that all who might listen hear it.
//!
//! It goes where the node itself listens. A node on loopback calls on the loopback network alone:
//! nothing leaves the machine. A node on all interfaces calls on each one's own broadcast address
//! as well as on 255.255.255.255, since the latter leaves by one interface only, and on loopback
//! for nodes of the same machine.
//!
//! IPv6 knows no broadcast. A node that listens on it calls on a multicast group of its own, on each
//! interface, and has joined that group wherever it calls. Rejected: `ff02::1`, the group of all
//! nodes, by which every host of the network would be woken; a group of wider scope, which a router
//! may pass on. On the loopback interface there is no multicast: nodes on `[::1]` are joined by name.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use if_addrs::IfAddr;
use tokio::net::UdpSocket;

use crate::config::DiscoveryConfig;

/// All of loopback. A socket bound to 127.0.0.1 hears no broadcast; one bound to this does.
pub(super) const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// The group in which nodes call each other by IPv6: one that no authority has to assign, of
/// link-local scope (RFC 4291, section 2.7), named for the first two letters of this program.
pub(super) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x7175);

/// Networks of a host that are called on, of either kind; a host has a handful, one with hundreds of
/// containers a few dozen.
const INTERFACES_MAX: usize = 64;

/// An address of an interface, and what reaches all of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) ip: IpAddr,
    /// If it has IPv4, and a broadcast address.
    pub(super) broadcast: Option<Ipv4Addr>,
    /// The interface's number, by which multicast names it.
    pub(super) index: Option<u32>,
}

impl Interface {
    /// Whether other machines can reach this address without being told by which of their interfaces.
    pub(super) fn is_reachable(&self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => !ip.is_loopback(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        }
    }
}

/// The interfaces as they are now: they come and go with cables and containers.
pub(super) fn interfaces() -> Vec<Interface> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!(%error, "the system does not list its interfaces");
        Vec::new()
    });
    all.into_iter()
        .map(|all| Interface {
            ip: all.addr.ip(),
            broadcast: match all.addr {
                IfAddr::V4(v4) => v4.broadcast,
                IfAddr::V6(_) => None,
            },
            index: all.index,
        })
        .collect()
}

/// Where a node that listens on `listen` calls.
pub(super) fn targets(
    listen: IpAddr,
    discovery: &DiscoveryConfig,
    interfaces: &[Interface],
) -> Vec<SocketAddr> {
    if !discovery.to.is_empty() {
        return discovery.to.clone();
    }
    let broadcast = broadcast(listen, interfaces).into_iter();
    let broadcast = broadcast.map(|ip| SocketAddr::from((ip, discovery.port)));
    let group = links(listen, interfaces).into_iter().map(|link| group(link, discovery.port));
    broadcast.chain(group).collect()
}

fn group(link: u32, port: u16) -> SocketAddr {
    SocketAddrV6::new(GROUP, port, 0, link).into()
}

fn broadcast(listen: IpAddr, interfaces: &[Interface]) -> Vec<Ipv4Addr> {
    let own = || {
        let own = interfaces.iter().filter(|interface| interface.is_reachable());
        own.filter_map(|interface| interface.broadcast)
    };
    let ips = match listen {
        IpAddr::V4(ip) if ip.is_loopback() => vec![LOOPBACK],
        IpAddr::V4(ip) if ip.is_unspecified() => {
            [Ipv4Addr::BROADCAST].into_iter().chain(own()).chain([LOOPBACK]).collect()
        }
        IpAddr::V4(_) => own_broadcast(listen, interfaces).into_iter().collect(),
        // It listens on all addresses of both kinds. On a host that has IPv6 only, 255.255.255.255
        // leads nowhere.
        IpAddr::V6(ip) if ip.is_unspecified() => {
            let everywhere = own().next().map(|_| Ipv4Addr::BROADCAST);
            everywhere.into_iter().chain(own()).chain([LOOPBACK]).collect()
        }
        IpAddr::V6(_) => Vec::new(),
    };
    distinct(ips)
}

/// The interfaces, by their numbers, on which a node that listens on `listen` calls and hears by IPv6.
/// Not those that have a link-local address alone, such as the cables of containers into a bridge: no
/// node is advertised there, and those behind them are reached by the bridge.
pub(super) fn links(listen: IpAddr, interfaces: &[Interface]) -> Vec<u32> {
    let IpAddr::V6(listen) = listen else { return Vec::new() };
    let is_meant = |interface: &&Interface| {
        interface.ip == listen || (listen.is_unspecified() && interface.is_reachable())
    };
    let of_v6 = interfaces.iter().filter(|interface| interface.ip.is_ipv6());
    let meant = of_v6.filter(is_meant).filter(|interface| !interface.ip.is_loopback());
    distinct(meant.filter_map(|interface| interface.index).collect())
}

/// Each once, in their order, and not too many.
fn distinct<T: Copy + Ord>(mut all: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert(*one));
    all.truncate(INTERFACES_MAX);
    all
}

/// Where a node that listens on `listen` hears calls; `None` where there are none to hear.
pub(super) fn ear(listen: IpAddr, port: u16, interfaces: &[Interface]) -> Option<SocketAddr> {
    let ip = match listen {
        IpAddr::V4(ip) if ip.is_loopback() => LOOPBACK.into(),
        ip if ip.is_unspecified() => ip,
        IpAddr::V4(_) => own_broadcast(listen, interfaces)?.into(),
        IpAddr::V6(_) => return links(listen, interfaces).first().map(|link| group(*link, port)),
    };
    Some(SocketAddr::from((ip, port)))
}

fn own_broadcast(listen: IpAddr, interfaces: &[Interface]) -> Option<Ipv4Addr> {
    interfaces.iter().find(|interface| interface.ip == listen)?.broadcast
}

/// What has joined the group, and where.
#[derive(Debug)]
pub(super) struct Member {
    socket: Arc<UdpSocket>,
    /// The interfaces' numbers.
    joined: BTreeSet<u32>,
    /// Where it could not; each is told of once.
    refused: BTreeSet<u32>,
}

impl Member {
    /// A socket that has joined nowhere yet.
    pub(super) fn new(socket: Arc<UdpSocket>) -> Self {
        Member { socket, joined: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Joins where it has not: interfaces come and go.
    pub(super) fn join(&mut self, links: &[u32]) {
        // A number that comes again may be of another interface.
        self.joined.retain(|link| links.contains(link));
        self.refused.retain(|link| links.contains(link));
        for link in links {
            if self.joined.contains(link) {
                continue;
            }
            match self.socket.join_multicast_v6(&GROUP, *link) {
                Ok(()) => drop(self.joined.insert(*link)),
                // Its address went and came again, and the membership stayed.
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    self.joined.insert(*link);
                }
                Err(error) => {
                    if self.refused.insert(*link) {
                        tracing::info!(
                            "cannot hear calls of other nodes in {GROUP} on interface {link}: {error} \
                             (said once)"
                        );
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, ip: &str, broadcast: Option<[u8; 4]>) -> Interface {
        let broadcast = broadcast.map(Ipv4Addr::from);
        Interface { ip: ip.parse().unwrap(), broadcast, index: Some(index) }
    }

    /// Of a host that has both kinds of addresses, and a container.
    fn all() -> Vec<Interface> {
        vec![
            interface(1, "127.0.0.1", Some([127, 255, 255, 255])),
            interface(1, "::1", None),
            interface(2, "10.0.0.5", Some([10, 0, 0, 255])),
            interface(2, "10.0.0.6", Some([10, 0, 0, 255])),
            interface(2, "2001:db8::5", None),
            interface(2, "fd00::5", None),
            interface(2, "fe80::5", None),
            interface(3, "10.9.0.1", None),
            interface(4, "fe80::6", None),
            interface(5, "fd01::1", None),
        ]
    }

    /// Of one that has IPv6 alone.
    fn six() -> Vec<Interface> {
        all().into_iter().filter(|one| one.ip.is_ipv6() || one.ip.is_loopback()).collect()
    }

    fn called(listen: &str, to: &[&str], interfaces: &[Interface]) -> Vec<String> {
        let to = to.iter().map(|text| text.parse().unwrap()).collect();
        let discovery = DiscoveryConfig { port: 7000, to };
        let targets = targets(listen.parse().unwrap(), &discovery, interfaces);
        targets.iter().map(SocketAddr::to_string).collect()
    }

    fn heard(listen: &str) -> Option<String> {
        ear(listen.parse().unwrap(), 7000, &all()).map(|socket| socket.to_string())
    }

    #[test]
    fn a_node_on_loopback_calls_on_loopback_alone() {
        assert_eq!(called("127.0.0.1", &[], &all()), ["127.255.255.255:7000"]);
        assert_eq!(called("127.0.0.9", &[], &all()), ["127.255.255.255:7000"]);
        assert_eq!(heard("127.0.0.1").unwrap(), "127.255.255.255:7000");
    }

    #[test]
    fn a_node_on_all_interfaces_calls_on_every_network_once() {
        let broadcasts = ["255.255.255.255:7000", "10.0.0.255:7000", "127.255.255.255:7000"];
        assert_eq!(called("0.0.0.0", &[], &all()), broadcasts);
        assert_eq!(heard("0.0.0.0").unwrap(), "0.0.0.0:7000");
        let groups = ["[ff12::7175%2]:7000", "[ff12::7175%5]:7000"];
        assert_eq!(called("::", &[], &all()), [&broadcasts[..], &groups].concat());
        assert_eq!(called("::", &[], &six()), [&broadcasts[2..], &groups].concat());
        assert_eq!(heard("::").unwrap(), "[::]:7000");
    }

    #[test]
    fn a_node_on_one_interface_calls_on_that_ones_network() {
        assert_eq!(called("10.0.0.6", &[], &all()), ["10.0.0.255:7000"]);
        assert_eq!(heard("10.0.0.6").unwrap(), "10.0.0.255:7000");
        for ip in ["fd00::5", "2001:db8::5", "fe80::5"] {
            assert_eq!(called(ip, &[], &all()), ["[ff12::7175%2]:7000"]);
            assert_eq!(heard(ip).unwrap(), "[ff12::7175%2]:7000");
        }
    }

    #[test]
    fn where_there_is_neither_broadcast_nor_multicast_no_node_is_called() {
        for listen in ["10.9.0.1", "10.8.0.1", "::1", "fd09::1"] {
            assert_eq!(called(listen, &[], &all()), [""; 0], "{listen}");
            assert_eq!(heard(listen), None, "{listen}");
        }
    }

    #[test]
    fn what_the_operator_names_is_called_instead() {
        assert_eq!(called("0.0.0.0", &["10.7.0.255:7001"], &all()), ["10.7.0.255:7001"]);
        assert_eq!(called("::1", &["10.7.0.255:7001"], &all()), ["10.7.0.255:7001"]);
    }

    #[tokio::test]
    async fn a_group_is_joined_once_and_again_where_an_interface_has_come_back() {
        // On loopback, where nothing leaves the machine; a system may have no IPv6 at all.
        let found = interfaces().into_iter().find(|one| one.ip == Ipv6Addr::LOCALHOST);
        let Some(link) = found.and_then(|loopback| loopback.index) else { return };
        let socket = UdpSocket::bind("[::1]:0").await.unwrap();
        let mut member = Member::new(Arc::new(socket));
        member.join(&[link]);
        member.join(&[link]);
        assert_eq!(member.joined, BTreeSet::from([link]));
        member.join(&[]);
        member.join(&[link]);
        assert_eq!(member.joined, BTreeSet::from([link]));
        // There is no such interface.
        member.join(&[u32::MAX]);
        assert_eq!((member.joined.len(), member.refused.len()), (0, 1));
    }
}
