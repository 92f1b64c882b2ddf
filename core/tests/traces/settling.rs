//! Settlements: closed origins are folded into one, on every node the same.

use quipu_core::operation::Value;
use quipu_core::query::Settle;
use quipu_core::status::SettlementPhase;

use crate::cluster::{A, B, C, Cluster, add, config, delete, expire, get, ms, secs};

/// So many nodes that have counted, each in every counter, and settled.
fn settled(nodes: usize) -> Cluster {
    let mut cluster = Cluster::of(nodes);
    for place in 0..nodes {
        cluster.add(place, "x", 10);
        cluster.add(place, "y", 1);
    }
    cluster.run(secs(1));
    settle(&mut cluster, A);
    cluster
}

fn settle(cluster: &mut Cluster, place: usize) {
    cluster.query(place, Settle);
    cluster.run(secs(10));
}

fn slots(cluster: &Cluster, place: usize, name: &str) -> usize {
    cluster.node(place).counters().slots_of(name).count()
}

#[test]
fn a_counter_that_no_client_changed_since_is_one_number_on_every_node() {
    let cluster = settled(3);
    for place in [A, B, C] {
        let status = cluster.node(place).status(cluster.now());
        assert_eq!(status.settlement.phase, SettlementPhase::Idle, "{:?}", status.settlement);
        assert_eq!((cluster.value(place, "x"), cluster.value(place, "y")), (30, 3));
        assert_eq!((slots(&cluster, place, "x"), slots(&cluster, place, "y")), (1, 1));
    }
    assert!(cluster.agree());
}

#[test]
fn what_is_counted_and_deleted_behind_a_settlement_is_the_same_everywhere() {
    let mut cluster = settled(3);
    cluster.add(B, "x", 5);
    cluster.run(ms(200));
    assert_eq!(cluster.ask(C, vec![delete("x"), get("x")])[1], Ok(Value(0)));
    cluster.add(A, "y", 1);
    cluster.run(secs(2));
    for place in [A, B, C] {
        assert_eq!((cluster.value(place, "x"), cluster.value(place, "y")), (0, 4));
    }
    settle(&mut cluster, B);
    for place in [A, B, C] {
        assert_eq!((cluster.value(place, "x"), cluster.value(place, "y")), (0, 4));
        assert_eq!((slots(&cluster, place, "x"), slots(&cluster, place, "y")), (0, 1));
    }
    assert!(cluster.agree());
}

#[test]
fn a_node_that_joins_takes_the_settlement_and_counts_on() {
    let mut cluster = settled(2);
    cluster.start(config(C));
    cluster.run(secs(4));
    assert_eq!((cluster.value(C, "x"), slots(&cluster, C, "x")), (20, 1));
    assert_eq!(cluster.ask(C, vec![add("x", 1)]), [Ok(Value(21))]);
    assert_eq!(cluster.ask(C, vec![delete("y"), get("y")])[1], Ok(Value(0)));
    cluster.run(secs(2));
    assert_eq!((cluster.value(A, "x"), cluster.value(B, "y")), (21, 0));
    assert!(cluster.agree());
    settle(&mut cluster, C);
    assert_eq!((cluster.value(B, "x"), slots(&cluster, B, "x")), (21, 1));
    assert!(cluster.agree());
}

#[test]
fn a_counter_that_has_expired_is_taken_away_by_one_node_and_folded_to_nothing() {
    let mut cluster = settled(2);
    cluster.ask(B, vec![add("z", 3), expire("z", 1_000)]);
    cluster.run(secs(2));
    assert_eq!((cluster.value(A, "z"), slots(&cluster, A, "z")), (0, 1));
    cluster.run(secs(65));
    settle(&mut cluster, A);
    for place in [A, B] {
        assert_eq!((cluster.value(place, "z"), slots(&cluster, place, "z")), (0, 0));
        assert_eq!(cluster.value(place, "x"), 20);
    }
    assert!(cluster.agree());
}

/// `A settles alone, before it has met anyone: it asks itself. B joins and takes what came of it.`
#[test]
fn a_node_that_has_met_no_peer_settles_with_itself() {
    let mut cluster = Cluster::of(1);
    cluster.add(A, "x", 10);
    settle(&mut cluster, A);
    let status = cluster.node(A).status(cluster.now()).settlement;
    assert_eq!((status.phase, status.settled), (SettlementPhase::Idle, 2), "{status:?}");
    cluster.start(config(B));
    cluster.run(secs(4));
    assert_eq!((cluster.value(B, "x"), slots(&cluster, B, "x")), (10, 1));
    settle(&mut cluster, B);
    let status = cluster.node(B).status(cluster.now()).settlement;
    assert_eq!((status.phase, status.settled), (SettlementPhase::Idle, 2), "{status:?}");
}

/// `C takes a settlement with another one among its members. It holds the first alone, and grants what
/// is proposed behind it.`
#[test]
fn a_node_that_took_a_settlement_grants_the_one_behind_it() {
    let mut cluster = settled(2);
    cluster.start(config(C));
    cluster.run(secs(4));
    settle(&mut cluster, A);
    for place in [A, B, C] {
        let status = cluster.node(place).status(cluster.now()).settlement;
        assert_eq!(status.phase, SettlementPhase::Idle, "{status:?}");
    }
    let settled = cluster.node(C).status(cluster.now()).settlement.settled;
    assert_eq!((settled, slots(&cluster, C, "x")), (2, 1));
}

/// `A counter expires, and that is noticed. It is folded with its lifetime.`
#[test]
fn a_counter_that_has_expired_is_counted_no_more_when_it_is_folded() {
    let mut cluster = settled(2);
    cluster.ask(A, vec![add("z", 5), expire("z", 500)]);
    cluster.run(secs(1));
    assert_eq!(cluster.node(A).counters().len(), 2);
    settle(&mut cluster, B);
    for place in [A, B] {
        assert_eq!(cluster.node(place).counters().len(), 2);
    }
}
