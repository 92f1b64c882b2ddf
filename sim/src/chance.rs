//! All chance of a run, from one seed.
//!
//! Each purpose draws from a stream of its own, so that dropping a fault from a plan does not
//! reshuffle the workload: that keeps a failure alive while it is being made smaller. ChaCha with
//! eight rounds, because its streams are independent by construction and its output is the same
//! on every machine and in every release, which the standard library's generators do not promise.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What a stream of chance is for. The numbers are the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The cluster's size and its machines.
    Cluster = 1,
    /// The schedule of faults.
    Faults = 2,
    /// What clients ask for.
    Workload = 3,
    /// Fates of datagrams and frames.
    Network = 4,
    /// How long syncs and wake-ups take.
    Machines = 5,
    /// Ids, and the chance handed to nodes.
    Identities = 6,
    /// How disks are used, and their whims.
    Disks = 7,
    /// What crashes leave of disks.
    Crashes = 8,
    /// What strangers say.
    Strangers = 9,
    /// What is asked of counters that may end, and how far wall clocks are apart.
    Endings = 10,
    /// When wall clocks are set.
    WallClocks = 11,
    /// When operators ask for settlements.
    Settlements = 12,
    /// What goes wrong for so long that members are removed for absence.
    Splits = 13,
}

/// A stream of chance.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream for one purpose in the run of this seed.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose as u64);
        Chance(rng)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Any 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `end`, which must not be 0. Its bias is below 2^-40 for all uses here.
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(u64::MAX)
    }

    /// An index into something of this length, which must not be 0.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A time from `low` to `high` microseconds.
    pub fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low, high))
    }

    /// A time from `low` to `high` milliseconds, by microseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        self.micros(low * 1000, high * 1000)
    }

    /// True `permille` times in a thousand.
    pub fn permille(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of these, which must not be empty.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_and_purpose_always_draw_the_same_and_others_draw_otherwise() {
        let draw = |seed, purpose| Chance::new(seed, purpose).any();
        assert_eq!(draw(7, Purpose::Faults), draw(7, Purpose::Faults));
        assert_ne!(draw(7, Purpose::Faults), draw(7, Purpose::Network));
        assert_ne!(draw(7, Purpose::Faults), draw(8, Purpose::Faults));
    }

    #[test]
    fn a_range_is_drawn_to_both_its_ends() {
        let mut chance = Chance::new(1, Purpose::Cluster);
        let drawn: Vec<u64> = (0..200).map(|_| chance.between(3, 5)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&5)));
    }
}
