//! With a secret, nobody who lacks it joins, leaves, or changes a count.

use quipu_core::event::Event;
use quipu_core::identity::NodeId;
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::node::Config;
use quipu_core::wire::auth::{PROOF_BYTES, Secret};
use quipu_core::wire::datagram::{Beacon, BeaconKind, Datagram, Envelope};
use quipu_core::wire::frame::{self, Goodbye, Hello, Message};

use crate::cluster::{A, B, Cluster, config, ms, secs};
use crate::network::Place;

const OURS: &[u8] = b"the knots are tied at noon";
const THEIRS: &[u8] = b"the knots are tied at midnight";

fn secret(bytes: &[u8]) -> Option<Secret> {
    Some(Secret::new(bytes).unwrap())
}

fn with(place: Place, bytes: &[u8]) -> Config {
    Config { secret: secret(bytes), ..config(place) }
}

/// Two nodes with our secret, linked.
fn ours() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.start(with(A, OURS));
    cluster.start(with(B, OURS));
    cluster.run_until("they are linked", secs(2), Cluster::all_linked);
    cluster.run(ms(1500));
    cluster
}

#[test]
fn nodes_of_one_secret_find_each_other_and_count_together() {
    let mut cluster = ours();
    cluster.add(A, "x", 1);
    cluster.run(ms(1));
    assert_eq!(cluster.value(B, "x"), 1);
}

#[test]
fn a_node_of_another_secret_or_none_is_told_from_ours_and_never_a_peer() {
    for stranger in [with(2, THEIRS), config(2)] {
        let mut cluster = ours();
        let began = cluster.now();
        let stranger = cluster.start(stranger);
        cluster.register(A, "10.0.0.3:8088");
        cluster.register(stranger, "10.0.0.1:8088");
        cluster.run(secs(20));
        assert_eq!(cluster.listed(A), ["10.0.0.2:8088"]);
        assert!(cluster.listed(stranger).is_empty());
        assert!(cluster.node(A).totals().datagrams_foreign > 0);
        let tells = |event: &Event| matches!(event, Event::Stranger { .. });
        assert!(cluster.told(began, A, tells), "and it is told, so that an operator finds it");
        let told = cluster.events.iter().filter(|(_, at, event)| *at == A && tells(event)).count();
        assert!(told <= 22, "{told} times in twenty seconds");
    }
}

#[test]
fn a_node_with_a_secret_stays_out_of_a_cluster_without_one() {
    let mut cluster = Cluster::of(2);
    let stranger = cluster.start(with(2, OURS));
    cluster.run(secs(10));
    assert_eq!(cluster.listed(A), ["10.0.0.2:8088"]);
    assert!(cluster.listed(stranger).is_empty());
}

#[test]
fn a_forged_datagram_of_a_removal_or_a_beacon_changes_nothing() {
    let mut cluster = ours();
    let identity = cluster.node(B).status(cluster.now()).identity;
    let removal = |key| MembershipRecord { key, removed: 1_000_000, registered: 0 };
    let datagrams = [
        Datagram::Membership(vec![removal(Key::Node(identity.node))]),
        Datagram::Membership(vec![removal(Key::Address(identity.address.clone()))]),
        Datagram::Beacon(Beacon { identity, sequence: u64::MAX, kind: BeaconKind::Ask }),
        Datagram::Swim(&[1, 2, 3]),
    ];
    let envelopes = [None, secret(THEIRS)].map(|secret| Envelope::new("traces", secret));
    let before = cluster.node(A).totals().datagrams_foreign;
    for envelope in &envelopes {
        for datagram in &datagrams {
            let bytes = envelope.seal(datagram);
            cluster.inject_datagram("10.0.0.2:8088".parse().unwrap(), A, bytes);
        }
    }
    cluster.run(secs(5));
    assert_eq!(cluster.node(A).totals().datagrams_foreign - before, 8);
    assert!(cluster.are_linked(A, B) && cluster.lists(A, B));
}

#[test]
fn a_forged_hello_of_a_known_peer_is_not_believed_without_the_proof() {
    let mut cluster = ours();
    let identity = cluster.node(B).status(cluster.now()).identity;
    let began = cluster.now();
    let stranger = cluster.call_as_stranger(A);
    cluster.say(
        stranger,
        frame::encode(&Message::Hello(Hello {
            versions: (1, 1),
            cluster: "traces",
            identity,
            nonce: [9; 16],
            has_secret: true,
        })),
    );
    cluster.run(ms(1));
    let proof = cluster
        .heard(stranger)
        .frames
        .iter()
        .find_map(|frame| match frame::decode(frame) {
            Ok(Message::Proof(proof)) => Some(proof),
            _ => None,
        })
        .expect("the acceptor proves itself first");
    assert_ne!(proof, [0; PROOF_BYTES]);
    // Sending it back is no proof of one's own.
    cluster.say(stranger, frame::encode(&Message::Proof(proof)));
    cluster.run(ms(1));
    let heard = cluster.heard(stranger);
    assert!(heard.is_closed);
    let last = frame::decode(heard.frames.last().unwrap()).unwrap();
    assert_eq!(last, Message::Goodbye(Goodbye::WrongSecret));
    assert!(cluster.are_linked(A, B), "the real link stands");
    let of_whom = |whose: fn(&Option<NodeId>) -> bool| {
        cluster.told(began, A, |event| matches!(event, Event::LinkDown { peer, .. } if whose(peer)))
    };
    assert!(of_whom(Option::is_none), "it is told of");
    assert!(!of_whom(Option::is_some), "and not as the peer's that it said it was");
}

#[test]
fn a_replayed_datagram_changes_nothing() {
    let mut cluster = ours();
    let identity = cluster.node(B).status(cluster.now()).identity;
    // A call that B sent long ago, recorded and sent again from elsewhere.
    let call = Beacon { identity, sequence: 1, kind: BeaconKind::Call };
    let bytes = Envelope::new("traces", secret(OURS)).seal(&Datagram::Beacon(call));
    let began = cluster.now();
    let heard = cluster.node(A).totals().beacons_heard;
    for _ in 0..100 {
        cluster.inject_datagram("10.0.0.77:8088".parse().unwrap(), A, bytes.clone());
    }
    cluster.run(ms(10));
    assert_eq!(cluster.node(A).totals().beacons_heard, heard);
    assert!(cluster.datagrams_since(began, A) < 20, "nobody can make A talk that way");
}
