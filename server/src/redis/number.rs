//! Integers as Redis reads them: one spelling for each number, so that what is written back is what
//! was read. No sign of plus, no leading zero, no blank, and nothing beyond 64 bits.

/// Reads a whole text as an integer.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    match text {
        b"0" => Some(0),
        [b'-', digits @ ..] => 0_i64.checked_sub_unsigned(magnitude(digits)?),
        digits => 0_i64.checked_add_unsigned(magnitude(digits)?),
    }
}

/// Digits that do not begin with a zero.
fn magnitude(digits: &[u8]) -> Option<u64> {
    let [b'1'..=b'9', ..] = digits else { return None };
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for number in [0, 1, -1, 9, 10, -10, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "1e3",
            "-+1",
            "/",
            ":",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999999999",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
