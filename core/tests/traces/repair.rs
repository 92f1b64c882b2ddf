//! Rules `equal-versions-compare-fingerprints` and `one-writer`: equal versions are not equal
//! states, and nobody else writes our slots.

use quipu_core::delta::{Change, Delta};
use quipu_core::event::{Event, LinkEnd};
use quipu_core::identity::OriginId;
use quipu_core::node::Config;
use quipu_core::query::{Await, Confirmed};
use quipu_core::slot::{Numbers, Slot};
use quipu_core::wire::frame::{Message, Row};

use crate::cluster::{A, B, C, Cluster, LATENCY, add, config, ms, secs};

fn entry(name: &str, plus: u64) -> Change<'_> {
    Change::slot(name, Slot::from(Numbers { plus, minus: 0, raise: 0 }))
}

fn repairs(cluster: &Cluster) -> u64 {
    [B, C].iter().map(|place| cluster.node(*place).totals().repairs).sum()
}

/// Rule `equal-versions-compare-fingerprints`.
#[test]
fn what_a_dead_node_pushed_beyond_a_gap_to_one_peer_reaches_the_other() {
    let mut cluster = Cluster::of(3);
    // A closes v1 and v2; only the push of v2 reaches B before A dies for ever.
    cluster.inject(
        A,
        B,
        &Message::Push { after: 1, batches: 1, age_us: 0, changes: vec![entry("x", 5)] },
    );
    cluster.run(ms(1));
    cluster.crash(A);
    assert_eq!((cluster.value(B, "x"), cluster.value(C, "x")), (5, 0));
    assert_eq!((cluster.known(B, A), cluster.known(C, A)), (0, 0), "equal versions");
    let began = cluster.now();
    cluster.run_until("C has it too", secs(5), |c| c.value(C, "x") == 5);
    assert!(cluster.agree());
    assert!(repairs(&cluster) > 0);
    let is_repair = |event: &Event| matches!(event, Event::RepairStarted { .. });
    assert!(cluster.told(began, C, is_repair), "and it is told");
    // Once equal, nobody asks again.
    let after = repairs(&cluster);
    cluster.run(secs(10));
    assert!(repairs(&cluster) <= after + 1, "{after} repairs, then {}", repairs(&cluster));
}

/// Rule `equal-versions-compare-fingerprints`.
#[test]
fn half_of_a_catch_up_reaches_the_others_when_its_sender_dies() {
    let mut cluster = Cluster::of(1);
    for chunk in 0..20 {
        cluster.request(A, (0..1000).map(|n| add(&format!("{chunk:0>100} {n:0>20}"), 1)).collect());
        cluster.run(ms(2));
    }
    cluster.start(config(B));
    cluster.start(config(C));
    cluster.cut(A, C);
    cluster.run_until("a part has come", secs(3), |c| !c.node(B).counters().is_empty());
    cluster.crash(A);
    let some = cluster.node(B).counters().len();
    assert!(some < 20_000, "{some}");
    assert!(cluster.node(C).counters().is_empty());
    cluster.run_until("B and C hold the same", secs(10), |c| {
        c.agree() && c.node(C).counters().len() >= some
    });
}

/// Rule `equal-versions-compare-fingerprints`.
#[test]
fn a_repair_sends_slots_however_old_they_are() {
    let mut cluster = Cluster::of(3);
    for n in 0..5 {
        cluster.add(A, "x", 1);
        cluster.add(A, &format!("y{n}"), 1);
    }
    cluster.run(secs(3));
    let version = cluster.known(C, A);
    assert_eq!(cluster.known(B, A), version);
    // B holds a slot that C lacks, and both claim the same version of A.
    let changes = vec![entry("z", 9)];
    cluster.inject(A, B, &Message::Push { after: 0, batches: 1, age_us: 0, changes });
    cluster.run(ms(1));
    assert_eq!(cluster.known(B, A), version);
    cluster.crash(A);
    cluster.run_until("C has z", secs(5), |c| c.value(C, "z") == 9);
    assert_eq!(cluster.known(C, A), version);
    assert!(cluster.agree());
}

/// Rule `equal-versions-compare-fingerprints`.
#[test]
fn load_alone_never_starts_a_repair() {
    let mut cluster = Cluster::of(3);
    for tick in 0..5000u64 {
        cluster.request(A, vec![add("x", 1)]);
        if tick % 3 == 0 {
            cluster.request(B, vec![add("x", 2), add("y", -1)]);
        }
        if tick == 2000 {
            cluster.break_links(A, C);
        }
        cluster.run(ms(1));
    }
    cluster.run(secs(3));
    assert_eq!(repairs(&cluster), 0);
    assert!(cluster.agree());
}

/// Rule `equal-versions-compare-fingerprints`.
#[test]
fn a_catch_up_under_way_differs_from_all_others_and_starts_no_repair() {
    let mut cluster = Cluster::of(1);
    for chunk in 0..30 {
        cluster.request(A, (0..1000).map(|n| add(&format!("{chunk:0>100} {n:0>20}"), 1)).collect());
        cluster.run(ms(2));
    }
    cluster.start(config(B));
    cluster.start(config(C));
    cluster.cut(A, C);
    cluster.run_until("B has asked", secs(3), |c| c.node(B).totals().catch_ups_asked > 0);
    // B's disk is slow, and B takes seconds for what C hears of at every exchange.
    let began = cluster.now();
    while cluster.known(B, A) == 0 {
        cluster.hold_syncs(B);
        cluster.run(ms(400));
        cluster.release_syncs(B);
        cluster.run(LATENCY + LATENCY / 5);
    }
    assert!(cluster.now().since(began) > secs(3), "{:?}", cluster.now().since(began));
    cluster.run_until("C has it all from B", secs(5), Cluster::agree);
    assert_eq!(repairs(&cluster), 0);
}

/// Plays a message as A's to B, and expects B to drop the link and change nothing.
fn assert_refused(message: &Message<'_>, cluster: &mut Cluster) {
    let before = cluster.value(B, "x");
    let began = cluster.now();
    cluster.inject(A, B, message);
    cluster.run(ms(1));
    assert_eq!(cluster.value(B, "x"), before, "{message:?}");
    assert!(cluster.told(began, B, |event| matches!(event, Event::ForeignWriter { .. })));
    assert!(cluster.told(began, B, |event| matches!(
        event,
        Event::LinkDown { reason: LinkEnd::Protocol(_), .. }
    )));
    cluster.run_until("they are linked again", secs(5), |c| c.are_linked(A, B));
    cluster.run_until("and agree", secs(3), Cluster::agree);
}

/// Rule `one-writer`.
#[test]
fn whoever_claims_changes_of_ours_that_we_never_made_loses_the_link() {
    let mut cluster = Cluster::of(2);
    cluster.add(B, "x", 5);
    cluster.run(secs(2));
    let ours = cluster.origin_of(B);
    let version = cluster.known(B, B);
    let part = |after, upto, changes| Message::PullChunk {
        request: 1000,
        index: 0,
        last: false,
        deltas: vec![Delta { origin: ours, after, upto, changes }],
    };
    assert_refused(&part(0, version, vec![entry("x", 6)]), &mut cluster);
    assert_refused(&part(0, version, vec![entry("never counted", 1)]), &mut cluster);
    assert_refused(&part(0, version + 1, vec![entry("x", 5)]), &mut cluster);
}

/// Plays a message as A's to B, which tells of it and believes nothing. A has believed somebody: the
/// link on which it can learn better stays.
fn assert_not_believed(message: &Message<'_>, cluster: &mut Cluster) {
    let began = cluster.now();
    let told = cluster.node(B).totals().foreign_writes;
    cluster.inject(A, B, message);
    cluster.run(ms(1));
    assert_eq!(cluster.node(B).totals().foreign_writes, told + 1, "{message:?}");
    assert!(cluster.told(began, B, |event| matches!(event, Event::ForeignWriter { .. })));
    assert!(!cluster.told(began, B, |event| matches!(event, Event::LinkDown { .. })));
    // Nor does it confirm what A has not synced.
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("z", 1)]);
    let written = cluster.request(B, vec![add("y", 1)]);
    cluster.run(ms(10));
    let version = cluster.reply(written).unwrap().version;
    cluster.inject(A, B, message);
    let waits = cluster.await_peers(B, version, 1, Some(ms(100)));
    cluster.run(ms(200));
    assert_eq!(cluster.answer::<Await>(waits), Some(Confirmed::Waited(0)), "{message:?}");
    cluster.release_syncs(A);
    cluster.run_until("they agree", secs(3), Cluster::agree);
}

/// Rule `one-writer`.
#[test]
fn claims_of_versions_of_ours_that_never_closed_are_not_believed() {
    let mut cluster = Cluster::of(2);
    cluster.add(B, "x", 5);
    cluster.run(secs(2));
    let (origin, version) = (cluster.origin_of(B), 1 << 62);
    let rows = vec![Row { origin, version, fingerprint: 1 }];
    assert_not_believed(&Message::Confirm(version), &mut cluster);
    let digest = Message::DigestPart { first: origin, last: origin, rows: rows.clone() };
    assert_not_believed(&digest, &mut cluster);
    let digest = Message::Digest { recent: rows, rest: 7 };
    assert_not_believed(&digest, &mut cluster);
}

/// Rule `one-writer`.
///
/// `Somebody has B believe that A has made 2^62 batches.` A dropped its link to B, and to everybody who
/// believed B, whenever they told so, for as long as it lived.
#[test]
fn what_was_believed_of_a_live_writer_is_taken_back_at_its_own_word() {
    let mut cluster = Cluster::of(3);
    cluster.add(A, "x", 5);
    cluster.run(secs(2));
    let (after, began) = (cluster.known(A, A), cluster.now());
    let changes = vec![entry("x", 5)];
    cluster.inject(A, B, &Message::Push { after, batches: 1 << 62, age_us: 0, changes });
    cluster.run(ms(1));
    assert!(cluster.known(B, A) > 1 << 61);
    // What A adds now is lost to B, as far as B knows.
    cluster.hold_frames(A, B);
    cluster.add(A, "y", 7);
    cluster.run(ms(100));
    cluster.break_links(A, B);
    cluster.release_frames(A, B);
    cluster.run_until("B has learned better", secs(10), |c| c.known(B, A) == c.known(A, A));
    assert_eq!(cluster.node(B).totals().claims_taken_back, 1);
    assert!(cluster.agree());
    assert_eq!(cluster.value(B, "y"), 7);
    assert_eq!(cluster.known(C, A), cluster.known(A, A), "C has not believed B");
    let ends = cluster.count_told(began, A, |event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(ends, 1, "the one that was broken");
    cluster.add(A, "x", 1);
    cluster.run_until("all have it", ms(100), Cluster::agree);
}

/// Rule `one-writer`.
///
/// `The same, and A counts on.` Its row is told with those that change, and never found by hashes.
#[test]
fn what_was_believed_of_a_writer_that_counts_on_is_taken_back_while_it_does() {
    let mut cluster = Cluster::new();
    // Most origins are not in the first part of a digest.
    cluster.start(Config { origin: OriginId(0xA7 << 56 | 100), ..config(A) });
    cluster.start(config(B));
    cluster.run_until("they are linked", secs(3), Cluster::all_linked);
    cluster.add(A, "x", 5);
    cluster.run(secs(2));
    let after = cluster.known(A, A);
    let changes = vec![entry("x", 5)];
    cluster.inject(A, B, &Message::Push { after, batches: 1 << 30, age_us: 0, changes });
    cluster.run(ms(1));
    let began = cluster.now();
    while cluster.now().since(began) < secs(4) {
        cluster.request(A, vec![add("y", 1)]);
        cluster.run(ms(100));
    }
    assert_eq!(cluster.node(B).totals().claims_taken_back, 1);
    assert_eq!(cluster.known(B, A), cluster.known(A, A));
    assert!(cluster.agree());
}

/// Rule `one-writer`.
#[test]
fn what_we_wrote_may_be_repeated_to_us() {
    let mut cluster = Cluster::of(2);
    cluster.add(B, "x", 5);
    cluster.run(secs(2));
    let origin = cluster.origin_of(B);
    let deltas = vec![Delta { origin, after: 0, upto: 1, changes: vec![entry("x", 3)] }];
    let began = cluster.now();
    cluster.inject(A, B, &Message::PullChunk { request: 1000, index: 0, last: false, deltas });
    cluster.run(ms(1));
    assert_eq!(cluster.value(B, "x"), 5);
    assert!(!cluster.told(began, B, |event| matches!(event, Event::ForeignWriter { .. })));
    assert!(cluster.are_linked(A, B));
}
