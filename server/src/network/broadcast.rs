//! Where a call goes so that all who might listen hear it.
//!
//! It goes where the node itself listens. A node on loopback calls on the loopback network alone:
//! nothing leaves the machine. A node on all interfaces calls on each one's own broadcast address
//! as well as on 255.255.255.255, since the latter leaves by one interface only, and on loopback
//! for nodes of the same machine. IPv6 knows no broadcast: nodes there are joined by name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use if_addrs::IfAddr;

use crate::config::DiscoveryConfig;

/// All of loopback. A socket bound to 127.0.0.1 hears no broadcast; one bound to this does.
pub(super) const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// Networks of a host that are called on; a host has a handful, one with hundreds of containers
/// a few dozen.
const INTERFACES_MAX: usize = 64;

/// An interface's address and the one that reaches all of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) ip: Ipv4Addr,
    pub(super) broadcast: Option<Ipv4Addr>,
}

/// The interfaces as they are now: they come and go with cables and containers.
pub(super) fn interfaces() -> Vec<Interface> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!(%error, "the system does not list its interfaces");
        Vec::new()
    });
    let interface = |addr| match addr {
        IfAddr::V4(v4) => Some(Interface { ip: v4.ip, broadcast: v4.broadcast }),
        IfAddr::V6(_) => None,
    };
    all.into_iter().filter_map(|all| interface(all.addr)).take(INTERFACES_MAX).collect()
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
    let IpAddr::V4(listen) = listen else { return Vec::new() };
    let mut ips = if listen.is_loopback() {
        vec![LOOPBACK]
    } else if listen.is_unspecified() {
        let own = interfaces.iter().filter(|interface| !interface.ip.is_loopback());
        let own = own.filter_map(|interface| interface.broadcast);
        [Ipv4Addr::BROADCAST].into_iter().chain(own).chain([LOOPBACK]).collect()
    } else {
        own_broadcast(listen, interfaces).into_iter().collect()
    };
    let mut seen = Vec::new();
    ips.retain(|ip| {
        let is_new = !seen.contains(ip);
        seen.push(*ip);
        is_new
    });
    ips.into_iter().map(|ip| SocketAddr::from((ip, discovery.port))).collect()
}

/// Where a node that listens on `listen` hears calls; `None` where there are none to hear.
pub(super) fn ear(listen: IpAddr, port: u16, interfaces: &[Interface]) -> Option<SocketAddr> {
    let IpAddr::V4(listen) = listen else { return None };
    let ip = if listen.is_loopback() {
        LOOPBACK
    } else if listen.is_unspecified() {
        listen
    } else {
        own_broadcast(listen, interfaces)?
    };
    Some(SocketAddr::from((ip, port)))
}

fn own_broadcast(listen: Ipv4Addr, interfaces: &[Interface]) -> Option<Ipv4Addr> {
    interfaces.iter().find(|interface| interface.ip == listen)?.broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Interface; 4] = [
        Interface { ip: Ipv4Addr::LOCALHOST, broadcast: Some(LOOPBACK) },
        Interface { ip: Ipv4Addr::new(10, 0, 0, 5), broadcast: Some(Ipv4Addr::new(10, 0, 0, 255)) },
        Interface { ip: Ipv4Addr::new(10, 0, 0, 6), broadcast: Some(Ipv4Addr::new(10, 0, 0, 255)) },
        Interface { ip: Ipv4Addr::new(10, 9, 0, 1), broadcast: None },
    ];

    fn called(listen: &str, to: &[&str]) -> Vec<String> {
        let to = to.iter().map(|text| text.parse().unwrap()).collect();
        let discovery = DiscoveryConfig { port: 7000, to };
        let targets = targets(listen.parse().unwrap(), &discovery, &ALL);
        targets.iter().map(SocketAddr::to_string).collect()
    }

    fn heard(listen: &str) -> Option<String> {
        ear(listen.parse().unwrap(), 7000, &ALL).map(|socket| socket.to_string())
    }

    #[test]
    fn a_node_on_loopback_calls_on_loopback_alone() {
        assert_eq!(called("127.0.0.1", &[]), ["127.255.255.255:7000"]);
        assert_eq!(called("127.0.0.9", &[]), ["127.255.255.255:7000"]);
        assert_eq!(heard("127.0.0.1").unwrap(), "127.255.255.255:7000");
    }

    #[test]
    fn a_node_on_all_interfaces_calls_on_every_network_once() {
        let expected = ["255.255.255.255:7000", "10.0.0.255:7000", "127.255.255.255:7000"];
        assert_eq!(called("0.0.0.0", &[]), expected);
        assert_eq!(heard("0.0.0.0").unwrap(), "0.0.0.0:7000");
    }

    #[test]
    fn a_node_on_one_interface_calls_on_that_ones_network() {
        assert_eq!(called("10.0.0.6", &[]), ["10.0.0.255:7000"]);
        assert_eq!(heard("10.0.0.6").unwrap(), "10.0.0.255:7000");
    }

    #[test]
    fn where_there_is_no_broadcast_nobody_is_called() {
        for listen in ["10.9.0.1", "10.8.0.1", "::1", "::"] {
            assert_eq!(called(listen, &[]), [""; 0], "{listen}");
            assert_eq!(heard(listen), None, "{listen}");
        }
    }

    #[test]
    fn what_the_operator_names_is_called_instead() {
        assert_eq!(called("0.0.0.0", &["10.7.0.255:7001"]), ["10.7.0.255:7001"]);
        assert_eq!(called("::1", &["10.7.0.255:7001"]), ["10.7.0.255:7001"]);
    }
}
