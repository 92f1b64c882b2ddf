//! How often something took how long: a row of numbers, one for each step of time.
//!
//! The steps are fixed and the same for everything, so that noting a duration is a search among
//! sixteen numbers and allocates nothing, and so that two histograms can be compared or added up.
//! They go 1, 2.5, 5 from a tenth of a millisecond, below which a push or a sync does not come, to
//! ten seconds, above which nothing is in order any more and it does not matter by how much.
//!
//! Rejected: sketches that find their own steps (HDR, t-digest). They tell more, to two digits; but
//! whoever scrapes has to be told fixed steps in the end.

use std::time::Duration;

/// The steps: the longest duration that each holds, in microseconds. What is longer stands behind
/// the last.
pub const STEPS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Durations, counted by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; STEPS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Notes a duration.
    pub fn note(&mut self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let step = STEPS_US.partition_point(|longest_us| *longest_us < took_us);
        self.counts[step] += 1;
        self.sum_us = self.sum_us.saturating_add(took_us);
    }

    /// How many durations fell into each step, and last how many were longer than all.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many durations were noted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_step_that_holds_it() {
        let mut histogram = Histogram::default();
        for us in [0, 100, 101, 1_000, 10_000_000, 10_000_001] {
            histogram.note(Duration::from_micros(us));
        }
        let mut expected = [0; STEPS_US.len() + 1];
        (expected[0], expected[1], expected[3], expected[15], expected[16]) = (2, 1, 1, 1, 1);
        assert_eq!(histogram.counts(), expected);
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum(), Duration::from_micros(20_001_202));
    }

    #[test]
    fn a_duration_beyond_all_bounds_is_counted_and_overflows_nothing() {
        let mut histogram = Histogram::default();
        histogram.note(Duration::MAX);
        histogram.note(Duration::MAX);
        assert_eq!(histogram.counts().last(), Some(&2));
    }
}
