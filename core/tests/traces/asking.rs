//! What clients may ask beside the value of a counter.

use std::collections::BTreeSet;

use quipu_core::operation::{Op, Outcome, Value};
use quipu_core::query::{Answer, CHANGES_ROWS_MAX, Query};

use crate::cluster::{A, B, C, Cluster, add, get, ms, name, raise, secs};

/// What operations come to: the value after each, how much of it was its doing, and whether the
/// counter exists then.
fn outcomes(cluster: &mut Cluster, ops: Vec<Op>) -> Vec<(i128, i128, bool)> {
    let told = |outcome: Outcome| (outcome.value.0, outcome.change, outcome.exists);
    let reply = cluster.reply_to(A, ops);
    reply.outcomes.into_iter().map(|of| told(of.expect("nothing is refused"))).collect()
}

#[test]
fn a_counter_that_does_not_exist_is_zero_and_reading_does_not_make_it() {
    let mut cluster = Cluster::of(1);
    let asked = vec![get("x"), raise("x", -3)];
    assert_eq!(outcomes(&mut cluster, asked.clone()), [(0, 0, false), (0, 0, false)]);
    assert_eq!(cluster.query(A, Query::Size), Answer::Size(0));
    assert_eq!(outcomes(&mut cluster, vec![add("x", 0)]), [(0, 0, true)], "adding nothing does");
    assert_eq!(outcomes(&mut cluster, asked), [(0, 0, true), (0, 0, true)]);
    assert_eq!(cluster.query(A, Query::Size), Answer::Size(1));
}

#[test]
fn an_outcome_tells_what_of_the_value_was_the_operations_doing() {
    let mut cluster = Cluster::of(1);
    let ops = vec![add("x", -7), raise("x", 5), raise("x", 4), add("x", 2), get("x")];
    let expected = [(-7, -7, true), (5, 12, true), (5, 0, true), (7, 2, true), (7, 0, true)];
    assert_eq!(outcomes(&mut cluster, ops), expected);
}

#[test]
fn a_counter_to_which_nothing_was_added_exists_on_every_node() {
    let mut cluster = Cluster::of(2);
    cluster.ask(A, vec![add("x", 0)]);
    cluster.run_until("B has it", secs(1), |cluster| {
        cluster.node(B).counters().existing("x").is_some()
    });
}

#[test]
fn a_scan_names_every_counter_once_that_was_there_when_it_began() {
    let mut cluster = Cluster::of(1);
    let names: Vec<String> = (0..25).map(|n| format!("c{n}")).collect();
    cluster.ask(A, names.iter().map(|name| add(name, 1)).collect());
    let (mut seen, mut from, mut steps) = (Vec::new(), 0, 0);
    loop {
        // What is added meanwhile may be named or not; it disturbs nothing.
        cluster.add(A, &format!("late{steps}"), 1);
        let Answer::Scanned { names, next } = cluster.query(A, Query::Scan { from, count: 10 })
        else {
            panic!("a scan is answered by names")
        };
        assert!(names.len() <= 10);
        seen.extend(names.iter().map(|name| name.as_str().to_owned()));
        steps += 1;
        from = next;
        if next == 0 {
            break;
        }
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "named twice: {seen:?}");
    assert!(names.iter().all(|name| distinct.contains(name)));
    let beyond = cluster.query(A, Query::Scan { from: u64::MAX, count: 10 });
    assert_eq!(beyond, Answer::Scanned { names: Vec::new(), next: 0 });
}

#[test]
fn each_origins_share_of_a_counter_is_told_with_its_address() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 5);
    cluster.add(B, "x", -2);
    cluster.run_until("both have both", secs(1), |cluster| {
        [A, B].iter().all(|place| cluster.node(*place).counters().value("x") == Value(3))
    });
    let Answer::Origins(shares) = cluster.query(A, Query::Origins { name: name("x") }) else {
        panic!("shares are what was asked for")
    };
    let of = |place| {
        let identity = cluster.node(place).status(cluster.now()).identity;
        let share = shares.iter().find(|share| share.origin == identity.origin).unwrap();
        assert_eq!(share.address.as_ref(), Some(&identity.address));
        (share.slot.numbers().plus, share.slot.numbers().minus)
    };
    assert_eq!((shares.len(), of(A), of(B)), (2, (5, 0), (0, 2)));
    let nobody = cluster.query(A, Query::Origins { name: name("y") });
    assert_eq!(nobody, Answer::Origins(Vec::new()));
}

#[test]
fn waiting_for_peers_ends_when_so_many_have_synced_or_the_patience_is_over() {
    let mut cluster = Cluster::of(3);
    let written = cluster.request(A, vec![add("x", 1)]);
    cluster.run_until("the reply", secs(1), |cluster| cluster.reply(written).is_some());
    let version = cluster.reply(written).unwrap().version;
    assert_eq!(version, 1);
    let both = cluster.await_peers(A, version, 2, None);
    cluster.run_until("both peers", secs(1), |cluster| cluster.answer(both).is_some());
    assert_eq!(cluster.answer(both), Some(&Answer::Confirmed(2)));

    cluster.hold_syncs(C);
    let written = cluster.request(A, vec![add("x", 1), get("x")]);
    cluster.run_until("the reply", secs(1), |cluster| cluster.reply(written).is_some());
    let version = cluster.reply(written).unwrap().version;
    let began = cluster.now();
    let three = cluster.await_peers(A, version, 2, Some(ms(300)));
    cluster.run_until("the end of patience", secs(1), |cluster| cluster.answer(three).is_some());
    assert_eq!(cluster.answer(three), Some(&Answer::Confirmed(1)), "C has not synced it");
    assert!(cluster.now().since(began) >= ms(300));
}

#[test]
fn a_request_that_changed_nothing_has_nothing_to_wait_for() {
    let mut cluster = Cluster::of(1);
    let read = cluster.request(A, vec![get("x")]);
    cluster.run_until("the reply", secs(1), |cluster| cluster.reply(read).is_some());
    let version = cluster.reply(read).unwrap().version;
    let waits = cluster.await_peers(A, version, 0, None);
    cluster.run_until("the answer", secs(1), |cluster| cluster.answer(waits).is_some());
    assert_eq!((version, cluster.answer(waits)), (0, Some(&Answer::Confirmed(0))));
}

/// The changes that a node tells of at once.
fn changes(cluster: &mut Cluster, place: usize) -> (Vec<(String, i128)>, bool) {
    let answer = cluster.query(place, Query::Changes { wait: false });
    told(&answer)
}

fn told(answer: &Answer) -> (Vec<(String, i128)>, bool) {
    let Answer::Changes { rows, more } = answer else { panic!("no changes: {answer:?}") };
    (rows.iter().map(|(name, value)| (name.as_str().to_owned(), value.0)).collect(), *more)
}

fn row(name: &str, value: i128) -> (String, i128) {
    (name.to_owned(), value)
}

#[test]
fn who_watches_is_told_each_changed_counter_once_with_its_last_value_whoever_changed_it() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "before", 1);
    assert_eq!(changes(&mut cluster, A), (Vec::new(), false), "nothing since the first asking");
    for by in 1..=3 {
        cluster.add(A, "x", by);
    }
    cluster.add(B, "y", 5);
    cluster.run_until("A has it", secs(1), |cluster| {
        cluster.node(A).counters().value("y") == Value(5)
    });
    assert_eq!(changes(&mut cluster, A), (vec![row("x", 6), row("y", 5)], false));
    assert_eq!(changes(&mut cluster, A), (Vec::new(), false));
    cluster.ask(A, vec![get("x")]);
    assert_eq!(changes(&mut cluster, A), (Vec::new(), false), "reading changes nothing");

    assert_eq!(told(&cluster.query(A, Query::IgnoreChanges)), (Vec::new(), false));
    cluster.add(A, "x", 1);
    assert_eq!(changes(&mut cluster, A), (Vec::new(), false), "nobody watched");
}

#[test]
fn who_waits_for_changes_is_told_of_the_first_when_it_is_synced_and_not_before() {
    let mut cluster = Cluster::of(2);
    let waits = cluster.begin_query(A, Query::Changes { wait: true });
    cluster.run(secs(1));
    assert_eq!(cluster.answer(waits), None, "nothing has changed");
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 2)]);
    cluster.run(ms(100));
    assert_eq!(cluster.node(A).counters().value("x"), Value(2));
    assert_eq!(cluster.answer(waits), None, "a crash could take it back");
    cluster.release_syncs(A);
    cluster.run_until("the answer", secs(1), |cluster| cluster.answer(waits).is_some());
    assert_eq!(told(cluster.answer(waits).unwrap()), (vec![row("x", 2)], false));
}

#[test]
fn who_asks_for_changes_anew_takes_the_place_of_who_still_waits() {
    let mut cluster = Cluster::of(1);
    let first = cluster.begin_query(A, Query::Changes { wait: true });
    let second = cluster.begin_query(A, Query::Changes { wait: true });
    cluster.run_until("an answer", secs(1), |cluster| cluster.answer(first).is_some());
    assert_eq!(told(cluster.answer(first).unwrap()), (Vec::new(), false));
    assert_eq!(cluster.answer(second), None);
    cluster.query(A, Query::IgnoreChanges);
    assert_eq!(told(cluster.answer(second).unwrap()), (Vec::new(), false));
}

#[test]
fn many_changes_are_told_in_bounded_parts_and_all_of_them() {
    let mut cluster = Cluster::of(1);
    cluster.query(A, Query::Changes { wait: false });
    let number = 2 * CHANGES_ROWS_MAX + 1;
    cluster.ask(A, (0..number).map(|n| add(&n.to_string(), 1)).collect());
    let (mut rows, mut parts) = (BTreeSet::new(), Vec::new());
    while parts.last().is_none_or(|(_, more)| *more) {
        let (part, more) = changes(&mut cluster, A);
        parts.push((part.len(), more));
        rows.extend(part);
    }
    let full = CHANGES_ROWS_MAX;
    assert_eq!(parts, [(full, true), (full, true), (1, false)]);
    assert_eq!(rows.len(), number);
}
