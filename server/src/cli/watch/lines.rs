//! Events as lines: when, which counter, its value, by how much it changed since the last line, and
//! whether it was deleted or has expired.
//!
//! A line about no counter has nothing in the place of the name, which every counter has.

use std::collections::HashMap;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::stream::Event;
use crate::cli::Failure;
use crate::cli::row::Row;

/// Counters of which the last value is remembered, some 20 MB with their names. Of others it is not
/// told by how much they have changed.
const COUNTERS_MAX: usize = 1 << 17;

/// What has been printed, as far as later lines refer to it.
#[derive(Debug)]
pub(super) struct Lines {
    is_json: bool,
    values: HashMap<String, i128>,
    /// Whether a counter that is not among the values was 0.
    has_all: bool,
    peers: Vec<Peer>,
    /// When the newest line of the node's log was written.
    logged_ms: u64,
    /// Lines of the log up to here were printed before the node began anew.
    known_ms: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Peer {
    address: String,
    node: Option<String>,
    state: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Log {
    #[serde(skip_serializing)]
    at_ms: u64,
    level: String,
    text: String,
}

#[derive(Deserialize)]
struct Counters {
    counters: Vec<Row>,
    #[serde(default)]
    more: bool,
}

#[derive(Deserialize)]
struct Peers {
    peers: Vec<Peer>,
}

/// A line for programs.
#[derive(Serialize)]
struct Line<T> {
    at_ms: u64,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    row: Row,
    /// `None` if it is not known, is nothing, or does not fit.
    change: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Other<'a> {
    Peer(&'a Peer),
    Log(&'a Log),
    Reset(bool),
}

impl Lines {
    pub(super) fn new(is_json: bool) -> Self {
        Lines {
            is_json,
            values: HashMap::new(),
            has_all: false,
            peers: Vec::new(),
            logged_ms: 0,
            known_ms: 0,
        }
    }

    /// Writes what an event says.
    pub(super) fn write(&mut self, event: &Event, out: &mut impl Write) -> Result<(), Failure> {
        self.write_at(event, now_ms(), out)
    }

    fn write_at(&mut self, event: &Event, at_ms: u64, out: &mut impl Write) -> Result<(), Failure> {
        match &*event.kind {
            "snapshot" => {
                let told: Counters = read(event)?;
                let mut known = std::mem::take(&mut self.values);
                for row in told.counters {
                    let change = known.remove(&row.name).map(|last| row.exact_value() - last);
                    self.counter(row, change.filter(|change| *change != 0), at_ms, out)?;
                }
                // What was there and is not has ended in between.
                let mut gone: Vec<_> = known.into_iter().filter(|_| !told.more).collect();
                gone.sort_unstable();
                for (name, last) in gone {
                    self.counter(Row::deleted(name), Some(-last), at_ms, out)?;
                }
                self.has_all = !told.more && self.values.len() < COUNTERS_MAX;
            }
            "change" => {
                for row in read::<Counters>(event)?.counters {
                    let unknown = self.has_all.then_some(0);
                    let last = self.values.get(&row.name).copied().or(unknown);
                    let change = last.map(|last| row.exact_value() - last);
                    self.counter(row, change, at_ms, out)?;
                }
            }
            "peers" => self.peers(read::<Peers>(event)?.peers, at_ms, out)?,
            "log" => {
                let log: Log = read(event)?;
                self.logged_ms = self.logged_ms.max(log.at_ms);
                if log.at_ms > self.known_ms {
                    let words = match &*log.level {
                        "warn" => format!("warning: {}", log.text),
                        _ => log.text.clone(),
                    };
                    self.other(&Other::Log(&log), &words, log.at_ms, out)?;
                }
            }
            "reset" => {
                self.known_ms = self.logged_ms;
                let words = "the node cannot tell all that was missed, and begins anew";
                self.other(&Other::Reset(true), words, at_ms, out)?;
            }
            // Of a later version, whose other events are what they were.
            _ => {}
        }
        Ok(())
    }

    fn counter(
        &mut self,
        row: Row,
        change: Option<i128>,
        at_ms: u64,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        self.remember(&row);
        if self.is_json {
            let change = change.and_then(|change| i64::try_from(change).ok());
            return json(&Line { at_ms, what: Changed { row, change } }, out);
        }
        let change = change.map_or("=".to_owned(), |change| format!("{change:+}"));
        let end = if row.deleted { "\tdeleted" } else { "" };
        writeln!(out, "{}\t{}\t{}\t{change}{end}", time(at_ms), row.name, row.digits())?;
        Ok(())
    }

    fn remember(&mut self, row: &Row) {
        if row.deleted {
            self.values.remove(&row.name);
        } else if let Some(last) = self.values.get_mut(&row.name) {
            *last = row.exact_value();
        } else if self.values.len() < COUNTERS_MAX {
            self.values.insert(row.name.clone(), row.exact_value());
        } else {
            self.has_all = false;
        }
    }

    /// Those who are not as they were said to be, and those who are no longer there.
    fn peers(&mut self, peers: Vec<Peer>, at_ms: u64, out: &mut impl Write) -> Result<(), Failure> {
        let known = std::mem::replace(&mut self.peers, peers.clone());
        let is_listed = |peer: &Peer| peers.iter().any(|other| other.address == peer.address);
        let gone = known.iter().filter(|peer| !is_listed(peer)).cloned();
        let gone: Vec<_> =
            gone.map(|peer| Peer { state: "forgotten".to_owned(), ..peer }).collect();
        for peer in peers.iter().filter(|peer| !known.contains(peer)).chain(&gone) {
            let words = format!("peer {} is {}", peer.address, peer.state);
            self.other(&Other::Peer(peer), &words, at_ms, out)?;
        }
        Ok(())
    }

    fn other(
        &self,
        what: &Other<'_>,
        words: &str,
        at_ms: u64,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        if self.is_json {
            return json(&Line { at_ms, what }, out);
        }
        writeln!(out, "{}\t\t{words}", time(at_ms))?;
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(event: &'a Event) -> Result<T, Failure> {
    serde_json::from_str(&event.data)
        .map_err(|error| Failure::Foreign("the node".to_owned(), error.to_string()))
}

fn json(line: &impl Serialize, out: &mut impl Write) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day in UTC: the operator knows the day.
fn time(at_ms: u64) -> String {
    let (seconds, ms) = (at_ms / 1000, at_ms % 1000);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &mut Lines, kind: &str, data: &str) -> String {
        let (kind, data) = (kind.to_owned(), data.to_owned());
        let mut out = Vec::new();
        lines.write_at(&Event { kind, id: String::new(), data }, 3_723_004, &mut out).unwrap();
        String::from_utf8(out).unwrap().replace("01:02:03.004Z", "T")
    }

    #[test]
    fn a_line_tells_by_how_much_a_counter_changed_since_its_last_line() {
        let mut lines = Lines::new(false);
        let snapshot = r#"{"counters":[{"name":"a","value":5}],"more":false}"#;
        assert_eq!(written(&mut lines, "snapshot", snapshot), "T\ta\t5\t=\n");
        let change = r#"{"counters":[{"name":"a","value":3},{"name":"new","value":7}]}"#;
        assert_eq!(written(&mut lines, "change", change), "T\ta\t3\t-2\nT\tnew\t7\t+7\n");
        let reset = written(&mut lines, "reset", r#"{"reason":"x"}"#);
        assert!(reset.starts_with("T\t\tthe node cannot tell"), "{reset}");
        let anew = written(&mut lines, "snapshot", snapshot);
        assert_eq!(anew, "T\ta\t5\t+2\nT\tnew\t0\t-7\tdeleted\n");
    }

    #[test]
    fn a_change_that_cannot_be_known_is_not_told() {
        let mut lines = Lines::new(true);
        written(&mut lines, "snapshot", r#"{"counters":[],"more":true}"#);
        let told = written(&mut lines, "change", r#"{"counters":[{"name":"a","value":3}]}"#);
        assert_eq!(told, "{\"at_ms\":3723004,\"name\":\"a\",\"value\":3,\"change\":null}\n");
    }

    #[test]
    fn a_counter_that_has_ended_is_told_as_deleted_and_begins_at_nothing() {
        let mut lines = Lines::new(false);
        let snapshot =
            r#"{"counters":[{"name":"a","value":5},{"name":"b","value":2}],"more":false}"#;
        written(&mut lines, "snapshot", snapshot);
        let deleted = r#"{"counters":[{"name":"a","value":0,"deleted":true}]}"#;
        assert_eq!(written(&mut lines, "change", deleted), "T\ta\t0\t-5\tdeleted\n");
        let again = r#"{"counters":[{"name":"a","value":3}]}"#;
        assert_eq!(written(&mut lines, "change", again), "T\ta\t3\t+3\n");
        let after = r#"{"counters":[{"name":"a","value":3}],"more":false}"#;
        assert_eq!(written(&mut lines, "snapshot", after), "T\ta\t3\t=\nT\tb\t0\t-2\tdeleted\n");
        lines.is_json = true;
        let told = written(&mut lines, "change", deleted);
        assert_eq!(
            told,
            "{\"at_ms\":3723004,\"name\":\"a\",\"value\":0,\"deleted\":true,\"change\":-3}\n"
        );
    }

    #[test]
    fn peers_are_told_when_they_are_not_as_they_were_and_the_log_once() {
        let mut lines = Lines::new(false);
        let alive = r#"{"peers":[{"address":"x:1","node":null,"state":"alive"}]}"#;
        assert_eq!(written(&mut lines, "peers", alive), "T\t\tpeer x:1 is alive\n");
        assert_eq!(written(&mut lines, "peers", alive), "");
        let none = r#"{"peers":[]}"#;
        assert_eq!(written(&mut lines, "peers", none), "T\t\tpeer x:1 is forgotten\n");
        let log = r#"{"at_ms":3723004,"level":"warn","text":"x"}"#;
        assert_eq!(written(&mut lines, "log", log), "T\t\twarning: x\n");
        written(&mut lines, "reset", "{}");
        assert_eq!(written(&mut lines, "log", log), "");
    }
}
