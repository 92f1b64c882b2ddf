//! What one origin has done to one counter.
//!
//! All that is done with the three numbers of a slot is here: how copies merge, what a slot adds to
//! its counter's value, what an operation makes of it, how it enters a fingerprint. The rest of the
//! tree hands slots about whole, and formats and listings take them apart into [`Numbers`].

use crate::fingerprint;

/// What one origin has done to one counter. Each number only grows.
///
/// Merging is commutative, associative and idempotent, and never lowers a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot(Numbers);

/// A slot taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The sum of all that was added.
    pub plus: u64,
    /// The sum of all that was subtracted.
    pub minus: u64,
    /// By how much the counter was lifted above the sums that the raiser saw.
    pub raise: u64,
}

impl From<Numbers> for Slot {
    fn from(numbers: Numbers) -> Self {
        Slot(numbers)
    }
}

/// What slots add to their counter's value: their sums add up, and of the lifts the largest counts,
/// so that two origins that raise a counter to the same value at once do not add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Σ plus − Σ minus.
    pub sum: i128,
    /// The largest raise.
    pub raise: u64,
}

impl Contribution {
    /// What all of them together add.
    pub fn of<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Self {
        let mut all = Contribution::default();
        slots.into_iter().for_each(|slot| all.replace(&Slot::default(), slot));
        all
    }

    /// A slot has grown.
    pub(crate) fn replace(&mut self, before: &Slot, after: &Slot) {
        let (before, after) = (before.contribution(), after.contribution());
        self.sum += after.sum - before.sum;
        self.raise = self.raise.max(after.raise);
    }

    /// The counter's value.
    pub fn value(self) -> i128 {
        self.sum + i128::from(self.raise)
    }
}

impl Slot {
    /// The numbers, for who writes or shows them.
    pub fn numbers(&self) -> Numbers {
        self.0
    }

    /// Takes the larger of each number.
    pub fn merge(&mut self, other: &Slot) {
        let (Slot(ours), Slot(theirs)) = (self, other);
        ours.plus = ours.plus.max(theirs.plus);
        ours.minus = ours.minus.max(theirs.minus);
        ours.raise = ours.raise.max(theirs.raise);
    }

    /// Whether no number here exceeds the other's.
    pub fn is_within(&self, other: &Slot) -> bool {
        let (Slot(inner), Slot(outer)) = (self, other);
        inner.plus <= outer.plus && inner.minus <= outer.minus && inner.raise <= outer.raise
    }

    /// What it adds to its counter's value.
    pub fn contribution(&self) -> Contribution {
        let Numbers { plus, minus, raise } = self.0;
        Contribution { sum: i128::from(plus) - i128::from(minus), raise }
    }

    /// What it becomes when `by` is added; `None` if a number would overflow.
    pub(crate) fn added(&self, by: i64) -> Option<Slot> {
        let Slot(mut numbers) = *self;
        let number = if by < 0 { &mut numbers.minus } else { &mut numbers.plus };
        *number = number.checked_add(by.unsigned_abs())?;
        Some(Slot(numbers))
    }

    /// What it becomes when its origin lifts the counter by `lift` above the sums.
    pub(crate) fn lifted(&self, lift: u64) -> Slot {
        Slot(Numbers { raise: lift, ..self.0 })
    }

    /// How much was added and subtracted since it was `before`, modulo 2^64.
    pub(crate) fn counted_since(&self, before: &Slot) -> u64 {
        let (Slot(after), Slot(before)) = (self, before);
        (after.plus - before.plus).wrapping_add(after.minus - before.minus)
    }

    /// Its summand in its origin's fingerprint. Zero for a slot that was never written, so that
    /// holding none is the same.
    pub(crate) fn hash(&self, name_hash: u64) -> u64 {
        let Numbers { plus, minus, raise } = self.0;
        if (plus, minus, raise) == (0, 0, 0) {
            return 0;
        }
        fingerprint::of_slot(name_hash, [plus, minus, raise])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slots_hash_is_the_same_in_every_release() {
        let slot = Slot::from(Numbers { plus: 1, minus: 2, raise: 3 });
        assert_eq!(slot.hash(fingerprint::of_name("default")), 0x2c80_6d92_78b2_c3e5);
        assert_eq!(Slot::default().hash(fingerprint::of_name("default")), 0);
    }
}
