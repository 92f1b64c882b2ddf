//! Rules `push-synced-batches`, `slow-peer-is-behind` and `confirm-after-sync`: the gathering push,
//! the slow peer, the confirmation.

use std::time::Duration;

use quipu_core::time::Time;
use quipu_core::wire::frame::Message;

use crate::cluster::{A, B, C, Cluster, LATENCY, add, ms, secs};
use crate::network::Place;

/// Counts frames of one kind.
fn count(
    cluster: &Cluster,
    since: Time,
    from: Place,
    to: Place,
    is_one: impl Fn(&Message<'_>) -> bool,
) -> usize {
    cluster.frames(since, from, to).filter(|sent| is_one(&sent.message())).count()
}

fn is_push(message: &Message<'_>) -> bool {
    matches!(message, Message::Push { .. })
}

fn is_confirm(message: &Message<'_>) -> bool {
    matches!(message, Message::Confirm(_))
}

/// Rule `push-synced-batches`.
#[test]
fn a_lone_increment_is_pushed_in_the_instant_of_its_sync() {
    let mut cluster = Cluster::of(3);
    let began = cluster.now();
    cluster.request(A, vec![add("x", 1)]);
    cluster.run(LATENCY);
    assert_eq!((cluster.value(B, "x"), cluster.value(C, "x")), (1, 1));
    let push = cluster.frames(began, A, B).find(|sent| is_push(&sent.message())).unwrap();
    assert_eq!((push.at, push.shared_by), (began, 2), "encoded once and shared by all links");
}

/// Rule `push-synced-batches`.
#[test]
fn however_many_batches_close_a_push_leaves_once_a_millisecond() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    for _ in 0..10_000 {
        cluster.request(A, vec![add("x", 1)]);
        cluster.run(Duration::from_micros(100));
    }
    let pushes = count(&cluster, began, A, B, is_push);
    assert!((900..=1001).contains(&pushes), "{pushes} pushes in a second of 10,000 batches");
    cluster.run(ms(2));
    assert_eq!(cluster.value(B, "x"), 10_000, "the last ones left without another to drive them");
}

/// Rule `push-synced-batches`.
#[test]
fn pushes_follow_one_another_without_a_gap() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    let mut upto = cluster.known(A, A);
    for n in 0..1000 {
        cluster.request(A, vec![add(&format!("{}", n % 7), 1)]);
        cluster.run(Duration::from_micros(170));
    }
    for sent in cluster.frames(began, A, B) {
        if let Message::Push { after, batches, .. } = sent.message() {
            assert_eq!(after, upto);
            upto += batches;
        }
    }
    assert!(upto + 6 >= cluster.known(A, A), "all but those of the last millisecond");
}

/// Two nodes that have counted to 1 and have nothing more to tell each other.
fn at_rest() -> Cluster {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 1);
    cluster.run(secs(2));
    cluster
}

/// Counts with large names for a while, in which the peer's confirmations do not arrive.
fn load_without_confirmations(cluster: &mut Cluster) -> usize {
    let began = cluster.now();
    cluster.hold_frames(B, A);
    for batch in 0..300 {
        let ops = (0..400).map(|n| add(&format!("{batch:0>100}{n:0>100}"), 1)).collect();
        cluster.request(A, ops);
        cluster.run(ms(5));
    }
    cluster.frames(began, A, B).map(|sent| sent.bytes.len()).sum()
}

/// Rule `slow-peer-is-behind`.
#[test]
fn a_peer_that_confirms_nothing_is_sent_a_window_and_no_more() {
    let mut cluster = Cluster::of(3);
    let sent = load_without_confirmations(&mut cluster);
    assert!((8 << 20..9 << 20).contains(&sent), "{sent} bytes of 24 million");
    assert!(cluster.node(A).totals().pushes_withheld > 100);
    let link = cluster.link(A, B).unwrap();
    assert!(link.behind && link.unconfirmed_bytes < 9 << 20, "{link:?}");
    assert!(!cluster.link(A, C).unwrap().behind, "the other peer gets everything");
    assert_eq!(cluster.known(C, A), cluster.known(A, A));
}

/// Rule `slow-peer-is-behind`.
#[test]
fn a_peer_that_drains_asks_for_what_it_was_not_sent_and_is_pushed_to_again() {
    let mut cluster = Cluster::of(2);
    load_without_confirmations(&mut cluster);
    cluster.release_frames(B, A);
    cluster.run_until("B has caught up", secs(5), |c| c.known(B, A) == c.known(A, A));
    cluster.run(ms(1));
    assert!(cluster.agree());
    let link = cluster.link(A, B).unwrap();
    assert!(!link.behind && link.lag_versions == 0 && link.unconfirmed_bytes == 0, "{link:?}");
    let withheld = cluster.node(A).totals().pushes_withheld;
    cluster.add(A, "x", 1);
    cluster.run(LATENCY);
    assert_eq!(cluster.value(B, "x"), 1);
    assert_eq!(cluster.node(A).totals().pushes_withheld, withheld);
}

/// Rule `confirm-after-sync`.
#[test]
fn a_peer_confirms_at_most_once_a_millisecond_and_the_lag_goes_to_nothing() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    let mut lags = Vec::new();
    for _ in 0..2000 {
        cluster.request(A, vec![add("x", 1)]);
        cluster.run(Duration::from_micros(300));
        lags.push(cluster.link(A, B).unwrap().lag_versions);
    }
    let confirmations = count(&cluster, began, B, A, is_confirm);
    assert!((100..=601).contains(&confirmations), "{confirmations} in 0.6 s");
    assert!(lags.iter().all(|lag| *lag <= 12), "never far behind: {:?}", lags.iter().max());
    cluster.run(ms(3));
    let link = cluster.link(A, B).unwrap();
    assert_eq!((link.lag_versions, link.lag, link.unconfirmed_bytes), (0, Duration::ZERO, 0));
}

/// Rule `confirm-after-sync`.
#[test]
fn a_calm_peer_confirms_nothing() {
    let mut cluster = at_rest();
    let began = cluster.now();
    cluster.run(secs(5));
    assert_eq!(count(&cluster, began, B, A, is_confirm), 0);
}

#[test]
fn the_time_to_confirmation_runs_from_acceptance_here_to_the_word_that_it_is_synced_there() {
    let mut cluster = at_rest();
    let before = cluster.node(A).totals().confirmation.clone();
    // Neither this node's disk nor the peer's is in a hurry.
    cluster.hold_syncs(A);
    cluster.hold_syncs(B);
    cluster.request(A, vec![add("x", 1)]);
    cluster.run(ms(30));
    cluster.release_syncs(A);
    cluster.run(ms(40));
    assert_eq!(cluster.node(A).totals().confirmation, before, "it is not synced there yet");
    cluster.release_syncs(B);
    cluster.run(ms(10));
    let after = &cluster.node(A).totals().confirmation;
    assert_eq!(after.count(), before.count() + 1, "once, and not again with every digest");
    let took = after.sum().saturating_sub(before.sum());
    assert!((ms(70)..=ms(70) + LATENCY * 2 + ms(1)).contains(&took), "{took:?}");
    let of_b = &cluster.node(B).totals().confirmation;
    assert_eq!(of_b.count(), 0, "it is told by the node that accepted the change");
}

#[test]
fn an_increment_is_as_old_as_it_waits_in_a_batch_that_is_open_still() {
    let mut cluster = at_rest();
    let before = cluster.node(A).totals().confirmation.clone();
    let arrived = cluster.node(B).totals().convergence.clone();
    let began = cluster.now();
    cluster.leave_open(A, vec![add("x", 1)]);
    cluster.run(Duration::from_micros(300));
    cluster.request(A, vec![add("x", 1)]);
    cluster.run_until("B has both", secs(1), |c| c.value(B, "x") == 3);
    let took = cluster.now().since(began);
    let age = cluster.node(B).totals().convergence.sum() - arrived.sum();
    assert!((took - LATENCY..=took).contains(&age), "{age:?} of {took:?}");
    cluster.run(ms(10));
    let confirmed = cluster.node(A).totals().confirmation.sum() - before.sum();
    assert!(confirmed >= age, "{confirmed:?} after {age:?}");
}

#[test]
fn what_a_slow_peer_was_not_pushed_counts_as_confirmed_when_it_has_caught_up() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    load_without_confirmations(&mut cluster);
    let withheld_for = cluster.now().since(began);
    assert_eq!(cluster.node(A).totals().confirmation.count(), 0);
    let pushes = count(&cluster, began, A, B, is_push);
    cluster.release_frames(B, A);
    cluster.run_until("B has caught up", secs(5), |c| c.known(B, A) == c.known(A, A));
    cluster.run(secs(2));
    let took = &cluster.node(A).totals().confirmation;
    assert_eq!(took.count(), pushes as u64 + 1, "each push, and the ones left out as one");
    assert!(took.sum() > withheld_for, "{took:?}");
}

#[test]
fn convergence_lag_runs_from_acceptance_at_the_origin_to_merged_and_synced_here() {
    let mut cluster = at_rest();
    let lags = |cluster: &Cluster, place| cluster.node(place).totals().convergence.clone();
    let (before, of_a) = (lags(&cluster, B), lags(&cluster, A));
    // Neither the origin's disk nor this one's is in a hurry.
    cluster.hold_syncs(A);
    cluster.hold_syncs(B);
    cluster.request(A, vec![add("x", 1)]);
    cluster.run(ms(30));
    cluster.release_syncs(A);
    cluster.run(ms(40));
    assert_eq!(cluster.value(B, "x"), 2, "it is merged");
    assert_eq!(lags(&cluster, B), before, "and not synced");
    cluster.release_syncs(B);
    let after = lags(&cluster, B);
    assert_eq!(after.count(), before.count() + 1);
    let lag = after.sum().saturating_sub(before.sum());
    assert_eq!(lag, ms(70), "to the microsecond: the round trip was measured before");
    cluster.run(secs(5));
    assert_eq!(lags(&cluster, B), after, "once, and not again with every digest");
    assert_eq!(lags(&cluster, A), of_a, "nothing came to the origin");
}

#[test]
fn what_was_caught_up_with_is_not_convergence_lag() {
    let mut cluster = Cluster::of(2);
    load_without_confirmations(&mut cluster);
    let pushes = cluster.node(B).totals().deltas_received;
    cluster.release_frames(B, A);
    cluster.run_until("B has caught up", secs(5), |c| c.known(B, A) == c.known(A, A));
    cluster.run(secs(2));
    assert!(cluster.node(A).totals().pushes_withheld > 0);
    assert!(cluster.node(B).totals().catch_up_slots_received > 0);
    assert_eq!(cluster.node(B).totals().convergence.count(), pushes);
}
