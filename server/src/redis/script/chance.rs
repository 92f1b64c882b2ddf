//! The numbers that Redis gives scripts by chance: the same for a seed, on every machine.
//!
//! It is the generator that System V has as `lrand48`: 48 bits, of which the upper 31 are told (The
//! Open Group Base Specifications, issue 7, `drand48`).

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const ADDEND: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// What stands below the seed.
const LOW: u64 = 0x330E;

/// As Redis counts the numbers that it tells.
const NUMBERS: u64 = i32::MAX as u64;

#[derive(Debug)]
pub(super) struct Generator(u64);

impl Default for Generator {
    /// As any script finds it.
    fn default() -> Self {
        Generator(getrandom::u64().map_or(LOW, |chance| chance & MASK))
    }
}

impl Generator {
    pub(super) fn seeded(seed: f64) -> Self {
        // As C cuts it to an int.
        let seed = u64::from(seed as i64 as u32);
        Generator(seed << 16 | LOW)
    }

    /// From 0 up to 1, and never that.
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND) & MASK;
        ((self.0 >> 17) % NUMBERS) as f64 / NUMBERS as f64
    }
}
