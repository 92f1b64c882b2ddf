//! When counters expire: which are due next, and which exist.
//!
//! A counter is absent for every reader from its deadline on, whoever looks. What is kept here is
//! for those that do not look: the number of counters that exist, and watchers, who are to be told.
//!
//! Rejected: a timer wheel. It would be quicker at deadlines that are moved again and again, but a
//! deadline may be years away, and a sorted set serves a million names in a microsecond each.

use std::collections::BTreeSet;

use super::Counters;

/// Deadlines that are noticed in one step: some 2 ms, so that a node serves while a million end at
/// once. Readers do not depend on it.
const NOTICED_A_STEP: usize = 4096;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// A wall clock, in milliseconds since 1970.
    pub(super) wall_ms: u64,
    /// How many counters exist.
    pub(super) existing: usize,
    /// Places of counters that are to expire, by their deadlines.
    due: BTreeSet<(u64, u32)>,
}

/// What of a counter is kept track of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    is_counted: bool,
    until: Option<u64>,
}

impl Counters {
    /// A wall clock shows so many milliseconds since 1970.
    pub(crate) fn set_wall_clock(&mut self, wall_ms: u64) {
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

    /// Notices counters whose time is over, some at a time.
    pub(crate) fn expire(&mut self) {
        for _ in 0..NOTICED_A_STEP {
            let Some(&(until, place)) = self.expiry.due.first() else { return };
            if until > self.expiry.wall_ms {
                return;
            }
            let before = self.tracked(place);
            self.list[place].lapse();
            self.track(place, before);
            self.expiry.due.remove(&(until, place));
            self.changes.note(place);
        }
    }

    /// To be called before a counter changes, and given to [`Counters::track`] after it.
    pub(super) fn tracked(&self, place: u32) -> Tracked {
        let counter = &self.list[place];
        Tracked { is_counted: counter.is_counted(), until: counter.until() }
    }

    /// A counter has changed.
    pub(super) fn track(&mut self, place: u32, before: Tracked) {
        let after = self.tracked(place);
        match (before.is_counted, after.is_counted) {
            (false, true) => self.expiry.existing += 1,
            (true, false) => self.expiry.existing -= 1,
            _ => {}
        }
        if before.until != after.until {
            if let Some(until) = before.until {
                self.expiry.due.remove(&(until, place));
            }
            if let Some(until) = after.until {
                self.expiry.due.insert((until, place));
            }
        }
    }
}
