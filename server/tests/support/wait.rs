//! Waiting for a condition, never for a time.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Rest between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until what is seen is as wanted, and returns it.
///
/// # Panics
/// When `within` is over, with what it saw last.
#[track_caller]
pub fn wait_until<T: Debug>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}; last seen: {seen:?}");
        thread::sleep(PAUSE);
    }
}
