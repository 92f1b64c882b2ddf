//! Rules `claim-the-beginning`, `the-one-who-lacks-asks`, `exchange-every-second` and
//! `link-loses-nothing`, between nodes: who asks, what a broken link costs, what calm links say.

use std::time::Duration;

use quipu_core::counters::Counters;
use quipu_core::delta::{Delta, Entry};
use quipu_core::event::Event;
use quipu_core::identity::OriginId;
use quipu_core::slot::Slot;
use quipu_core::time::Time;
use quipu_core::wire::frame::{FRAME_BYTES_MAX, Message};

use crate::cluster::{A, B, C, Cluster, D, add, config, ms, secs};
use crate::network::Place;

/// Gives a node so many counters that a catch-up takes several parts.
fn fill(cluster: &mut Cluster, place: Place, counters: usize) {
    for chunk in 0..counters / 1000 {
        let ops = (0..1000).map(|n| add(&format!("{chunk:0>100} {n:0>20}"), 1)).collect();
        cluster.request(place, ops);
        cluster.run(ms(2));
    }
}

/// Rule `claim-the-beginning`.
#[test]
fn a_link_that_breaks_after_the_first_part_leaves_nothing_claimed() {
    let mut cluster = Cluster::of(1);
    fill(&mut cluster, A, 20_000);
    cluster.start(config(B));
    cluster.run_until("a first part has come", secs(3), |c| !c.node(B).counters().is_empty());
    cluster.break_links(A, B);
    let some = cluster.node(B).counters().len();
    assert!((1..20_000).contains(&some), "{some} counters of 20,000");
    assert_eq!(cluster.known(B, A), 0, "the first part claims nothing");
    cluster.run_until("B has caught up", secs(3), Cluster::agree);
    assert_eq!(cluster.known(B, A), cluster.known(A, A));
    assert_eq!(cluster.node(B).totals().repairs, 0, "by asking again, not by repair");
}

/// Rule `claim-the-beginning`.
#[test]
fn a_part_in_front_of_which_one_is_missing_claims_nothing() {
    let mut cluster = Cluster::of(1);
    fill(&mut cluster, A, 20_000);
    cluster.start(config(B));
    cluster.run_until("B has asked", secs(3), |c| c.node(B).totals().catch_ups_asked == 1);
    let request = cluster
        .frames(Time::ZERO, B, A)
        .find_map(|sent| match sent.message() {
            Message::Ask { request, .. } => Some(request),
            _ => None,
        })
        .expect("B has asked");
    // As if the link had lost all parts but the first and the last.
    let entries = vec![Entry::new("x", Slot { plus: 5, minus: 0, raise: 0 })];
    let (origin, upto) = (cluster.origin_of(A), cluster.known(A, A));
    let deltas = vec![Delta { origin, after: 0, upto, entries }];
    cluster.inject(A, B, &Message::Part { request, index: 20, last: true, deltas });
    cluster.run_until("it has come", ms(10), |c| c.value(B, "x") == 5);
    assert_eq!(cluster.known(B, A), 0);
    cluster.run(ms(500));
    assert_eq!(cluster.known(B, A), 0, "nor does the rest of that answer claim anything");
    cluster.run_until("B has asked again", secs(3), |c| c.known(B, A) == upto);
}

/// Rule `the-one-who-lacks-asks`.
#[test]
fn a_joiner_is_sent_everything_once_and_not_by_everyone() {
    let mut cluster = Cluster::of(3);
    for place in [A, B, C] {
        fill(&mut cluster, place, 5000);
    }
    cluster.run(secs(3));
    cluster.start(config(D));
    let took = cluster.run_until("the joiner has all of it", secs(3), Cluster::agree);
    assert!(took < secs(1), "{took:?}");
    cluster.run(secs(3));
    let received = cluster.node(D).totals().catch_up_slots_received;
    assert_eq!(received, 15_000, "each slot once");
    assert_eq!(cluster.node(D).totals().repairs, 0);
}

/// Rule `the-one-who-lacks-asks`.
#[test]
fn a_loaded_link_does_not_look_lacking() {
    let mut cluster = Cluster::of(3);
    let asked = |cluster: &Cluster| -> u64 {
        [A, B, C].iter().map(|place| cluster.node(*place).totals().catch_ups_asked).sum()
    };
    let before = asked(&cluster);
    // Faster than pushes leave, so that digests run ahead of what they tell of.
    for _ in 0..10_000 {
        for place in [A, B, C] {
            cluster.request(place, vec![add("x", 1)]);
        }
        cluster.run(Duration::from_micros(370));
    }
    assert_eq!(asked(&cluster), before, "no catch-up in four seconds of load");
    cluster.run(ms(10));
    assert!(cluster.agree());
    assert_eq!(cluster.value(C, "x"), 30_000);
}

/// Rule `the-one-who-lacks-asks`.
#[test]
fn what_a_dead_node_told_one_peer_only_is_fetched_from_that_peer() {
    let mut cluster = Cluster::of(3);
    cluster.hold_frames(A, C);
    cluster.add(A, "x", 5);
    cluster.run_until("B has it", ms(10), |c| c.value(B, "x") == 5);
    cluster.vanish(A);
    assert_eq!(cluster.value(C, "x"), 0);
    cluster.run_until("C has it from B", secs(3), |c| c.value(C, "x") == 5);
    assert_eq!(cluster.known(C, A), cluster.known(B, A));
}

/// Rule `exchange-every-second`.
#[test]
fn a_calm_link_carries_a_hash_a_second_and_signs_of_life() {
    let mut cluster = Cluster::of(3);
    cluster.add(A, "x", 1);
    cluster.run(secs(3));
    let began = cluster.now();
    cluster.run(secs(10));
    for (from, to) in [(A, B), (B, A), (B, C)] {
        let mut hashes = 0;
        for sent in cluster.frames(began, from, to) {
            match sent.message() {
                Message::DigestHash(_) => hashes += 1,
                Message::Pong | Message::Ping => {}
                other => panic!("{other:?} on a calm link"),
            }
        }
        assert!((9..=11).contains(&hashes), "{hashes} exchanges in ten seconds");
    }
}

/// Rule `exchange-every-second`.
#[test]
fn a_digest_of_twenty_thousand_origins_travels_in_parts_that_leave_none_out() {
    const ORIGINS: u64 = 20_000;
    let mut cluster = Cluster::new();
    cluster.start(config(A));
    // As the rest of a history of many restarts: slots of origins that are long gone.
    let mut kept = Counters::new(config(B).origin, 0);
    for n in 1..=ORIGINS {
        let entries = vec![Entry::new("x", Slot { plus: 1, minus: 0, raise: 0 })];
        kept.merge(&Delta { origin: OriginId(n << 40), after: 0, upto: 1, entries }).unwrap();
    }
    cluster.start_with(config(B), kept);
    let began = cluster.now();
    cluster.run(ms(1500));
    assert_eq!(cluster.value(B, "x"), i128::from(ORIGINS));

    let mut next = Some(0);
    let mut rows_seen = 0;
    for sent in cluster.frames(began, B, A) {
        let Message::DigestPart { first, last, rows } = sent.message() else { continue };
        assert!(sent.bytes.len() <= FRAME_BYTES_MAX / 2);
        assert_eq!(Some(first.0), next, "each part begins where the one before ends");
        next = last.0.checked_add(1);
        rows_seen += rows.len();
        if next.is_none() {
            break;
        }
    }
    assert_eq!(next, None, "the last part reaches the last origin that can be");
    assert_eq!(rows_seen as u64, ORIGINS);
}

/// Rule `link-loses-nothing`.
#[test]
fn catching_up_goes_on_while_both_sides_count() {
    let mut cluster = Cluster::of(1);
    fill(&mut cluster, A, 20_000);
    cluster.start(config(B));
    for tick in 0..2000 {
        cluster.request(A, vec![add(&format!("late {}", tick % 100), 1)]);
        cluster.request(B, vec![add("late 1", 1)]);
        cluster.run(ms(1));
    }
    cluster.run_until("both hold the same", secs(1), Cluster::agree);
    assert_eq!(cluster.value(B, "late 1"), 2000 + 20);
    assert!(cluster.told(Time::ZERO, B, |event| matches!(event, Event::CaughtUp { .. })));
}
