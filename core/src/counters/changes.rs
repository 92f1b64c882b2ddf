//! Which counters have changed, for those who watch.
//!
//! A watcher wants the value that a counter has come to, not each step on the way. So what is kept
//! is which places have changed since they were told last, each once and in the order in which they
//! first changed; the values are read when they are told. However slowly a watcher asks, that is
//! never more than a place and a bit for each counter, and the last value is never lost.
//!
//! While nobody watches nothing is kept, and a change pays one comparison.
//!
//! Rejected: telling every change as it happens, which under load costs more than counting does; a
//! mark in each counter, which everybody would pay for in memory.

use std::collections::VecDeque;

use super::Counters;
use crate::name::CounterName;
use crate::operation::Value;
use crate::query::{CHANGES_ROWS_MAX, ChangedRow, Gone};

/// Places that have changed and were not told yet.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    is_watched: bool,
    /// Each place whose mark is set, and others that were forgotten.
    changed: VecDeque<u32>,
    /// A bit for each place.
    marks: Vec<u64>,
    /// Names of counters that changed, and of which nothing is held any more.
    gone: Vec<CounterName>,
}

impl Changes {
    /// Begins to keep what changes, if it does not already.
    pub(crate) fn watch(&mut self) {
        self.is_watched = true;
    }

    /// Forgets everything, and the memory that it took.
    pub(crate) fn ignore(&mut self) {
        *self = Changes::default();
    }

    /// A counter has changed.
    #[inline]
    pub(crate) fn note(&mut self, place: u32) {
        if self.is_watched {
            self.keep(place);
        }
    }

    #[inline(never)]
    fn keep(&mut self, place: u32) {
        let (word, bit) = Self::mark(place);
        if word >= self.marks.len() {
            self.marks.resize(word + 1, 0);
        }
        if self.marks[word] & bit == 0 {
            self.marks[word] |= bit;
            self.changed.push_back(place);
        }
    }

    /// The place that has waited for longest; it can change anew from now on.
    pub(crate) fn take(&mut self) -> Option<u32> {
        loop {
            let place = self.changed.pop_front()?;
            if self.forget(place) {
                return Some(place);
            }
        }
    }

    /// What has changed at a place is not told; whether anything had.
    pub(crate) fn forget(&mut self, place: u32) -> bool {
        let (word, bit) = Self::mark(place);
        let Some(marks) = self.marks.get_mut(word) else { return false };
        let was_set = *marks & bit != 0;
        *marks &= !bit;
        was_set
    }

    /// A counter that had changed goes.
    pub(crate) fn note_gone(&mut self, name: CounterName) {
        self.gone.push(name);
    }

    /// The name of a counter that has gone.
    pub(crate) fn take_gone(&mut self) -> Option<CounterName> {
        self.gone.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }

    fn mark(place: u32) -> (usize, u64) {
        (place as usize / 64, 1 << (place % 64))
    }
}

impl Counters {
    /// Keeps what changes from now on, until [`Counters::ignore_changes`].
    pub(crate) fn watch_changes(&mut self) {
        self.changes.watch();
    }

    /// Keeps it no longer, and forgets what was not taken.
    pub(crate) fn ignore_changes(&mut self) {
        self.changes.ignore();
    }

    /// Whether [`Counters::take_changes`] has something to tell.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Counters that have changed since they were taken last, with the values that they have now,
    /// and whether there are more.
    pub(crate) fn take_changes(&mut self) -> (Vec<ChangedRow>, bool) {
        let mut rows = Vec::new();
        while rows.len() < CHANGES_ROWS_MAX
            && let Some(place) = self.changes.take()
        {
            rows.push((CounterName::known(self.list.name(place)), self.seen_at(place)));
        }
        while rows.len() < CHANGES_ROWS_MAX
            && let Some(name) = self.changes.take_gone()
        {
            let value = self.existing(name.as_str()).ok_or(Gone::Deleted);
            rows.push((name, value));
        }
        (rows, self.has_changes())
    }

    /// A counter's value, or how it ended.
    fn seen_at(&self, place: u32) -> Result<Value, Gone> {
        let ended = if self.list[place].is_live() { Gone::Expired } else { Gone::Deleted };
        self.existing_at(place).ok_or(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(changes: &mut Changes) -> Vec<u32> {
        std::iter::from_fn(|| changes.take()).collect()
    }

    #[test]
    fn a_place_waits_once_however_often_it_changes_and_again_after_it_was_told() {
        let mut changes = Changes::default();
        changes.watch();
        for place in [70, 3, 70, 3, 0, 70] {
            changes.note(place);
        }
        assert_eq!(changes.take(), Some(70), "in the order of their first change");
        changes.note(70);
        assert_eq!(taken(&mut changes), [3, 0, 70]);
        assert!(changes.is_empty());
    }

    #[test]
    fn a_place_that_was_forgotten_is_told_once_when_it_changes_anew() {
        let mut changes = Changes::default();
        assert!(!changes.forget(5), "before anything is kept");
        changes.watch();
        (4..7).for_each(|place| changes.note(place));
        assert!(changes.forget(5) && !changes.forget(5));
        changes.note(5);
        assert_eq!(taken(&mut changes), [4, 5, 6]);
        assert!(changes.is_empty());
    }

    #[test]
    fn nothing_is_kept_before_somebody_watches_or_after_nobody_does() {
        let mut changes = Changes::default();
        changes.note(1);
        changes.watch();
        assert!(changes.is_empty());
        changes.note(2);
        changes.ignore();
        changes.note(3);
        changes.watch();
        assert_eq!(taken(&mut changes), []);
        changes.note(2);
        assert_eq!(taken(&mut changes), [2], "its old mark is gone");
    }
}
