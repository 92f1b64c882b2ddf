//! Commands as a person types them: words on a line, quoted where they hold blanks.
//!
//! Redis's own rules, since its users' fingers know them. Unquoting never makes a word longer, so
//! it is done in place and a word is a place in the line like any other argument.

use super::frames::{Frames, Span};

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    /// A quote that is not closed, or is followed by something other than a blank.
    UnbalancedQuotes,
    /// A NUL. Redis takes it for the end of what has arrived, and never answers; what stands before
    /// it is not known to be all that was meant.
    Nul,
}

/// Splits the line that stands at `line` within `bytes`, and adds its words to `frames`. Words
/// beyond `words_max` are not added, only counted; the answer is how many there were.
pub(crate) fn split(
    bytes: &mut [u8],
    line: std::ops::Range<usize>,
    words_max: usize,
    frames: &mut Frames,
) -> Result<usize, LineError> {
    if bytes[line.clone()].contains(&0) {
        return Err(LineError::Nul);
    }
    let mut words = Words { bytes, from: line.start, to: line.start, end: line.end };
    let mut count = 0;
    while words.skip_blanks() {
        let span = words.word()?;
        count += 1;
        if count <= words_max {
            frames.argument(span);
        }
    }
    Ok(count)
}

/// A walk over a line that writes words over what it has read already.
struct Words<'a> {
    bytes: &'a mut [u8],
    /// What is read next.
    from: usize,
    /// What is written next; never beyond `from`.
    to: usize,
    end: usize,
}

impl Words<'_> {
    /// The byte so far ahead. The end of the line reads as NUL, which the line itself does not hold.
    fn ahead(&self, by: usize) -> u8 {
        let at = self.from + by;
        if at < self.end { self.bytes[at] } else { 0 }
    }

    fn put(&mut self, byte: u8) {
        self.bytes[self.to] = byte;
        self.to += 1;
    }

    /// Whether a word follows.
    fn skip_blanks(&mut self) -> bool {
        while is_space(self.ahead(0)) {
            self.from += 1;
        }
        self.ahead(0) != 0
    }

    fn word(&mut self) -> Result<Span, LineError> {
        let start = self.to;
        loop {
            match self.ahead(0) {
                0 => break,
                b' ' | b'\n' | b'\r' | b'\t' => {
                    self.from += 1;
                    break;
                }
                b'"' => {
                    self.from += 1;
                    self.double_quoted()?;
                    break;
                }
                b'\'' => {
                    self.from += 1;
                    self.single_quoted()?;
                    break;
                }
                byte => {
                    self.from += 1;
                    self.put(byte);
                }
            }
        }
        Ok(Span::new(start, self.to))
    }

    fn double_quoted(&mut self) -> Result<(), LineError> {
        loop {
            match (self.ahead(0), self.ahead(1)) {
                (0, _) => return Err(LineError::UnbalancedQuotes),
                (b'"', _) => return self.close(),
                (b'\\', b'x') if let Some(byte) = hex(self.ahead(2), self.ahead(3)) => {
                    self.from += 4;
                    self.put(byte);
                }
                (b'\\', escaped @ 1..) => {
                    self.from += 2;
                    self.put(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 0x08,
                        b'a' => 0x07,
                        other => other,
                    });
                }
                (byte, _) => {
                    self.from += 1;
                    self.put(byte);
                }
            }
        }
    }

    fn single_quoted(&mut self) -> Result<(), LineError> {
        loop {
            match (self.ahead(0), self.ahead(1)) {
                (0, _) => return Err(LineError::UnbalancedQuotes),
                (b'\'', _) => return self.close(),
                (b'\\', b'\'') => {
                    self.from += 2;
                    self.put(b'\'');
                }
                (byte, _) => {
                    self.from += 1;
                    self.put(byte);
                }
            }
        }
    }

    /// A closing quote ends its word.
    fn close(&mut self) -> Result<(), LineError> {
        self.from += 1;
        match self.ahead(0) {
            0 => Ok(()),
            byte if is_space(byte) => Ok(()),
            _ => Err(LineError::UnbalancedQuotes),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, LineError> {
        let mut bytes = line.as_bytes().to_vec();
        let mut frames = Frames::default();
        split(&mut bytes, 0..line.len(), 100, &mut frames)?;
        frames.end_command();
        let spans = if frames.is_empty() { &[] } else { frames.command(0) };
        let word = |span: &Span| bytes[span.range()].escape_ascii().to_string();
        Ok(spans.iter().map(word).collect())
    }

    #[test]
    fn words_are_split_at_blanks_and_quotes_hold_blanks() {
        assert_eq!(words("  INCR  a\tb ").unwrap(), ["INCR", "a", "b"]);
        assert_eq!(words(r#"GET "a b" 'c d' """#).unwrap(), ["GET", "a b", "c d", ""]);
        assert_eq!(words(r#""\x41\n\q" '\n\''"#).unwrap(), ["A\\nq", "\\\\n\\'"]);
        assert_eq!(words(r#"a"b c""#).unwrap(), ["ab c"]);
        assert_eq!(words("").unwrap(), [""; 0]);
    }

    #[test]
    fn a_line_that_holds_a_nul_is_no_command() {
        for line in ["a\0b c", "\0", "INCR a\0", "'a\0b'", "a \0"] {
            assert_eq!(words(line), Err(LineError::Nul), "{line:?}");
        }
    }

    #[test]
    fn quotes_that_do_not_close_are_refused() {
        for line in [r#"""#, "'a", r#""a"b"#, "'a'b", r#""a\"#] {
            assert_eq!(words(line), Err(LineError::UnbalancedQuotes), "{line}");
        }
    }
}
