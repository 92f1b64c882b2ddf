//! How an origin ends a counter: what it takes away of it, and when the counter is to expire.
//!
//! A number of a slot only grows, so nothing can lower it. Instead an origin says how much of each
//! slot it has seen and takes away: a *cover* (rule `cover`). What is left of a slot is what its
//! numbers are above all covers on it. So a reset takes what it saw, no more and no less, however
//! many happen at once, and an increment that it had not seen survives.
//!
//! When a counter expires is a register in each origin's slot, of which the newest counts (a
//! last-writer-wins register: Shapiro, Preguiça, Baquero, Zawirski, INRIA RR-7506, 2011, section
//! 3.2.1). A cover covers the register too: it is void once a cover has seen its stamp (rule
//! `register-is-covered`).

use crate::fingerprint;
use crate::identity::OriginId;
use crate::slot::{Numbers, Slot};

/// Stamps and deadlines beyond it are nobody's: as milliseconds it is 146 million years, and it
/// leaves room for stamps that must follow it.
pub const MILLIS_MAX: u64 = 1 << 62;

/// How much of one slot its coverer has seen and taken away. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Of the slot's numbers.
    pub numbers: Numbers,
    /// Of the slot's lifetimes: those up to this stamp are void.
    pub stamp: u64,
}

impl Covered {
    /// Takes the larger of each number.
    pub fn merge(&mut self, other: &Covered) {
        let (ours, theirs) = (&mut self.numbers, &other.numbers);
        ours.plus = ours.plus.max(theirs.plus);
        ours.minus = ours.minus.max(theirs.minus);
        ours.raise = ours.raise.max(theirs.raise);
        self.stamp = self.stamp.max(other.stamp);
    }

    /// Whether no number here exceeds the other's.
    pub fn is_within(&self, other: &Covered) -> bool {
        let mut both = *other;
        both.merge(self);
        both == *other
    }

    /// All that there may ever be.
    pub(crate) const EVERYTHING: Covered = Covered {
        numbers: Numbers { plus: u64::MAX, minus: u64::MAX, raise: u64::MAX },
        stamp: u64::MAX,
    };

    /// What it leaves of a slot.
    pub fn rest_of(&self, slot: &Slot) -> Slot {
        let (slot, cover) = (slot.numbers(), &self.numbers);
        Slot::from(Numbers {
            plus: slot.plus.saturating_sub(cover.plus),
            minus: slot.minus.saturating_sub(cover.minus),
            raise: slot.raise.saturating_sub(cover.raise),
        })
    }

    /// Its summand in the fingerprint of the origin that covers. Zero for one that covers nothing.
    pub(crate) fn hash(&self, name_hash: u64, of: OriginId) -> u64 {
        if *self == Covered::default() {
            return 0;
        }
        let Numbers { plus, minus, raise } = self.numbers;
        fingerprint::of_cover(name_hash, of, [plus, minus, raise, self.stamp])
    }
}

/// When a counter is to expire, as one origin has said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime {
    /// Larger than that of every lifetime of the counter that its origin had seen.
    pub stamp: u64,
    /// In milliseconds of a wall clock since 1970; `None` if never.
    pub until: Option<u64>,
}

impl Lifetime {
    /// Its summand in its origin's fingerprint.
    pub(crate) fn hash(&self, name_hash: u64) -> u64 {
        let until = self.until.map_or(0, |until| until.saturating_add(1));
        fingerprint::of_lifetime(name_hash, [self.stamp, until])
    }
}

/// One thing that an origin has said about the end of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// So much of a slot is covered.
    Cover {
        /// Whose slot.
        of: OriginId,
        /// How much of it.
        covered: Covered,
    },
    /// Then the counter is to expire.
    Lifetime(Lifetime),
    /// All that a settlement has folded, or is to fold, of the counter is covered (rule `whole`).
    Whole(OriginId),
}

/// Which of an origin's endings of one counter it is: a later one of the same key replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndingKey {
    /// The cover on this origin's slot.
    Cover(OriginId),
    /// The lifetime.
    Lifetime,
    /// The cover on this settlement.
    Whole(OriginId),
}

impl Ending {
    /// See [`EndingKey`].
    pub fn key(&self) -> EndingKey {
        match self {
            Ending::Cover { of, .. } => EndingKey::Cover(*of),
            Ending::Lifetime(_) => EndingKey::Lifetime,
            Ending::Whole(settlement) => EndingKey::Whole(*settlement),
        }
    }

    /// Whether its numbers are within their bounds.
    pub fn is_sane(&self) -> bool {
        match self {
            Ending::Cover { covered, .. } => covered.stamp <= MILLIS_MAX,
            Ending::Lifetime(Lifetime { stamp, until }) => {
                *stamp <= MILLIS_MAX && until.is_none_or(|until| until <= MILLIS_MAX)
            }
            Ending::Whole(_) => true,
        }
    }

    /// Its summand in its origin's fingerprint.
    pub(crate) fn hash(&self, name_hash: u64) -> u64 {
        match self {
            Ending::Cover { of, covered } => covered.hash(name_hash, *of),
            Ending::Lifetime(lifetime) => lifetime.hash(name_hash),
            Ending::Whole(settlement) => fingerprint::of_whole(name_hash, *settlement),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covered() -> impl Strategy<Value = Covered> {
        (0..4_u64, 0..4_u64, 0..4_u64, 0..4_u64).prop_map(|(plus, minus, raise, stamp)| Covered {
            numbers: Numbers { plus, minus, raise },
            stamp,
        })
    }

    fn merged(a: &Covered, b: &Covered) -> Covered {
        let mut all = *a;
        all.merge(b);
        all
    }

    proptest! {
        #[test]
        fn covers_merge_in_any_order_and_any_number_of_times(
            a in covered(), b in covered(), c in covered(),
        ) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
            prop_assert!(a.is_within(&merged(&a, &b)));
            prop_assert_eq!(a.is_within(&b), merged(&a, &b) == b);
        }
    }

    #[test]
    fn hashes_are_the_same_in_every_release_and_nothing_has_none() {
        let name = fingerprint::of_name("default");
        let numbers = Numbers { plus: 1, minus: 2, raise: 3 };
        let cover = Ending::Cover { of: OriginId(7), covered: Covered { numbers, stamp: 4 } };
        let lifetime = Ending::Lifetime(Lifetime { stamp: 4, until: Some(5) });
        let hashes = [cover, lifetime].map(|ending| ending.hash(name));
        assert_eq!(hashes, [14_190_476_100_402_744_230, 17_450_485_002_622_625_944]);
        let nothing = Ending::Cover { of: OriginId(7), covered: Covered::default() };
        assert_eq!(nothing.hash(name), 0);
    }
}
