//! A joiner of a large old cluster, frame by frame.

use std::collections::VecDeque;

use super::*;
use crate::delta::{Change, Delta};
use crate::digest::Want;
use crate::effect::Effect;
use crate::identity::NodeId;
use crate::outbox::Effects;
use crate::replication::scan::Scan;
use crate::slot::{Numbers, Slot};
use crate::status::Totals;
use crate::wire::frame;

const LINKS: u64 = 99;
const ORIGINS: u64 = 36_500;

fn known_by_peers() -> Counters {
    let mut counters = Counters::new(OriginId(1), 0);
    for n in 1..=ORIGINS {
        let origin = OriginId(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let changes =
            vec![Change::slot("x", Slot::from(Numbers { plus: 1, ..Numbers::default() }))];
        counters.merge(&Delta { origin, after: 0, upto: 1, changes }).unwrap();
    }
    counters.settle_rows();
    counters.turn_rows();
    counters.turn_rows();
    counters
}

/// What a joiner has said and been told.
#[derive(Debug, Default)]
struct Heard {
    rows: usize,
    parts_asked: usize,
    catch_ups: usize,
    frames: usize,
}

/// A node that knows nothing, and its links to peers that all know the same.
struct Joiner {
    replication: Replication,
    counters: Counters,
    peers: Counters,
    totals: Totals,
    now: Time,
    heard: Heard,
}

impl Joiner {
    fn new() -> Self {
        let mut joiner = Joiner {
            replication: Replication::default(),
            counters: Counters::new(OriginId(2), 0),
            peers: known_by_peers(),
            totals: Totals::default(),
            now: Time::ZERO,
            heard: Heard::default(),
        };
        for link in 0..LINKS {
            let (peer, origin) = (NodeId(link + 10), OriginId(1_000_000 + link));
            joiner.replication.link_up(link, COMPARED_SINCE, peer, origin, joiner.now);
        }
        joiner
    }

    /// All peers tell what they hold, and what follows from it happens.
    fn exchange(&mut self) {
        let mut effects = Effects::default();
        let rest = self.peers.hash_without(&[]);
        for link in 0..LINKS {
            let turn = &mut effects.turn(self.now, &mut self.totals);
            self.replication.hear_digest(link, &[], rest, &mut self.counters, turn);
        }
        let mut waiting: VecDeque<Effect> = effects.after_sync.into();
        while let Some(effect) = waiting.pop_front() {
            let Effect::Frame { links, bytes } = effect else { continue };
            for link in links {
                let mut effects = Effects::default();
                self.heard.frames += 1;
                self.answer(link, frame::decode(&bytes).unwrap(), &mut effects);
                waiting.extend(effects.after_sync);
            }
        }
        self.now = self.now + EXCHANGE_EVERY;
    }

    fn answer(&mut self, link: LinkId, message: Message<'_>, effects: &mut Effects) {
        let turn = &mut effects.turn(self.now, &mut self.totals);
        let (replication, counters) = (&mut self.replication, &mut self.counters);
        match message {
            Message::DigestAsk => {
                let parts = self.peers.parts_without(&[]);
                let parts: Vec<_> = parts.iter().map(|part| (part.hash, part.rows)).collect();
                replication.hear_hashes(link, &[], &parts, counters, turn);
            }
            Message::DigestPartsAsk(parts) => {
                self.heard.parts_asked += parts.len();
                for part in parts {
                    let (rows, range) = (self.peers.rows_in(part), rows::range_of(part));
                    self.heard.rows += rows.len();
                    replication.hear_part(link, range, &rows, counters, turn);
                }
                replication.hear_told(link, counters, turn);
            }
            Message::PullRequest { request, wants } => {
                self.heard.catch_ups += 1;
                self.bring(link, request, &wants, effects);
            }
            Message::ChunkTaken { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn bring(&mut self, link: LinkId, request: u32, wants: &[Want], effects: &mut Effects) {
        let mut scan = Scan::new(&self.peers, wants);
        let (deltas, last) = scan.step(&self.peers, usize::MAX, usize::MAX);
        assert!(last);
        let turn = &mut effects.turn(self.now, &mut self.totals);
        let replication = &mut self.replication;
        let came = replication.part_came(link, (request, 0, true), 1, turn);
        for delta in &deltas {
            assert_eq!(replication.may_take(link, came, delta), Some(true));
            self.counters.merge(delta).unwrap();
        }
        replication.part_over(link, came, true, turn);
    }
}

/// Each part of each of 99 digests of 36,500 rows was compared, and each row that it lacked looked
/// for among all that it asked any peer: nearly a billion steps a second, so it never joined.
#[test]
fn a_joiner_with_99_links_hears_each_row_once_and_asks_once_for_it() {
    let mut joiner = Joiner::new();
    joiner.exchange();
    joiner.exchange();
    assert_eq!(joiner.counters.value("x").0, i128::from(ORIGINS));
    assert_eq!(joiner.replication.behind(joiner.now, &joiner.counters, None), None);
    let Heard { rows, parts_asked, catch_ups, frames } = joiner.heard;
    assert_eq!((rows as u64, parts_asked), (ORIGINS, 256));
    assert!(catch_ups <= 12, "{catch_ups} walks over peers' tables");
    // For each link its hashes, once and again whenever another has let go of what it asked.
    assert!(frames < 99 * 12, "{frames} frames");
}
