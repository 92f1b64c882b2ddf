//! What has changed in batches that follow one another, each thing once with its latest state.
//!
//! On its way to the peers or to the journal: a counter's slot that changed in all of them stands in
//! it once, and so does what was said about its end.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::ending::{Ending, EndingKey};
use crate::slot::Slot;

/// Up to how many entries looking through them all is quicker than hashing.
const SMALL: usize = 8;

/// Our own slots by the places of their counters.
pub(crate) type CoalescedSlots = Coalesced<u32, Slot>;

/// What we have said about the ends of counters, by their places.
pub(crate) type CoalescedEndings = Coalesced<(u32, EndingKey), Ending>;

/// See the file.
#[derive(Debug)]
pub(crate) struct Coalesced<K, V> {
    entries: Vec<(K, V)>,
    /// Where each key stands among the entries, once they are many.
    indices: HashMap<K, usize, FixedState>,
}

impl<K, V> Default for Coalesced<K, V> {
    fn default() -> Self {
        Coalesced { entries: Vec::new(), indices: HashMap::default() }
    }
}

impl<K: Copy + Eq + Hash, V> Coalesced<K, V> {
    /// These are all of different keys.
    pub(crate) fn of(entries: Vec<(K, V)>) -> Self {
        let mut latest = Coalesced { entries, indices: HashMap::default() };
        latest.index();
        latest
    }

    /// Takes a later state of a key; tells whether it is the first one.
    pub(crate) fn set(&mut self, key: K, value: V) -> bool {
        if let Some(at) = self.find(&key) {
            self.entries[at].1 = value;
            return false;
        }
        self.entries.push((key, value));
        if self.entries.len() > SMALL + 1 {
            self.indices.insert(key, self.entries.len() - 1);
        } else {
            self.index();
        }
        true
    }

    /// In the order in which each key came first.
    pub(crate) fn entries(&self) -> &[(K, V)] {
        &self.entries
    }

    pub(crate) fn into_entries(self) -> Vec<(K, V)> {
        self.entries
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its memory serves again.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.indices.clear();
    }

    fn find(&self, key: &K) -> Option<usize> {
        if self.entries.len() <= SMALL {
            return self.entries.iter().position(|(other, _)| other == key);
        }
        self.indices.get(key).copied()
    }

    fn index(&mut self) {
        if self.entries.len() > SMALL {
            let keys = self.entries.iter().map(|(key, _)| *key);
            self.indices = keys.enumerate().map(|(at, key)| (key, at)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Numbers;

    fn slot(plus: u64) -> Slot {
        Slot::from(Numbers { plus, ..Numbers::default() })
    }

    #[test]
    fn each_place_stands_once_with_its_latest_numbers_however_many_there_are() {
        for places in [1, 2, SMALL as u32, SMALL as u32 + 1, SMALL as u32 + 2, 100] {
            let mut latest =
                CoalescedSlots::of((0..places / 2).map(|place| (place, slot(1))).collect());
            for round in 2..4 {
                for place in 0..places {
                    let is_new = latest.set(place, slot(round));
                    assert_eq!(is_new, round == 2 && place >= places / 2, "{place} of {places}");
                }
            }
            let expected: Vec<_> = (0..places).map(|place| (place, slot(3))).collect();
            assert_eq!(latest.entries(), expected);
            latest.clear();
            assert!(latest.entries().is_empty() && latest.set(0, slot(9)));
        }
    }
}
