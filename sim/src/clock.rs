//! A machine's monotonic clock: it starts anywhere and may run a little fast or slow.
//!
//! Nodes only ever see their own machine's clock, so a protocol that compares clocks of two
//! machines, or trusts that all run alike, is caught.

use std::time::Duration;

use quipu_core::time::Time;

/// The rate of an exact clock, in parts per million.
pub const EXACT_PPM: u64 = 1_000_000;

/// A clock that had shown `local` at the world's time `since` and runs at its own rate from there.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    since: Time,
    local: Time,
    rate_ppm: u64,
}

impl Clock {
    /// An exact clock that shows `local` when the world begins.
    pub fn new(local: Time) -> Self {
        Clock { since: Time::ZERO, local, rate_ppm: EXACT_PPM }
    }

    /// What it shows at the world's time `now`.
    pub fn read(&self, now: Time) -> Time {
        let passed = u64::try_from(now.since(self.since).as_micros()).unwrap_or(u64::MAX);
        self.local + Duration::from_micros(passed.saturating_mul(self.rate_ppm) / EXACT_PPM)
    }

    /// The world's time at which it shows at least `local`; never before the last change of rate.
    pub fn when(&self, local: Time) -> Time {
        let ahead = u64::try_from(local.since(self.local).as_micros()).unwrap_or(u64::MAX);
        let passed = u128::from(ahead) * u128::from(EXACT_PPM);
        let passed = passed.div_ceil(u128::from(self.rate_ppm));
        self.since + Duration::from_micros(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Leaps ahead. It never leaps back: systems promise that of their monotonic clocks.
    pub fn leap(&mut self, now: Time, ahead: Duration) {
        *self = Clock { since: now, local: self.read(now) + ahead, ..*self };
    }

    /// Runs at another rate from now on, without a jump.
    pub fn set_rate(&mut self, now: Time, rate_ppm: u64) {
        *self = Clock { since: now, local: self.read(now), rate_ppm };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_changes_its_rate_never_jumps() {
        let mut clock = Clock::new(Time::from_micros(500));
        let now = Time::from_micros(2_000_000);
        let before = clock.read(now);
        clock.set_rate(now, 1_100_000);
        assert_eq!(clock.read(now), before);
        assert_eq!(clock.read(now + Duration::from_secs(1)).since(before).as_millis(), 1100);
    }

    #[test]
    fn a_deadline_is_met_when_the_clock_shows_it_and_not_before() {
        let mut clock = Clock::new(Time::ZERO);
        clock.set_rate(Time::from_micros(10), 970_003);
        for local in [11, 1_000, 999_999] {
            let local = Time::from_micros(local);
            let due = clock.when(local);
            assert!(clock.read(due) >= local);
            assert!(clock.read(Time::from_micros(due.as_micros() - 1)) < local);
        }
    }
}
