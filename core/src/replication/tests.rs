//! What replication makes of links, digests and disks, step by step.

use super::*;
use crate::delta::Change;
use crate::digest::DIGEST_PARTS;
use crate::slot::{Numbers, Slot};
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
            side.replication.link_up(side.now, link, COMPARED_SINCE, NodeId(link), origin);
        }
        side
    }

    /// The peer of a link tells these rows, and this hash of all others.
    fn hears(&mut self, link: LinkId, recent: &[Row], rest: u64) -> Vec<Said> {
        let mut effects = Effects::default();
        let (counters, totals) = (&mut self.counters, &mut self.totals);
        self.replication.hear_digest(self.now, link, recent, rest, counters, totals, &mut effects);
        said(&effects)
    }

    /// The peer of a link tells the hashes of its parts, and how many rows each has.
    fn hears_hashes(&mut self, link: LinkId, parts: &[(u64, u32)]) -> Vec<Said> {
        let mut effects = Effects::default();
        let (counters, totals) = (&mut self.counters, &mut self.totals);
        self.replication.hear_hashes(self.now, link, &[], parts, counters, totals, &mut effects);
        said(&effects)
    }

    fn tick(&mut self) -> Vec<Said> {
        let mut effects = Effects::default();
        self.replication.tick(self.now, &mut self.counters, &mut self.totals, &mut effects);
        said(&effects)
    }

    /// A batch ends, and is synced.
    fn sync(&mut self, batch: u64) {
        self.replication.batch_closed(batch);
        self.replication.batch_synced(self.now, batch);
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
        Message::Ask { wants, .. } => {
            Some(Said::Ask(wants.iter().map(|want| want.origin).collect()))
        }
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
    replication.link_up(Time::ZERO, 1, COMPARED_SINCE, NodeId(1), WRITER);
    replication.link_up(Time::ZERO, 2, COMPARED_SINCE, NodeId(2), WRITER);
    replication.link_up(Time::ZERO, 3, COMPARED_SINCE, NodeId(3), OriginId(30));
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
    side.replication.batch_synced(side.now, 2);
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
    side.now = side.replication.sessions[&1].asking.as_ref().unwrap().next_deadline(1).unwrap();
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
