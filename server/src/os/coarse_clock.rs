//! A clock that costs a few nanoseconds to read and moves once a tick of the system, some 4 ms: for what
//! is noted at every read of every connection, and told in seconds.

use std::time::Duration;

/// The time since some moment before this process began.
#[cfg(target_os = "linux")]
pub(crate) fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::MonotonicCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// The time since this was asked first.
#[cfg(not(target_os = "linux"))]
pub(crate) fn now() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn it_moves_on_with_the_time_and_is_at_most_a_tick_late() {
        let (began, fine) = (now(), Instant::now());
        while now() == began {
            assert!(fine.elapsed() < Duration::from_secs(5), "it stands still");
        }
        assert!(now() > began);
    }
}
