//! Letting go of counters of which nothing is held any more.
//!
//! A settlement leaves nothing of what was deleted and of who deleted it (rule `row-done`), and then the
//! counter's row, its name and its place in the hash go as well, a few chunks of the list at a time. Of
//! such a counter no batch is under way: the origin under which this node had changed it has gone into
//! the settlement, and what is synced and gathers for a push is of the present one.

use super::Counters;
use crate::counters::list::CHUNK;
use crate::name::CounterName;

/// Chunks of the list that one step rewrites: less than a millisecond.
const CHUNKS_A_STEP: usize = 4;

/// Of so many origins the hash is never too large.
const ORIGINS_KEPT: usize = 16;

/// What is to go, and what that has done to the places of others.
#[derive(Debug, Default)]
pub(super) struct Vacating {
    /// Places at which nothing was held when a settlement passed them.
    emptied: Vec<u32>,
    /// Places that came to new counters since some were vacated last, though others came behind them
    /// before.
    pub(super) reused: Vec<u32>,
}

impl Counters {
    /// A settlement has passed a row.
    pub(super) fn note_passed(&mut self, place: u32) {
        let is_empty = |counter: &super::Counter| counter.holds_nothing();
        if self.list.get(place as usize).is_some_and(|(_, counter)| is_empty(counter)) {
            self.vacating.emptied.push(place);
        }
    }

    /// Whether counters are to be let go of. Not of a process whose own origin has gone: it may have
    /// batches under way for any.
    pub(crate) fn has_vacant_rows(&self) -> bool {
        !self.vacating.emptied.is_empty() && !self.is_gone_at(self.ours)
    }

    /// Lets go of some counters; rooms that know places look for them anew.
    pub(crate) fn vacate_step(&mut self) {
        for _ in 0..CHUNKS_A_STEP {
            let emptied = &mut self.vacating.emptied;
            let chunk_of = |place: u32| place as usize / CHUNK;
            let Some(last) = emptied.last().map(|last| chunk_of(*last)) else { break };
            let others = emptied.iter().rposition(|place| chunk_of(*place) != last);
            let mut places = emptied.split_off(others.map_or(0, |at| at + 1));
            places.sort_unstable();
            places.dedup();
            // A client may have counted on some since.
            places.retain(|place| {
                self.list.get(*place as usize).is_some_and(|(_, counter)| counter.holds_nothing())
            });
            for &place in &places {
                let name = self.list.name(place);
                let hash = self.places.hash(name.as_bytes());
                if self.changes.forget(place) {
                    self.changes.note_gone(CounterName::known(name));
                }
                self.places.remove(hash, place);
            }
            self.list.vacate(&places);
        }
        self.vacating.reused = Vec::new();
        if self.vacating.emptied.is_empty() {
            self.vacating.emptied = Vec::new();
        }
    }

    /// Origins that have gone give up their places: those behind all others go, and what is far too
    /// large for the rest becomes smaller. What that moves are the few that are left.
    pub(super) fn trim_origins(&mut self) {
        if self.is_walked() {
            return;
        }
        while let Some(last) = self.origins.len().checked_sub(1)
            && u32::try_from(last).is_ok_and(|last| self.folding.vacant.remove(&last))
        {
            self.origins.pop();
        }
        let few = 2 * self.origins.len();
        if self.origins.capacity() > 2 * few {
            self.origins.shrink_to(few);
        }
        if self.origin_places.capacity() > 4 * self.origin_places.len().max(ORIGINS_KEPT) {
            self.origin_places.shrink_to(2 * self.origin_places.len());
        }
    }

    /// See [`Vacating::reused`].
    pub(crate) fn reused_places(&self) -> &[u32] {
        &self.vacating.reused
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::counters::order::{Order, Window};
    use crate::delta::{Change, Delta};
    use crate::ending::{Covered, Ending};
    use crate::identity::OriginId;
    use crate::operation::Value;
    use crate::query::Gone;
    use crate::slot::{Numbers, Slot};

    /// A settlement, who counted, and who deleted.
    const Z: OriginId = OriginId(1_000);
    const COUNTED: OriginId = OriginId(11);
    const DELETED: OriginId = OriginId(12);
    const NAMES: usize = 3 * CHUNK + 100;

    fn name(n: usize) -> String {
        format!("counter:{n:012}")
    }

    fn slot(plus: u64) -> Slot {
        Slot::from(Numbers { plus, ..Numbers::default() })
    }

    /// All of `names` were counted once, and those of `deleted` were deleted.
    fn counted(names: std::ops::Range<usize>, is_deleted: impl Fn(usize) -> bool) -> Counters {
        let mut counters = Counters::new(OriginId(1), 7);
        counters.families_mut().define(Z, vec![COUNTED, DELETED]);
        let all: Vec<String> = names.clone().map(name).collect();
        let plus = all.iter().map(|name| Change::slot(name, slot(1))).collect();
        let delta = Delta { origin: COUNTED, after: 0, upto: 1, changes: plus };
        counters.merge(&delta).unwrap();
        let covered = Covered { numbers: slot(1).numbers(), stamp: 0 };
        let ending = Ending::Cover { of: COUNTED, covered };
        let deleted = names.zip(&all).filter(|(n, _)| is_deleted(*n));
        let changes = deleted.flat_map(|(_, name)| {
            [Change::slot(name, Slot::default()), Change::Ending { name, ending }]
        });
        let delta = Delta { origin: DELETED, after: 0, upto: 1, changes: changes.collect() };
        counters.merge(&delta).unwrap();
        counters
    }

    fn settle(counters: &mut Counters) {
        counters.begin_fold(Z, &[]);
        counters.end_chores();
    }

    fn vacate(counters: &mut Counters, order: &mut Order) {
        while counters.has_vacant_rows() {
            counters.vacate_step();
            order.forget(counters);
        }
    }

    fn listed(counters: &Counters, order: &mut Order) -> Vec<String> {
        let (mut after, mut names) = (None, Vec::new());
        loop {
            let window = Window { prefix: None, after: after.take(), limit: usize::MAX };
            assert!(order.ask(1, window, counters));
            let (rows, more) = loop {
                if let Some((_, page)) = order.step(counters) {
                    break page;
                }
            };
            names.extend(rows.iter().map(|(name, _)| name.as_str().to_owned()));
            after = rows.last().map(|(name, _)| name.clone());
            if !more {
                return names;
            }
        }
    }

    #[test]
    fn what_was_deleted_goes_with_its_name_once_it_is_folded() {
        let is_kept = |n: usize| n.is_multiple_of(10);
        let mut counters = counted(0..NAMES, |n| !is_kept(n));
        let mut order = Order::default();
        let kept: Vec<String> = (0..NAMES).filter(|n| is_kept(*n)).map(name).collect();
        assert_eq!(listed(&counters, &mut order), kept);
        assert_eq!(counters.names(), NAMES, "covers stand in the rows of what was deleted");
        settle(&mut counters);
        vacate(&mut counters, &mut order);
        assert_eq!((counters.names(), counters.len()), (kept.len(), kept.len()));
        for n in 0..NAMES {
            let expected = is_kept(n).then_some(Value(1));
            assert_eq!(counters.existing(&name(n)), expected, "{n}");
            assert_eq!(counters.find(&counters.lookup(&name(n))).is_some(), is_kept(n));
        }
        assert_eq!(listed(&counters, &mut order), kept);
        let (mut from, mut scanned) = (Some(0), Vec::new());
        while let Some(place) = from {
            let (names, next) = counters.names_from(place, 7);
            scanned.extend(names.iter().map(|name| name.as_str().to_owned()));
            from = next;
        }
        assert_eq!(scanned, kept);
        assert_eq!(counters.origins(), 2, "ours, and the settlement");
    }

    #[test]
    fn names_that_come_later_take_the_vacant_places_and_all_are_listed_once() {
        let mut counters = counted(0..NAMES, |n| n < 2 * CHUNK);
        let mut order = Order::default();
        listed(&counters, &mut order);
        settle(&mut counters);
        vacate(&mut counters, &mut order);
        let mut expected: BTreeMap<String, ()> =
            (2 * CHUNK..NAMES).map(|n| (name(n), ())).collect();
        let end = counters.places_end();
        for n in NAMES..NAMES + 2 * CHUNK {
            counters.add(&name(n), 1).unwrap();
            expected.insert(name(n), ());
            if n % 500 == 0 {
                // Some of them come while all are put in order, and some afterwards.
                let window = Window { prefix: None, after: None, limit: 1 };
                assert!(order.ask(2, window, &counters));
                order.step(&counters);
            }
        }
        assert_eq!(counters.places_end(), end, "there was room for them");
        while order.has_work() {
            order.step(&counters);
        }
        assert!(listed(&counters, &mut order).iter().eq(expected.keys()));
    }

    #[test]
    fn what_a_client_counts_on_after_the_fold_stays() {
        let mut counters = counted(0..3, |_| true);
        settle(&mut counters);
        counters.add(&name(1), 5).unwrap();
        assert!(counters.has_vacant_rows());
        vacate(&mut counters, &mut Order::default());
        assert_eq!((counters.names(), counters.value(&name(1))), (1, Value(5)));
        assert_eq!(counters.close().unwrap().entries.len(), 1);
    }

    #[test]
    fn whoever_watches_is_told_of_what_has_gone() {
        let mut counters = Counters::new(OriginId(1), 7);
        counters.watch_changes();
        let mut others = counted(0..2, |_| true);
        std::mem::swap(&mut counters.changes, &mut others.changes);
        let mut counters = others;
        counters.add(&name(2), 1).unwrap();
        for n in 0..2 {
            let place = counters.find(&counters.lookup(&name(n))).unwrap();
            counters.changes.note(place);
        }
        settle(&mut counters);
        vacate(&mut counters, &mut Order::default());
        // It has come anew, at another place.
        counters.add(&name(0), 1).unwrap();
        let (mut rows, more) = counters.take_changes();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        rows.dedup();
        let row = |n: usize, value| (CounterName::new(name(n)).unwrap(), value);
        let expected = [row(0, Ok(Value(1))), row(1, Err(Gone::Deleted)), row(2, Ok(Value(1)))];
        assert_eq!((rows, more), (expected.to_vec(), false));
    }

    #[test]
    fn origins_that_have_gone_give_their_places_back() {
        let members: Vec<OriginId> = (10_000..15_000).map(OriginId).collect();
        let mut counters = Counters::new(OriginId(1), 7);
        counters.families_mut().define(Z, members.clone());
        for origin in members {
            let changes = vec![Change::slot("x", slot(1))];
            counters.merge(&Delta { origin, after: 0, upto: 1, changes }).unwrap();
        }
        settle(&mut counters);
        assert_eq!(counters.value("x"), Value(5_000));
        assert!(counters.origins.capacity() > 4, "the settlement stands behind what has gone");
        assert_eq!(counters.origins(), 2);
        counters.families_mut().define(OriginId(20_000), vec![Z]);
        counters.begin_fold(OriginId(20_000), &[]);
        counters.end_chores();
        assert_eq!(counters.value("x"), Value(5_000));
        assert!(counters.origin_places() <= 3, "{} places", counters.origin_places());
        assert!(counters.origins.capacity() <= 12 && counters.origin_places.capacity() <= 64);
    }
}
