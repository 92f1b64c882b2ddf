//! A client of `GET /events`: one event at a time, as they come.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::http::Connection;
use super::node::Node;

/// How long something that was caused may take to be told.
pub const TELLING_TIME_MAX: Duration = Duration::from_secs(10);

/// A stream of events.
#[derive(Debug)]
pub struct EventStream {
    connection: Connection,
    /// What has arrived and was not read yet.
    text: String,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its kind.
    pub event: String,
    /// Its id, if it has one.
    pub id: String,
    /// What it says.
    pub data: serde_json::Value,
}

impl EventStream {
    /// Listens to a node, with further headers.
    #[track_caller]
    pub fn open(node: &Node, query: &str, headers: &[&str]) -> EventStream {
        let mut connection = node.connect().expect("a node that runs takes connections");
        let answer = connection.request("GET", &format!("/events{query}"), headers, "");
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        EventStream { connection, text: String::new() }
    }

    /// The next event, whatever it is. An error at the end of the stream.
    pub fn try_next(&mut self) -> io::Result<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let mut lines = block.lines();
                    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                if let (Some(event), Some(data)) = (field("event"), field("data")) {
                    let data = serde_json::from_str(data).expect("an event's data is JSON");
                    let id = field("id").unwrap_or_default().to_owned();
                    return Ok(Event { event: event.to_owned(), id, data });
                }
            }
            let chunk = self.connection.chunk()?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.text.push_str(&String::from_utf8(chunk).expect("events are text"));
        }
    }

    /// The next event of this kind; what comes before it is passed over.
    #[track_caller]
    pub fn next(&mut self, event: &str) -> Event {
        loop {
            let next = self.try_next().unwrap_or_else(|error| panic!("no {event} came: {error}"));
            if next.event == event {
                return next;
            }
        }
    }

    /// Reads until counters have these values, whatever they had on the way; each as it was told.
    #[track_caller]
    pub fn until(&mut self, wanted: &[(&str, i64)]) -> BTreeMap<String, Vec<i64>> {
        let deadline = Instant::now() + TELLING_TIME_MAX;
        let mut told: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let has_all = |told: &BTreeMap<String, Vec<i64>>| {
            let last = |name: &str| told.get(name).and_then(|values| values.last().copied());
            wanted.iter().all(|(name, value)| last(name) == Some(*value))
        };
        while !has_all(&told) {
            let event = self.try_next().unwrap_or_else(|error| {
                panic!("expected {wanted:?}, then came {error}; told: {told:?}")
            });
            for (name, value) in counters(&event) {
                told.entry(name).or_default().push(value);
            }
            assert!(Instant::now() < deadline, "expected {wanted:?}; told: {told:?}");
        }
        told
    }
}

/// The counters that an event tells of.
pub fn counters(event: &Event) -> Vec<(String, i64)> {
    let rows = event.data["counters"].as_array();
    let row = |row: &serde_json::Value| {
        let name = row["name"].as_str().expect("a name").to_owned();
        (name, row["value"].as_i64().expect("a value"))
    };
    rows.map(|rows| rows.iter().map(row).collect()).unwrap_or_default()
}
