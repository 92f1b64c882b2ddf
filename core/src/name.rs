//! The names of counters.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use bytes::Bytes;

/// Longest name, in bytes: as long as the keys that Redis's clients make of a URL or of a user, a route
/// and a window, and so short that a message of ten thousand names is still one of some megabytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// Longest name that releases before this one know. To their nodes a longer one is a broken frame.
pub(crate) const EARLIER_NAME_BYTES_MAX: usize = 255;

/// How many databases there are: Redis's clients choose one of so many.
pub const DATABASES: usize = 16;

/// Which database a name is of, and what the counter is called there. All share one table: the counter
/// `a` of database `n` > 0 is named `dbn:a`. Every other name is of database 0.
pub fn in_database(name: &str) -> (usize, &str) {
    let parts = || {
        let (number, rest) = name.strip_prefix("db")?.split_once(':')?;
        // One spelling for each number, and no other.
        let number = match number.as_bytes() {
            [digit @ b'1'..=b'9'] => usize::from(digit - b'0'),
            [b'1', digit @ b'0'..=b'9'] => 10 + usize::from(digit - b'0'),
            _ => return None,
        };
        (number < DATABASES && !rest.is_empty()).then_some((number, rest))
    };
    parts().unwrap_or((0, name))
}

/// A counter's name: UTF-8, 1 to 1,024 bytes, no control characters, and neither `.` nor `..`.
///
/// Those two are the dot segments of a path (RFC 3986, section 5.2.4): browsers, `fetch`, curl and
/// proxies take them out before they send, however they are percent-encoded, so
/// `/counters/../increment` arrives as `/increment` and another counter grows. A dot beside other
/// characters, also `a/../b`, is in a segment of its own once the name is encoded, and harmless.
/// Earlier releases took both names, so a table, a peer or a data directory may hold them: they are
/// merged, kept and listed as any other ([`check`]).
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
    /// `.` or `..`, which is not what arrives if it stands in a path.
    #[error(
        "expected a counter name other than \".\" and \"..\", which browsers and other clients take \
         out of a path before they send it; found {0:?}"
    )]
    DotSegment(&'static str),
}

impl CounterName {
    /// The counter of the calls that name none.
    pub const DEFAULT: CounterName = CounterName(Held::Long(Bytes::from_static(b"default")));

    /// Takes bytes as the name of a counter that a client means.
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
        match &arrived[range.clone()] {
            b"." => Err(NameError::DotSegment(".")),
            b".." => Err(NameError::DotSegment("..")),
            _ => CounterName::cut_bound(arrived, range),
        }
    }

    /// Takes bytes as what names begin with or come after. It is bounded as names are, but need not
    /// be one that a client may mean: some names begin with a dot, and a listing may go on behind
    /// `..`.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn bound(bytes: impl Into<Bytes>) -> Result<Self, NameError> {
        let bytes = bytes.into();
        CounterName::cut_bound(&bytes, 0..bytes.len())
    }

    #[inline]
    fn cut_bound(arrived: &Bytes, range: Range<usize>) -> Result<Self, NameError> {
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
        // Every way in has checked it; a second check costs less than `unsafe`.
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
        // Two copies of a known length, which may overlap, cost less than a call for one of any length.
        match name.len() {
            end @ 16..=SHORT_BYTES_MAX => {
                bytes[..16].copy_from_slice(&name[..16]);
                bytes[end - 8..end].copy_from_slice(&name[end - 8..]);
            }
            end @ 8..16 => {
                bytes[..8].copy_from_slice(&name[..8]);
                bytes[end - 8..end].copy_from_slice(&name[end - 8..]);
            }
            end @ 4..8 => {
                bytes[..4].copy_from_slice(&name[..4]);
                bytes[end - 4..end].copy_from_slice(&name[end - 4..]);
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

/// Whether this is a name of printable ASCII, as nearly all are: told without decoding it, a word of
/// eight bytes at a time. The last word may overlap the one before it.
fn is_plain(name: &[u8]) -> bool {
    if let Some(last) = name.last_chunk() {
        let (words, _) = name.as_chunks();
        return name.len() <= NAME_BYTES_MAX
            && words.iter().all(|word| is_printable(*word))
            && is_printable(*last);
    }
    match (name.first_chunk(), name.last_chunk()) {
        (Some(&[a, b, c, d]), Some(&[e, f, g, h])) => is_printable([a, b, c, d, e, f, g, h]),
        _ => !name.is_empty() && name.iter().all(|byte| matches!(byte, b' '..=b'~')),
    }
}

/// Whether each byte of a word is from `b' '` to `b'~'`.
fn is_printable(word: [u8; 8]) -> bool {
    const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_ne_bytes(word);
    // Where no byte has its highest bit, adding one sets that of 0x7f alone and carries nothing. The
    // first byte that is below a blank has its own set by subtracting one, and those that follow it
    // do not matter any more.
    let above = word | word.wrapping_add(u64::from_ne_bytes([1; 8]));
    let below = word.wrapping_sub(u64::from_ne_bytes([b' '; 8]));
    (above | below) & HIGHEST_BITS == 0
}

/// Whether a text can be the name of a counter that is kept: what files and peers bring. More than
/// a client may name, see [`CounterName`].
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
    fn whether_a_name_is_plain_does_not_depend_on_its_length_or_on_where_what_is_not_stands() {
        for length in 1..=NAME_BYTES_MAX {
            let name: Vec<u8> = (b' '..=b'~').cycle().take(length).collect();
            assert!(is_plain(&name), "{length} bytes");
            for at in 0..length {
                for other in [0, 0x1f, 0x7f, 0x80, 0xff] {
                    let mut name = name.clone();
                    name[at] = other;
                    assert!(!is_plain(&name), "{other:#x} at {at} of {length} bytes");
                }
            }
            assert_eq!(
                CounterName::new(name.clone()).map(|name| name.as_bytes().to_vec()),
                Ok(name)
            );
        }
        assert!(!is_plain(b"") && !is_plain(&[b'a'; NAME_BYTES_MAX + 1]));
    }

    #[test]
    fn a_name_is_text_of_bounded_length_without_control_characters() {
        assert_eq!(CounterName::new("päge:views/1").unwrap().as_str(), "päge:views/1");
        assert!(CounterName::new("x".repeat(1024)).is_ok());
        assert_eq!(CounterName::new(""), Err(NameError::Empty));
        assert_eq!(CounterName::new("x".repeat(1025)), Err(NameError::TooLong(1025)));
        assert_eq!(CounterName::new("a\nb"), Err(NameError::Control('\n')));
        assert_eq!(CounterName::new("a\x7f"), Err(NameError::Control('\x7f')));
        assert_eq!(CounterName::new("a\u{85}"), Err(NameError::Control('\u{85}')));
        assert_eq!(CounterName::new(&b"a\xff"[..]), Err(NameError::NotUtf8(1)));
    }

    #[test]
    fn a_dot_segment_is_no_name_for_a_client_but_may_be_kept_and_may_bound_a_listing() {
        for dots in [".", ".."] {
            assert_eq!(CounterName::new(dots), Err(NameError::DotSegment(dots)));
            let arrived = Bytes::from(format!("INCR {dots}\r\n"));
            let cut = CounterName::cut(&arrived, 5..5 + dots.len());
            assert_eq!(cut, Err(NameError::DotSegment(dots)));
            assert_eq!(CounterName::bound(dots).unwrap(), CounterName::known(dots));
            assert_eq!(check(dots), Ok(()));
        }
        for name in ["...", ".a", "a.", "..a", "a/../b", "../", "..\\", "%2e%2e", "\u{2024}"] {
            assert!(CounterName::new(name).is_ok(), "{name}");
        }
        assert_eq!(CounterName::bound(""), Err(NameError::Empty));
    }

    #[test]
    fn a_name_is_of_one_database() {
        for (name, number, shown) in [
            ("a", 0, "a"),
            ("db1:a", 1, "a"),
            ("db9:a", 9, "a"),
            ("db10:a", 10, "a"),
            ("db15:a:b", 15, "a:b"),
            ("db1:db2:a", 1, "db2:a"),
            ("db0:a", 0, "db0:a"),
            ("db16:a", 0, "db16:a"),
            ("db01:a", 0, "db01:a"),
            ("db-1:a", 0, "db-1:a"),
            ("db1:", 0, "db1:"),
            ("db:a", 0, "db:a"),
            ("db1", 0, "db1"),
            ("DB1:a", 0, "DB1:a"),
        ] {
            assert_eq!(in_database(name), (number, shown), "{name}");
        }
    }

    #[test]
    fn a_name_is_the_same_however_it_is_held() {
        assert_eq!(size_of::<CounterName>(), size_of::<Bytes>());
        for length in (1..=64).chain([255, 256, 257, 1023, 1024]) {
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
