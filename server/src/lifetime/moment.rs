//! A moment as text (RFC 3339), and as milliseconds since 1970.
//!
//! Days are counted from March on, so that the leap day is a year's last (Howard Hinnant,
//! "chrono-compatible low-level date algorithms", 2013). Rejected: a crate of calendars, for one
//! format.

const DAY_MS: i64 = 86_400_000;

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_468;

/// Days of 400 years, after which the calendar begins anew.
const ERA_DAYS: i64 = 146_097;

/// The end of the year 9999, beyond which the format does not go.
const END_MS: u64 = 253_402_300_800_000;

/// In UTC, with milliseconds where it has some; `None` beyond the year 9999.
pub(crate) fn text(ms: u64) -> Option<String> {
    let ms = i64::try_from(ms).ok().filter(|_| ms < END_MS)?;
    let (year, month, day) = date(ms / DAY_MS);
    let (seconds, fraction) = (ms % DAY_MS / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Reads one; 0 for what was before 1970, which is over as well. What is finer than a millisecond is
/// cut off.
pub(crate) fn read(text: &str) -> Result<u64, String> {
    parsed(text).ok_or_else(|| {
        let found: String = text.chars().take(40).collect();
        format!("expected a time like 2026-12-01T00:00:00Z (RFC 3339), found {found:?}")
    })
}

/// The text of one, if [`read`] can read it: of flags, whose text a node is told.
pub(crate) fn checked(text: &str) -> Result<String, String> {
    read(text).map(|_| text.to_owned())
}

fn parsed(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, "-", [4, 2, 2])?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [hour, minute, second] = numbers(time, ":", [2, 2, 2])?;
    let (fraction_ms, rest) = fraction(rest)?;
    let offset_minutes = offset(rest)?;
    let is_date = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    // A leap second is the last one of its minute.
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    let ms = (minutes * 60 + second) * 1000 + fraction_ms;
    Some(u64::try_from(ms).unwrap_or(0))
}

/// So many digits each, with this between them.
fn numbers<const N: usize>(text: &str, between: &str, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        *number = parts.next().filter(|part| part.len() == digits).and_then(whole)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Rust takes a sign as well.
fn whole(digits: &str) -> Option<i64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain)
}

/// Milliseconds, and what stands behind them.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    let padded = format!("{digits}00");
    if digits.is_empty() { None } else { Some((whole(padded.get(..3)?)?, rest)) }
}

/// By how many minutes the clock is ahead of UTC.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'Z' | b'z' => return (text.len() == 1).then_some(0),
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let [hours, minutes] = numbers(rest, ":", [2, 2])?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - DAYS_BEFORE_1970
}

/// Year, month and day of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_told() {
        // As `date --utc --date @…` has them.
        for (ms, told) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_796_083_200_000, "2026-12-01T00:00:00Z"),
            (4_107_542_400_001, "2100-03-01T00:00:00.001Z"),
            (END_MS - 1, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(ms).as_deref(), Some(told));
            assert_eq!(read(told), Ok(ms), "{told}");
        }
        assert_eq!(text(END_MS), None);
        // Every day of 800 years.
        for day in 0..292_000 {
            let ms = day * 86_400_000;
            assert_eq!(read(&text(ms).unwrap()), Ok(ms));
        }
    }

    #[test]
    fn an_offset_a_fraction_and_small_letters_are_understood() {
        for (told, ms) in [
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31T19:00:00-05:00", 0),
            ("1970-01-01t00:00:00.5z", 500),
            ("1970-01-01 00:00:00.0019Z", 1),
            ("1970-01-01T00:00:60Z", 60_000),
            ("1969-01-01T00:00:00Z", 0),
            ("0000-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(read(told), Ok(ms), "{told}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for told in [
            "",
            "now",
            "2026-12-01",
            "2026-12-01T00:00:00",
            "2026-12-01T00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T00:60:00Z",
            "2026-12-01T00:00:61Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00+1:00",
            "2026-12-01T00:00:00+24:00",
            "+026-12-01T00:00:00Z",
            "2026-12-01T00:00:00Z ",
            "2026-12-01T00:00:00ZZ",
            "20260-12-01T00:00:00Z",
            "2026-12-0ä",
            "1796083200000",
        ] {
            let error = read(told).unwrap_err();
            assert!(error.ends_with(&format!("found {told:?}")), "{error}");
        }
    }
}
