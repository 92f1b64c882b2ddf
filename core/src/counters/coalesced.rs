//! Our own slots by the places of their counters, each with its latest numbers.
//!
//! What batches that follow one another add up to, on its way to the peers or to the journal: a
//! counter that changed in all of them stands in it once.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::slot::Slot;

/// Up to how many entries looking through them all is quicker than hashing.
const SMALL: usize = 8;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct CoalescedSlots {
    entries: Vec<(u32, Slot)>,
    /// Where each place stands among the entries, once they are many.
    indices: HashMap<u32, usize, FixedState>,
}

impl CoalescedSlots {
    /// These are all of different places.
    pub(crate) fn of(entries: Vec<(u32, Slot)>) -> Self {
        let mut latest = CoalescedSlots { entries, indices: HashMap::default() };
        latest.index();
        latest
    }

    /// Takes a later slot of a place; tells whether it is the first one.
    pub(crate) fn set(&mut self, place: u32, slot: Slot) -> bool {
        if let Some(at) = self.find(place) {
            self.entries[at].1 = slot;
            return false;
        }
        self.entries.push((place, slot));
        if self.entries.len() > SMALL + 1 {
            self.indices.insert(place, self.entries.len() - 1);
        } else {
            self.index();
        }
        true
    }

    /// In the order in which each place came first.
    pub(crate) fn entries(&self) -> &[(u32, Slot)] {
        &self.entries
    }

    /// Its memory serves again.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.indices.clear();
    }

    fn find(&self, place: u32) -> Option<usize> {
        if self.entries.len() <= SMALL {
            return self.entries.iter().position(|(other, _)| *other == place);
        }
        self.indices.get(&place).copied()
    }

    fn index(&mut self) {
        if self.entries.len() > SMALL {
            let places = self.entries.iter().map(|(place, _)| *place);
            self.indices = places.enumerate().map(|(at, place)| (place, at)).collect();
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
