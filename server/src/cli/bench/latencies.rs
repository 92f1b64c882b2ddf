//! Latencies, counted in buckets of a microsecond: as exact as the clock, and of a known size
//! however long the run. (`examples/load` counts with this file, too.)

use std::fmt;
use std::time::Duration;

/// Longer ones share the last bucket; the largest of them is kept.
const BUCKETS: usize = 1_000_000;

pub(crate) struct Latencies {
    buckets: Vec<u32>,
    count: u64,
    max: Duration,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Latencies { buckets: vec![0; BUCKETS + 1], count: 0, max: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, latency: Duration) {
        let micros = usize::try_from(latency.as_micros()).unwrap_or(BUCKETS);
        self.buckets[micros.min(BUCKETS)] += 1;
        self.count += 1;
        self.max = self.max.max(latency);
    }

    /// The least latency that so many of a thousand are not above.
    pub(crate) fn per_mille(&self, per_mille: u64) -> Duration {
        let rank = (self.count * per_mille).div_ceil(1000);
        let mut seen = 0;
        for (micros, bucket) in (0..BUCKETS as u64).zip(&self.buckets) {
            seen += u64::from(*bucket);
            if seen >= rank {
                return Duration::from_micros(micros);
            }
        }
        self.max
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [500, 990, 1000].map(|n| self.per_mille(n).as_micros());
        write!(f, "p50_us {p50} p99_us {p99} max_us {max}")
    }
}
