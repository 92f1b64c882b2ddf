//! Nodes that reach each other by IPv6: on machines that have nothing else, and by literal addresses.

use std::net::{IpAddr, Ipv6Addr};

use crate::support::cluster::{
    AGREEING_TIME_MAX, MEETING_TIME_MAX, RETURNING_TIME_MAX, named, wait_until_counted,
    wait_until_met, wait_until_unlisted,
};
use crate::support::network::{Kind, Network};
use crate::support::node::{Node, PROGRAM, free_address};
use crate::support::wait::wait_until;

const IP: [&str; 3] = ["ip", "-batch", "-"];

const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Every node takes an increment, and all of them have all.
#[track_caller]
fn count_together(nodes: &[&Node]) {
    let before = u64::try_from(nodes[0].count()).expect("increments alone");
    for node in nodes {
        assert_eq!(node.post("/increment", "").status, 200);
    }
    wait_until_counted(nodes, before + nodes.len() as u64, AGREEING_TIME_MAX);
}

#[test]
fn machines_that_have_ipv6_alone_find_each_other_by_multicast() {
    let Some(network) = Network::of_kind(Kind::V6, 3) else { return };
    let nodes = network.start_all();
    let all: Vec<_> = nodes.iter().collect();
    wait_until_met(&all, MEETING_TIME_MAX);
    assert_eq!(nodes[0].id(), "[fd00::1]:8088");
    count_together(&all);
    for node in &nodes {
        let log = node.log();
        assert!(!log.contains("cannot"), "what leads nowhere is not tried: {log}");
    }
}

#[test]
fn a_node_that_listens_on_one_ipv6_address_is_found_as_well_and_comes_back() {
    let Some(network) = Network::of_kind(Kind::V6, 2) else { return };
    let one = network.start(0, &[]);
    let mut other = network.start_on(network.address(1).ip(), 1, &[]);
    wait_until_met(&[&one, &other], MEETING_TIME_MAX);
    count_together(&[&one, &other]);
    assert!(other.terminate().success());
    wait_until_unlisted(&[&one], &other.id(), AGREEING_TIME_MAX);
    let other = network.start_on(network.address(1).ip(), 1, &[]);
    wait_until_met(&[&one, &other], RETURNING_TIME_MAX);
    count_together(&[&one, &other]);
}

/// As of a container that is connected to another network while it runs.
#[test]
fn an_address_that_comes_after_the_start_is_called_from_and_heard_on() {
    let Some(network) = Network::of_kind(Kind::V6, 2) else { return };
    network.change(1, &IP, "addr del fd00::2/64 dev eth0\n");
    let one = network.start(0, &[]);
    let other = network.start(1, &["--advertise", "[fd00::2]"]);
    // All of the quick first calls are over.
    wait_until(
        "it has called",
        MEETING_TIME_MAX,
        || other.get("/metrics").body,
        |metrics| metrics.contains("quipu_beacons_sent_total 7\n"),
    );
    assert_eq!((one.peers(), other.peers()), (vec![], vec![]));
    network.change(1, &IP, "addr add fd00::2/64 dev eth0 nodad\n");
    wait_until_met(&[&one, &other], MEETING_TIME_MAX);
    count_together(&[&one, &other]);
}

/// `[::]` hears IPv4 too, whatever a machine is set up to do by itself, and is advertised by it where
/// there is any.
#[test]
fn a_node_on_all_addresses_meets_one_on_those_of_ipv4_by_broadcast() {
    let Some(network) = Network::of(2) else { return };
    network.change(1, &["sh"], "echo 1 > /proc/sys/net/ipv6/bindv6only\n");
    let one = network.start(0, &[]);
    let other = network.start_on(Ipv6Addr::UNSPECIFIED.into(), 1, &[]);
    wait_until_met(&[&one, &other], MEETING_TIME_MAX);
    assert_eq!(other.id(), "10.0.0.2:8088");
    count_together(&[&one, &other]);
}

#[test]
fn literal_addresses_are_joined_registered_advertised_and_removed() {
    let start = |more: &[&str]| {
        let flags = [&["--disable-discovery"], more].concat();
        Node::begin(&[PROGRAM], free_address(LOCALHOST), &flags).answering()
    };
    let seed = start(&[]);
    let at = seed.id();
    assert!(at.starts_with("[::1]:"), "{at}");
    let joined = start(&["--join", &at]);
    wait_until_met(&[&seed, &joined], MEETING_TIME_MAX);

    // Another spelling of the same address.
    let registered = start(&[]);
    let spelled = seed.id().replace("[::1]", "[0:0:0:0:0:0:0:1]");
    assert_eq!(registered.post("/register", &named(&spelled)).status, 200);
    wait_until_met(&[&seed, &joined, &registered], MEETING_TIME_MAX);
    count_together(&[&seed, &joined, &registered]);
    let itself = registered.id().replace("[::1]", "[0::1]");
    assert_eq!(registered.post("/register", &named(&itself)).status, 200);
    wait_until_met(&[&seed, &joined, &registered], MEETING_TIME_MAX);

    assert_eq!(seed.post("/remove-peer", &named(&joined.id())).status, 200);
    wait_until_met(&[&seed, &registered], AGREEING_TIME_MAX);

    let everywhere = Node::begin(
        &[PROGRAM],
        free_address(Ipv6Addr::UNSPECIFIED),
        &["--disable-discovery", "--advertise", "[::1]", "--join", &at],
    )
    .answering();
    let known_as = format!("[::1]:{}", everywhere.address().port());
    assert_eq!(everywhere.get("/health").json()["node_id"], known_as);
    wait_until_counted(&[&everywhere, &seed], 3, MEETING_TIME_MAX);
}
