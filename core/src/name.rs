//! The names of counters.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use bytes::Bytes;

/// Longest name, in bytes: what a path segment, a Redis key and a log line all take with ease, and
/// so short that a table of millions of them has a known size.
pub const NAME_BYTES_MAX: usize = 255;

/// A counter's name: UTF-8, 1 to 255 bytes, no control characters.
///
/// A short one is held in itself, a longer one may be a slice of the bytes in which a request
/// arrived, so naming a counter allocates nothing.
#[derive(Clone)]
pub struct CounterName(Held);

#[derive(Clone)]
enum Held {
    /// The rest is zeros. Counting the holders of a slice would cost more than the copy.
    Short {
        bytes: [u8; SHORT_BYTES_MAX],
        length: u8,
    },
    Long(Bytes),
}

/// Longest name that is held in itself: as much as fits without making the others larger.
const SHORT_BYTES_MAX: usize = 23;

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
    pub const DEFAULT: CounterName = CounterName(Held::Long(Bytes::from_static(b"default")));

    /// Takes bytes as a name.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, NameError> {
        let bytes = bytes.into();
        CounterName::cut(&bytes, 0..bytes.len())
    }

    /// Takes a part of what arrived as a name.
    ///
    /// # Errors
    /// See [`NameError`].
    ///
    /// # Panics
    /// If the range reaches beyond the bytes.
    pub fn cut(arrived: &Bytes, range: Range<usize>) -> Result<Self, NameError> {
        let bytes = &arrived[range.clone()];
        if !is_plain(bytes) {
            let text =
                std::str::from_utf8(bytes).map_err(|e| NameError::NotUtf8(e.valid_up_to()))?;
            check(text)?;
        }
        Ok(CounterName(Held::short(bytes).unwrap_or_else(|| Held::Long(arrived.slice(range)))))
    }

    /// A copy of a name that stands in the table, and so was checked when it came.
    pub(crate) fn known(name: &str) -> Self {
        let bytes = name.as_bytes();
        let long = || Held::Long(Bytes::copy_from_slice(bytes));
        CounterName(Held::short(bytes).unwrap_or_else(long))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // `cut` is the only way in and has checked it; a second check costs less than `unsafe`.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The name as it stood in what arrived.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Short { bytes, length } => &bytes[..usize::from(*length)],
            Held::Long(bytes) => bytes,
        }
    }
}

impl Held {
    fn short(name: &[u8]) -> Option<Self> {
        let length = u8::try_from(name.len()).ok()?;
        let mut bytes = [0; SHORT_BYTES_MAX];
        // Two copies of a known length cost less than a call for one of any length.
        match name.len() {
            end @ 16..=SHORT_BYTES_MAX => {
                bytes[..16].copy_from_slice(&name[..16]);
                bytes[end - 8..end].copy_from_slice(&name[end - 8..]);
            }
            end @ 8..16 => {
                bytes[..8].copy_from_slice(&name[..8]);
                bytes[end - 8..end].copy_from_slice(&name[end - 8..]);
            }
            end => bytes.get_mut(..end)?.copy_from_slice(name),
        }
        Some(Held::Short { bytes, length })
    }
}

impl PartialEq for CounterName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for CounterName {}

impl PartialOrd for CounterName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CounterName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for CounterName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
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

    #[test]
    fn a_name_is_the_same_however_it_is_held() {
        assert_eq!(size_of::<CounterName>(), size_of::<Bytes>());
        for length in 1..=255 {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let arrived = Bytes::from(format!("INCR {text}\r\n"));
            let cut = CounterName::cut(&arrived, 5..5 + length).unwrap();
            assert_eq!(cut.as_str(), text);
            assert_eq!(cut, CounterName::known(&text));
            assert_eq!(cut, CounterName::new(text.clone()).unwrap());
            assert!(cut < CounterName::new("b").unwrap() && cut >= CounterName::new("a").unwrap());
        }
        assert_eq!(CounterName::DEFAULT, CounterName::new("default").unwrap());
    }
}
