//! What clients may ask beside the value of a counter.

use std::collections::BTreeSet;

use quipu_core::input::Token;
use quipu_core::operation::{Op, Outcome, Value};
use quipu_core::query::{
    Await, CHANGES_ROWS_MAX, Changes, Confirmed, Gone, Origins, Scan, Scanned, Size,
};

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
    assert_eq!(cluster.query(A, Size).counters(), 0);
    assert_eq!(outcomes(&mut cluster, vec![add("x", 0)]), [(0, 0, true)], "adding nothing does");
    assert_eq!(outcomes(&mut cluster, asked), [(0, 0, true), (0, 0, true)]);
    assert_eq!(cluster.query(A, Size).counters(), 1);
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
        let Scanned { names, next } = cluster.query(A, Scan { from, count: 10 });
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
    let beyond = cluster.query(A, Scan { from: u64::MAX, count: 10 });
    assert_eq!(beyond, Scanned { names: Vec::new(), next: 0 });
}

#[test]
fn each_origins_share_of_a_counter_is_told_with_its_address() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 5);
    cluster.add(B, "x", -2);
    cluster.run_until("both have both", secs(1), |cluster| {
        [A, B].iter().all(|place| cluster.node(*place).counters().value("x") == Value(3))
    });
    let shares = cluster.query(A, Origins { name: name("x") });
    let of = |place| {
        let identity = cluster.node(place).status(cluster.now()).identity;
        let share = shares.iter().find(|share| share.origin == identity.origin).unwrap();
        assert_eq!(share.address.as_ref(), Some(&identity.address));
        (share.slot.numbers().plus, share.slot.numbers().minus)
    };
    assert_eq!((shares.len(), of(A), of(B)), (2, (5, 0), (0, 2)));
    assert_eq!(cluster.query(A, Origins { name: name("y") }), [], "no such counter");
}

#[test]
fn waiting_for_peers_ends_when_so_many_have_synced_or_the_patience_is_over() {
    let mut cluster = Cluster::of(3);
    let written = cluster.request(A, vec![add("x", 1)]);
    cluster.run_until("the reply", secs(1), |cluster| cluster.reply(written).is_some());
    let version = cluster.reply(written).unwrap().version;
    assert_eq!(version, 1);
    let both = cluster.await_peers(A, version, 2, None);
    cluster.run_until("both peers", secs(1), |cluster| cluster.is_answered(both));
    assert_eq!(cluster.answer::<Await>(both), Some(Confirmed::Waited(2)));

    cluster.hold_syncs(C);
    let written = cluster.request(A, vec![add("x", 1), get("x")]);
    cluster.run_until("the reply", secs(1), |cluster| cluster.reply(written).is_some());
    let version = cluster.reply(written).unwrap().version;
    let began = cluster.now();
    let three = cluster.await_peers(A, version, 2, Some(ms(300)));
    cluster.run_until("the end of patience", secs(1), |cluster| cluster.is_answered(three));
    let confirmed = cluster.answer::<Await>(three);
    assert_eq!(confirmed, Some(Confirmed::Waited(1)), "C has not synced it");
    assert!(cluster.now().since(began) >= ms(300));
}

#[test]
fn a_request_that_changed_nothing_has_nothing_to_wait_for() {
    let mut cluster = Cluster::of(1);
    let read = cluster.request(A, vec![get("x")]);
    cluster.run_until("the reply", secs(1), |cluster| cluster.reply(read).is_some());
    let version = cluster.reply(read).unwrap().version;
    let waits = cluster.await_peers(A, version, 0, None);
    cluster.run_until("the answer", secs(1), |cluster| cluster.is_answered(waits));
    assert_eq!((version, cluster.answer::<Await>(waits)), (0, Some(Confirmed::Waited(0))));
}

/// The changes that a watcher gets at once.
fn changes(cluster: &mut Cluster, place: usize) -> (Vec<(String, i128)>, bool) {
    let token = cluster.watch(place, false);
    answered(cluster, token)
}

/// What a watcher is answered within a second.
fn answered(cluster: &mut Cluster, token: Token) -> (Vec<(String, i128)>, bool) {
    cluster.run_until("the changes", secs(1), |cluster| cluster.changes(token).is_some());
    let Changes { rows, more } = cluster.changes(token).expect("it was awaited");
    let value = |seen: &Result<Value, Gone>| seen.expect("it exists").0;
    (rows.iter().map(|(name, seen)| (name.as_str().to_owned(), value(seen))).collect(), *more)
}

fn row(name: &str, value: i128) -> (String, i128) {
    (name.to_owned(), value)
}

#[test]
fn a_watcher_gets_each_changed_counter_once_with_its_last_value_from_whichever_node() {
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

    let gone = cluster.unwatch(A);
    assert_eq!(answered(&mut cluster, gone), (Vec::new(), false));
    cluster.add(A, "x", 1);
    assert_eq!(changes(&mut cluster, A), (Vec::new(), false), "there was no watcher");
}

#[test]
fn a_watcher_that_waits_gets_the_first_change_when_it_is_synced_and_not_before() {
    let mut cluster = Cluster::of(2);
    let waits = cluster.watch(A, true);
    cluster.run(secs(1));
    assert_eq!(cluster.changes(waits), None, "nothing has changed");
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 2)]);
    cluster.run(ms(100));
    assert_eq!(cluster.node(A).counters().value("x"), Value(2));
    assert_eq!(cluster.changes(waits), None, "a crash could take it back");
    cluster.release_syncs(A);
    assert_eq!(answered(&mut cluster, waits), (vec![row("x", 2)], false));
}

#[test]
fn a_watchers_question_takes_the_place_of_one_that_still_waits() {
    let mut cluster = Cluster::of(1);
    let first = cluster.watch(A, true);
    let second = cluster.watch(A, true);
    assert_eq!(answered(&mut cluster, first), (Vec::new(), false));
    assert_eq!(cluster.changes(second), None);
    cluster.unwatch(A);
    assert_eq!(answered(&mut cluster, second), (Vec::new(), false));
}

#[test]
fn many_changes_are_told_in_bounded_parts_and_all_of_them() {
    let mut cluster = Cluster::of(1);
    changes(&mut cluster, A);
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
