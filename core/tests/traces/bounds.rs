//! Tables that are full, and peers that bring what nobody asked for.

use quipu_core::counters::{Bounds, Counters};
use quipu_core::delta::{Change, Delta};
use quipu_core::digest::Want;
use quipu_core::event::Event;
use quipu_core::identity::OriginId;
use quipu_core::replication::scan::Scan;
use quipu_core::slot::{Numbers, Slot};
use quipu_core::time::Time;
use quipu_core::wire::frame::{self, FRAME_BYTES_MAX, Message};

use crate::cluster::{A, B, Cluster, add, config, ms, next_life, secs};

fn count(cluster: &mut Cluster, place: usize, kind: &str, counters: usize) {
    for first in (0..counters).step_by(100) {
        let ops = (first..first + 100).map(|n| add(&format!("{kind}{n:0>200}"), 1)).collect();
        cluster.request(place, ops);
    }
}

fn missing(cluster: &Cluster, place: usize, kind: &str, counters: usize) -> usize {
    let is_missing = |n: &usize| cluster.value(place, &format!("{kind}{n:0>200}")) == 0;
    (0..counters).filter(is_missing).count()
}

/// `B has no room for what an early part of a catch-up brings; the last part brings nothing new.` It
/// claimed all of it, and what it lacked was never asked for again.
#[test]
fn a_full_table_claims_nothing_of_what_it_could_not_take_and_asks_seldom() {
    let mut cluster = Cluster::new();
    cluster.start(config(A));
    count(&mut cluster, A, "new", 1000);
    count(&mut cluster, A, "shared", 800);
    cluster.run(secs(1));
    cluster.start(config(B));
    cluster.bound_table(B, Bounds { counters: 1200, ..Bounds::default() });
    cluster.cut(A, B);
    count(&mut cluster, B, "shared", 800);
    cluster.run(secs(1));
    cluster.mend(A, B);
    cluster.run(secs(30));
    assert_eq!(missing(&cluster, B, "new", 1000), 600, "what fits is taken");
    assert_eq!(cluster.value(B, &format!("shared{:0>200}", 799)), 2);
    assert_eq!(cluster.known(B, A), 0, "and nothing is claimed");
    assert_eq!(cluster.node(B).status(cluster.now()).without_room, 1);
    let asked = cluster.node(B).totals().catch_ups_asked;
    assert!((2..=5).contains(&asked), "asked {asked} times in 30 s");
    assert_eq!(cluster.node(B).totals().repairs, 0);
    // What has a place is counted on meanwhile.
    cluster.request(A, vec![add(&format!("shared{:0>200}", 7), 5)]);
    cluster.run(secs(1));
    assert_eq!(cluster.value(B, &format!("shared{:0>200}", 7)), 7);
    // And when there is room, the next time that it asks it has all.
    cluster.bound_table(B, Bounds::default());
    cluster.run_until("B has all", secs(60), |c| c.known(B, A) == c.known(A, A));
    assert!(cluster.agree());
    assert_eq!(cluster.node(B).status(cluster.now()).without_room, 0);
}

fn invented(n: u64) -> Delta<'static> {
    let changes = vec![Change::slot("x", Slot::from(Numbers { plus: 1, minus: 0, raise: 0 }))];
    Delta { origin: OriginId(1 << 40 | n), after: 0, upto: 3, changes }
}

/// `A member sends frames full of origins that it has invented.` Eleven of them filled the table for
/// ever, on every node.
#[test]
fn what_nobody_asked_for_is_not_taken() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 5);
    cluster.run(secs(1));
    let before = cluster.node(B).counters().origins();
    for index in 0..3 {
        let deltas = (0..20_000).map(|n| invented(20_000 * u64::from(index) + n)).collect();
        cluster.inject(A, B, &Message::PullChunk { request: 1000, index, last: false, deltas });
    }
    cluster.run(secs(3));
    assert_eq!(cluster.node(B).counters().origins(), before);
    assert_eq!(cluster.value(B, "x"), 5);
    assert_eq!(cluster.node(B).totals().parts_unasked, 3);
    assert!(cluster.are_linked(A, B));
}

/// B has just asked A for what it lacks; the number of the request.
fn asked(cluster: &mut Cluster) -> u32 {
    cluster.add(A, "x", 5);
    cluster.start(config(B));
    cluster.run_until("B has asked", secs(3), |c| c.node(B).totals().catch_ups_asked == 1);
    let asked = cluster.frames(Time::ZERO, B, A).find_map(|sent| match sent.message() {
        Message::PullRequest { request, .. } => Some(request),
        _ => None,
    });
    asked.expect("it was asked")
}

/// An answer that is awaited brings changes of an origin that was asked for, and of others.
#[test]
fn of_an_answer_only_what_was_asked_for_is_taken() {
    let mut cluster = Cluster::of(1);
    let request = asked(&mut cluster);
    let of_a = Delta { origin: cluster.origin_of(A), after: 0, ..invented(0) };
    let part =
        Message::PullChunk { request, index: 0, last: false, deltas: vec![invented(1), of_a] };
    cluster.inject(A, B, &part);
    cluster.run_until("it is there", secs(1), |c| c.value(B, "x") > 0);
    cluster.run(secs(2));
    assert_eq!(cluster.node(B).counters().origins(), 2, "A's and B's own");
}

/// It brings changes that its live writer, by its own word, cannot have made.
#[test]
fn what_a_live_writer_cannot_have_made_is_not_taken() {
    let mut cluster = Cluster::of(1);
    let request = asked(&mut cluster);
    let (began, origin) = (cluster.now(), cluster.origin_of(A));
    let changes = vec![Change::slot("y", Slot::from(Numbers { plus: 9, minus: 0, raise: 0 }))];
    let deltas = vec![Delta { origin, after: 0, upto: 1 << 62, changes }];
    cluster.inject(A, B, &Message::PullChunk { request, index: 0, last: true, deltas });
    cluster.run(ms(1));
    assert_eq!((cluster.known(B, A), cluster.value(B, "y")), (0, 0));
    cluster.run_until("they agree", secs(5), |c| c.known(B, A) == c.known(A, A) && c.agree());
    assert!(!cluster.told(began, A, |event| matches!(event, Event::ForeignWriter { .. })));
    assert!(!cluster.told(began, A, |event| matches!(event, Event::LinkDown { .. })));
}

/// `The table is full of origins. A node restarts, and counts under a new one.`
#[test]
fn a_node_whose_origins_are_all_taken_counts_and_hears_those_it_is_linked_with() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 1);
    cluster.run(secs(1));
    cluster.bound_table(B, Bounds { origins: 2, ..Bounds::default() });
    cluster.crash(A);
    let life = next_life(cluster.config_of(A));
    cluster.restart(A, life);
    cluster.run_until("they are linked", secs(5), Cluster::all_linked);
    cluster.add(A, "x", 10);
    cluster.add(B, "x", 100);
    cluster.run_until("both have all", secs(5), Cluster::agree);
    assert_eq!(cluster.value(B, "x"), 111);
    assert_eq!(cluster.known(B, A), cluster.known(A, A));
}

/// `The same, and what it has counted is asked for, not pushed.`
#[test]
fn a_linked_peers_own_changes_have_a_place_also_where_they_are_asked_for() {
    let mut cluster = Cluster::new();
    cluster.start(config(A));
    cluster.add(A, "x", 10);
    cluster.start(config(B));
    cluster.bound_table(B, Bounds { origins: 1, ..Bounds::default() });
    cluster.run_until("B has it", secs(5), |c| c.value(B, "x") == 10);
    assert_eq!(cluster.known(B, A), cluster.known(A, A));
    assert_eq!(cluster.node(A).totals().deltas_sent, 0, "nothing was pushed");
}

/// One counter's slots of 100,000 origins, which are several megabytes: more than any frame holds.
#[test]
fn a_counter_of_more_slots_than_a_frame_holds_is_told_in_parts() {
    const ORIGINS: u64 = 100_000;
    let name = "x".repeat(1024);
    let mut kept = Counters::new(config(A).origin, 0);
    for n in 1..=ORIGINS {
        let changes =
            vec![Change::slot(&name, Slot::from(Numbers { plus: n, ..Numbers::default() }))];
        kept.merge(&Delta { origin: OriginId(n << 20), after: 0, upto: 1, changes }).unwrap();
    }
    let wants: Vec<Want> =
        (1..=60_000).map(|n| Want { origin: OriginId(n << 20), after: Some(0) }).collect();
    let mut scan = Scan::new(&kept, &wants);
    let (mut told, mut parts) = (0, 0);
    loop {
        let (deltas, last) = scan.step(&kept, FRAME_BYTES_MAX / 8, 16_384);
        told += deltas.iter().map(|delta| delta.changes.len()).sum::<usize>();
        parts += 1;
        if last {
            break;
        }
        let part = Message::PullChunk { request: 1, index: parts, last, deltas };
        assert!(frame::encode(&part).len() <= FRAME_BYTES_MAX / 2);
        if parts == 3 {
            // Its slot takes the first place, and sends the one that is there to the end.
            kept.add(&name, 1).unwrap();
            kept.close();
        }
    }
    assert_eq!(told, wants.len() + 1, "the one that was sent to the end twice");
}
