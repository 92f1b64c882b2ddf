//! When counters expire: which are due next, and which exist.
//!
//! A counter is absent for every reader from its deadline on, whoever looks. What is kept here is
//! for those that do not look: the number of counters that exist, and watchers, who are to be told.
//!
//! Rejected: a timer wheel. It would be quicker at deadlines that are moved again and again, but a
//! deadline may be years away, and a sorted set serves a million names in a microsecond each.

use std::collections::BTreeSet;

use super::Counters;
use crate::name::{DATABASES, in_database};
use crate::query::DatabaseSize;

/// Deadlines that are noticed in one step: some 2 ms, so that a node serves while a million end at
/// once. Readers do not depend on it.
const NOTICED_A_STEP: usize = 4096;

/// Expired counters that are taken away in one step: some 2 ms, and a tenth of a frame of covers where
/// each has a few slots.
const REAPED_A_STEP: usize = 1024;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// A wall clock, in milliseconds since 1970.
    pub(super) wall_ms: u64,
    /// How many counters exist.
    pub(super) existing: usize,
    /// The same for each database.
    pub(super) sizes: [DatabaseSize; DATABASES],
    /// Places of counters that are to expire, by their deadlines.
    due: BTreeSet<(u64, u32)>,
    /// The same of those whose time was noticed to be over: the clock may be set back.
    lapsed: BTreeSet<(u64, u32)>,
}

/// What of a counter is kept track of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    is_counted: bool,
    until: Option<u64>,
    has_lapsed: bool,
}

impl Tracked {
    /// The deadline of a counter that exists.
    fn deadline(self) -> Option<u64> {
        self.until.filter(|_| self.is_counted)
    }

    fn add_to(self, size: &mut DatabaseSize) {
        size.counters += usize::from(self.is_counted);
        if let Some(until) = self.deadline() {
            size.expiring += 1;
            size.deadlines_ms += u128::from(until);
        }
    }

    fn take_from(self, size: &mut DatabaseSize) {
        size.counters -= usize::from(self.is_counted);
        if let Some(until) = self.deadline() {
            size.expiring -= 1;
            size.deadlines_ms -= u128::from(until);
        }
    }
}

impl Counters {
    /// A wall clock shows so many milliseconds since 1970.
    pub fn set_wall_clock(&mut self, wall_ms: u64) {
        self.expiry.wall_ms = wall_ms;
    }

    /// What the wall clock showed last.
    pub(crate) fn wall_clock(&self) -> u64 {
        self.expiry.wall_ms
    }

    /// When the next counter expires, by the wall clock.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.expiry.due.first().map(|(until, _)| *until)
    }

    /// Notices counters whose time is over, or is not any more, some at a time.
    pub(crate) fn expire(&mut self) {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::ExpiryJudgedEarly) {
            return;
        }
        for _ in 0..NOTICED_A_STEP {
            let Expiry { wall_ms, due, lapsed, .. } = &mut self.expiry;
            let is_over = |(until, _): &(u64, u32)| *until <= *wall_ms;
            let (place, has_lapsed) = if let Some(at) = due.first().copied().filter(is_over) {
                due.remove(&at);
                lapsed.insert(at);
                (at.1, true)
            } else if let Some(at) = lapsed.last().copied().filter(|at| !is_over(at)) {
                lapsed.remove(&at);
                due.insert(at);
                (at.1, false)
            } else {
                return;
            };
            let before = self.tracked(place);
            self.list[place].lapse(has_lapsed);
            self.track(place, before);
            self.changes.note(place);
        }
    }

    /// Whether counters have expired that are not taken away yet.
    pub(crate) fn has_expired_counters(&self) -> bool {
        !self.expiry.lapsed.is_empty()
    }

    /// Takes away counters whose time has been over for a while, some at a time: a client may never ask for
    /// them again, and a settlement gives back only what is taken away.
    pub(crate) fn reap(&mut self, grace_ms: u64) {
        let latest = self.expiry.wall_ms.saturating_sub(grace_ms);
        let over = self.expiry.lapsed.iter().take_while(|(until, _)| *until <= latest);
        let over: Vec<u32> = over.take(REAPED_A_STEP).map(|(_, place)| *place).collect();
        for place in over {
            if self.is_open_batch_full() {
                return;
            }
            self.reset_at(place);
        }
    }

    /// To be called before something is said of a counter's end, and given to [`Counters::track`]
    /// after it. What a slot that grows does, merging it tells ([`MergedSlot::appears`]).
    ///
    /// [`MergedSlot::appears`]: crate::counters::counter::MergedSlot::appears
    pub(super) fn tracked(&self, place: u32) -> Tracked {
        let counter = &self.list[place];
        let has_lapsed = counter.has_lapsed();
        Tracked { is_counted: counter.is_counted(), until: counter.until(), has_lapsed }
    }

    /// A counter exists that did not, since one of its slots has grown.
    pub(super) fn note_appeared(&mut self, place: u32) {
        let tracked = self.tracked(place);
        tracked.add_to(&mut self.expiry.sizes[in_database(self.list.name(place)).0]);
        self.expiry.existing += 1;
    }

    /// The same of a counter of which all that was said is written anew, as when it is folded: if its time
    /// was over, it is still.
    pub(super) fn track_rewritten(&mut self, place: u32, before: Tracked) {
        if before.has_lapsed && self.list[place].until() == before.until {
            self.list[place].lapse(true);
        }
        self.track(place, before);
    }

    /// Something was said of a counter's end.
    pub(super) fn track(&mut self, place: u32, before: Tracked) {
        let after = self.tracked(place);
        if before == after {
            return;
        }
        let size = &mut self.expiry.sizes[in_database(self.list.name(place)).0];
        before.take_from(size);
        after.add_to(size);
        match (before.is_counted, after.is_counted) {
            (false, true) => self.expiry.existing += 1,
            (true, false) => self.expiry.existing -= 1,
            _ => {}
        }
        if before.until != after.until {
            if let Some(until) = before.until {
                self.expiry.due.remove(&(until, place));
                self.expiry.lapsed.remove(&(until, place));
            }
            if let Some(until) = after.until {
                self.expiry.due.insert((until, place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{Change, Delta};
    use crate::ending::{Covered, Ending};
    use crate::identity::OriginId;
    use crate::operation::Value;
    use crate::query::{Gone, Sizes};
    use crate::slot::{Numbers, Slot};
    use crate::update::{Expiry as Given, Update};

    const NOW: u64 = 1_000_000;

    /// A table at a time, in which one counter expires a second later.
    fn expiring() -> Counters {
        let mut counters = Counters::new(OriginId(1), 0);
        counters.set_wall_clock(NOW);
        let update = Update::Expire { expiry: Given::After(1_000), only: None };
        counters.add("x", 3).unwrap();
        counters.apply("x", &update).unwrap();
        counters
    }

    fn at(counters: &mut Counters, wall_ms: u64) -> (usize, Option<Value>) {
        counters.set_wall_clock(wall_ms);
        counters.expire();
        (counters.len(), counters.existing("x"))
    }

    #[test]
    fn a_clock_that_is_set_back_brings_back_what_is_not_over_any_more() {
        let mut counters = expiring();
        counters.watch_changes();
        assert_eq!(at(&mut counters, NOW + 1_000), (0, None));
        assert_eq!(counters.take_changes().0[0].1, Err(Gone::Expired), "a watcher is told so");
        assert_eq!(at(&mut counters, NOW), (1, Some(Value(3))));
        assert_eq!(counters.take_changes().0[0].1, Ok(Value(3)));
        assert_eq!(counters.next_expiry(), Some(NOW + 1_000));
        assert_eq!(at(&mut counters, NOW + 2_000), (0, None));
    }

    /// `The counter has expired here. Another node's reset saw a part of it and no lifetime.`
    #[test]
    fn a_cover_that_leaves_the_lifetime_brings_nothing_back() {
        let mut counters = expiring();
        assert_eq!(at(&mut counters, NOW + 1_000), (0, None));
        let numbers = Numbers { plus: 1, ..Numbers::default() };
        let ending = Ending::Cover { of: OriginId(1), covered: Covered { numbers, stamp: 0 } };
        let changes =
            vec![Change::slot("x", Slot::default()), Change::Ending { name: "x", ending }];
        let delta = Delta { origin: OriginId(2), after: 0, upto: 1, changes };
        counters.merge(&delta).unwrap();
        assert_eq!(at(&mut counters, NOW + 1_000), (0, None));
    }

    #[test]
    fn each_database_has_its_own_count_of_counters_and_of_deadlines() {
        let mut counters = Counters::new(OriginId(1), 0);
        counters.set_wall_clock(NOW);
        let expire = |ms| Update::Expire { expiry: Given::After(ms), only: None };
        for name in ["a", "b", "db2:a", "db2:b", "db2:c"] {
            counters.add(name, 1).unwrap();
        }
        counters.apply("db2:a", &expire(1_000)).unwrap();
        counters.apply("db2:b", &expire(3_000)).unwrap();
        counters.apply("b", &Update::Delete).unwrap();
        let mut expected = Sizes::default();
        expected.0[0].counters = 1;
        let deadlines_ms = u128::from(2 * NOW + 4_000);
        expected.0[2] = DatabaseSize { counters: 3, expiring: 2, deadlines_ms };
        assert_eq!(counters.sizes(), expected);
        counters.set_wall_clock(NOW + 1_000);
        counters.expire();
        expected.0[2] =
            DatabaseSize { counters: 2, expiring: 1, deadlines_ms: u128::from(NOW + 3_000) };
        assert_eq!(counters.sizes(), expected);
        counters.apply("db2:b", &Update::Delete).unwrap();
        counters.apply("db2:c", &Update::Delete).unwrap();
        expected.0[2] = DatabaseSize::default();
        assert_eq!(counters.sizes(), expected);
        assert_eq!(counters.sizes().counters(), counters.len());
    }
}
