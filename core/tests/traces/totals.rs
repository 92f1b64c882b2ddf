//! What a node counts of its own work is what it did: operators take these numbers for true.

use quipu_core::identity::NodeId;
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::status::Totals;
use quipu_core::time::Time;
use quipu_core::wire::datagram::{Datagram, Envelope};
use quipu_core::wire::frame::Message;

use crate::cluster::{A, B, C, Cluster, D, Sent, add, config, ms, secs};
use crate::network::Place;

/// Each frame is preceded by its length.
const LENGTH_BYTES: u64 = 3;

fn bytes<'a>(sent: impl Iterator<Item = &'a Sent>) -> u64 {
    sent.map(|sent| sent.bytes.len() as u64 + LENGTH_BYTES).sum()
}

/// The sum of something over all frames that left a node.
fn left(cluster: &Cluster, from: Place, of: impl Fn(&Message<'_>) -> usize) -> u64 {
    let sent = cluster.sent.iter().filter(|sent| sent.from == from);
    sent.map(|sent| of(&sent.message()) as u64).sum()
}

/// Three nodes that count and hear of a removal, and a fourth that joins later.
fn four_that_have_worked() -> Cluster {
    let mut cluster = Cluster::of(3);
    for n in 0..3000 {
        cluster.request(A, vec![add(&format!("{n:0>200}"), 1), add("x", 1)]);
        cluster.run(ms(1));
    }
    // B hears of a removal, and passes it on.
    let removal = MembershipRecord { key: Key::Node(NodeId(99)), removed: 7, registered: 0 };
    let bytes = Envelope::new("traces", None).seal(&Datagram::Membership(vec![removal]));
    cluster.inject_datagram("10.0.0.77:8088".parse().unwrap(), B, bytes);
    cluster.start(config(D));
    cluster.run_until("the joiner has all of it", secs(5), Cluster::agree);
    cluster.run(secs(3));
    cluster
}

#[test]
fn bytes_and_frames_that_a_node_tells_of_are_those_that_left_and_came() {
    let cluster = four_that_have_worked();
    for place in [A, B, C, D] {
        let totals = cluster.node(place).totals();
        let others = [A, B, C, D].into_iter().filter(|other| *other != place);
        let sent: u64 = others.clone().map(|to| bytes(cluster.frames(Time::ZERO, place, to))).sum();
        let came: u64 = others.map(|from| bytes(cluster.frames(Time::ZERO, from, place))).sum();
        assert_eq!(totals.link_bytes_sent, sent, "node {place}");
        assert_eq!(totals.link_bytes_received, came, "node {place}");
        let pushes = left(&cluster, place, |m| usize::from(matches!(m, Message::Push { .. })));
        assert_eq!(totals.deltas_sent, pushes, "node {place}");
        let of_part = |message: &Message<'_>| match message {
            Message::PullChunk { deltas, .. } => {
                deltas.iter().map(|delta| delta.changes.len()).sum()
            }
            _ => 0,
        };
        assert_eq!(totals.catch_up_slots_sent, left(&cluster, place, of_part), "node {place}");
        let asks = left(&cluster, place, |m| usize::from(matches!(m, Message::PullRequest { .. })));
        assert_eq!(totals.catch_ups_asked, asks, "node {place}");
    }
    let sum = |of: fn(&Totals) -> u64| -> u64 {
        [A, B, C, D].iter().map(|place| of(cluster.node(*place).totals())).sum()
    };
    assert!(sum(|totals| totals.catch_up_slots_sent) > 3000, "the joiner's");
    assert_eq!(sum(|totals| totals.deltas_sent), sum(|totals| totals.deltas_received));
    assert_eq!(sum(|totals| totals.catch_ups_asked), sum(|totals| totals.catch_ups_served));
    let received = sum(|totals| totals.catch_up_slots_received);
    assert_eq!(sum(|totals| totals.catch_up_slots_sent), received);
    let of_a = cluster.node(A).totals();
    assert_eq!((of_a.batches, of_a.batch_entries, of_a.increments), (3000, 6000, 6000));
}
