//! A counter's value as it is written, and parts of that.

use quipu_core::operation::Outcome;

use super::reply;

/// The part of the value from one place to another, both included; those below 0 count from the end.
pub(super) fn write_range(out: &mut Vec<u8>, outcome: &Outcome, start: i8, end: i8) {
    let mut digits = itoa::Buffer::new();
    let text = text(outcome, &mut digits);
    let length = text.len() as i64;
    let from_start = |place: i8| match i64::from(place) {
        place @ ..0 => length + place,
        place => place,
    };
    let first = from_start(start).max(0);
    let behind = (from_start(end).max(0) + 1).min(length);
    // Of two that count from the end the first must come first, also where both lie before the start.
    let is_empty = first >= behind || (start < 0 && end < 0 && start > end);
    reply::bulk(out, if is_empty { b"" } else { &text[first as usize..behind as usize] });
}

/// A bit of the value, the highest of each character first; 0 behind its end.
pub(super) fn write_bit(out: &mut Vec<u8>, outcome: &Outcome, offset: u8) {
    let mut digits = itoa::Buffer::new();
    let byte = text(outcome, &mut digits).get(usize::from(offset / 8)).copied();
    reply::integer(out, i64::from(byte.unwrap_or(0) >> (7 - offset % 8) & 1));
}

/// The value as it is written; nothing of a counter that does not exist.
fn text<'a>(outcome: &Outcome, digits: &'a mut itoa::Buffer) -> &'a [u8] {
    if outcome.exists { digits.format(outcome.value.clamped()).as_bytes() } else { b"" }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use quipu_core::operation::Value;

    use super::*;

    fn outcome(value: i128) -> Outcome {
        let until: Option<NonZeroU64> = None;
        Outcome { value: Value(value), exists: true, until, ..Outcome::MISSING }
    }

    fn range(outcome: &Outcome, start: i8, end: i8) -> String {
        let mut out = Vec::new();
        write_range(&mut out, outcome, start, end);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_range_counts_from_either_end() {
        let value = outcome(-1234);
        for (start, end, expected) in [
            (0, 2, "$3\r\n-12\r\n"),
            (0, -1, "$5\r\n-1234\r\n"),
            (-3, -1, "$3\r\n234\r\n"),
            (5, 3, "$0\r\n\r\n"),
            (4, i8::MAX, "$1\r\n4\r\n"),
            (i8::MIN, i8::MAX, "$5\r\n-1234\r\n"),
            (-100, -120, "$0\r\n\r\n"),
            (-120, -100, "$1\r\n-\r\n"),
        ] {
            assert_eq!(range(&value, start, end), expected, "{start} {end}");
        }
        assert_eq!(range(&Outcome::MISSING, 0, -1), "$0\r\n\r\n");
    }

    #[test]
    fn a_bit_is_that_of_the_digits() {
        let bits = |outcome: &Outcome| -> String {
            let bit = |offset| {
                let mut out = Vec::new();
                write_bit(&mut out, outcome, offset);
                char::from(out[1])
            };
            (0..16).map(bit).collect()
        };
        assert_eq!(bits(&outcome(12)), "0011000100110010");
        assert_eq!(bits(&outcome(1)), "0011000100000000");
        assert_eq!(bits(&Outcome::MISSING), "0".repeat(16));
    }
}
