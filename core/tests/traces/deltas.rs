//! Rules `merge-now-claim-without-gap`, `version-never-too-low`, `select-by-after-alone`,
//! `claim-the-beginning` and `batch-fits-a-frame`, on bare tables: when a digest may advance, and
//! what a range must contain.

use std::time::Duration;

use quipu_core::counters::{Counters, LocalBatch, Merged};
use quipu_core::delta::{Change, Delta};
use quipu_core::digest::Want;
use quipu_core::identity::{OriginId, Version};
use quipu_core::replication::scan::Scan;
use quipu_core::wire::frame::{self, FRAME_BYTES_MAX, Message};

use crate::cluster::{A, B, Cluster, add, ms, name, secs};

const ORIGIN_A: OriginId = OriginId(1);

fn table(origin: u64) -> Counters {
    Counters::new(OriginId(origin), origin)
}

/// Adds one to each counter, and closes the batch.
fn batch(counters: &mut Counters, names: &[&str]) -> LocalBatch {
    for name in names {
        counters.add(name, 1).unwrap();
    }
    counters.close().unwrap()
}

/// What a peer that lacks all after `after` is sent when it asks, in one go.
fn catch_up(from: &Counters, origin: OriginId, after: Version) -> Vec<Delta<'_>> {
    let mut scan = Scan::new(from, &[Want { origin, after: Some(after) }]);
    let (deltas, last) = scan.step(from, usize::MAX, usize::MAX);
    assert!(last);
    deltas
}

fn merge_all(into: &mut Counters, deltas: &[Delta<'_>]) {
    for delta in deltas {
        into.merge(delta).unwrap();
    }
}

fn names_of<'a>(delta: &Delta<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = delta.changes.iter().map(|change| change.name()).collect();
    names.sort_unstable();
    names
}

/// Rule `merge-now-claim-without-gap`.
#[test]
fn what_lies_beyond_a_gap_is_merged_at_once_and_claimed_when_the_gap_fills() {
    let (mut a, mut b) = (table(1), table(2));
    let one = batch(&mut a, &["x"]);
    let two = batch(&mut a, &["y"]);
    let three = batch(&mut a, &["z"]);

    assert_eq!(b.merge(&a.delta_of(&three)), Ok(Merged { gap: true, news: true }));
    assert_eq!(b.value("z").0, 1, "merged");
    assert_eq!(b.known(ORIGIN_A).version, 0, "not claimed");
    assert_eq!(b.merge(&a.delta_of(&one)), Ok(Merged { gap: false, news: true }));
    assert_eq!(b.known(ORIGIN_A).version, 1);
    assert_eq!(b.merge(&a.delta_of(&two)), Ok(Merged { gap: false, news: true }));
    assert_eq!(b.known(ORIGIN_A), a.known(ORIGIN_A), "the range beyond the gap was remembered");
}

/// Rule `merge-now-claim-without-gap`.
#[test]
fn under_load_that_never_ends_a_gap_closes_all_the_same() {
    let mut cluster = Cluster::of(2);
    let mut held_since = None;
    for tick in 0..6000 {
        cluster.request(A, vec![add("x", 1)]);
        if tick == 1000 {
            cluster.break_links(A, B);
        }
        for _ in 0..50 {
            cluster.run(Duration::from_micros(20));
            let is_told_of_all = cluster.link(A, B).is_some_and(|link| !link.behind);
            if tick > 1000 && held_since.is_none() && is_told_of_all {
                // What B asks for takes a while to reach A, and A pushes all that time.
                cluster.hold_frames(B, A);
                held_since = Some(tick);
            }
        }
        if held_since == Some(tick - 50) {
            cluster.release_frames(B, A);
        }
    }
    let behind = cluster.node(A).counters().our_version() - cluster.known(B, A);
    assert!(behind <= 3, "{behind} versions behind after five seconds");
    assert!(cluster.node(B).totals().gaps > 0, "the break has left a gap");
    cluster.run(ms(10));
    assert_eq!(cluster.value(B, "x"), 6000);
}

/// Rule `version-never-too-low`.
#[test]
fn merging_lifts_a_slots_version_even_where_no_number_changes() {
    let (mut a, mut b, mut c) = (table(1), table(2), table(3));
    let one = batch(&mut a, &["x", "y"]);
    merge_all(&mut b, &[a.delta_of(&one)]);

    // A starts a catch-up (0,1] for C, and closes v2 = {y} before the scan comes to y.
    let mut scan = Scan::new(&a, &[Want { origin: ORIGIN_A, after: Some(0) }]);
    let two = batch(&mut a, &["y"]);
    let (deltas, last) = scan.step(&a, usize::MAX, usize::MAX);
    assert!(last && deltas[0].upto == 1);
    merge_all(&mut c, &deltas);
    assert_eq!(c.value("y").0, 2, "the scan read y as of v2");

    // The push of v2 changes no number at C, and still has to be journaled.
    assert_eq!(c.merge(&a.delta_of(&two)), Ok(Merged { gap: false, news: true }));
    assert_eq!(c.known(ORIGIN_A).version, 2);

    // B has lost the push of v2, and asks C.
    let relayed = catch_up(&c, ORIGIN_A, 1);
    assert_eq!(names_of(&relayed[0]), ["y"]);
    merge_all(&mut b, &relayed);
    assert_eq!((b.known(ORIGIN_A).version, b.value("y").0), (2, 2));
    assert_eq!(b.known(ORIGIN_A), a.known(ORIGIN_A));
}

/// Rule `version-never-too-low`.
#[test]
fn a_lifted_version_alone_is_news_that_has_to_be_journaled() {
    let (mut a, mut b) = (table(1), table(2));
    let one = batch(&mut a, &["x"]);
    merge_all(&mut b, &[a.delta_of(&one)]);
    // A part of a later range: it claims nothing, and says that x is as of version 5.
    let part = Delta { after: 5, upto: 5, ..a.delta_of(&one) };
    assert!(b.merge(&part).unwrap().news);
    assert_eq!(b.known(ORIGIN_A).version, 1);
    assert_eq!(b.iter().find(|view| view.name == "x").unwrap().version, 5);
    assert!(!b.merge(&part).unwrap().news);
}

/// Rule `version-never-too-low`.
#[test]
fn a_delta_that_is_merged_twice_is_no_news() {
    let (mut a, mut b) = (table(1), table(2));
    let one = batch(&mut a, &["x"]);
    assert!(b.merge(&a.delta_of(&one)).unwrap().news);
    assert!(!b.merge(&a.delta_of(&one)).unwrap().news);
}

/// Rule `select-by-after-alone`.
#[test]
fn a_range_holds_slots_that_have_changed_beyond_its_end() {
    let (mut a, mut b) = (table(1), table(2));
    batch(&mut a, &["x"]);
    batch(&mut a, &["y"]);
    let mut scan = Scan::new(&a, &[Want { origin: ORIGIN_A, after: Some(0) }]);
    batch(&mut a, &["x"]);
    let (deltas, last) = scan.step(&a, usize::MAX, usize::MAX);
    assert!(last);
    assert_eq!((deltas[0].after, deltas[0].upto), (0, 2));
    assert_eq!(names_of(&deltas[0]), ["x", "y"], "x is at version 3 by now");
    merge_all(&mut b, &deltas);
    assert!(b.value("x").0 >= 1, "B claims 2 and has what v1 did to x");
}

/// Rule `select-by-after-alone`.
#[test]
fn a_relay_claims_no_more_than_its_own_gapless_digest() {
    let (mut a, mut b, mut c) = (table(1), table(2), table(3));
    let one = batch(&mut a, &["x"]);
    batch(&mut a, &["y"]);
    let three = batch(&mut a, &["z"]);
    merge_all(&mut b, &[a.delta_of(&one), a.delta_of(&three)]);
    let relayed = catch_up(&b, ORIGIN_A, 0);
    assert_eq!((relayed[0].after, relayed[0].upto), (0, 1));
    assert_eq!(names_of(&relayed[0]), ["x", "z"], "what lies beyond the gap goes along");
    merge_all(&mut c, &relayed);
    assert_eq!((c.known(ORIGIN_A).version, c.value("z").0), (1, 1));
    merge_all(&mut c, &catch_up(&a, ORIGIN_A, 1));
    assert_eq!(c.known(ORIGIN_A), a.known(ORIGIN_A));
}

/// Rule `claim-the-beginning`.
#[test]
fn all_parts_but_the_last_claim_nothing() {
    let (mut a, mut b) = (table(1), table(2));
    batch(&mut a, &["p", "q", "r"]);
    let mut scan = Scan::new(&a, &[Want { origin: ORIGIN_A, after: Some(0) }]);
    for place in 0..3 {
        let (deltas, last) = scan.step(&a, 1, 1);
        assert_eq!(last, place == 2);
        assert_eq!(deltas.len(), 1);
        assert_eq!(deltas[0].upto, 1, "what it holds is as of v1");
        assert_eq!(deltas[0].after, u64::from(!last), "an empty range until the last part");
        merge_all(&mut b, &deltas);
        assert_eq!(b.known(ORIGIN_A).version, u64::from(last));
    }
    assert_eq!(b.known(ORIGIN_A), a.known(ORIGIN_A));
}

/// Rule `claim-the-beginning`.
#[test]
fn a_catch_up_claims_the_digest_of_its_beginning_not_of_its_end() {
    let (mut a, mut b) = (table(1), table(2));
    batch(&mut a, &["x"]);
    batch(&mut a, &["y"]);
    let mut scan = Scan::new(&a, &[Want { origin: ORIGIN_A, after: Some(0) }]);
    {
        let (deltas, _) = scan.step(&a, 1, 1);
        assert_eq!(names_of(&deltas[0]), ["x"]);
        merge_all(&mut b, &deltas);
    }
    let three = batch(&mut a, &["x"]);
    let (deltas, last) = scan.step(&a, 1, 1);
    assert!(last);
    merge_all(&mut b, &deltas);
    assert_eq!(b.known(ORIGIN_A).version, 2, "claiming 3 would lose what v3 did to x");
    merge_all(&mut b, &[a.delta_of(&three)]);
    assert_eq!(b.known(ORIGIN_A), a.known(ORIGIN_A));
}

/// Rule `batch-fits-a-frame`.
#[test]
fn a_scan_skips_nothing_while_the_table_grows_under_it() {
    let mut a = table(1);
    let before: Vec<String> = (0..500).map(|n| format!("before {n}")).collect();
    let names: Vec<&str> = before.iter().map(String::as_str).collect();
    batch(&mut a, &names);
    let mut scan = Scan::new(&a, &[Want { origin: ORIGIN_A, after: Some(0) }]);
    let mut seen = Vec::new();
    for step in 0.. {
        let (deltas, last) = scan.step(&a, 1, 7);
        seen.extend(deltas.iter().flat_map(|d| &d.changes).map(|change| change.name().to_owned()));
        if last {
            break;
        }
        // So many new counters that the hash table is rebuilt again and again.
        let fresh: Vec<String> = (0..100).map(|n| format!("{step} {n}")).collect();
        batch(&mut a, &fresh.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!(seen, before, "each once, in the order of the list");
}

/// Rule `batch-fits-a-frame`.
#[test]
fn a_huge_request_closes_several_versions_and_each_fits_a_frame() {
    let mut cluster = Cluster::of(2);
    let before = cluster.node(A).counters().our_version();
    let began = cluster.now();
    let ops = (0..10_000).map(|n| add(&format!("{n:0>255}"), 1)).collect();
    let token = cluster.request(A, ops);
    cluster.run_until("B has all of it", secs(1), |c| c.known(B, A) == c.known(A, A));
    assert!(cluster.reply(token).unwrap().results.iter().all(Result::is_ok));
    let versions = cluster.node(A).counters().our_version() - before;
    assert!(versions > 8, "{versions} versions for more than two megabytes of names");
    // `watch` has looked at each frame's length; here only that all went as pushes.
    let pushed: usize = cluster.frames(began, A, B).map(|sent| sent.bytes.len()).sum();
    assert!(pushed > 2 * FRAME_BYTES_MAX, "{pushed} bytes");
    assert_eq!(cluster.node(B).totals().catch_ups_asked, 0);
    assert!(cluster.agree());
}

/// Rule `batch-fits-a-frame`.
#[test]
fn the_largest_batch_that_can_close_fits_a_frame_with_room_to_spare() {
    let mut a = table(1);
    let mut n = 0;
    while !a.is_open_batch_full() {
        a.add(name(&format!("{n:0>255}")).as_str(), i64::MIN).unwrap();
        n += 1;
    }
    let batch = a.close().unwrap();
    let changes: Vec<Change<'_>> = a.delta_of(&batch).changes;
    let push = Message::Push { after: 0, batches: 1, age_us: 0, changes };
    assert!(frame::encode(&push).len() <= FRAME_BYTES_MAX / 3);
}
