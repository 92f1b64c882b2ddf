//! Waiting for a condition, and saying how long it took.
//!
//! A program that sleeps "long enough" is slow on every machine and too quick on some. Conditions
//! are polled instead, each with a deadline, and the time that one took is part of what is shown.

use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::interrupt;

/// How long a poll rests. A look at every node costs about as much.
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// Polls until the condition holds, and returns how long that was. At the deadline it fails with
/// what `unmet` says then. It looks once at least.
pub(crate) fn within(
    limit: Duration,
    mut condition: impl FnMut() -> bool,
    unmet: impl FnOnce() -> String,
) -> Result<Duration, Failure> {
    let mut interrupted = None;
    let took = poll(limit, || {
        interrupted = interrupt::caught();
        interrupted.is_some() || condition()
    });
    match (interrupted, took) {
        (Some(signal), _) => Err(Failure::Interrupted(signal)),
        (None, Some(took)) => Ok(took),
        (None, None) => Err(Failure::NotAsDescribed(unmet())),
    }
}

/// The same for what must be finished though a signal came; `None` at the deadline.
pub(crate) fn poll(limit: Duration, mut condition: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    loop {
        if condition() {
            return Some(start.elapsed());
        }
        if start.elapsed() >= limit {
            return None;
        }
        thread::sleep(POLL_PAUSE);
    }
}

/// Watches for so long, and returns how often it looked. Fails as soon as the condition does not
/// hold: that something does not happen can only be seen by watching.
pub(crate) fn throughout(
    limit: Duration,
    mut condition: impl FnMut() -> bool,
    unmet: impl FnOnce() -> String,
) -> Result<u32, Failure> {
    let start = Instant::now();
    let mut looks = 0;
    while looks == 0 || start.elapsed() < limit {
        if let Some(signal) = interrupt::caught() {
            return Err(Failure::Interrupted(signal));
        }
        if !condition() {
            return Err(Failure::NotAsDescribed(unmet()));
        }
        looks += 1;
        thread::sleep(POLL_PAUSE);
    }
    Ok(looks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_looked_at_until_it_holds() {
        let mut looks = 0;
        let third = || {
            looks += 1;
            looks == 3
        };
        let took = within(Duration::from_secs(60), third, || unreachable!("it holds")).unwrap();
        assert_eq!(looks, 3);
        assert!(took >= POLL_PAUSE * 2, "{took:?}");
    }

    #[test]
    fn a_deadline_ends_the_wait_with_what_is_seen_then() {
        let limit = POLL_PAUSE * 3;
        let (start, mut looks) = (Instant::now(), 0);
        let never = || {
            looks += 1;
            false
        };
        let failure = within(limit, never, || "expected an end".to_owned()).unwrap_err();
        assert_eq!(failure.to_string(), "  FAILED: expected an end");
        assert!(start.elapsed() >= limit);
        assert!((1..=4).contains(&looks), "{looks} looks at {POLL_PAUSE:?} in {limit:?}");
    }

    #[test]
    fn a_deadline_that_is_over_allows_one_look() {
        let mut looks = 0;
        let first = || {
            looks += 1;
            false
        };
        within(Duration::ZERO, first, String::new).unwrap_err();
        assert_eq!(looks, 1);
    }

    #[test]
    fn a_watch_lasts_to_its_end() {
        let limit = POLL_PAUSE * 3;
        let start = Instant::now();
        let looks = throughout(limit, || true, || unreachable!("it holds")).unwrap();
        assert!(start.elapsed() >= limit);
        assert!((1..=4).contains(&looks), "{looks} looks at {POLL_PAUSE:?} in {limit:?}");
    }

    #[test]
    fn a_watch_ends_when_the_condition_does() {
        let mut looks = 0;
        let twice = || {
            looks += 1;
            looks < 3
        };
        let failure =
            throughout(Duration::from_secs(60), twice, || "it ended".to_owned()).unwrap_err();
        assert_eq!((failure.to_string().as_str(), looks), ("  FAILED: it ended", 3));
    }
}
