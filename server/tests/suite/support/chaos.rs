//! How long a story of chaos is: short in `make test`, long in `make test-chaos`; and the chance
//! that it is made of.

use std::env;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Whether the long form was asked for.
pub fn is_long() -> bool {
    env::var_os("QUIPU_CHAOS").is_some()
}

/// Chance that can be had again: from `QUIPU_SEED`, or a seed of its own.
#[derive(Debug)]
pub struct Chance {
    rng: ChaCha8Rng,
    pub seed: u64,
}

impl Chance {
    pub fn fresh() -> Chance {
        let given = env::var("QUIPU_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| getrandom::u64().expect("the system has chance"));
        Chance { rng: ChaCha8Rng::seed_from_u64(seed), seed }
    }

    /// One of the same seed for another use.
    pub fn apart(&self, number: u64) -> Chance {
        let seed = self.seed.wrapping_add(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Chance { rng: ChaCha8Rng::seed_from_u64(seed), seed: self.seed }
    }

    /// Below `end`, which is small.
    pub fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }
}
