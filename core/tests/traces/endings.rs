//! How counters end: resets, deletes, sets and lifetimes, on all nodes and with what they had not seen.

use quipu_core::operation::{Refusal, Value};
use quipu_core::query::{Changes, Gone, Origins, Scan, Scanned};
use quipu_core::update::{Expiry, OnlyExpire, Update};

use crate::cluster::{
    A, B, C, Cluster, add, delete, expire, get, ms, name, raise, secs, set, update,
};

fn all_show(cluster: &Cluster, counter: &str, value: Option<i128>) -> bool {
    let places = [A, B, C].into_iter().take(cluster.size());
    let shown = |place: usize| cluster.node(place).counters().existing(counter);
    places.clone().all(|place| shown(place) == value.map(Value)) && cluster.digests_agree()
}

/// `A resets what it sees; B counts at the same time.` What A had not seen survives.
#[test]
fn an_increment_that_a_reset_had_not_seen_survives_it() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "hits", 3);
    cluster.run_until("both have it", secs(2), |cluster| all_show(cluster, "hits", Some(3)));
    cluster.cut(A, B);
    assert_eq!(cluster.ask(A, vec![delete("hits")]), [Ok(Value(0))]);
    cluster.add(B, "hits", 2);
    cluster.mend(A, B);
    cluster.run_until("they agree", secs(10), |cluster| all_show(cluster, "hits", Some(2)));
}

/// `C holds A's 3. A adds 2, B takes that and resets. C hears of B's reset before it hears of A's 2,
/// and adds 2 itself.` Were a slot less its cover below 0, C would show 0.
#[test]
fn a_cover_that_comes_before_what_it_covers_takes_nothing_else() {
    let mut cluster = Cluster::of(3);
    cluster.add(A, "hits", 3);
    cluster.run_until("all have it", secs(2), |cluster| all_show(cluster, "hits", Some(3)));
    cluster.cut(A, C);
    cluster.add(A, "hits", 2);
    cluster.run_until("B has it", secs(2), |cluster| cluster.value(B, "hits") == 5);
    cluster.ask(B, vec![delete("hits")]);
    cluster.run_until("C has the cover", secs(2), |cluster| cluster.value(C, "hits") == 0);
    assert_eq!(cluster.add(C, "hits", 2), 2);
    cluster.mend(A, C);
    cluster.run_until("they agree", secs(10), |cluster| all_show(cluster, "hits", Some(2)));
}

#[test]
fn a_deleted_counter_does_not_exist_anywhere_and_begins_at_nothing_again() {
    let mut cluster = Cluster::of(3);
    cluster.ask(A, vec![add("hits", 5), raise("hits", 9)]);
    cluster.run_until("all have it", secs(2), |cluster| all_show(cluster, "hits", Some(9)));
    cluster.ask(B, vec![delete("hits")]);
    cluster.run_until("it is gone", secs(2), |cluster| all_show(cluster, "hits", None));
    assert!([A, B, C].into_iter().all(|place| cluster.node(place).counters().is_empty()));
    assert_eq!(cluster.ask(C, vec![add("hits", 1)]), [Ok(Value(1))]);
    cluster.run_until("it is back", secs(2), |cluster| all_show(cluster, "hits", Some(1)));
    assert_eq!(cluster.node(A).counters().len(), 1);
}

#[test]
fn sets_at_once_to_the_same_do_not_add_up_and_of_others_the_larger_shows() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "stock", 40);
    cluster.run_until("both have it", secs(2), |cluster| all_show(cluster, "stock", Some(40)));
    for (one, other, value) in [(7, 7, 7), (3, 9, 9)] {
        cluster.hold_frames(A, B);
        cluster.hold_frames(B, A);
        assert_eq!(cluster.ask(A, vec![set("stock", one)]), [Ok(Value(one.into()))]);
        assert_eq!(cluster.ask(B, vec![set("stock", other)]), [Ok(Value(other.into()))]);
        cluster.release_frames(A, B);
        cluster.release_frames(B, A);
        let agreed = |cluster: &Cluster| all_show(cluster, "stock", Some(value));
        cluster.run_until("they agree", secs(10), agreed);
    }
}

#[test]
fn a_set_to_nothing_exists_and_one_below_nothing_is_below_it() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "n", 40);
    cluster.run_until("both have it", secs(2), |cluster| all_show(cluster, "n", Some(40)));
    for value in [0, -12, 5, 0] {
        let there = cluster.ask(B, vec![set("n", value), get("n")]);
        assert_eq!(there, [Ok(Value(value.into())), Ok(Value(value.into()))]);
        let agreed = |cluster: &Cluster| all_show(cluster, "n", Some(value.into()));
        cluster.run_until("they agree", secs(2), agreed);
    }
}

#[test]
fn a_counter_that_was_added_nothing_exists_on_every_node() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "n", 0);
    cluster.run_until("B has it", secs(2), |cluster| all_show(cluster, "n", Some(0)));
    cluster.ask(B, vec![delete("n")]);
    cluster.run_until("it is gone", secs(2), |cluster| all_show(cluster, "n", None));
}

#[test]
fn a_counter_expires_on_every_node_and_begins_at_nothing_again() {
    let mut cluster = Cluster::of(2);
    cluster.ask(A, vec![add("hits", 5), expire("hits", 3_000)]);
    cluster.run(secs(2));
    assert!(all_show(&cluster, "hits", Some(5)));
    cluster.run_until("it is gone", secs(2), |cluster| all_show(cluster, "hits", None));
    assert!([A, B].into_iter().all(|place| cluster.node(place).counters().is_empty()));
    assert_eq!(cluster.ask(B, vec![add("hits", 1)]), [Ok(Value(1))]);
    cluster.run_until("it is back", secs(2), |cluster| all_show(cluster, "hits", Some(1)));
    cluster.run(secs(5));
    assert!(all_show(&cluster, "hits", Some(1)), "the lifetime ended with the counter");
}

/// `A gives a lifetime, B a shorter one after it; A deletes the counter, and counts on it again.`
/// Were lifetimes not covered, the new counter would die at B's old deadline.
#[test]
fn a_reset_takes_every_lifetime_that_it_saw() {
    let mut cluster = Cluster::of(2);
    cluster.ask(A, vec![add("hits", 3), expire("hits", 60_000)]);
    cluster.run_until("B has it", secs(2), |cluster| all_show(cluster, "hits", Some(3)));
    cluster.ask(B, vec![expire("hits", 2_000)]);
    cluster.run(ms(100));
    cluster.ask(A, vec![delete("hits"), add("hits", 2)]);
    cluster.run(secs(4));
    assert!(all_show(&cluster, "hits", Some(2)));
}

#[test]
fn the_latest_lifetime_counts_and_one_can_be_taken_back() {
    let mut cluster = Cluster::of(2);
    cluster.ask(A, vec![add("hits", 3), expire("hits", 1_000)]);
    cluster.run_until("B has it", secs(1), |cluster| all_show(cluster, "hits", Some(3)));
    let persist = Update::Expire { expiry: Expiry::Never, only: None };
    cluster.ask(B, vec![update("hits", persist)]);
    cluster.run(secs(3));
    assert!(all_show(&cluster, "hits", Some(3)));
    let sooner =
        Update::Expire { expiry: Expiry::After(500), only: Some(OnlyExpire::WithLifetime) };
    cluster.ask(A, vec![update("hits", sooner)]);
    cluster.run(secs(3));
    assert!(all_show(&cluster, "hits", Some(3)), "it has none that could end sooner");
}

/// Were a walk over once it has passed as many names as there are counters, it would end early.
#[test]
fn a_walk_over_names_passes_over_the_deleted_and_nothing_else() {
    let mut cluster = Cluster::of(1);
    for n in 0..30 {
        cluster.add(A, &format!("n{n:02}"), 1);
    }
    for n in 0..20 {
        cluster.ask(A, vec![delete(&format!("n{n:02}"))]);
    }
    let (mut told, mut from) = (Vec::new(), 0);
    loop {
        let Scanned { names, next } = cluster.query(A, Scan { from, count: 4 });
        told.extend(names.iter().map(|name| name.as_str().to_owned()));
        from = next;
        if from == 0 {
            break;
        }
    }
    let expected: Vec<String> = (20..30).map(|n| format!("n{n:02}")).collect();
    assert_eq!(told, expected);
}

#[test]
fn what_ended_before_a_node_joined_is_ended_there_too_and_after_restarts() {
    let mut cluster = Cluster::of(2);
    for n in 0..300 {
        cluster.ask(A, vec![add(&format!("n{n}"), 3)]);
    }
    cluster.run_until("B has all", secs(5), |cluster| cluster.node(B).counters().len() == 300);
    for n in 0..200 {
        cluster.ask(B, vec![delete(&format!("n{n}"))]);
    }
    let c = cluster.start(crate::cluster::config(C));
    let agree =
        |cluster: &Cluster| cluster.digests_agree() && cluster.node(c).counters().len() == 100;
    cluster.run_until("C has what is left", secs(10), agree);
}

#[test]
fn a_removed_node_ends_nothing_and_counts_on() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "hits", 3);
    cluster.run_until("B has it", secs(2), |cluster| all_show(cluster, "hits", Some(3)));
    let b = cluster.address_of(B);
    cluster.remove(A, &b);
    cluster.run_until("B knows", secs(5), |cluster| cluster.node(B).status(cluster.now()).removed);
    let refused = Err(Refusal::Removed);
    let asked = vec![delete("hits"), set("hits", 1), expire("hits", 9), add("hits", 1)];
    assert_eq!(cluster.ask(B, asked), [refused, refused, refused, Ok(Value(4))]);
}

#[test]
fn nothing_is_ended_while_a_peer_of_an_earlier_release_is_linked_and_none_is_let_in_after() {
    let mut cluster = Cluster::new();
    cluster.start(crate::cluster::config(A));
    cluster.start(crate::cluster::config(B));
    cluster.speak_up_to(B, 3);
    cluster.run_until("they are linked", secs(5), |cluster| cluster.are_linked(A, B));
    cluster.add(A, "hits", 3);
    let b = cluster.id_of(B);
    assert_eq!(cluster.ask(A, vec![delete("hits")]), [Err(Refusal::OlderPeer(b))]);

    cluster.cut(A, B);
    cluster.run_until("the link is gone", secs(60), |cluster| !cluster.are_linked(A, B));
    cluster.run(secs(10));
    assert_eq!(cluster.ask(A, vec![delete("hits")]), [Ok(Value(0))]);
    cluster.mend(A, B);
    cluster.run(secs(30));
    assert!(!cluster.are_linked(A, B), "B would not understand");
}

#[test]
fn no_long_name_is_made_while_a_peer_of_an_earlier_release_is_linked_and_none_is_let_in_after() {
    let mut cluster = Cluster::new();
    cluster.start(crate::cluster::config(A));
    cluster.start(crate::cluster::config(B));
    cluster.speak_up_to(B, 3);
    cluster.run_until("they are linked", secs(5), |cluster| cluster.are_linked(A, B));
    let (known, longer) = ("n".repeat(255), "n".repeat(256));
    let b = cluster.id_of(B);
    let asked = vec![add(&known, 1), add(&longer, 1), raise(&longer, 1), get(&longer)];
    let refused = Err(Refusal::OlderPeer(b));
    assert_eq!(cluster.ask(A, asked), [Ok(Value(1)), refused, refused, Ok(Value(0))]);
    cluster.run_until("B has the other", secs(2), |cluster| all_show(cluster, &known, Some(1)));

    cluster.cut(A, B);
    cluster.run_until("the link is gone", secs(60), |cluster| !cluster.are_linked(A, B));
    cluster.run(secs(10));
    assert_eq!(cluster.ask(A, vec![add(&longer, 1)]), [Ok(Value(1))]);
    cluster.mend(A, B);
    cluster.run(secs(30));
    assert!(!cluster.are_linked(A, B), "B would not understand");
}

/// What a watcher on A is told, and how much is left of all shares of a counter there.
fn told(cluster: &mut Cluster, counter: &str) -> (Vec<Result<i128, Gone>>, u64) {
    let token = cluster.watch(A, false);
    cluster.run_until("the changes", secs(1), |cluster| cluster.changes(token).is_some());
    let Changes { rows, .. } = cluster.changes(token).expect("it was awaited").clone();
    let shares = cluster.query(A, Origins { name: name(counter) });
    let left = shares.iter().map(|share| share.left.numbers().plus).sum();
    (rows.iter().map(|(_, value)| value.map(|value| value.0)).collect(), left)
}

#[test]
fn watchers_and_auditors_are_told_that_a_counter_has_ended() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "hits", 3);
    assert_eq!(told(&mut cluster, "hits"), (Vec::new(), 3), "nothing since the first asking");
    cluster.run_until("B has it", secs(2), |cluster| all_show(cluster, "hits", Some(3)));
    cluster.ask(B, vec![delete("hits")]);
    cluster.run_until("it is gone", secs(2), |cluster| all_show(cluster, "hits", None));
    assert_eq!(told(&mut cluster, "hits"), (vec![Err(Gone::Deleted)], 0));
    cluster.ask(A, vec![add("hits", 2), expire("hits", 1_000)]);
    assert_eq!(told(&mut cluster, "hits"), (vec![Ok(2)], 2));
    cluster.run_until("it expires", secs(3), |cluster| all_show(cluster, "hits", None));
    cluster.run(ms(100));
    assert_eq!(told(&mut cluster, "hits"), (vec![Err(Gone::Expired)], 0));
}

#[test]
fn an_increment_tells_when_its_counter_expires() {
    let mut cluster = Cluster::of(1);
    let mut until = |ops| {
        let outcomes = cluster.reply_to(A, ops).outcomes;
        outcomes.into_iter().map(|of| of.expect("no refusal").until).collect::<Vec<_>>()
    };
    let told = until(vec![add("hits", 1), expire("hits", 60_000), add("hits", 1), get("hits")]);
    assert!(told[0].is_none() && told[1].is_some(), "{told:?}");
    assert!(told[1..].iter().all(|until| *until == told[1]), "{told:?}");
}
