//! A node's events over one connection that is kept: Server-Sent Events (WHATWG HTML, section 9.2)
//! in chunks (RFC 9112, section 7.1).
//!
//! Only what is read here is asked of the node, so a terminal that scrolls slowly makes it skip
//! values instead of gathering them here.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

use crate::cli::Failure;
use crate::cli::client::{ANSWER_BYTES_MAX, Client, STEP_TIME_MAX, parsed};
use crate::transport::blocking::Stream;

/// A node that has nothing to tell says so every 15 s; after thrice that it is gone without a word.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Longest head of an answer: far more than a node writes.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// Longest line with the length of a chunk: 16 digits, and an extension that no node sends.
const LENGTH_BYTES_MAX: u64 = 256;

/// What a node tells, as it comes.
#[derive(Debug)]
pub(super) struct Events {
    reader: BufReader<Stream>,
    /// What has arrived and is no whole event yet.
    arrived: Vec<u8>,
}

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) kind: String,
    /// Where to go on after it.
    pub(super) id: String,
    pub(super) data: String,
}

impl Events {
    /// Asks for events, behind the one with this id if there is one.
    pub(super) fn open(client: &Client, path: &str, behind: &str) -> Result<Self, Failure> {
        let node = client.node();
        let broken = |error| Failure::of_answer(node, STEP_TIME_MAX, error);
        let stream = client
            .connect(STEP_TIME_MAX)
            .map_err(|error| Failure::Silent(node.to_owned(), error))?;
        let (mut reader, head) = asked(stream, node, path, behind).map_err(broken)?;
        let told = String::from_utf8_lossy(&head).to_ascii_lowercase();
        if told.starts_with("http/1.1 200") && told.contains("\r\ntransfer-encoding: chunked\r\n") {
            return Ok(Events { reader, arrived: Vec::new() });
        }
        let mut answer = head;
        reader.by_ref().take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(broken)?;
        let foreign = |found| Failure::Foreign(node.to_owned(), found);
        let answer = parsed(&answer).map_err(foreign)?;
        Err(match answer.status {
            200 => foreign("an answer that is no stream of events".to_owned()),
            _ => client.refusal(&answer),
        })
    }

    /// The next event. An error at the end of the stream too, since it has none by itself.
    pub(super) fn next(&mut self) -> io::Result<Event> {
        loop {
            while let Some(end) = self.arrived.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.arrived.drain(..end + 2).collect();
                if let Some(event) = event(&String::from_utf8_lossy(&block)) {
                    return Ok(event);
                }
            }
            self.chunk()?;
        }
    }

    fn chunk(&mut self) -> io::Result<()> {
        let mut line = Vec::new();
        self.reader.by_ref().take(LENGTH_BYTES_MAX).read_until(b'\n', &mut line)?;
        let length = std::str::from_utf8(&line).ok().and_then(|line| {
            let digits = line.strip_suffix("\r\n")?.split(';').next()?;
            u64::from_str_radix(digits, 16).ok()
        });
        let room = ANSWER_BYTES_MAX.saturating_sub(self.arrived.len() as u64);
        match length {
            None if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => return Err(wrong("expected the length of a chunk, found another line")),
            Some(0) => return Err(io::Error::other("the node ended it")),
            Some(length) if length > room => {
                return Err(wrong("expected events of at most 16 MiB, found a longer one"));
            }
            Some(length) => {
                let before = self.arrived.len() as u64;
                self.reader.by_ref().take(length).read_to_end(&mut self.arrived)?;
                let mut end = [0; 2];
                self.reader.read_exact(&mut end)?;
                if self.arrived.len() as u64 - before != length || end != *b"\r\n" {
                    return Err(wrong("expected a whole chunk, found a part of one"));
                }
            }
        }
        Ok(())
    }
}

/// Asks, and reads the head of the answer.
fn asked(
    mut stream: Stream,
    node: &str,
    path: &str,
    behind: &str,
) -> io::Result<(BufReader<Stream>, Vec<u8>)> {
    stream.limit(SILENCE_MAX, STEP_TIME_MAX)?;
    let behind = match behind {
        "" => String::new(),
        id => format!("Last-Event-ID: {id}\r\n"),
    };
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {node}\r\n{behind}Connection: close\r\n\r\n")
            .as_bytes(),
    )?;
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    let mut limited = reader.by_ref().take(HEAD_BYTES_MAX);
    while !head.ends_with(b"\r\n\r\n") {
        if limited.read_until(b'\n', &mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((reader, head))
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// An event from its lines; a comment, which keeps the connection alive, is none.
fn event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        let (field, text) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "event" => text.clone_into(&mut event.kind),
            "id" => text.clone_into(&mut event.id),
            "data" => event.data.push_str(text),
            _ => {}
        }
    }
    (!event.kind.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_fields_and_a_comment_is_none() {
        let told = event("event: change\ndata: {\"a\": 1}\nid: ab-5\n\n");
        let expected = Event {
            kind: "change".to_owned(),
            id: "ab-5".to_owned(),
            data: "{\"a\": 1}".to_owned(),
        };
        assert_eq!(told, Some(expected));
        assert_eq!(event(": nothing new\n\n"), None);
    }
}
