//! Waiting for a condition, never for a time; and telling of what was seen.

use std::fmt::Debug;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// Rest between two looks at a condition: what is looked at is another process, which wakes no
/// test.
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

/// Says something to the developer who runs the tests, though the test passes: test runners keep
/// back what a passing test prints, but not what it writes to standard error by itself.
pub fn say_loudly(what: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    // Where it is not read, it is said in vain.
    let _ = writeln!(std::io::stderr(), "{name}: {what}");
}
