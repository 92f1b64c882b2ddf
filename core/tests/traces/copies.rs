//! Rules `removed-stays-removed` and `one-node-one-process`: what a node makes of a call under its
//! own NodeId. It may come from the process of which its disk is a copy, from its own former life
//! by the hand of a stranger who recorded it, or from nobody at all.

use quipu_core::event::Event;
use quipu_core::identity::{Address, Identity, OriginId};
use quipu_core::node::Config;
use quipu_core::wire::auth::Secret;
use quipu_core::wire::datagram::{Beacon, BeaconKind, Datagram, Envelope};

use crate::cluster::{A, B, C, Cluster, config, ms, next_life, secs};
use crate::network::Place;

const SECRET: &[u8] = b"the knots are tied at noon";
const ADDRESS_C: &str = "10.0.0.3:8088";
const STRANGER: &str = "10.0.0.77:4000";

fn secret() -> Option<Secret> {
    Some(Secret::new(SECRET).unwrap())
}

/// Three nodes that share a secret, linked, their first digests exchanged.
fn with_secret() -> Cluster {
    let mut cluster = Cluster::new();
    for place in [A, B, C] {
        cluster.start(Config { secret: secret(), ..config(place) });
    }
    cluster.run_until("all are linked", secs(3), Cluster::all_linked);
    cluster.run(ms(1500));
    cluster
}

fn identity_of(cluster: &Cluster, place: Place) -> Identity {
    cluster.node(place).status(cluster.now()).identity
}

/// The node's next life, at another address.
fn moved(cluster: &Cluster, place: Place) -> Config {
    let address = Address::parse("10.0.0.33:8088", 1).unwrap();
    Config { address, ..next_life(cluster.config_of(place)) }
}

/// The data directory of a node, copied to a fourth machine and started there.
fn copy_of(cluster: &Cluster, place: Place) -> Config {
    let address = Address::parse("10.0.0.4:8088", 1).unwrap();
    Config { address, chance: [44; 32], ..next_life(cluster.config_of(place)) }
}

fn has_taken_a_fresh_id(cluster: &Cluster, place: Place) -> bool {
    let taken = |event: &Event| matches!(event, Event::NodeIdTaken { .. });
    cluster.told(quipu_core::time::Time::ZERO, place, taken)
}

fn is_removed(cluster: &Cluster, place: Place) -> bool {
    cluster.node(place).status(cluster.now()).removed
}

/// Rule `removed-stays-removed`.
///
/// `C is removed; its directory is started on another machine while the old process still runs.` The
/// copy heard its original, took a fresh id, and was let in.
#[test]
fn a_copy_of_a_removed_node_does_not_come_back_under_a_fresh_id() {
    let mut cluster = Cluster::of(3);
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(2));
    assert!(is_removed(&cluster, C));
    let copy = copy_of(&cluster, C);
    let copy = cluster.start(copy);
    cluster.run(secs(30));
    assert!(is_removed(&cluster, copy) && !has_taken_a_fresh_id(&cluster, copy));
    for place in [A, B] {
        assert!(cluster.link(place, copy).is_none() && !cluster.lists(place, copy));
    }
}

/// Rule `believe-an-answer-not-a-call`.
///
/// `The same, where the copy reaches nobody but its original.` Only the original can tell it.
#[test]
fn a_removed_node_tells_its_own_copy_of_the_removal() {
    let mut cluster = Cluster::of(3);
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(2));
    let copy = copy_of(&cluster, C);
    // Its first calls, and all else that is sent while it starts, are lost.
    cluster.lose_datagrams(3);
    let copy = cluster.start(copy);
    cluster.cut(A, copy);
    cluster.cut(B, copy);
    cluster.run_until("it knows", secs(10), |c| is_removed(c, copy));
    cluster.mend(A, copy);
    cluster.mend(B, copy);
    cluster.run(secs(20));
    assert!(!has_taken_a_fresh_id(&cluster, copy));
    assert!(cluster.link(A, copy).is_none() && cluster.link(B, copy).is_none());
}

/// A call as a node's former life made it, recorded by a stranger who has no secret.
fn recording(of: &Identity) -> bytes::Bytes {
    let call = Beacon { identity: of.clone(), sequence: 1, kind: BeaconKind::Call };
    Envelope::new("traces", secret()).seal(&Datagram::Beacon(call))
}

/// Rule `believe-an-answer-not-a-call`.
///
/// `C is removed, ends and starts elsewhere; a stranger sends it a call that it made where it was.` It
/// took a fresh id, under which nobody knew that it was removed.
#[test]
fn a_recorded_call_does_not_lift_a_removal() {
    let mut cluster = with_secret();
    let recorded = recording(&identity_of(&cluster, C));
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(2));
    cluster.crash(C);
    let config = moved(&cluster, C);
    cluster.restart(C, config);
    cluster.run(secs(5));
    cluster.inject_datagram(STRANGER.parse().unwrap(), C, recorded);
    cluster.run(secs(20));
    assert!(is_removed(&cluster, C) && !has_taken_a_fresh_id(&cluster, C));
    assert!(cluster.link(A, C).is_none() && !cluster.lists(A, C));
}

/// Rule `believe-an-answer-not-a-call`.
///
/// `C moves to another address; a stranger sends it a call that it made where it was.` It dropped all
/// links and its id.
#[test]
fn a_recorded_call_of_its_former_life_costs_a_node_nothing() {
    for at_once in [true, false] {
        let mut cluster = with_secret();
        let recorded = recording(&identity_of(&cluster, C));
        cluster.crash(C);
        let config = moved(&cluster, C);
        cluster.restart(C, config);
        cluster.run_until("all are linked", secs(10), Cluster::all_linked);
        let began = cluster.now();
        for _ in 0..20 {
            cluster.inject_datagram(STRANGER.parse().unwrap(), C, recorded.clone());
            cluster.run(if at_once { ms(1) } else { ms(700) });
        }
        cluster.run(secs(10));
        assert!(!has_taken_a_fresh_id(&cluster, C));
        for place in [A, B, C] {
            let ended = |event: &Event| matches!(event, Event::LinkDown { .. });
            assert!(!cluster.told(began, place, ended), "node {place}");
        }
    }
}

/// Rule `believe-an-answer-not-a-call`.
///
/// `The same, and somebody else has taken over the address.` Whoever answers there answers under an
/// id of its own.
#[test]
fn an_answer_from_where_it_was_is_no_proof_of_another_life() {
    let mut cluster = with_secret();
    let recorded = recording(&identity_of(&cluster, C));
    cluster.crash(C);
    let config = moved(&cluster, C);
    let there = cluster.config_of(C).address.clone();
    cluster.restart(C, config);
    let heir = Config { address: there, secret: secret(), ..self::config(3) };
    let heir = cluster.start(heir);
    cluster.run_until("all are linked", secs(10), Cluster::all_linked);
    cluster.inject_datagram(STRANGER.parse().unwrap(), C, recorded);
    cluster.run(secs(10));
    assert!(!has_taken_a_fresh_id(&cluster, C) && cluster.are_linked(C, heir));
}

/// A call under A's own id, which anyone can make where there is no secret.
fn forged(of: &Identity, at: &str, sequence: u64, kind: BeaconKind) -> bytes::Bytes {
    let identity = Identity {
        address: Address::parse(at, 1).unwrap(),
        boot: of.boot - 1,
        origin: OriginId(of.origin.0 + 1_000 + sequence),
        ..of.clone()
    };
    let beacon = Beacon { identity, sequence, kind };
    Envelope::new("traces", None).seal(&Datagram::Beacon(beacon))
}

/// `A stranger calls under A's id, from where nobody answers.` A dropped all links and its id.
#[test]
fn a_forged_call_under_ones_own_id_costs_nothing() {
    let mut cluster = Cluster::of(3);
    let me = identity_of(&cluster, A);
    let began = cluster.now();
    for sequence in 1..100 {
        let kind = match sequence % 3 {
            0 => BeaconKind::Call,
            1 => BeaconKind::Ask,
            _ => BeaconKind::Answer(sequence / 3),
        };
        let address = format!("10.0.9.{sequence}:8088");
        let bytes = forged(&me, &address, sequence, kind);
        cluster.inject_datagram(address.parse().unwrap(), A, bytes);
        cluster.run(ms(200));
    }
    assert!(!has_taken_a_fresh_id(&cluster, A));
    assert!(!cluster.told(began, A, |event| matches!(event, Event::LinkDown { .. })));
    assert!(cluster.are_linked(A, B));
}

/// `A stranger that has heard nothing of what A asks answers every number that A may have used.` The
/// numbers began at 1 with every start, and 0 was taken for that of an ask which was never sent.
#[test]
fn an_answer_to_a_guessed_number_is_no_answer() {
    let mut cluster = Cluster::of(3);
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(2));
    cluster.crash(C);
    // The operator takes in somebody else, who does not answer.
    cluster.register(A, "10.0.0.9:8088");
    let removed = Identity { address: Address::parse("10.0.9.9:8088", 1).unwrap(), ..c(&cluster) };
    for number in 0..200 {
        let identity = Identity { origin: OriginId(7_000 + number), ..removed.clone() };
        let beacon = Beacon { identity, sequence: 1, kind: BeaconKind::Answer(number) };
        let bytes = Envelope::new("traces", None).seal(&Datagram::Beacon(beacon));
        cluster.inject_datagram("10.0.9.9:8088".parse().unwrap(), A, bytes);
        cluster.run(ms(20));
    }
    assert!(cluster.listed(A).contains(&"10.0.0.9:8088".to_owned()), "it still asks");
    let began = cluster.now();
    let config = moved(&cluster, C);
    cluster.restart(C, config);
    cluster.run(secs(10));
    assert!(cluster.link(A, C).is_none(), "its removal was lifted");
    assert!(!cluster.told(began, A, |event| matches!(event, Event::PeerUp(_))));
}

fn c(cluster: &Cluster) -> Identity {
    identity_of(cluster, C)
}
