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

/// Places that have changed and were not told yet.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    is_watched: bool,
    changed: VecDeque<u32>,
    /// A bit for each place that `changed` holds.
    marks: Vec<u64>,
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
        let place = self.changed.pop_front()?;
        let (word, bit) = Self::mark(place);
        self.marks[word] &= !bit;
        Some(place)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    fn mark(place: u32) -> (usize, u64) {
        (place as usize / 64, 1 << (place % 64))
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
