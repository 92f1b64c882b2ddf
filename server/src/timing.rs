//! How often something took how long, noted by many at once.
//!
//! The same steps as the protocol's own histograms, in atomics: see [`crate::count`].

use std::time::Duration;

use quipu_core::histogram::STEPS_US;

use crate::count::Count;

/// Durations, counted by step.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    counts: [Count; STEPS_US.len() + 1],
    sum_us: Count,
}

impl Timing {
    /// Notes a duration.
    pub(crate) fn note(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let step = STEPS_US.partition_point(|longest_us| *longest_us < took_us);
        self.counts[step].add(1);
        self.sum_us.add(took_us);
    }

    /// How many durations fell into each step, and last how many were longer than all.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(Count::get).collect()
    }

    /// All durations together.
    pub(crate) fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_step_that_the_protocol_would_count_it_in() {
        let (timing, mut histogram) =
            (Timing::default(), quipu_core::histogram::Histogram::default());
        for us in [0, 100, 101, 1_000, 9_999_999, 10_000_000, 10_000_001] {
            timing.note(Duration::from_micros(us));
            histogram.note(Duration::from_micros(us));
        }
        assert_eq!(timing.counts(), histogram.counts());
        assert_eq!(timing.sum(), histogram.sum());
    }
}
