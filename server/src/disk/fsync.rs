//! `--fsync`: when what was counted is made safe.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use quipu_core::storage::writer;

use crate::words::time;

/// When the journal is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fsync {
    /// Before anything is acknowledged or sent: a power cut takes back nothing that anyone saw.
    Always,
    /// Every so often: a power cut takes back what was counted since, a crash of the process
    /// nothing.
    Every(Duration),
    /// When a segment or a snapshot ends: the system writes when it likes.
    Never,
}

impl From<Fsync> for writer::Fsync {
    fn from(fsync: Fsync) -> Self {
        match fsync {
            Fsync::Always => writer::Fsync::Always,
            Fsync::Every(every) => writer::Fsync::Every(every),
            Fsync::Never => writer::Fsync::Never,
        }
    }
}

/// The shortest and the longest interval that make sense: below, `always` costs less; above, it is
/// `never`.
const EVERY_MIN: Duration = Duration::from_millis(1);
const EVERY_MAX: Duration = Duration::from_secs(3600);

const EXPECTED: &str = "expected always, never, or every: and an interval from 1ms to 3600s, \
                        like every:1s or every:200ms";

impl FromStr for Fsync {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Fsync::Always),
            "never" => Ok(Fsync::Never),
            _ => text
                .strip_prefix("every:")
                .and_then(time)
                .filter(|every| (EVERY_MIN..=EVERY_MAX).contains(every))
                .map(Fsync::Every)
                .ok_or(EXPECTED),
        }
    }
}

impl fmt::Display for Fsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fsync::Always => f.write_str("always"),
            Fsync::Every(every) if every.subsec_nanos() == 0 => {
                write!(f, "every:{}s", every.as_secs())
            }
            Fsync::Every(every) => write!(f, "every:{}ms", every.as_millis()),
            Fsync::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_as_it_is_written() {
        for text in ["always", "never", "every:1s", "every:250ms"] {
            assert_eq!(text.parse::<Fsync>().unwrap().to_string(), text);
        }
        assert_eq!("every:2000ms".parse(), Ok(Fsync::Every(Duration::from_secs(2))));
    }

    #[test]
    fn what_is_no_mode_is_refused_with_an_example() {
        for text in [
            "",
            "Always",
            "every",
            "every:",
            "every:1",
            "every:0s",
            "every:2h",
            "every:-1s",
            "every:+1s",
        ] {
            assert_eq!(text.parse::<Fsync>(), Err(EXPECTED), "{text}");
        }
    }
}
