//! What one origin has done to one counter.

/// What one origin has done to one counter. Each number only grows.
///
/// Merging is commutative, associative and idempotent, and never lowers a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The sum of all that was added.
    pub plus: u64,
    /// The sum of all that was subtracted.
    pub minus: u64,
    /// By how much the counter was lifted above the sums that the raiser saw.
    pub raise: u64,
}

impl Slot {
    /// Takes the larger of each number.
    pub fn merge(&mut self, other: &Slot) {
        self.plus = self.plus.max(other.plus);
        self.minus = self.minus.max(other.minus);
        self.raise = self.raise.max(other.raise);
    }

    /// Whether no number here exceeds the other's.
    pub fn is_within(&self, other: &Slot) -> bool {
        self.plus <= other.plus && self.minus <= other.minus && self.raise <= other.raise
    }
}
