//! Rules `raise-to` and `no-raise-while-behind`: what `raise` means, and when it must wait.

use quipu_core::node::Config;
use quipu_core::operation::{Behind, Refusal, Value};

use crate::cluster::{A, B, C, Cluster, add, config, get, ms, raise, secs};

/// Rule `raise-to`.
#[test]
fn two_raises_to_the_same_by_nodes_that_saw_the_same_do_not_add_up() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 4);
    cluster.run(secs(2));
    cluster.request(A, vec![raise("x", 10)]);
    cluster.request(B, vec![raise("x", 10)]);
    cluster.run(secs(1));
    assert_eq!((cluster.value(A, "x"), cluster.value(B, "x")), (10, 10));
}

/// Rule `raise-to`.
#[test]
fn increments_that_the_raiser_had_not_seen_come_on_top() {
    let mut cluster = Cluster::of(2);
    cluster.request(A, vec![raise("x", 10)]);
    cluster.request(B, vec![add("x", 3)]);
    cluster.run(secs(1));
    assert_eq!((cluster.value(A, "x"), cluster.value(B, "x")), (13, 13));
}

/// Rule `raise-to`.
#[test]
fn a_raise_answers_with_the_value_and_never_lowers_it() {
    let mut cluster = Cluster::of(2);
    assert_eq!(cluster.ask(A, vec![raise("x", 10)]), [Ok(Value(10))]);
    assert_eq!(cluster.ask(A, vec![raise("x", 3)]), [Ok(Value(10))]);
    cluster.run(secs(1));
    assert_eq!(cluster.ask(B, vec![raise("x", 10), add("x", -4)]), [Ok(Value(10)), Ok(Value(6))]);
    assert_eq!(cluster.ask(B, vec![raise("x", 8), get("x")]), [Ok(Value(8)), Ok(Value(8))]);
    cluster.run(secs(1));
    assert_eq!(cluster.value(A, "x"), 8);
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_raise_on_a_fresh_node_of_a_cluster_at_a_hundred_changes_nothing() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 100);
    cluster.run(secs(1));
    cluster.start(config(C));
    // In its very first instant, before it has heard of anyone.
    let token = cluster.request(C, vec![raise("x", 10)]);
    cluster.run_until("the reply", secs(2), |c| c.reply(token).is_some());
    assert_eq!(cluster.reply(token).unwrap().results, [Ok(Value(100))]);
    cluster.run(secs(2));
    assert_eq!(cluster.value(A, "x"), 100);
    assert!(cluster.agree());
}

/// Rule `no-raise-while-behind`.
///
/// `C starts with a list of seeds, is asked to raise, and is told to leave at once.` It dropped its
/// list, took itself for one that looks for nobody, and raised.
#[test]
fn a_node_that_leaves_before_it_has_heard_of_anyone_does_not_raise() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 100);
    cluster.run(secs(1));
    let seeds = vec![config(A).address];
    cluster.start(Config { discovery: false, seeds, ..config(C) });
    let token = cluster.request(C, vec![raise("x", 10)]);
    cluster.leave(C);
    cluster.run(ms(500));
    assert!(cluster.reply(token).is_none_or(|reply| reply.results[0].is_err()));
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_raise_is_refused_after_two_seconds_while_a_live_peer_cannot_be_compared_with() {
    let mut cluster = Cluster::new();
    cluster.start(config(A));
    cluster.start(config(B));
    cluster.forbid_dial(A, B);
    cluster.forbid_dial(B, A);
    cluster.run_until("B lists A", secs(2), |c| c.lists(B, A));
    let began = cluster.now();
    let token = cluster.request(B, vec![add("x", 1), raise("x", 10)]);
    cluster.run_until("the reply", secs(3), |c| c.reply(token).is_some());
    let reply = cluster.reply(token).unwrap();
    assert!(reply.at.since(began) >= secs(2) && reply.at.since(began) < ms(2100));
    let behind = Refusal::Behind(Behind::NotCompared(cluster.id_of(A)));
    assert_eq!(reply.results, [Ok(Value(1)), Err(behind)]);
    assert_eq!(cluster.node(B).totals().refused_behind, 1);
    // Everything else goes on meanwhile.
    cluster.request(B, vec![raise("x", 10)]);
    assert_eq!(cluster.add(B, "x", 1), 2);
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_raise_waits_for_changes_that_a_peer_was_heard_to_hold() {
    let mut cluster = Cluster::of(2);
    for chunk in 0..10 {
        let ops = (0..1000).map(|n| add(&format!("{chunk:0>100}{n:0>20}"), 1)).collect();
        cluster.request(A, ops);
        cluster.run(ms(2));
    }
    cluster.add(A, "x", 100);
    cluster.start(config(C));
    cluster.run_until("C has asked", secs(2), |c| c.node(C).totals().catch_ups_asked > 0);
    cluster.hold_frames(A, C);
    cluster.hold_frames(B, C);
    let token = cluster.request(C, vec![raise("x", 10)]);
    cluster.run(ms(500));
    assert!(cluster.reply(token).is_none());
    cluster.release_frames(A, C);
    cluster.release_frames(B, C);
    cluster.run_until("the reply", secs(1), |c| c.reply(token).is_some());
    assert_eq!(cluster.reply(token).unwrap().results, [Ok(Value(100))]);
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_node_that_looks_for_nobody_raises_at_once_and_one_that_finds_nobody_soon() {
    let mut cluster = Cluster::new();
    cluster.start(Config { discovery: false, ..config(A) });
    let token = cluster.request(A, vec![raise("x", 10)]);
    assert_eq!(cluster.reply(token).unwrap().results, [Ok(Value(10))]);
    cluster.start(config(B));
    cluster.cut(A, B);
    let began = cluster.now();
    let token = cluster.request(B, vec![raise("x", 10)]);
    cluster.run_until("the reply", secs(2), |c| c.reply(token).is_some());
    assert!(cluster.now().since(began) <= ms(1000), "{:?}", cluster.now().since(began));
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_settled_cluster_raises_at_once() {
    let mut cluster = Cluster::of(3);
    cluster.add(A, "x", 1);
    cluster.run(secs(2));
    let token = cluster.request(B, vec![raise("x", 10)]);
    assert_eq!(cluster.reply(token).unwrap().results, [Ok(Value(10))]);
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_dead_peer_holds_up_no_raise_once_it_is_declared_down() {
    let mut cluster = Cluster::of(3);
    cluster.vanish(C);
    cluster.run_until("C is gone", secs(6), |c| !c.lists(A, C));
    let token = cluster.request(A, vec![raise("x", 10)]);
    cluster.run_until("the reply", ms(10), |c| c.reply(token).is_some());
    assert_eq!(cluster.reply(token).unwrap().results, [Ok(Value(10))]);
}

/// Rule `no-raise-while-behind`.
///
/// `One node's disk hangs; its links stand, since signs of life do not wait for it.` No other node could
/// raise anything any more once its link to it had begun anew.
#[test]
fn a_peer_whose_disk_hangs_holds_up_no_raise_where_another_has_been_compared_with() {
    let mut cluster = Cluster::of(3);
    cluster.hold_syncs(C);
    cluster.request(C, vec![add("x", 3)]);
    cluster.run(secs(1));
    cluster.break_links(A, C);
    cluster.run_until("they are linked again", secs(3), |c| c.are_linked(A, C));
    let token = cluster.request(A, vec![raise("x", 10)]);
    cluster.run(secs(1));
    assert!(cluster.reply(token).is_none(), "C may yet tell");
    cluster.run(secs(4));
    for counter in ["x", "y"] {
        let token = cluster.request(A, vec![raise(counter, 10)]);
        cluster.run_until("the reply", ms(10), |c| c.reply(token).is_some());
        assert_eq!(cluster.reply(token).unwrap().results, [Ok(Value(10))]);
    }
    // It is compared with as soon as it goes on.
    cluster.release_syncs(C);
    cluster.run_until("all hold the same", secs(5), Cluster::agree);
    assert_eq!(cluster.value(A, "x"), 13);
}

/// Rule `no-raise-while-behind`.
///
/// A disk hangs that holds what nobody else has told.
#[test]
fn a_fresh_node_whose_only_peer_hangs_raises_nothing() {
    let mut cluster = Cluster::of(1);
    cluster.add(A, "x", 100);
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 1)]);
    cluster.start(config(B));
    cluster.run_until("they are linked", secs(3), Cluster::all_linked);
    cluster.run(secs(10));
    let results = cluster.ask(B, vec![raise("x", 10)]);
    assert_eq!(results, [Err(Refusal::Behind(Behind::NotCompared(cluster.id_of(A))))]);
}

/// Rule `no-raise-while-behind`.
///
/// `One member answers, and no connection to it can be made.` No raise was taken for as long as it lived.
#[test]
fn a_peer_that_cannot_be_linked_holds_up_no_raise_where_another_has_been_compared_with() {
    let mut cluster = Cluster::of(2);
    let c = cluster.start(config(C));
    for (from, to) in [(A, c), (c, A)] {
        cluster.forbid_dial(from, to);
    }
    cluster.run_until("C is a member", secs(3), |cluster| {
        cluster.lists(A, c) && cluster.are_linked(B, c)
    });
    cluster.add(c, "x", 3);
    let behind = Refusal::Behind(Behind::NotCompared(cluster.id_of(c)));
    assert_eq!(cluster.ask(A, vec![raise("x", 10)]), [Err(behind)]);
    cluster.run(secs(4));
    let token = cluster.request(A, vec![raise("x", 10)]);
    cluster.run_until("the reply", ms(10), |cluster| cluster.reply(token).is_some());
    assert_eq!(cluster.reply(token).unwrap().results, [Ok(Value(10))], "B has told what C has");
}
