//! Ranges of versions that arrived beyond a gap.
//!
//! A delta beyond a gap is merged at once, but the digest waits until the gap fills (rule
//! `merge-now-claim-without-gap`). If the range were forgotten, it would have to be asked for again
//! when the gap is closed; under constant load there would always be such a range, and no gap would
//! ever close. So ranges are remembered, a bounded number of them, and joined when the digest
//! reaches them.

use std::collections::BTreeMap;

use crate::identity::Version;

/// How many separate ranges are remembered for one origin. A link's deltas follow one another, so
/// there is one range for each time that a link stopped and went on; beyond this the oldest
/// knowledge is dropped, which costs one catch-up and nothing else.
const RANGES_MAX: usize = 32;

/// Ranges (after, upto] beyond a gap, none touching another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(BTreeMap<Version, Version>);

impl Ranges {
    /// Remembers that everything in (after, upto] is here.
    pub(crate) fn insert(&mut self, mut after: Version, mut upto: Version) {
        // Swallow every range that overlaps or touches this one.
        while let Some((&a, &u)) = self.0.range(..=upto).next_back() {
            if u < after {
                break;
            }
            self.0.remove(&a);
            after = after.min(a);
            upto = upto.max(u);
        }
        self.0.insert(after, upto);
        if self.0.len() > RANGES_MAX {
            self.0.pop_last();
        }
    }

    /// The version that is reached without a gap from `known`, given all ranges here; those that
    /// it covers are forgotten.
    pub(crate) fn join(&mut self, mut known: Version) -> Version {
        while let Some(first) = self.0.first_entry() {
            if *first.key() > known {
                break;
            }
            known = known.max(first.remove());
        }
        if self.0.is_empty() {
            // A map that was emptied keeps a block for what may come.
            self.0 = BTreeMap::new();
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_fills_joins_all_that_came_beyond_it() {
        let mut ranges = Ranges::default();
        ranges.insert(5, 6);
        ranges.insert(2, 3);
        ranges.insert(6, 8);
        assert_eq!(ranges.join(1), 1, "1 to 2 is missing");
        assert_eq!(ranges.join(2), 3, "3 to 5 is missing");
        assert_eq!(ranges.join(5), 8);
        assert_eq!(ranges.join(8), 8);
    }

    #[test]
    fn overlapping_ranges_become_one() {
        let mut ranges = Ranges::default();
        ranges.insert(10, 12);
        ranges.insert(2, 4);
        ranges.insert(3, 11);
        assert_eq!(ranges.0.len(), 1);
        assert_eq!(ranges.join(2), 12);
    }

    #[test]
    fn their_number_is_bounded() {
        let mut ranges = Ranges::default();
        for n in 0..1000 {
            ranges.insert(10 * n + 1, 10 * n + 2);
        }
        assert_eq!(ranges.0.len(), RANGES_MAX);
    }
}
