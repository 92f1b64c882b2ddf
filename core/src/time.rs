//! Time, as the caller hands it in.
//!
//! The protocol needs to know how much time has passed, not what time it is. So it knows one clock
//! only: a monotonic one that the caller reads and passes along with every input. In the server it
//! is the machine's; in the simulator a number that jumps from event to event. When a counter
//! expires is the exception: the caller says now and then what a wall clock shows.

use std::ops::Add;
use std::time::Duration;

/// A point on the caller's monotonic clock, in microseconds since a moment of the caller's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The moment from which the caller counts.
    pub const ZERO: Time = Time(0);

    /// The point `micros` microseconds after [`Time::ZERO`].
    pub const fn from_micros(micros: u64) -> Self {
        Time(micros)
    }

    /// Microseconds since [`Time::ZERO`].
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, after: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX)))
    }
}
