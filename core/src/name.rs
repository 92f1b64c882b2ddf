//! The names of counters.

use std::fmt;

use bytes::Bytes;

/// Longest name, in bytes: what a path segment, a Redis key and a log line all take with ease, and
/// so short that a table of millions of them has a known size.
pub const NAME_BYTES_MAX: usize = 255;

/// A counter's name: UTF-8, 1 to 255 bytes, no control characters.
///
/// It may be a slice of the bytes in which a request arrived, so naming a counter allocates
/// nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterName(Bytes);

/// Why bytes are not a counter's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes at all.
    #[error("expected a counter name of 1 to {NAME_BYTES_MAX} bytes, found none")]
    Empty,
    /// Too many bytes.
    #[error("expected a counter name of 1 to {NAME_BYTES_MAX} bytes, found {0}")]
    TooLong(usize),
    /// Not text.
    #[error("expected a counter name in UTF-8, found other bytes at offset {0}")]
    NotUtf8(usize),
    /// A control character (Unicode category Cc).
    #[error("expected a counter name without control characters, found U+{:04X}", *.0 as u32)]
    Control(char),
}

impl CounterName {
    /// The counter of the calls that name none.
    pub const DEFAULT: CounterName = CounterName(Bytes::from_static(b"default"));

    /// Takes bytes as a name.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, NameError> {
        let bytes = bytes.into();
        if !is_plain(&bytes) {
            let text =
                std::str::from_utf8(&bytes).map_err(|e| NameError::NotUtf8(e.valid_up_to()))?;
            check(text)?;
        }
        Ok(CounterName(bytes))
    }

    /// A copy of a name that stands in the table, and so was checked when it came.
    pub(crate) fn known(name: &str) -> Self {
        CounterName(Bytes::copy_from_slice(name.as_bytes()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // `new` is the only way in and has checked it; a second check costs less than `unsafe`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Whether this is a name of printable ASCII, as nearly all are: told without decoding it, several
/// bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    (1..=NAME_BYTES_MAX).contains(&bytes.len())
        && bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Whether a text can be a counter's name.
///
/// # Errors
/// See [`NameError`].
pub fn check(text: &str) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        1..=NAME_BYTES_MAX => match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(NameError::Control(control)),
            None => Ok(()),
        },
        more => Err(NameError::TooLong(more)),
    }
}

impl fmt::Display for CounterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CounterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_of_bounded_length_without_control_characters() {
        assert_eq!(CounterName::new("päge:views/1").unwrap().as_str(), "päge:views/1");
        assert!(CounterName::new("x".repeat(255)).is_ok());
        assert_eq!(CounterName::new(""), Err(NameError::Empty));
        assert_eq!(CounterName::new("x".repeat(256)), Err(NameError::TooLong(256)));
        assert_eq!(CounterName::new("a\nb"), Err(NameError::Control('\n')));
        assert_eq!(CounterName::new("a\x7f"), Err(NameError::Control('\x7f')));
        assert_eq!(CounterName::new("a\u{85}"), Err(NameError::Control('\u{85}')));
        assert_eq!(CounterName::new(&b"a\xff"[..]), Err(NameError::NotUtf8(1)));
    }
}
