//! Settings of this front end that `CONFIG SET` changes while the node runs. Each start begins with
//! those of Redis.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// How long a connection is silent before the system asks the other side whether it is still
/// there. As Redis has it.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(300);

/// Most entries of the slow log: of 5 KB each at worst, 5 MB.
pub(super) const SLOW_LOG_MAX: usize = 1024;

/// See the file.
#[derive(Debug)]
pub(super) struct Settings {
    slower_than_us: AtomicI64,
    /// See [`Settings::slow_us`].
    slow_us: AtomicU64,
    slow_log_entries: AtomicUsize,
    spike_ms: AtomicU64,
    notified: AtomicU16,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            slower_than_us: AtomicI64::new(10_000),
            slow_us: AtomicU64::new(10_000),
            slow_log_entries: AtomicUsize::new(128),
            spike_ms: AtomicU64::new(0),
            notified: AtomicU16::new(0),
        }
    }
}

impl Settings {
    /// `slowlog-log-slower-than`: commands that take so long are logged; none if it is below 0.
    pub(super) fn slower_than_us(&self) -> i64 {
        self.slower_than_us.load(Relaxed)
    }

    pub(super) fn set_slower_than_us(&self, us: i64) {
        self.slower_than_us.store(us, Relaxed);
        self.set_slow_us();
    }

    /// `slowlog-max-len`: how many are kept.
    pub(super) fn slow_log_entries(&self) -> usize {
        self.slow_log_entries.load(Relaxed)
    }

    pub(super) fn set_slow_log_entries(&self, entries: usize) {
        self.slow_log_entries.store(entries.min(SLOW_LOG_MAX), Relaxed);
    }

    /// `latency-monitor-threshold`: what takes so long is noted; nothing if it is 0.
    pub(super) fn spike_ms(&self) -> u64 {
        self.spike_ms.load(Relaxed)
    }

    pub(super) fn set_spike_ms(&self, ms: u64) {
        self.spike_ms.store(ms, Relaxed);
        self.set_slow_us();
    }

    /// What takes so many microseconds is logged or noted, which is asked at every read: never, if there
    /// are as many as there can be.
    pub(super) fn slow_us(&self) -> u64 {
        self.slow_us.load(Relaxed)
    }

    fn set_slow_us(&self) {
        let logged = u64::try_from(self.slower_than_us()).unwrap_or(u64::MAX);
        let noted = Some(self.spike_ms()).filter(|ms| *ms > 0);
        let noted = noted.map_or(u64::MAX, |ms| ms.saturating_mul(1000));
        self.slow_us.store(logged.min(noted), Relaxed);
    }

    /// `notify-keyspace-events`
    pub(super) fn notified(&self) -> Classes {
        Classes(self.notified.load(Relaxed))
    }

    pub(super) fn set_notified(&self, Classes(classes): Classes) {
        self.notified.store(classes, Relaxed);
    }
}

/// Classes of keyspace events, a bit for each letter, and the two forms in which they are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes(u16);

/// The classes that `A` stands for, in the order in which Redis tells them.
const ALL: &[u8] = b"g$lshzxetd";

/// All letters, each at the place of its bit.
const LETTERS: &[u8] = b"g$lshzxetdnKEm";

impl Classes {
    /// `None` if there is a letter that Redis does not know.
    pub(super) fn parse(text: &[u8]) -> Option<Classes> {
        let bits = |letters: &[u8]| -> Option<u16> {
            letters.iter().try_fold(0, |bits, letter| {
                let at = LETTERS.iter().position(|known| known == letter)?;
                Some(bits | 1 << at)
            })
        };
        let all = if text.contains(&b'A') { bits(ALL)? } else { 0 };
        let rest: Vec<u8> = text.iter().copied().filter(|letter| *letter != b'A').collect();
        Some(Classes(bits(&rest)? | all))
    }

    /// Whether any of what is told here is asked for.
    pub(super) fn tell_of_ends(self) -> bool {
        let any = |letters: &[u8]| letters.iter().any(|letter| self.has(*letter));
        any(b"KE") && any(b"gx")
    }

    /// Whether this letter is among them.
    pub(super) fn has(self, letter: u8) -> bool {
        LETTERS.iter().position(|known| *known == letter).is_some_and(|at| self.0 & 1 << at != 0)
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_all = ALL.iter().all(|letter| self.has(*letter));
        if has_all {
            f.write_str("A")?;
        }
        let told = |letter: &&u8| self.has(**letter) && !(has_all && ALL.contains(letter));
        // Redis leaves `n` out behind an `A`.
        let told = LETTERS.iter().filter(told).filter(|letter| !(has_all && **letter == b'n'));
        told.map(|letter| char::from(*letter)).try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_events_are_told_as_redis_tells_them() {
        for (text, told) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Ex", "xE"),
            ("xE", "xE"),
            ("g$lshzxetdK", "AK"),
            ("AKEnm", "AKEm"),
            ("nKg", "gnK"),
            ("K", "K"),
        ] {
            let classes = Classes::parse(text.as_bytes()).expect(text);
            assert_eq!(classes.to_string(), told, "{text}");
        }
        assert_eq!(Classes::parse(b"Kq"), None);
        assert_eq!(Classes::parse(b"K "), None);
        assert!(Classes::parse(b"A").unwrap().has(b'x'));
        assert!(!Classes::parse(b"A").unwrap().has(b'E'));
        for (text, tell) in [("Kx", true), ("AE", true), ("x", false), ("K$", false), ("", false)] {
            assert_eq!(Classes::parse(text.as_bytes()).unwrap().tell_of_ends(), tell, "{text}");
        }
    }

    #[test]
    fn what_is_slow_is_what_is_logged_or_noted() {
        let settings = Settings::default();
        assert_eq!(settings.slow_us(), 10_000);
        settings.set_spike_ms(3);
        assert_eq!(settings.slow_us(), 3_000);
        settings.set_slower_than_us(0);
        assert_eq!(settings.slow_us(), 0);
        settings.set_slower_than_us(-1);
        assert_eq!(settings.slow_us(), 3_000);
        settings.set_spike_ms(0);
        assert_eq!(settings.slow_us(), u64::MAX);
    }

    #[test]
    fn the_slow_log_keeps_to_its_bound() {
        let settings = Settings::default();
        settings.set_slow_log_entries(usize::MAX);
        assert_eq!(settings.slow_log_entries(), SLOW_LOG_MAX);
    }
}
