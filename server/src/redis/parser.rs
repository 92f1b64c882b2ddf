//! Finds the whole commands in a connection's bytes, whether they are typed or framed.
//!
//! It goes on where it stopped: a command that arrives byte by byte is looked at once, not once for
//! each byte. Lengths that a client declares are compared with the bounds below and never allocate
//! anything; what is kept is the places of arguments that have arrived whole.
//!
//! Rejected: a tree of values as RESP has them for replies. Requests are flat lists of strings, and
//! a client that nests arrays sends no command.

use super::frames::{Frames, Span};
use super::inline::{self, LineError};
use super::number;

/// Longest line: of a typed command, or of digits without an end. As Redis has it.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 10;

/// Longest argument. Names end at 1,024 bytes and numbers at 20; the rest is for what clients send to
/// commands that are refused (`SET` of a document), which shall be refused with a reason and not by
/// a broken connection.
pub(crate) const ARGUMENT_BYTES_MAX: usize = 1 << 20;

/// Most arguments of a command: several times the names that one may hold, so that a client which
/// sends too many is told so and stays connected.
pub(crate) const ARGUMENTS_MAX: usize = 64 << 10;

/// Longest command: `MGET` of 10,000 names of 400 bytes, or of 4,000 of the longest.
pub(crate) const COMMAND_BYTES_MAX: usize = 4 << 20;

/// Most commands that are taken at a time. More wait in the buffer, which is not read on meanwhile:
/// as many operations as one message to the driver may hold.
pub(crate) const COMMANDS_MAX: usize = 10_000;

/// Why a connection cannot go on: where the next command begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("too big inline request")]
    InlineTooLong,
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("NUL in inline request")]
    NulInLine,
    #[error("too big mbulk count string")]
    CountTooLong,
    #[error("invalid multibulk length")]
    Count,
    #[error("too big bulk count string")]
    LengthTooLong,
    #[error("expected '$', got '{}'", char::from(*.0))]
    NotABulk(u8),
    #[error("invalid bulk length")]
    Length,
    #[error("command longer than {COMMAND_BYTES_MAX} bytes")]
    CommandTooLong,
}

impl ProtocolError {
    /// As the client is told. A byte that it sent is told as it came, whatever it is.
    pub(crate) fn text(self) -> Vec<u8> {
        match self {
            ProtocolError::NotABulk(byte) => [b"expected '$', got '", &[byte][..], b"'"].concat(),
            other => other.to_string().into_bytes(),
        }
    }
}

/// Where a connection's bytes have been read up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parser {
    /// The next byte to look at.
    at: usize,
    /// Behind the last whole command.
    whole: usize,
    /// Arguments that the command under way still lacks; 0 between commands.
    lacking: usize,
    /// The length of the argument under way, once it has been read.
    length: Option<usize>,
}

impl Parser {
    /// Reads on, and adds what it finds to `frames`. `bytes` are those of the last call, less what
    /// was taken, and what has come since. What came before an error is found all the same.
    pub(crate) fn parse(
        &mut self,
        bytes: &mut [u8],
        frames: &mut Frames,
    ) -> Result<(), ProtocolError> {
        while frames.len() < COMMANDS_MAX && self.command(bytes, frames)? {
            self.whole = self.at;
        }
        if bytes.len() - self.whole > COMMAND_BYTES_MAX && frames.is_empty() {
            return Err(ProtocolError::CommandTooLong);
        }
        Ok(())
    }

    /// How many bytes the whole commands take.
    pub(crate) fn whole(&self) -> usize {
        self.whole
    }

    /// Tells that so many bytes, those of the whole commands, are gone from the front.
    pub(crate) fn took(&mut self, bytes: usize) {
        self.at -= bytes;
        self.whole -= bytes;
    }

    /// Reads one command to its end, if it is here.
    fn command(&mut self, bytes: &mut [u8], frames: &mut Frames) -> Result<bool, ProtocolError> {
        if self.lacking == 0 {
            match bytes.get(self.at) {
                None => return Ok(false),
                Some(b'*') => {
                    let error = ProtocolError::CountTooLong;
                    let Some((count, next)) = number_line(bytes, self.at + 1, error)? else {
                        return Ok(false);
                    };
                    let count = count.filter(|count| *count <= ARGUMENTS_MAX as i64);
                    let count = count.ok_or(ProtocolError::Count)?;
                    self.at = next;
                    self.lacking = usize::try_from(count).unwrap_or(0);
                }
                Some(_) => return self.inline(bytes, frames),
            }
        }
        while self.lacking > 0 {
            if !self.argument(bytes, frames)? {
                return Ok(false);
            }
        }
        frames.end_command();
        Ok(true)
    }

    /// Reads one argument to its end, if it is here.
    fn argument(&mut self, bytes: &[u8], frames: &mut Frames) -> Result<bool, ProtocolError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                // Redis looks for the line's end first, and so waits for it whatever it begins with; it
                // may begin with its end.
                if let [b'\r', _, ..] = bytes[self.at..] {
                    return Err(ProtocolError::NotABulk(b'\r'));
                }
                let error = ProtocolError::LengthTooLong;
                let Some((length, next)) = number_line(bytes, self.at + 1, error)? else {
                    return Ok(false);
                };
                if bytes[self.at] != b'$' {
                    return Err(ProtocolError::NotABulk(bytes[self.at]));
                }
                let length = length
                    .and_then(|length| usize::try_from(length).ok())
                    .filter(|length| *length <= ARGUMENT_BYTES_MAX)
                    .ok_or(ProtocolError::Length)?;
                self.at = next;
                self.length = Some(length);
                length
            }
        };
        // What ends an argument is skipped unread, as Redis does.
        let end = self.at + length;
        if bytes.len() < end + 2 {
            return Ok(false);
        }
        frames.argument(Span::new(self.at, end));
        self.at = end + 2;
        self.length = None;
        self.lacking -= 1;
        Ok(true)
    }

    fn inline(&mut self, bytes: &mut [u8], frames: &mut Frames) -> Result<bool, ProtocolError> {
        let here = &bytes[self.at..];
        let Some(length) = here.iter().position(|byte| *byte == b'\n') else {
            return if here.len() > LINE_BYTES_MAX {
                Err(ProtocolError::InlineTooLong)
            } else {
                Ok(false)
            };
        };
        let (start, next) = (self.at, self.at + length + 1);
        let end = start + here[..length].strip_suffix(b"\r").map_or(length, <[u8]>::len);
        let words =
            inline::split(bytes, start..end, ARGUMENTS_MAX, frames).map_err(
                |error| match error {
                    LineError::UnbalancedQuotes => ProtocolError::UnbalancedQuotes,
                    LineError::Nul => ProtocolError::NulInLine,
                },
            )?;
        if words > ARGUMENTS_MAX {
            return Err(ProtocolError::Count);
        }
        frames.end_command();
        self.at = next;
        Ok(true)
    }
}

/// The number that stands from `at` to the line's end, if it is one, and what follows the line;
/// `None` while its end has not arrived.
#[inline]
fn number_line(
    bytes: &[u8],
    at: usize,
    too_long: ProtocolError,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    // As nearly every length is.
    match *bytes.get(at..).unwrap_or_default() {
        [a @ b'1'..=b'9', b'\r', _, ..] => Ok(Some((Some(i64::from(a - b'0')), at + 3))),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => {
            Ok(Some((Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')), at + 4)))
        }
        _ => long_number_line(bytes, at, too_long),
    }
}

/// The same of any length. By itself, so that the short ones are read where they are wanted.
#[inline(never)]
fn long_number_line(
    bytes: &[u8],
    at: usize,
    too_long: ProtocolError,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    let here = bytes.get(at..).unwrap_or_default();
    match here.iter().position(|byte| *byte == b'\r') {
        None if here.len() > LINE_BYTES_MAX => Err(too_long),
        Some(length) if length + 1 < here.len() => {
            Ok(Some((number::integer(&here[..length]), at + length + 2)))
        }
        None | Some(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> (Vec<Vec<String>>, Result<(), ProtocolError>) {
        let mut bytes = text.to_vec();
        let (mut parser, mut frames) = (Parser::default(), Frames::default());
        let parsed = parser.parse(&mut bytes, &mut frames);
        let word = |span: &Span| bytes[span.range()].escape_ascii().to_string();
        let commands = (0..frames.len()).map(|at| frames.command(at).iter().map(word).collect());
        (commands.collect(), parsed)
    }

    fn error(text: &[u8]) -> String {
        parse(text).1.expect_err("an error").text().escape_ascii().to_string()
    }

    #[test]
    fn framed_and_typed_commands_stand_beside_each_other() {
        let (commands, parsed) = parse(
            b"*2\r\n$4\r\nINCR\r\n$3\r\na\r\n\r\nPING\r\n\r\n*0\r\n*-1\r\nGET 'a b'\n*1\r\n$",
        );
        assert_eq!(parsed, Ok(()));
        let expected: [&[&str]; 6] =
            [&["INCR", "a\\r\\n"], &["PING"], &[], &[], &[], &["GET", "a b"]];
        assert_eq!(commands, expected);
    }

    #[test]
    fn what_came_before_an_error_is_found_all_the_same() {
        let (commands, parsed) = parse(b"PING\r\n*x\r\n");
        assert_eq!(commands, [["PING"]]);
        assert_eq!(parsed, Err(ProtocolError::Count));
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_made_of_them() {
        assert_eq!(error(b"*9999999\r\n"), "invalid multibulk length");
        assert_eq!(error(b"*1\r\n$1048577\r\n"), "invalid bulk length");
        assert_eq!(error(b"*1\r\n$-1\r\n"), "invalid bulk length");
        assert_eq!(error(b"*1\r\nx1\r\n"), r"expected \'$\', got \'x\'");
        assert_eq!(error(b"*1\r\n\r\n"), r"expected \'$\', got \'\r\'");
        assert_eq!(error(b"*1\r\n\xff1\r\n"), r"expected \'$\', got \'\xff\'");
        assert_eq!(error(&[&b"*"[..], &[b'1'; 70_000]].concat()), "too big mbulk count string");
        assert_eq!(
            error(&[&b"*1\r\n$"[..], &[b'1'; 70_000]].concat()),
            "too big bulk count string"
        );
        assert_eq!(error(&[b'a'; 70_000]), "too big inline request");
        let argument = [&b"$1048576\r\n"[..], &[b'a'; 1 << 20], b"\r\n"].concat();
        let long = [&b"*5\r\n"[..], &argument, &argument, &argument, &argument].concat();
        assert_eq!(error(&long), "command longer than 4194304 bytes");
    }
}
