//! The two ways to add one to a counter, as bytes.

use std::fmt::Write as _;
use std::io;

use clap::ValueEnum;

use crate::cli::encoded;

/// What a node is loaded through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// POST /counters/NAME/increment
    Http,
    /// INCR NAME, as Redis clients say it
    Redis,
}

/// A whole answer at the beginning of what came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) bytes: usize,
    /// Whether the increment was acknowledged, and not refused.
    pub(super) is_acknowledged: bool,
}

impl Protocol {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Redis => "redis",
        }
    }

    /// Adds a request for one increment.
    pub(super) fn ask(self, name: &str, requests: &mut String) {
        // Writing to a string cannot fail.
        let _ = match self {
            Protocol::Http => write!(
                requests,
                "POST /counters/{}/increment HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n",
                encoded(name)
            ),
            Protocol::Redis => {
                write!(requests, "*2\r\n$4\r\nINCR\r\n${}\r\n{name}\r\n", name.len())
            }
        };
    }

    /// Reads one answer, if it is there whole.
    pub(super) fn answer(self, came: &[u8]) -> io::Result<Option<Answer>> {
        match self {
            Protocol::Http => http(came),
            Protocol::Redis => redis(came),
        }
    }
}

fn http(came: &[u8]) -> io::Result<Option<Answer>> {
    let Some(end) = came.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&came[..end]).map_err(|_| malformed("no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|line| line.get(..3))
        .ok_or_else(|| malformed("no status"))?;
    let length: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .ok_or_else(|| malformed("no length"))?;
    let bytes = end + 4 + length;
    let is_acknowledged = status.starts_with('2');
    Ok((came.len() >= bytes).then_some(Answer { bytes, is_acknowledged }))
}

fn redis(came: &[u8]) -> io::Result<Option<Answer>> {
    let Some(end) = came.windows(2).position(|window| window == b"\r\n") else {
        return Ok(None);
    };
    let is_acknowledged = match came.first() {
        Some(b':') => true,
        Some(b'-') => false,
        _ => return Err(malformed("neither a number nor an error")),
    };
    Ok(Some(Answer { bytes: end + 2, is_acknowledged }))
}

fn malformed(found: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("expected an answer, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_there_whole_and_no_further() {
        for (protocol, answer, is_acknowledged) in [
            (Protocol::Http, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", true),
            (Protocol::Http, "HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n", false),
            (Protocol::Redis, ":12\r\n", true),
            (Protocol::Redis, "-ERR increment or decrement would overflow\r\n", false),
        ] {
            for length in 0..answer.len() {
                assert_eq!(protocol.answer(&answer.as_bytes()[..length]).unwrap(), None);
            }
            let twice = answer.repeat(2);
            let expected = Answer { bytes: answer.len(), is_acknowledged };
            assert_eq!(protocol.answer(twice.as_bytes()).unwrap(), Some(expected));
        }
        assert!(Protocol::Redis.answer(b"+PONG\r\n").is_err());
        assert!(Protocol::Http.answer(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[test]
    fn names_are_told_so_that_a_node_understands_them() {
        let asked = |protocol: Protocol| {
            let mut requests = String::new();
            protocol.ask("a/ä", &mut requests);
            requests
        };
        assert!(asked(Protocol::Http).starts_with("POST /counters/a%2F%C3%A4/increment HTTP/1.1"));
        assert_eq!(asked(Protocol::Redis), "*2\r\n$4\r\nINCR\r\n$4\r\na/ä\r\n");
    }
}
