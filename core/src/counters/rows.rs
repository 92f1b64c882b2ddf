//! The digest by parts: how two nodes find the few rows in which theirs differ.
//!
//! The rows fall into [`DIGEST_PARTS`] by the first byte of their origins, which are random. Each part has a
//! hash, the order-free sum of its rows' summands, which is brought up to date by what has changed
//! since it was last asked for, and never made anew.
//!
//! Under load the rows of the nodes that are alive differ all the time, each for as long as a push is
//! on its way, and all parts would with them. So what has changed lately is told row by row, and the
//! hashes are told of all others ([`Counters::hash_without`]). Which rows those are is up to who
//! tells: any choice is right, and the better it is, the less there is to be told.

use super::{Counters, DigestEntry};
use crate::counters::writer::OriginIndex;
use crate::digest::DIGEST_PARTS;
use crate::fingerprint;
use crate::identity::OriginId;
use crate::wire::frame::Row;

/// Rows that count as changed lately at most: the origins of as many members as there may be. Those
/// beyond are told by hashes, as everything that comes in a catch-up.
pub(crate) const RECENT_MAX: usize = 1024;

/// A part of a digest as others are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartHash {
    pub(crate) hash: u64,
    /// How many rows it has at most.
    pub(crate) rows: u32,
}

#[derive(Clone, Debug, Default)]
struct Part {
    hash: u64,
    origins: Vec<OriginIndex>,
}

/// What an origin's row is in the hashes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hashed {
    summand: u64,
    has_changed: bool,
    /// The turn in which it changed last, counted from 1.
    turn: u32,
}

/// The hashes of all parts, and what they do not hold yet.
#[derive(Debug)]
pub(super) struct Rows {
    parts: Vec<Part>,
    changed: Vec<OriginIndex>,
    turn: u32,
    /// Origins that changed in this turn, and in the one before.
    recent: [Vec<OriginIndex>; 2],
}

impl Default for Rows {
    fn default() -> Self {
        Rows {
            parts: vec![Part::default(); DIGEST_PARTS],
            changed: Vec::new(),
            turn: 1,
            recent: Default::default(),
        }
    }
}

impl Rows {
    pub(super) fn add(&mut self, origin: OriginId, index: OriginIndex) {
        self.parts[part_of(origin)].origins.push(index);
    }

    /// An origin of which nothing is known any more gives up its place.
    pub(super) fn remove(&mut self, origin: OriginId, index: OriginIndex) {
        let origins = &mut self.parts[part_of(origin)].origins;
        origins.retain(|other| *other != index);
        if origins.capacity() > 4 * origins.len() {
            origins.shrink_to(2 * origins.len());
        }
        self.recent.iter_mut().for_each(|recent| recent.retain(|other| *other != index));
    }
}

/// In which part an origin's row is.
pub(crate) fn part_of(origin: OriginId) -> usize {
    (origin.0 >> 56) as usize
}

/// The first and the last origin that a part can hold.
pub(crate) fn range_of(part: u8) -> (OriginId, OriginId) {
    let first = u64::from(part) << 56;
    (OriginId(first), OriginId(first | u64::MAX >> 8))
}

impl Counters {
    /// What is known of an origin has changed, or may have.
    pub(super) fn note_row(&mut self, index: OriginIndex) {
        let hashed = &mut self.origins[index as usize].hashed;
        if !hashed.has_changed {
            hashed.has_changed = true;
            self.rows.changed.push(index);
        }
    }

    /// Brings the hashes up to date: to be called before any of them is looked at.
    pub(crate) fn settle_rows(&mut self) {
        for index in std::mem::take(&mut self.rows.changed) {
            let origin = &mut self.origins[index as usize];
            let summand = match origin.known {
                // Of whom nothing is known there is no row.
                known if known == DigestEntry::default() => 0,
                DigestEntry { version, fingerprint } => {
                    fingerprint::of_row(origin.id, version, fingerprint)
                }
            };
            let part = &mut self.rows.parts[part_of(origin.id)];
            let before = std::mem::replace(&mut origin.hashed.summand, summand);
            part.hash = part.hash.wrapping_sub(before).wrapping_add(summand);
            origin.hashed.has_changed = false;
            if origin.hashed.turn != self.rows.turn && self.rows.recent[0].len() < RECENT_MAX {
                origin.hashed.turn = self.rows.turn;
                self.rows.recent[0].push(index);
            }
        }
    }

    /// A turn is over: what changed in it counts as changed lately in one more.
    pub(crate) fn turn_rows(&mut self) {
        self.rows.turn = self.rows.turn.wrapping_add(1).max(1);
        self.rows.recent.swap(0, 1);
        self.rows.recent[0].clear();
    }

    /// All that has changed so far counts as long ago: it was found on the disk, and peers whose links
    /// begin have most of it.
    pub(crate) fn rest_rows(&mut self) {
        self.settle_rows();
        self.turn_rows();
        self.rows.recent = Default::default();
    }

    /// The rows that have changed lately, sorted.
    pub(crate) fn recent_rows(&self) -> Vec<Row> {
        self.rows_of(self.rows.recent.iter().flatten())
    }

    /// The rows of a part, sorted.
    pub(crate) fn rows_in(&self, part: u8) -> Vec<Row> {
        self.rows_of(self.rows.parts[usize::from(part)].origins.iter())
    }

    /// All rows, sorted.
    pub(crate) fn all_rows(&self) -> Vec<Row> {
        self.rows_of(self.rows.parts.iter().flat_map(|part| &part.origins))
    }

    fn rows_of<'a>(&self, indices: impl Iterator<Item = &'a OriginIndex>) -> Vec<Row> {
        let mut rows: Vec<Row> = indices
            .map(|index| &self.origins[*index as usize])
            .filter(|origin| origin.known != DigestEntry::default())
            .map(|origin| {
                let DigestEntry { version, fingerprint } = origin.known;
                Row { origin: origin.id, version, fingerprint }
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.origin);
        rows.dedup_by_key(|row| row.origin);
        rows
    }

    /// The hash of all rows but those of the origins of `without`, each of which stands there once.
    pub(crate) fn hash_without(&self, without: &[Row]) -> u64 {
        let all = self.rows.parts.iter().fold(0_u64, |sum, part| sum.wrapping_add(part.hash));
        without.iter().fold(all, |sum, row| sum.wrapping_sub(self.summand_of(row.origin)))
    }

    /// The same part by part.
    pub(crate) fn parts_without(&self, without: &[Row]) -> Vec<PartHash> {
        let told = |part: &Part| PartHash {
            hash: part.hash,
            rows: u32::try_from(part.origins.len()).unwrap_or(u32::MAX),
        };
        let mut parts: Vec<PartHash> = self.rows.parts.iter().map(told).collect();
        for row in without {
            let part = &mut parts[part_of(row.origin)];
            part.hash = part.hash.wrapping_sub(self.summand_of(row.origin));
        }
        parts
    }

    fn summand_of(&self, origin: OriginId) -> u64 {
        self.index_of(origin).map_or(0, |index| self.origins[index as usize].hashed.summand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{Change, Delta};
    use crate::slot::{Numbers, Slot};

    fn bring(counters: &mut Counters, origin: u64, range: (u64, u64), plus: u64) {
        let changes = vec![Change::slot("x", Slot::from(Numbers { plus, ..Numbers::default() }))];
        let (after, upto) = range;
        counters.merge(&Delta { origin: OriginId(origin), after, upto, changes }).unwrap();
    }

    fn made_anew(counters: &Counters) -> u64 {
        counters.digest().fold(0, |sum, (origin, known)| {
            sum.wrapping_add(fingerprint::of_row(origin, known.version, known.fingerprint))
        })
    }

    #[test]
    fn hashes_that_follow_what_changes_are_those_made_anew() {
        let mut counters = Counters::new(OriginId(1), 0);
        for n in 0..3_000_u64 {
            let origin = (n % 700).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            // Some claim, some lie beyond a gap, some bring nothing new.
            bring(&mut counters, origin, (n / 1400, n / 700), n / 3);
            if n % 5 == 0 {
                counters.add("y", 1).unwrap();
                counters.close();
            }
            if n % 7 == 0 {
                counters.settle_rows();
                assert_eq!(counters.hash_without(&[]), made_anew(&counters));
            }
        }
        counters.settle_rows();
        let parts = counters.parts_without(&[]);
        let sum = parts.iter().fold(0_u64, |sum, part| sum.wrapping_add(part.hash));
        assert_eq!(sum, counters.hash_without(&[]));
        for part in 0..=u8::MAX {
            let rows = counters.rows_in(part);
            let (first, last) = range_of(part);
            assert!(rows.iter().all(|row| (first..=last).contains(&row.origin)));
            assert_eq!(counters.parts_without(&rows)[usize::from(part)].hash, 0);
        }
        assert_eq!(counters.hash_without(&counters.all_rows()), 0);
    }

    #[test]
    fn what_was_found_at_the_start_has_not_changed_lately_until_it_changes() {
        let mut counters = Counters::new(OriginId(1), 0);
        (1_000..6_000).for_each(|origin| bring(&mut counters, origin, (0, 1), 1));
        counters.rest_rows();
        assert_eq!(counters.recent_rows(), []);
        assert_eq!(counters.hash_without(&[]), made_anew(&counters));
        bring(&mut counters, 1_007, (1, 2), 2);
        counters.settle_rows();
        let recent: Vec<u64> = counters.recent_rows().iter().map(|row| row.origin.0).collect();
        assert_eq!(recent, [1_007]);
    }

    #[test]
    fn what_changed_lately_is_told_for_two_turns_and_in_bounds() {
        let mut counters = Counters::new(OriginId(1), 0);
        let recent = |counters: &mut Counters| -> Vec<u64> {
            counters.settle_rows();
            counters.recent_rows().iter().map(|row| row.origin.0).collect()
        };
        bring(&mut counters, 9, (0, 1), 1);
        bring(&mut counters, 7, (0, 1), 1);
        assert_eq!(recent(&mut counters), [7, 9]);
        counters.turn_rows();
        bring(&mut counters, 9, (1, 2), 2);
        assert_eq!(recent(&mut counters), [7, 9]);
        counters.turn_rows();
        assert_eq!(recent(&mut counters), [9]);
        counters.turn_rows();
        assert_eq!(recent(&mut counters), [0; 0]);
        (1_000..6_000).for_each(|origin| bring(&mut counters, origin, (0, 1), 1));
        assert_eq!(recent(&mut counters).len(), RECENT_MAX);
    }
}
