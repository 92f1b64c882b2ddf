//! What has been ended of one counter: the covers and lifetimes of all origins.
//!
//! Most counters never end, so a counter has this in a block of its own, made with its first cover
//! or lifetime. Each origin's covers stand in a row sorted by whose slot they are on; a reset tells
//! them in that order, so that taking them down appends and moves nothing.
//!
//! Rejected: the maximum over all origins' covers beside them. It would double the memory of a
//! deleted name, and there are as few coverers as the cluster has nodes, until a settlement.

use std::sync::Arc;

use crate::counters::families::Family;
use crate::counters::writer::OriginIndex;
use crate::ending::{Covered, Ending, Lifetime};
use crate::fingerprint;
use crate::identity::OriginId;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    written: Vec<Written>,
    /// How many slots have anything left.
    pub(super) live: u32,
    /// When the counter expires, by the lifetime that counts.
    until: Option<u64>,
    /// Whether that time has been noticed to be over.
    pub(super) has_lapsed: bool,
}

/// All that one origin has ended of the counter.
#[derive(Debug)]
struct Written {
    by: OriginIndex,
    id: OriginId,
    /// Sorted by whose slot they are on.
    covers: Vec<(OriginId, Covered)>,
    lifetime: Option<Lifetime>,
    /// Settlements that are covered whole, sorted.
    wholes: Vec<Whole>,
}

/// A cover on a settlement: on its slot, and on those of all its members (rule `whole`).
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) settlement: OriginId,
    pub(crate) family: Arc<Family>,
}

impl Whole {
    pub(crate) fn covers(&self, origin: OriginId) -> bool {
        self.settlement == origin || self.family.contains(origin)
    }
}

/// What taking down an ending did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// What was known before it, as it enters the fingerprint.
    pub(crate) before: u64,
    /// What is known after it.
    pub(crate) after: u64,
    /// Whether a cover or lifetime was added, and not only replaced.
    pub(crate) is_new: bool,
}

impl Ended {
    /// Of a counter of which nothing has been ended yet, with so many slots that hold anything.
    pub(super) fn none_of(live: u32) -> Self {
        Ended { live, ..Ended::default() }
    }

    /// How much of a slot is covered: the maximum over all covers on it.
    pub(crate) fn cover_on(&self, of: OriginId) -> Covered {
        let mut all = Covered::default();
        for written in &self.written {
            if let Ok(at) = written.find(of) {
                all.merge(&written.covers[at].1);
            }
            if written.wholes.iter().any(|whole| whole.covers(of)) {
                return Covered::EVERYTHING;
            }
        }
        all
    }

    /// All that is covered, with who has covered it.
    pub(crate) fn covers(&self) -> impl Iterator<Item = (OriginIndex, OriginId, Covered)> + '_ {
        self.written.iter().flat_map(|written| {
            written.covers.iter().map(move |&(of, covered)| (written.by, of, covered))
        })
    }

    /// All settlements that are covered, with who has covered them.
    pub(crate) fn wholes(&self) -> impl Iterator<Item = (OriginIndex, &Whole)> + '_ {
        self.written
            .iter()
            .flat_map(|written| written.wholes.iter().map(move |whole| (written.by, whole)))
    }

    /// Lets go of what some origins have said; tells whether anything is left.
    pub(super) fn retain(&mut self, is_kept: impl Fn(OriginIndex) -> bool) -> bool {
        self.written.retain(|written| is_kept(written.by));
        self.written.shrink_to_fit();
        self.find_until();
        !self.written.is_empty()
    }

    /// How many things were said.
    pub(super) fn len(&self) -> usize {
        self.written.iter().map(Written::len).sum()
    }

    /// What an origin has covered of a slot.
    pub(crate) fn cover_by(&self, by: OriginIndex, of: OriginId) -> Covered {
        let written = self.of(by);
        let cover = written.and_then(|all| all.find(of).ok().map(|at| all.covers[at].1));
        cover.unwrap_or_default()
    }

    /// The lifetime that an origin has given the counter last.
    pub(crate) fn lifetime_by(&self, by: OriginIndex) -> Option<Lifetime> {
        self.of(by)?.lifetime
    }

    /// Whether an origin is known to have said this, or more.
    pub(crate) fn has(&self, by: OriginIndex, ending: &Ending) -> bool {
        match ending {
            Ending::Cover { of, covered } => covered.is_within(&self.cover_by(by, *of)),
            Ending::Lifetime(said) => self.lifetime_by(by).is_some_and(|held| held >= *said),
            Ending::Whole(settlement) => {
                self.of(by).is_some_and(|written| written.find_whole(*settlement).is_ok())
            }
        }
    }

    /// When the counter expires, by the lifetime that counts.
    pub(crate) fn until(&self) -> Option<u64> {
        self.until
    }

    /// The largest stamp that anyone has given the counter.
    pub(crate) fn latest_stamp(&self) -> u64 {
        let lifetimes = self.written.iter().filter_map(|written| written.lifetime);
        lifetimes.map(|lifetime| lifetime.stamp).max().unwrap_or(0)
    }

    /// An origin's endings from a place on, in an order in which none is passed over when others
    /// come in between.
    pub(crate) fn endings_of(
        &self,
        by: OriginIndex,
        from: usize,
    ) -> impl Iterator<Item = Ending> + '_ {
        self.of(by).into_iter().flat_map(Written::endings).skip(from)
    }

    /// Everybody's endings from a place on, and whose they are.
    pub(crate) fn endings(&self) -> impl Iterator<Item = (OriginIndex, Ending)> + '_ {
        self.written
            .iter()
            .flat_map(|written| written.endings().map(move |ending| (written.by, ending)))
    }

    /// Takes an ending down. `None` if it says nothing new. `family` is that of the settlement which it
    /// covers.
    pub(crate) fn merge(
        &mut self,
        by: OriginIndex,
        id: OriginId,
        name_hash: u64,
        ending: &Ending,
        family: Option<Arc<Family>>,
    ) -> Option<Change> {
        let at = match self.written.binary_search_by_key(&by, |written| written.by) {
            Ok(at) => at,
            Err(at) => {
                let (covers, wholes) = (Vec::new(), Vec::new());
                let written = Written { by, id, covers, lifetime: None, wholes };
                self.written.reserve_exact(1);
                self.written.insert(at, written);
                at
            }
        };
        let change = self.written[at].merge(name_hash, ending, family)?;
        self.find_until();
        Some(change)
    }

    fn find_until(&mut self) {
        let until = self.counting().and_then(|(lifetime, _)| lifetime.until);
        if until != self.until {
            self.until = until;
            self.has_lapsed = false;
        }
    }

    fn of(&self, by: OriginIndex) -> Option<&Written> {
        let at = self.written.binary_search_by_key(&by, |written| written.by).ok()?;
        Some(&self.written[at])
    }

    /// The newest lifetime that no cover has seen (rule `register-is-covered`).
    fn counting(&self) -> Option<(Lifetime, OriginIndex)> {
        let written = self.written.iter().filter_map(|written| Some((written.lifetime?, written)));
        written
            .filter(|(lifetime, written)| self.cover_on(written.id).stamp < lifetime.stamp)
            // Not by whose it is: a settlement takes the place of who wrote it.
            .max_by_key(|(lifetime, _)| *lifetime)
            .map(|(lifetime, written)| (lifetime, written.by))
    }
}

impl Written {
    fn find(&self, of: OriginId) -> Result<usize, usize> {
        match self.covers.last() {
            // As they come, one after the other.
            Some((last, _)) if *last < of => Err(self.covers.len()),
            _ => self.covers.binary_search_by_key(&of, |(of, _)| *of),
        }
    }

    fn endings(&self) -> impl Iterator<Item = Ending> + '_ {
        let covers = self.covers.iter().map(|&(of, covered)| Ending::Cover { of, covered });
        let wholes = self.wholes.iter().map(|whole| Ending::Whole(whole.settlement));
        self.lifetime.map(Ending::Lifetime).into_iter().chain(covers).chain(wholes)
    }

    fn len(&self) -> usize {
        usize::from(self.lifetime.is_some()) + self.covers.len() + self.wholes.len()
    }

    fn find_whole(&self, settlement: OriginId) -> Result<usize, usize> {
        self.wholes.binary_search_by_key(&settlement, |whole| whole.settlement)
    }

    fn merge(
        &mut self,
        name_hash: u64,
        ending: &Ending,
        family: Option<Arc<Family>>,
    ) -> Option<Change> {
        match *ending {
            Ending::Whole(settlement) => {
                let at = self.find_whole(settlement).err()?;
                self.wholes.reserve_exact(1);
                let family = family.unwrap_or_default();
                self.wholes.insert(at, Whole { settlement, family });
                let after = fingerprint::of_whole(name_hash, settlement);
                Some(Change { before: 0, after, is_new: true })
            }
            Ending::Lifetime(lifetime) => {
                let before = self.lifetime;
                if before.is_some_and(|before| before >= lifetime) {
                    return None;
                }
                self.lifetime = Some(lifetime);
                Some(Change {
                    before: before.map_or(0, |before| before.hash(name_hash)),
                    after: lifetime.hash(name_hash),
                    is_new: before.is_none(),
                })
            }
            Ending::Cover { of, covered } => {
                let found = self.find(of);
                let before = found.map_or(Covered::default(), |at| self.covers[at].1);
                if covered.is_within(&before) {
                    return None;
                }
                let mut after = before;
                after.merge(&covered);
                match found {
                    Ok(at) => self.covers[at].1 = after,
                    Err(at) => self.covers.insert(at, (of, after)),
                }
                let (before, after) = (before.hash(name_hash, of), after.hash(name_hash, of));
                Some(Change { before, after, is_new: found.is_err() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Numbers;

    const A: OriginId = OriginId(10);
    const B: OriginId = OriginId(5);

    fn plus(plus: u64) -> Covered {
        Covered { numbers: Numbers { plus, ..Numbers::default() }, stamp: 0 }
    }

    fn cover(of: OriginId, covered: Covered) -> Ending {
        Ending::Cover { of, covered }
    }

    fn lifetime(stamp: u64, until: Option<u64>) -> Ending {
        Ending::Lifetime(Lifetime { stamp, until })
    }

    #[test]
    fn the_largest_of_all_covers_on_a_slot_counts() {
        let mut ended = Ended::default();
        assert!(ended.merge(0, A, 7, &cover(B, plus(3)), None).is_some_and(|change| change.is_new));
        assert!(ended.merge(1, B, 7, &cover(B, plus(5)), None).is_some());
        assert!(ended.merge(1, B, 7, &cover(A, plus(1)), None).is_some());
        assert_eq!(ended.merge(1, B, 7, &cover(B, plus(4)), None), None, "it says nothing new");
        assert_eq!((ended.cover_on(A), ended.cover_on(B)), (plus(1), plus(5)));
        assert_eq!((ended.cover_by(0, B), ended.cover_by(0, A)), (plus(3), Covered::default()));
        let ofs: Vec<Ending> = ended.endings_of(1, 0).collect();
        assert_eq!(ofs, [cover(B, plus(5)), cover(A, plus(1))], "sorted by whose slots they cover");
    }

    #[test]
    fn of_lifetimes_the_newest_counts_that_no_cover_has_seen() {
        let mut ended = Ended::default();
        ended.merge(0, A, 7, &lifetime(1, Some(100)), None);
        ended.merge(1, B, 7, &lifetime(2, Some(50)), None);
        assert_eq!((ended.until(), ended.counting().map(|(_, by)| by)), (Some(50), Some(1)));
        ended.merge(0, A, 7, &lifetime(3, None), None);
        assert_eq!((ended.until(), ended.counting().map(|(_, by)| by)), (None, Some(0)));
        assert_eq!(
            ended.merge(0, A, 7, &lifetime(2, Some(7)), None),
            None,
            "an older one of the same"
        );
        // A reset by B saw both of A's and its own first one.
        ended.merge(1, B, 7, &cover(A, Covered { stamp: 3, ..plus(0) }), None);
        assert_eq!(ended.until(), Some(50));
        ended.merge(1, B, 7, &cover(B, Covered { stamp: 2, ..plus(0) }), None);
        assert_eq!((ended.until(), ended.counting().map(|(_, by)| by)), (None, None));
        assert_eq!(ended.latest_stamp(), 3, "a void one is followed all the same");
    }

    #[test]
    fn of_lifetimes_of_one_stamp_the_later_deadline_counts_whoever_gave_it() {
        let mut ended = Ended::default();
        ended.merge(0, A, 7, &lifetime(1, Some(50)), None);
        ended.merge(1, B, 7, &lifetime(1, Some(100)), None);
        assert_eq!(ended.until(), Some(100), "though A's id is the larger one");
    }

    #[test]
    fn what_enters_a_fingerprint_is_what_left_it() {
        let mut ended = Ended::default();
        let mut sum = 0_u64;
        for ending in [cover(B, plus(3)), lifetime(1, None), cover(B, plus(5)), cover(A, plus(1))] {
            let change = ended.merge(0, A, 7, &ending, None).expect("it is news");
            sum = sum.wrapping_sub(change.before).wrapping_add(change.after);
        }
        let all = ended.endings().map(|(_, ending)| ending.hash(7));
        assert_eq!(sum, all.fold(0, u64::wrapping_add));
    }
}
