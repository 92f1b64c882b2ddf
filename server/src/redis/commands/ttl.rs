//! `TTL name` and its like: how long a counter will live, or until when; -1 for ever, -2 if there is none.

use quipu_core::operation::Outcome;

use crate::os::wall_clock::wall_clock_ms;
use crate::redis::plan::Write;
use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    spec("ttl", |call| call.read(write_seconds), "Tells for how many seconds a counter will live");
pub(in crate::redis) const PTTL: Spec =
    spec("pttl", |call| call.read(LEFT_MS), "Tells for how many milliseconds a counter will live");
pub(in crate::redis) const EXPIRETIME: Spec = spec(
    "expiretime",
    |call| call.read(UNTIL_SECONDS),
    "Tells when a counter expires, in seconds since 1970",
);
pub(in crate::redis) const PEXPIRETIME: Spec = spec(
    "pexpiretime",
    |call| call.read(UNTIL_MS),
    "Tells when a counter expires, in milliseconds since 1970",
);

const fn spec(name: &'static str, run: fn(&mut Call<'_>) -> Next, summary: &'static str) -> Spec {
    Spec::new(name, Class::Read, 2, run, summary).keys(1, 1)
}

/// What `TTL` answers.
pub(in crate::redis) fn write_seconds(out: &mut Vec<u8>, _: Protocol, outcome: &Outcome) {
    write(out, outcome, |until| seconds(left_ms(until)));
}

const LEFT_MS: Write = |out, _, outcome| write(out, outcome, left_ms);
const UNTIL_SECONDS: Write = |out, _, outcome| write(out, outcome, seconds);
const UNTIL_MS: Write = |out, _, outcome| write(out, outcome, |until| until);

fn write(out: &mut Vec<u8>, outcome: &Outcome, shown: impl Fn(u64) -> u64) {
    let number = match outcome.until {
        _ if !outcome.exists => -2,
        None => -1,
        Some(until) => i64::try_from(shown(until.get())).unwrap_or(i64::MAX),
    };
    reply::integer(out, number);
}

fn left_ms(until: u64) -> u64 {
    until.saturating_sub(wall_clock_ms())
}

/// To the nearest second, as Redis has it.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(write: Write, until: Option<u64>) -> String {
        let mut out = Vec::new();
        write(
            &mut out,
            Protocol::Two,
            &Outcome {
                exists: true,
                until: until.and_then(std::num::NonZeroU64::new),
                ..Outcome::MISSING
            },
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_lives_for_ever_and_what_does_not_exist_are_told_apart() {
        for write in [write_seconds as Write, LEFT_MS, UNTIL_SECONDS, UNTIL_MS] {
            assert_eq!(said(write, None), ":-1\r\n");
            let mut out = Vec::new();
            write(&mut out, Protocol::Two, &Outcome::MISSING);
            assert_eq!(out, b":-2\r\n");
        }
    }

    #[test]
    fn times_are_told_in_their_units_and_seconds_are_rounded() {
        assert_eq!(said(UNTIL_MS, Some(1_499)), ":1499\r\n");
        assert_eq!(said(UNTIL_SECONDS, Some(1_499)), ":1\r\n");
        assert_eq!(said(UNTIL_SECONDS, Some(1_500)), ":2\r\n");
        assert_eq!(said(LEFT_MS, Some(1)), ":0\r\n", "never below nothing");
        let in_a_minute = wall_clock_ms() + 60_400;
        assert_eq!(said(write_seconds, Some(in_a_minute)), ":60\r\n");
    }
}
