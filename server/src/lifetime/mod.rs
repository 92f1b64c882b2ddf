//! How long a counter lives, as clients and operators write it: `500ms`, `60s`, `5m`, `2h`, `7d`; and
//! `moment` for when it ends.

pub(crate) mod moment;

/// The units, the longest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest that can be asked for, a hundred years: a longer one is a slip, and never the better
/// word for "for ever".
const MS_MAX: u64 = 36_500 * 86_400_000;

/// Reads how long a counter is to live, in milliseconds: a whole number and a unit.
pub(crate) fn read(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
    let ms = number.parse::<u64>().ok().zip(unit_ms);
    let ms = ms.and_then(|(number, unit_ms)| number.checked_mul(unit_ms));
    ms.filter(|ms| (1..=MS_MAX).contains(ms)).ok_or_else(|| {
        let found: String = text.chars().take(32).collect();
        format!(
            "expected a time from 1ms to 36500d, like 500ms, 60s, 5m, 2h or 7d, found {found:?}"
        )
    })
}

/// The text of one, if [`read`] can read it: of flags, whose text a node is told.
pub(crate) fn checked(text: &str) -> Result<String, String> {
    read(text).map(|_| text.to_owned())
}

/// What is left of a lifetime, for people: its two largest units, of seconds that have begun.
pub(crate) fn left(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let mut rest = ms.div_ceil(1000).saturating_mul(1000);
    let first = UNITS.iter().position(|(_, unit_ms)| rest >= *unit_ms).unwrap_or(0);
    let mut text = String::new();
    // No milliseconds behind seconds.
    for (name, unit_ms) in UNITS[first..].iter().filter(|(name, _)| *name != "ms").take(2) {
        let number = rest / unit_ms;
        rest %= unit_ms;
        if number > 0 {
            text.push_str(&format!("{number}{name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_whole_number_with_a_unit() {
        for (text, ms) in [
            ("1ms", 1),
            ("500ms", 500),
            ("60s", 60_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("007s", 7_000),
            ("36500d", MS_MAX),
        ] {
            assert_eq!(read(text), Ok(ms), "{text}");
        }
        for text in [
            "",
            "s",
            "60",
            "0s",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            "1S",
            "1w",
            "1sec",
            "36501d",
            "1e3s",
            "99999999999999999999s",
            "18446744073709551615d",
            "60s ",
            "ä",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with("expected a time from 1ms to 36500d, like 500ms, 60s"));
            assert!(error.ends_with(&format!("found {text:?}")), "{error}");
        }
    }

    #[test]
    fn what_is_left_is_told_in_its_two_largest_units() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_001, "2s"),
            (59_001, "1m"),
            (299_000, "4m59s"),
            (299_001, "5m"),
            (3_600_000, "1h"),
            (7_199_000, "1h59m"),
            (604_799_000, "6d23h"),
            (86_400_000 + 59_000, "1d"),
        ] {
            assert_eq!(left(ms), text);
        }
    }
}
