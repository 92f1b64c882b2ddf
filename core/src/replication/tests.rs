//! What replication makes of links, digests and disks, step by step.

use super::*;
use crate::delta::Change;
use crate::digest::DIGEST_PARTS;
use crate::effect::Effect;
use crate::outbox::Effects;
use crate::replication::digests::About;
use crate::slot::{Numbers, Slot};
use crate::status::Totals;
use crate::wire::frame::Row;

const WRITER: OriginId = OriginId(10);
const DEAD: OriginId = OriginId(0x05 << 56 | 7);

/// A node whose links are to peers of the same numbers, and what it has said last.
struct Side {
    replication: Replication,
    counters: Counters,
    totals: Totals,
    now: Time,
}

impl Side {
    fn linked_to(links: impl IntoIterator<Item = LinkId>) -> Self {
        let mut side = Side {
            replication: Replication::default(),
            counters: Counters::new(OriginId(1), 0),
            totals: Totals::default(),
            now: Time::ZERO,
        };
        for link in links {
            let origin = OriginId(100 + link);
            side.replication.link_up(link, COMPARED_SINCE, NodeId(link), origin, side.now);
        }
        side
    }

    /// One turn of its replication.
    fn does(
        &mut self,
        step: impl FnOnce(&mut Replication, &mut Counters, &mut Turn<'_>),
    ) -> Vec<Said> {
        let mut effects = Effects::default();
        let mut turn = effects.turn(self.now, &mut self.totals);
        step(&mut self.replication, &mut self.counters, &mut turn);
        said(&effects)
    }

    /// The peer of a link tells these rows, and this hash of all others.
    fn hears(&mut self, link: LinkId, recent: &[Row], rest: u64) -> Vec<Said> {
        self.does(|replication, counters, turn| {
            replication.hear_digest(link, recent, rest, counters, turn);
        })
    }

    /// The peer of a link tells the hashes of its parts, and how many rows each has.
    fn hears_hashes(&mut self, link: LinkId, parts: &[(u64, u32)]) -> Vec<Said> {
        self.hears_hashes_beside(link, &[], parts)
    }

    /// The same of all rows but those that it tells one by one.
    fn hears_hashes_beside(
        &mut self,
        link: LinkId,
        recent: &[Row],
        parts: &[(u64, u32)],
    ) -> Vec<Said> {
        self.does(|replication, counters, turn| {
            replication.hear_hashes(link, recent, parts, counters, turn);
        })
    }

    /// Rows of its digest.
    fn hears_rows(&mut self, link: LinkId, range: (OriginId, OriginId), rows: &[Row]) {
        self.does(|replication, counters, turn| {
            replication.hear_part(link, range, rows, counters, turn);
        });
    }

    /// All that it was asked for is told.
    fn hears_told(&mut self, link: LinkId) -> Vec<Said> {
        self.does(|replication, counters, turn| {
            replication.hear_told(link, counters, turn);
        })
    }

    /// The hashes of a peer that holds the same, but for these parts.
    fn hashes_but_for(&self, parts: &[usize]) -> Vec<(u64, u32)> {
        let ours = self.counters.parts_without(&[]);
        let mut theirs: Vec<_> = ours.iter().map(|part| (part.hash, part.rows)).collect();
        parts.iter().for_each(|part| theirs[*part] = (OTHER, 1));
        theirs
    }

    fn tick(&mut self) -> Vec<Said> {
        self.does(|replication, counters, turn| replication.tick(counters, turn))
    }

    /// A batch ends, and is synced.
    fn sync(&mut self, batch: u64) {
        self.replication.batch_closed(batch);
        self.replication.batch_synced(batch, self.now);
    }

    fn bring(&mut self, origin: OriginId) {
        let changes =
            vec![Change::slot("x", Slot::from(Numbers { plus: 1, ..Numbers::default() }))];
        self.counters.merge(&Delta { origin, after: 0, upto: 1, changes }).unwrap();
        self.counters.settle_rows();
    }

    fn behind(&self) -> Option<Behind> {
        self.replication.behind(self.now, &self.counters, None)
    }
}

/// What was said about digests and what was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Digest,
    AskHashes,
    AskRows(Vec<u8>),
    Ask(Vec<OriginId>),
    Rows(OriginId, OriginId, usize),
    Part(u32),
}

fn said(effects: &Effects) -> Vec<Said> {
    let frames = effects.after_sync.iter().filter_map(|effect| match effect {
        Effect::Frame { bytes, .. } => Some(frame::decode(bytes).unwrap()),
        _ => None,
    });
    let about = frames.filter_map(|message| match message {
        Message::Digest { .. } => Some(Said::Digest),
        Message::DigestAsk => Some(Said::AskHashes),
        Message::DigestPartsAsk(parts) => Some(Said::AskRows(parts)),
        Message::PullRequest { wants, .. } => {
            Some(Said::Ask(wants.iter().map(|want| want.origin).collect()))
        }
        Message::DigestPart { first, last, rows } => Some(Said::Rows(first, last, rows.len())),
        Message::PullChunk { index, .. } => Some(Said::Part(index)),
        _ => None,
    });
    about.collect()
}

fn row(origin: OriginId) -> Row {
    Row { origin, version: 1, fingerprint: 7 }
}

/// The hash of a digest that is certainly not the node's own.
const OTHER: u64 = 0xDEAD;

#[test]
fn an_origin_is_a_writers_for_as_long_as_a_link_to_it_stands() {
    let mut replication = Replication::default();
    // One process, which has taken a fresh id and is linked under both.
    replication.link_up(1, COMPARED_SINCE, NodeId(1), WRITER, Time::ZERO);
    replication.link_up(2, COMPARED_SINCE, NodeId(2), WRITER, Time::ZERO);
    replication.link_up(3, COMPARED_SINCE, NodeId(3), OriginId(30), Time::ZERO);
    assert!(replication.is_writer(WRITER) && !replication.is_writer(OriginId(99)));
    replication.link_down(1);
    assert!(replication.is_writer(WRITER), "the other link stands");
    replication.link_down(2);
    assert!(!replication.is_writer(WRITER) && replication.is_writer(OriginId(30)));
}

#[test]
fn one_digest_waits_for_a_disk_that_hangs_and_the_next_follows_when_it_is_synced() {
    let mut side = Side::linked_to([1]);
    side.sync(1);
    assert_eq!(side.tick(), [Said::Digest]);
    side.replication.batch_closed(2);
    side.now = side.now + Duration::from_secs(10);
    assert_eq!(side.tick(), [], "the last one has not left");
    side.replication.batch_synced(2, side.now);
    assert_eq!(side.tick(), [Said::Digest]);
}

#[test]
fn a_peer_that_is_silent_vouches_for_no_other() {
    let mut side = Side::linked_to([1, 2]);
    assert_eq!(side.hears(1, &[], 0), [], "it holds the same");
    assert_eq!(side.behind(), Some(Behind::NotCompared(NodeId(2))));
    side.now = side.now + UNTOLD_MAX;
    assert_eq!(side.behind(), Some(Behind::NotCompared(NodeId(2))), "both are silent");
    side.hears(1, &[], 0);
    assert_eq!(side.behind(), None, "the one that speaks vouches for the one that does not");
}

#[test]
fn what_one_peer_does_not_answer_another_is_asked_for() {
    let mut side = Side::linked_to([1, 2]);
    assert_eq!(side.hears(1, &[row(DEAD)], 0), [Said::Ask(vec![DEAD])]);
    assert_eq!(side.hears(2, &[row(DEAD)], 0), [], "one peer for each origin");
    side.sync(1);
    let deadline = |side: &Side| {
        side.replication.sessions[&1].asking.as_ref().unwrap().next_deadline(1).unwrap()
    };
    let until = deadline(&side);
    side.now = side.now + Duration::from_secs(4);
    side.sync(2);
    assert_eq!(deadline(&side), until, "what is synced here is no word of the peer");
    side.now = until;
    side.tick();
    assert_eq!(side.hears(2, &[row(DEAD)], 0), [Said::Ask(vec![DEAD])]);
}

#[test]
fn no_comparison_begins_while_something_is_asked_for_or_waits_for_the_disk() {
    let mut side = Side::linked_to([1, 2]);
    assert_eq!(side.hears(1, &[row(DEAD)], 0), [Said::Ask(vec![DEAD])]);
    assert_eq!(side.hears(1, &[], OTHER), [], "its answer is on its way");
    assert_eq!(side.hears(2, &[], OTHER), [Said::AskHashes]);
    assert_eq!(side.hears(2, &[], OTHER), [], "they are on their way");
    assert_eq!(side.hears_hashes(2, &[(0, 0); DIGEST_PARTS]), [], "nothing differs");
    assert_eq!(side.hears(2, &[], OTHER), [], "the question has not left");
    side.sync(1);
    assert_eq!(side.hears(2, &[], OTHER), [Said::AskHashes]);
}

#[test]
fn rows_are_asked_for_where_hashes_differ_and_the_peer_has_any() {
    let mut side = Side::linked_to([1]);
    let in_part = |part: u64| OriginId(part << 56 | 7);
    (3..6).for_each(|part| side.bring(in_part(part)));
    let mut theirs: Vec<(u64, u32)> =
        side.counters.parts_without(&[]).iter().map(|part| (part.hash, part.rows)).collect();
    theirs[4] = (0, 0);
    theirs[5].0 ^= 1;
    theirs[200] = (9, 1);
    assert_eq!(side.hears(1, &[], OTHER), [Said::AskHashes]);
    assert_eq!(side.hears_hashes(1, &theirs), [Said::AskRows(vec![5, 200])]);
}

#[test]
fn who_passes_over_what_another_is_asked_for_is_not_compared_before_that_is_here() {
    let mut side = Side::linked_to([1, 2]);
    assert_eq!(side.hears(1, &[], OTHER), [Said::AskHashes]);
    let theirs = side.hashes_but_for(&[5]);
    assert_eq!(side.hears_hashes(1, &theirs), [Said::AskRows(vec![5])]);
    assert_eq!(side.hears(2, &[], OTHER), [Said::AskHashes]);
    assert_eq!(side.hears_hashes(2, &theirs), [], "its part is asked for on another link");
    side.sync(1);
    assert_eq!(side.hears_told(1), [Said::AskHashes], "of the one that waits for it");
    assert_eq!(side.behind(), Some(Behind::NotCompared(NodeId(2))));
    assert_eq!(side.hears_hashes(2, &side.hashes_but_for(&[])), []);
    assert_eq!(side.behind(), None);
}

#[test]
fn what_a_row_beside_the_hashes_shows_to_be_lacking_is_remembered_until_it_is_here() {
    let mut side = Side::linked_to([1]);
    side.hears(1, &[], OTHER);
    let theirs = side.hashes_but_for(&[]);
    assert_eq!(side.hears_hashes_beside(1, &[row(DEAD)], &theirs), [Said::Ask(vec![DEAD])]);
    assert_eq!(side.behind(), Some(Behind::Lacking(NodeId(1))));
    side.bring(DEAD);
    assert_eq!(side.behind(), None);
}

#[test]
fn what_is_not_answered_about_a_digest_is_asked_anew_after_a_while() {
    let mut side = Side::linked_to([1]);
    assert_eq!(side.hears(1, &[], OTHER), [Said::AskHashes]);
    side.sync(1);
    side.now = side.replication.sessions[&1].exchange.next_deadline().unwrap();
    side.tick();
    side.sync(2);
    assert_eq!(side.hears(1, &[], OTHER), [Said::AskHashes]);
}

#[test]
fn a_claim_stands_where_other_parts_are_told_and_where_its_writer_has_come_so_far() {
    let mut side = Side::linked_to([1]);
    let writer = OriginId(101);
    side.bring(writer);
    assert_eq!(side.hears(1, &[], OTHER), [Said::AskHashes]);
    let theirs = side.hashes_but_for(&[0, 5]);
    assert_eq!(side.hears_hashes(1, &theirs), [Said::AskRows(vec![0, 5])]);
    side.hears_rows(1, (OriginId(5 << 56), OriginId((6 << 56) - 1)), &[]);
    assert_eq!(side.counters.known(writer).version, 1, "nothing was told of it");
    side.hears_rows(1, (OriginId(0), OriginId((1 << 56) - 1)), &[row(writer)]);
    assert_eq!(side.counters.known(writer).version, 1);
    side.hears_rows(1, (OriginId(0), OriginId((1 << 56) - 1)), &[]);
    assert_eq!((side.counters.known(writer).version, side.totals.claims_taken_back), (0, 1));
}

#[test]
fn rows_that_were_not_asked_for_are_not_heard() {
    let mut side = Side::linked_to([1]);
    side.hears(1, &[], OTHER);
    let theirs = side.hashes_but_for(&[5]);
    assert_eq!(side.hears_hashes(1, &theirs), [Said::AskRows(vec![5])]);
    let of_6 = OriginId(6 << 56 | 7);
    side.hears_rows(1, (OriginId(6 << 56), OriginId((7 << 56) - 1)), &[row(of_6)]);
    side.hears_rows(1, (OriginId(5 << 56), OriginId((7 << 56) - 1)), &[row(DEAD), row(of_6)]);
    assert_eq!(side.hears_told(1), []);
}

/// Rule `equal-versions-compare-fingerprints`.
#[test]
fn a_difference_is_repaired_when_it_is_seen_twice_and_nothing_has_changed() {
    let mut side = Side::linked_to([1]);
    side.bring(DEAD);
    let seen = |fingerprint| [Row { fingerprint, ..row(DEAD) }];
    let rest = side.counters.hash_without(&seen(7));
    assert_eq!(side.hears(1, &seen(7), rest), [], "a push may be on its way");
    assert_eq!(side.hears(1, &seen(8), rest), [], "it was");
    assert_eq!(side.hears(1, &seen(8), rest), [Said::Ask(vec![DEAD])]);
    assert_eq!(side.totals.repairs, 1);
}

/// Rule `equal-versions-compare-fingerprints`.
#[test]
fn a_repair_in_vain_holds_up_none_from_another_peer() {
    let mut side = Side::linked_to([1, 2]);
    side.bring(DEAD);
    let of_another = [Row { fingerprint: 8, ..row(DEAD) }];
    let rest = side.counters.hash_without(&of_another);
    assert_eq!(side.hears(1, &of_another, rest), []);
    assert_eq!(side.hears(1, &of_another, rest), [Said::Ask(vec![DEAD])]);
    side.does(|replication, _, turn| replication.part_over(1, Came::InTurn, true, turn));
    assert_eq!(side.hears(1, &of_another, rest), [], "it has nothing else to tell");
    assert_eq!(side.hears(1, &of_another, rest), []);
    assert_eq!(side.hears(2, &of_another, rest), []);
    assert_eq!(side.hears(2, &of_another, rest), [Said::Ask(vec![DEAD])]);
}

#[test]
fn of_a_digest_that_is_asked_for_whole_so_many_rows_are_told_for_one_ask() {
    let mut side = Side::linked_to([1]);
    const A_PART: u64 = 40_000;
    let all = (0..3).flat_map(|part| (0..A_PART).map(move |n| OriginId(part << 56 | (n + 200))));
    all.for_each(|origin| {
        side.counters.merge(&Delta { origin, after: 0, upto: 1, changes: Vec::new() }).unwrap();
    });
    side.replication.asked_about(1, About::Rows(vec![0, 1, 2]));
    let (mut told, mut next) = (0, 0);
    for said in side.tick() {
        let Said::Rows(first, last, rows) = said else { continue };
        assert_eq!(first.0, next, "no origin is left out between two frames");
        (told, next) = (told + rows as u64, last.0 + 1);
    }
    assert_eq!((told, next), (2 * A_PART, 2 << 56), "parts are told whole");
}

#[test]
fn an_answer_goes_so_many_parts_ahead_of_what_the_asker_has_taken() {
    let mut side = Side::linked_to([1]);
    (0..20_000).for_each(|n| {
        side.counters.add(&format!("{n:0>100}"), 1).unwrap();
    });
    side.counters.close();
    let wants = [Want { origin: OriginId(1), after: Some(0) }];
    side.does(|replication, counters, turn| replication.asked(1, 9, &wants, counters, turn));
    let parts = |side: &mut Side| -> Vec<u32> {
        let said = (0..10).flat_map(|_| side.tick());
        said.filter_map(|said| if let Said::Part(index) = said { Some(index) } else { None })
            .collect()
    };
    assert_eq!(parts(&mut side), [0, 1, 2, 3]);
    assert_eq!(parts(&mut side), []);
    side.replication.part_taken(1, 9, 1);
    assert_eq!(parts(&mut side), [4, 5]);
}

#[test]
fn a_link_that_comes_back_begins_with_what_was_confirmed() {
    let mut side = Side::linked_to([1]);
    side.does(|replication, _, turn| replication.confirmed(1, 7, turn));
    side.replication.link_down(1);
    side.replication.link_up(2, COMPARED_SINCE, NodeId(1), OriginId(101), side.now);
    assert_eq!(side.replication.status(2, side.now, 9).map(|link| link.lag_versions), Some(2));
}

#[test]
fn of_a_process_under_two_ids_the_link_that_is_left_counts() {
    let (mut replication, mut totals) = (Replication::default(), Totals::default());
    replication.link_up(1, COMPARED_SINCE, NodeId(1), WRITER, Time::ZERO);
    replication.confirmed(1, 7, &mut Effects::default().turn(Time::ZERO, &mut totals));
    replication.link_up(2, COMPARED_SINCE, NodeId(2), WRITER, Time::ZERO);
    replication.link_down(2);
    assert_eq!(replication.confirmations(|_| true), [7]);
}

#[test]
fn a_pause_ends_when_its_time_is_over() {
    let mut pauses = Pauses::default();
    pauses.begin(Time::ZERO, DEAD);
    let end = Time::ZERO + Duration::from_secs(4);
    assert!(pauses.is_on(Time::from_micros(3_999_999), DEAD) && !pauses.is_on(end, DEAD));
}

/// Rule `slow-peer-is-behind`.
#[test]
fn a_push_is_unconfirmed_until_its_own_version_is_confirmed() {
    let mut side = Side::linked_to([1]);
    side.counters.add("x", 1).unwrap();
    let batch = side.counters.close().unwrap();
    let now = side.now;
    side.does(|replication, counters, turn| {
        replication.synced(now, &batch, counters, turn);
        replication.push(counters, turn);
    });
    let unconfirmed = |side: &Side| side.replication.status(1, now, 1).unwrap().unconfirmed_bytes;
    side.does(|replication, _, turn| replication.confirmed(1, 0, turn));
    assert!(unconfirmed(&side) > 0);
    side.does(|replication, _, turn| replication.confirmed(1, 1, turn));
    assert_eq!(unconfirmed(&side), 0);
}
