//! `quipu bench` on the demo's nodes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use serde::Deserialize;

use super::node::Node;
use super::process::Process;
use super::scratch::Scratch;
use crate::failure::Failure;
use crate::wait;

/// How much longer than its load a `quipu bench` may take, on a busy machine.
const END_TIME_MAX: Duration = Duration::from_secs(30);

/// Increments of one counter, from their begin to their end.
pub(super) struct Load {
    number: u16,
    seconds: u64,
    process: Process,
    report: PathBuf,
}

/// What a load says of its increments.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    pub(super) unanswered: u64,
}

/// The counter that belongs to node `number`.
pub(super) fn counter(number: u16) -> String {
    format!("demo-{number}")
}

impl Load {
    /// Begins to load a node, on the counter that belongs to it.
    pub(super) fn start(
        program: &Path,
        scratch: &Scratch,
        node: &Node,
        seconds: u64,
    ) -> Result<Self, Failure> {
        let number = node.http.number;
        let report = scratch.file(&format!("load{number}.json"));
        let begin = || -> io::Result<Process> {
            let log = File::options()
                .create(true)
                .append(true)
                .open(scratch.file(&format!("load{number}.log")))?;
            let mut bench = Command::new(program);
            bench
                .args(["bench", "--node", &node.http.socket().to_string()])
                .args(["--name", &counter(number), "--connections", "4"])
                .args(["--seconds", &seconds.to_string(), "--json"])
                .stdin(Stdio::null())
                .stdout(File::create(&report)?)
                .stderr(log);
            Process::start(&mut bench)
        };
        let process =
            begin().map_err(|error| Failure::Unable(format!("load {number}: {error}")))?;
        Ok(Load { number, seconds, process, report })
    }

    /// The number of the node that it loads.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Waits for its end. It fails where it does not find its increments counted exactly.
    pub(super) fn finish(mut self) -> Result<Tally, Failure> {
        let number = self.number;
        let mut status = None;
        let is_over = || {
            status = self.process.ended();
            status.is_some()
        };
        let limit = Duration::from_secs(self.seconds) + END_TIME_MAX;
        wait::within(limit, is_over, || format!("load {number} does not end within {limit:?}"))?;
        if !status.is_some_and(|status| status.success()) {
            return Err(Failure::NotAsDescribed(format!(
                "load {number} says that its increments were not counted exactly"
            )));
        }
        let report = fs::read_to_string(&self.report).unwrap_or_default();
        serde_json::from_str(&report).map_err(|error| {
            Failure::NotAsDescribed(format!("load {number} says {}: {error}", report.trim_end()))
        })
    }
}

impl Tally {
    pub(super) fn add(&mut self, more: Tally) {
        self.acknowledged += more.acknowledged;
        self.unanswered += more.unanswered;
    }

    /// Whether that many were counted exactly: what was acknowledged, and of what was not answered
    /// all, some or nothing.
    pub(super) fn allows(self, counted: i64) -> bool {
        let allowed = self.acknowledged..=self.acknowledged + self.unanswered;
        self.acknowledged > 0 && u64::try_from(counted).is_ok_and(|count| allowed.contains(&count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_from_a_report() {
        let report =
            r#"{"protocol":"http","acknowledged":41,"refused":0,"unanswered":2,"counted":42}"#;
        let tally: Tally = serde_json::from_str(report).unwrap();
        assert_eq!(tally, Tally { acknowledged: 41, unanswered: 2 });
    }

    #[test]
    fn what_was_acknowledged_is_counted_once_and_what_was_not_answered_once_or_not_at_all() {
        let tally = Tally { acknowledged: 41, unanswered: 2 };
        let allowed: Vec<i64> = (0..100).filter(|counted| tally.allows(*counted)).collect();
        assert_eq!(allowed, [41, 42, 43]);
        assert!(!tally.allows(-41));
    }

    #[test]
    fn a_load_that_counted_nothing_shows_nothing() {
        assert!(!Tally { acknowledged: 0, unanswered: 2 }.allows(1));
        assert!(!Tally::default().allows(0));
    }
}
