//! Which counters are incremented: one, or random ones out of many.

use std::fmt::Write as _;

/// Names one after the other.
#[derive(Clone, Debug)]
pub(super) struct Names {
    base: String,
    count: u32,
    state: u64,
    current: String,
}

impl Names {
    /// `base` alone, or `base:0000000` and so on where there are several.
    pub(super) fn new(base: &str, count: u32, seed: u64) -> Self {
        Names { base: base.to_owned(), count, state: seed, current: base.to_owned() }
    }

    /// The same names in an order of its own.
    pub(super) fn of_connection(mut self, number: u64) -> Self {
        self.state = self.state.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        self
    }

    /// The name, if there is only one.
    pub(super) fn only(&self) -> Option<&str> {
        (self.count == 1).then_some(&self.base)
    }

    /// What all of several begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}:", self.base)
    }

    /// Whether a counter is one of several.
    pub(super) fn has(&self, name: &str) -> bool {
        let digits = name.strip_prefix(&self.prefix()).filter(|digits| digits.len() == 7);
        digits.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|n| n < self.count)
    }

    pub(super) fn next_name(&mut self) -> &str {
        if self.count > 1 {
            let number = self.random() % u64::from(self.count);
            self.current.clear();
            // Writing to a string cannot fail.
            let _ = write!(self.current, "{}:{number:07}", self.base);
        }
        &self.current
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_used_is_one_that_is_looked_for() {
        let mut one = Names::new("bench", 1, 7);
        assert_eq!(one.next_name(), "bench");
        assert_eq!(one.only(), Some("bench"));
        let mut many = Names::new("bench", 100, 7);
        assert_eq!(many.only(), None);
        for _ in 0..1000 {
            let name = many.next_name().to_owned();
            assert!(many.has(&name) && name.starts_with(&many.prefix()), "{name}");
        }
        assert!(!many.has("bench") && !many.has("bench:0000100") && !many.has("bench:1"));
    }
}
