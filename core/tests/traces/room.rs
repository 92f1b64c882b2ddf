//! No memory for new names: they are refused, from clients and from peers, and known ones count on.

use quipu_core::operation::{Refusal, Value};

use crate::cluster::{A, B, Cluster, add, raise, secs};

#[test]
fn without_room_new_names_are_refused_and_known_ones_count_on() {
    let mut cluster = Cluster::of(1);
    cluster.ask(A, vec![add("known", 1)]);
    cluster.make_room(A, 0);
    let asked = [add("known", 1), add("new", 1), add("new", 0)];
    let asked = [&asked[..], &[raise("known", 9), raise("new", 9)]].concat();
    let refused = Err(Refusal::OutOfMemory);
    assert_eq!(cluster.ask(A, asked), [Ok(Value(2)), refused, refused, Ok(Value(9)), refused]);
    assert_eq!(cluster.node(A).totals().refused_memory, 3);
    assert_eq!(cluster.node(A).counters().len(), 1);

    cluster.make_room(A, 1000);
    assert_eq!(cluster.ask(A, vec![add("new", 1)]), [Ok(Value(1))]);
}

#[test]
fn room_is_used_up_by_new_names_alone_and_long_names_take_more() {
    let mut cluster = Cluster::of(1);
    cluster.make_room(A, 4000);
    let (short, long) = ("s".to_owned(), "l".repeat(200));
    let used = |cluster: &mut Cluster, name: &str| {
        let before = cluster.node(A).room().names;
        assert_eq!(cluster.ask(A, vec![add(name, 1)]).len(), 1);
        before - cluster.node(A).room().names
    };
    let (by_short, by_long) = (used(&mut cluster, &short), used(&mut cluster, &long));
    assert!(by_short > 200 && by_long >= by_short + 199, "{by_short}, {by_long}");
    assert_eq!(used(&mut cluster, &long), 0);
    let asked = (0..20).map(|n| add(&format!("n{n}"), 1)).collect();
    let taken = cluster.ask(A, asked).iter().filter(|result| result.is_ok()).count();
    assert!((3..=10).contains(&taken), "{taken}");
}

#[test]
fn a_peer_without_room_takes_no_new_name_claims_nothing_and_counts_known_ones_on() {
    let mut cluster = Cluster::of(2);
    cluster.ask(A, vec![add("known", 1)]);
    cluster.run_until("B has it", secs(2), |cluster| cluster.node(B).counters().len() == 1);
    cluster.make_room(B, 0);
    cluster.ask(A, vec![add("new", 1)]);
    cluster.ask(A, vec![add("known", 1)]);
    let known = |cluster: &Cluster| cluster.node(B).counters().value("known") == Value(2);
    cluster.run_until("B counts the known one", secs(2), known);
    cluster.run(secs(5));
    assert_eq!(cluster.node(B).counters().len(), 1);
    let origin = cluster.node(A).counters().our_origin();
    let (ours, theirs) = (cluster.node(A).counters(), cluster.node(B).counters());
    assert!(theirs.known(origin).version < ours.our_version(), "claims what it did not take");

    cluster.make_room(B, u64::MAX);
    let new = |cluster: &Cluster| cluster.node(B).counters().value("new") == Value(1);
    cluster.run_until("B has room again", secs(10), new);
}

#[test]
fn without_room_for_slots_those_that_are_there_count_on_and_no_other_comes() {
    let mut cluster = Cluster::of(2);
    cluster.ask(A, vec![add("a", 1), add("both", 1)]);
    cluster.ask(B, vec![add("b", 1), add("both", 1)]);
    cluster.run_until("all have all", secs(2), |cluster| cluster.agree());
    cluster.end_room(B);
    let refused = Err(Refusal::OutOfMemory);
    let asked = vec![add("a", 1), raise("a", 9), add("b", 1), add("both", 1), add("new", 1)];
    assert_eq!(cluster.ask(B, asked), [refused, refused, Ok(Value(2)), Ok(Value(3)), refused]);
    // From the peer as well: a slot that is known grows, another is not taken, nor claimed.
    cluster.ask(A, vec![add("a", 1)]);
    let grown = |cluster: &Cluster| cluster.node(B).counters().value("a") == Value(2);
    cluster.run_until("the known slot grows", secs(2), grown);
    cluster.ask(A, vec![add("b", 1)]);
    cluster.run(secs(3));
    assert_eq!(cluster.node(B).counters().value("b"), Value(2));
    let origin = cluster.node(A).counters().our_origin();
    let (ours, theirs) = (cluster.node(A).counters(), cluster.node(B).counters());
    assert!(theirs.known(origin).version < ours.our_version(), "claims what it did not take");

    cluster.make_room(B, u64::MAX);
    cluster.run_until("B has room again", secs(10), |cluster| cluster.agree());
    assert_eq!(cluster.node(B).counters().value("b"), Value(3));
}
