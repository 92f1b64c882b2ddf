//! What is typed behind flags: numbers, times and addresses of nodes, each refused with what was
//! expected and what was found, and not in the words of a parser.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use quipu_core::name::{CounterName, NameError};

/// Reads a whole number within a range.
pub(crate) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: TryFrom<i128> + Into<i128> + Copy + Display,
{
    move |text| {
        let (least, most) = (*range.start(), *range.end());
        // Rust takes a plus as well.
        let number = Some(text).filter(|text| !text.starts_with('+'));
        number
            .and_then(|number| number.parse::<i128>().ok())
            .filter(|number| (least.into()..=most.into()).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                format!("expected a whole number from {least} to {most}, found {text:?}")
            })
    }
}

/// Reads a whole number without an end.
pub(crate) fn one_or_more(text: &str) -> Result<u64, String> {
    whole(1..=u64::MAX)(text)
        .map_err(|_| format!("expected a whole number of 1 or more, found {text:?}"))
}

/// Reads a port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    whole(1..=u16::MAX)(text)
        .map_err(|_| format!("expected a port from 1 to 65535, found {text:?}"))
}

/// Reads a counter's name.
pub(crate) fn counter(name: &str) -> Result<String, NameError> {
    CounterName::new(name.to_owned()).map(|name| name.as_str().to_owned())
}

/// Reads where a directory is.
pub(crate) fn directory(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err(format!("expected a directory, found {text:?}")),
        _ => Ok(text.into()),
    }
}

/// Reads an address of Redis clients' side.
pub(crate) fn redis(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("expected an IP address and a port, like 127.0.0.1:6380, found {text:?}")
    })
}

/// Reads a time like `250ms` or `1.5s`.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let (number, unit_s) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    seconds(number).map(|number| number * unit_s).and_then(|s| Duration::try_from_secs_f64(s).ok())
}

/// Reads a time within a range, or a number of seconds, as it was written before it had a unit.
pub(crate) fn time_within(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let plain = || seconds(text).and_then(|s| Duration::try_from_secs_f64(s).ok());
        time(text).or_else(plain).filter(|time| range.contains(time)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            format!("expected {least:?} to {most:?}, like 500ms or 2s, found {text:?}")
        })
    }
}

/// Digits, and a point among them perhaps: Rust takes signs, exponents and words as well.
fn seconds(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_plain { text.parse().ok() } else { None }
}

/// What of a text names the node: a URL is what people copy from a browser. The port that is meant
/// where none is given is not a URL's 80 but the default one, as behind every `--node`.
pub(crate) fn node(text: &str) -> Result<&str, String> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text) };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let is_bare = !host.is_empty() && !host.contains(['/', '?', '#', '@']);
    if scheme.eq_ignore_ascii_case("http") && is_bare {
        Ok(host)
    } else {
        Err(format!("expected a node as HOST[:PORT] or http://HOST[:PORT], found {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_no_sign_and_may_have_a_point() {
        for (text, ms) in [("250ms", 250), ("2s", 2000), ("1.5s", 1500), ("0s", 0), (".5s", 500)] {
            assert_eq!(time(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "ms", "1", "-1s", "+1s", "1e3s", "infs", "nans", "1.2.3s", "1 s", "."]
        {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_within_a_range_may_be_a_number_of_seconds() {
        let every = time_within(Duration::from_millis(100)..=Duration::from_secs(60));
        assert_eq!(every("0.5"), every("500ms"));
        assert_eq!(every("60"), Ok(Duration::from_secs(60)));
        for text in ["0.05", "99ms", "61", "61s", "1m", ""] {
            let error = every(text).unwrap_err();
            assert_eq!(error, format!("expected 100ms to 60s, like 500ms or 2s, found {text:?}"));
        }
    }

    #[test]
    fn a_whole_number_is_of_its_range() {
        assert_eq!(whole(1..=1024_u16)("7"), Ok(7));
        assert_eq!(whole(i64::MIN..=i64::MAX)("-9223372036854775808"), Ok(i64::MIN));
        for text in ["", "0", "1025", "+7", "7.0", "x", "-1"] {
            let error = whole(1..=1024_u16)(text).unwrap_err();
            assert_eq!(error, format!("expected a whole number from 1 to 1024, found {text:?}"));
        }
    }
}
