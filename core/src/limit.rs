//! A token bucket: how much of something a stranger may make us do.

use std::time::Duration;

use crate::time::Time;

/// Lets `burst` through at once and then `per_second`.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    per_second: u32,
    burst: u32,
    tokens_micro: u64,
    refilled: Time,
}

const MICRO: u64 = 1_000_000;

impl RateLimit {
    pub(crate) fn new(per_second: u32, burst: u32, now: Time) -> Self {
        RateLimit { per_second, burst, tokens_micro: u64::from(burst) * MICRO, refilled: now }
    }

    /// Takes one token, if there is one.
    pub(crate) fn allow(&mut self, now: Time) -> bool {
        let passed = now.since(self.refilled).min(Duration::from_secs(3600));
        let fresh = u64::try_from(passed.as_micros()).unwrap_or(0) * u64::from(self.per_second);
        self.tokens_micro = (self.tokens_micro + fresh).min(u64::from(self.burst) * MICRO);
        self.refilled = now;
        match self.tokens_micro.checked_sub(MICRO) {
            Some(rest) => {
                self.tokens_micro = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lets_a_burst_through_and_then_a_rate() {
        let mut limit = RateLimit::new(10, 3, Time::ZERO);
        let mut passed = |from_ms: u64, to_ms: u64| {
            (from_ms..to_ms).filter(|ms| limit.allow(Time::from_micros(ms * 1000))).count()
        };
        assert_eq!(passed(0, 3), 3);
        assert_eq!(passed(3, 1003), 10);
        assert_eq!(passed(10_000, 10_010), 3);
    }
}
