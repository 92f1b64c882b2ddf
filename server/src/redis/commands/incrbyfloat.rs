//! `INCRBYFLOAT name by`, where `by` is a whole number however it is spelled: `5`, `5.0`, `0.5e1`. Many
//! clients send it for every number that their language does not call an integer. A fraction is refused.

use super::get;
use super::refused::{self, Reason};
use crate::redis::plan::Slot;
use crate::redis::spec::{Call, Class, Next, Spec};
use quipu_core::operation::Op;

pub(in crate::redis) const SPEC: Spec =
    Spec::new("incrbyfloat", Class::Write, 3, run, "Adds a whole number to a counter").keys(1, 1);

const NOT_A_FLOAT: &str = "ERR value is not a valid float";
const INFINITE: &str = "ERR increment would produce NaN or Infinity";
const OVERFLOW: &str = "ERR increment or decrement would overflow";

/// Longest number that is looked at: as long as Redis reads it.
const NUMBER_BYTES_MAX: usize = 5 * 1024;

/// Zeros behind the digits of a number that is still within 64 bits.
const SCALE_MAX: i64 = 19;

fn run(call: &mut Call<'_>) -> Next {
    let by = match whole(call.command.argument(2)) {
        Ok(by) => by,
        Err(Odd::NotANumber) => return call.fail(NOT_A_FLOAT),
        Err(Odd::Infinite) => return call.fail(INFINITE),
        Err(Odd::TooLarge) => return call.fail(OVERFLOW),
        Err(Odd::Fraction) => {
            return call.fail(refused::text(&call.command, Reason::NotAnInteger));
        }
    };
    let add = call.name(1).map(|name| Op::Add { name, by });
    if call.operate([add]) {
        call.plan.slot(Slot::Read(call.session.protocol, get::write));
    }
    Next::Go
}

/// Why a text is not a number that can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    NotANumber,
    Infinite,
    TooLarge,
    Fraction,
}

/// Reads a decimal number with or without a point and an exponent, as C does.
fn whole(text: &[u8]) -> Result<i64, Odd> {
    if text.len() > NUMBER_BYTES_MAX {
        return Err(Odd::NotANumber);
    }
    let (is_negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if ["inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word.as_bytes())) {
        return Err(Odd::Infinite);
    }
    let (before, rest) = digits(unsigned);
    let (behind, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        rest => (&rest[..0], rest),
    };
    if before.is_empty() && behind.is_empty() {
        return Err(Odd::NotANumber);
    }
    let exponent = exponent(rest).ok_or(Odd::NotANumber)?;
    let all: Vec<u8> = [before, behind].concat();
    let last = all.iter().rposition(|digit| *digit != b'0');
    let Some(last) = last else { return Ok(0) };
    // The number is `significant` with so many zeros behind it, or with a fraction if that is below 0.
    let significant = &all[..=last];
    let cut = (all.len() - significant.len()) as i64;
    let zeros = exponent.saturating_add(cut).saturating_sub(behind.len() as i64);
    if zeros < 0 {
        return Err(Odd::Fraction);
    }
    if zeros > SCALE_MAX {
        return Err(Odd::TooLarge);
    }
    let zeros = std::iter::repeat_n(&b'0', zeros as usize);
    let number = significant.iter().chain(zeros).try_fold(0_i128, |number, digit| {
        let number = 10 * number + i128::from(digit - b'0');
        (number <= 1 << 64).then_some(number)
    });
    let number = number.ok_or(Odd::TooLarge)?;
    i64::try_from(if is_negative { -number } else { number }).map_err(|_| Odd::TooLarge)
}

/// The digits that a text begins with, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// `e`, a sign and digits; nothing is 0.
fn exponent(text: &[u8]) -> Option<i64> {
    let [b'e' | b'E', rest @ ..] = text else { return text.is_empty().then_some(0) };
    let (sign, rest) = match rest {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let (found, rest) = digits(rest);
    if found.is_empty() || !rest.is_empty() {
        return None;
    }
    let append =
        |number: i64, digit: &u8| number.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    Some(sign * found.iter().fold(0, append))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_read_however_it_is_spelled() {
        for (text, number) in [
            ("1", 1),
            ("+1", 1),
            ("-1", -1),
            ("1.0", 1),
            ("1.", 1),
            (".0", 0),
            ("-0.000", 0),
            ("0e99999999999999999999", 0),
            ("001", 1),
            ("1e2", 100),
            ("1.5e1", 15),
            ("100e-2", 1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808.0", i64::MIN),
            ("0.00000000000000000001e20", 1),
            ("17179869184", 17_179_869_184),
        ] {
            assert_eq!(whole(text.as_bytes()), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_apart() {
        for (text, odd) in [
            ("", Odd::NotANumber),
            (".", Odd::NotANumber),
            ("-", Odd::NotANumber),
            (" 1", Odd::NotANumber),
            ("1 ", Odd::NotANumber),
            ("1e", Odd::NotANumber),
            ("1e+", Odd::NotANumber),
            ("1x", Odd::NotANumber),
            ("nan", Odd::NotANumber),
            ("--1", Odd::NotANumber),
            ("inf", Odd::Infinite),
            ("-Infinity", Odd::Infinite),
            ("+INF", Odd::Infinite),
            ("1.5", Odd::Fraction),
            ("1e-1", Odd::Fraction),
            ("1e-99999999999999999999", Odd::Fraction),
            ("9223372036854775808", Odd::TooLarge),
            ("-9223372036854775809", Odd::TooLarge),
            ("1e19", Odd::TooLarge),
            ("1e99999999999999999999", Odd::TooLarge),
            ("99999999999999999999999999999999999999999999", Odd::TooLarge),
        ] {
            assert_eq!(whole(text.as_bytes()), Err(odd), "{text}");
        }
        assert_eq!(whole("1".repeat(NUMBER_BYTES_MAX + 1).as_bytes()), Err(Odd::NotANumber));
    }
}
