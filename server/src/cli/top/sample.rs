//! What a node says of itself, its peers and its counters at one moment.

use std::time::Duration;

use serde::Deserialize;

use crate::cli::client::Client;
use crate::cli::{Failure, list};

/// How many counters are looked at, in the order of their names: ten pages, some milliseconds of the
/// node's time. Of a million, an operator could not read more than a screen either.
pub(super) const COUNTERS_MAX: u64 = 10_000;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// When, from some beginning.
    pub(super) at: Duration,
    pub(super) status: Status,
    /// Operations that added or subtracted.
    pub(super) increments: u64,
    /// How much they have added and subtracted: an increment by 5 is 5.
    pub(super) added: u64,
    pub(super) reads: u64,
    pub(super) replies: Steps,
    pub(super) confirmation: Steps,
    pub(super) convergence: Steps,
    /// Names and values of the first [`COUNTERS_MAX`] counters.
    pub(super) counters: Vec<(String, i128)>,
}

/// `GET /status`, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) uptime_ms: u64,
    pub(super) fsync: String,
    pub(super) counters: u64,
    pub(super) counted: u64,
    pub(super) removed: bool,
    pub(super) peers: Vec<Peer>,
}

/// Another node, as this one sees it.
#[derive(Debug, Deserialize)]
pub(super) struct Peer {
    pub(super) address: String,
    pub(super) state: String,
    pub(super) link: Option<Link>,
}

/// How far a peer has confirmed this node's changes.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) lag_versions: u64,
    pub(super) lag_ms: f64,
    pub(super) unconfirmed_bytes: u64,
    pub(super) behind: bool,
}

/// A histogram: for each step its end in seconds, and how many did not exceed it so far.
#[derive(Debug, Default)]
pub(super) struct Steps(pub(super) Vec<(f64, u64)>);

impl Sample {
    /// Asks a node for all of it.
    pub(super) fn of(client: &Client, at: Duration) -> Result<Self, Failure> {
        let status: Status = client.get("/status")?;
        let metrics = client.text("/metrics")?;
        let mut counters = Vec::new();
        list::each_row(client, "", COUNTERS_MAX, |row| {
            let value = row.exact_value();
            counters.push((row.name, value));
            Ok(())
        })?;
        Ok(Sample {
            at,
            increments: total(&metrics, "quipu_increments_total"),
            added: status.counted,
            status,
            reads: total(&metrics, "quipu_reads_total"),
            replies: Steps::of(&metrics, "quipu_reply_latency_seconds_bucket"),
            confirmation: Steps::of(&metrics, "quipu_confirmation_time_seconds_bucket"),
            convergence: Steps::of(&metrics, "quipu_convergence_lag_seconds_bucket"),
            counters,
        })
    }
}

/// What stands behind a name; 0 where another release knows no such number.
fn total(metrics: &str, name: &str) -> u64 {
    let behind = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    metrics.lines().find_map(behind).unwrap_or_default()
}

impl Steps {
    fn of(metrics: &str, name: &str) -> Self {
        let step = |line: &str| {
            let (end, count) =
                line.strip_prefix(name)?.strip_prefix("{le=\"")?.split_once("\"} ")?;
            Some((end.parse().ok()?, count.parse().ok()?))
        };
        Steps(metrics.lines().filter_map(step).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_and_steps_are_found_by_their_whole_names() {
        let metrics = "# HELP quipu_reads Operations that read.\n\
                       quipu_reads_total_of_another 1\n\
                       quipu_reads_total 7\n\
                       lag_seconds_bucket{le=\"0.001\"} 3\n\
                       lag_seconds_bucket{le=\"+Inf\"} 5\n";
        assert_eq!(total(metrics, "quipu_reads_total"), 7);
        assert_eq!(total(metrics, "quipu_raises_total"), 0);
        let steps = Steps::of(metrics, "lag_seconds_bucket");
        assert_eq!(steps.0, [(0.001, 3), (f64::INFINITY, 5)]);
    }
}
