//! What a wall clock shows, between the times at which the caller says so: counters expire by it, and
//! nothing else depends on it.

use std::time::Duration;

use crate::ending::MILLIS_MAX;
use crate::time::Time;

/// See the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct WallClock {
    set: Time,
    /// What it showed then, in milliseconds since 1970.
    ms: u64,
}

impl WallClock {
    /// It shows so many milliseconds since 1970 now.
    pub(super) fn set(now: Time, ms: u64) -> Self {
        WallClock { set: now, ms: ms.min(MILLIS_MAX) }
    }

    /// What it shows, in milliseconds since 1970.
    pub(super) fn read(&self, now: Time) -> u64 {
        let passed = now.since(self.set).as_millis();
        self.ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// By how many milliseconds another clock that shows this is ahead.
    pub(super) fn how_far_ahead(&self, theirs_ms: u64, now: Time) -> i64 {
        let far = i128::from(theirs_ms.min(MILLIS_MAX)) - i128::from(self.read(now));
        i64::try_from(far).unwrap_or(i64::MAX)
    }

    /// When it will show this.
    pub(super) fn when(&self, ms: u64) -> Time {
        self.set + Duration::from_millis(ms.saturating_sub(self.ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_shows_follows_the_time_and_comes_when_it_was_said_to() {
        let at = |ms: u64| Time::from_micros(1000 * ms);
        let clock = WallClock::set(at(500), 1_000_000);
        assert_eq!((clock.read(at(500)), clock.read(at(2_500))), (1_000_000, 1_002_000));
        assert_eq!(clock.read(clock.when(1_000_777)), 1_000_777);
        assert_eq!(clock.when(7), at(500), "it is past");
        assert_eq!(WallClock::set(at(0), u64::MAX).read(at(0)), MILLIS_MAX);
    }
}
