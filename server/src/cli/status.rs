//! `quipu status`

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::{Asking, Failure, peers};
use crate::lifetime;

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Status {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let status: Value = client.get("/status")?;
        if self.asking.json {
            return Ok(writeln!(out, "{status}")?);
        }
        let text = |key: &str| match &status[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let up = Duration::from_millis(status["uptime_ms"].as_u64().unwrap_or_default());
        writeln!(out, "address   {}", text("node_id"))?;
        writeln!(out, "node      {} (quipu {})", text("node"), text("version"))?;
        writeln!(out, "up for    {} s", up.as_secs())?;
        writeln!(out, "keeps     {}", text("fsync"))?;
        writeln!(out, "counters  {}", text("counters"))?;
        writeln!(out, "origins   {}", text("origins"))?;
        if status["removed"] == true {
            writeln!(out, "removed   from its cluster, until a member registers it again")?;
        }
        let settlement = &status["settlement"];
        let phase = settlement["phase"].as_str().unwrap_or("?");
        writeln!(out, "settling  {phase} ({} slots)", settlement["slots"])?;
        for member in status["absent"].as_array().map(Vec::as_slice).unwrap_or_default() {
            writeln!(out, "away      {}", absent(member))?;
        }
        let peers = status["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
        writeln!(out, "peers     {}", peers.len())?;
        for peer in peers {
            writeln!(out, "  {}", peers::line(peer))?;
        }
        Ok(())
    }
}

/// A member that is away, in words: since when, and what becomes of it.
fn absent(member: &Value) -> String {
    let time = |key: &str| member[key].as_u64().map(lifetime::left);
    // By its id: another node may answer at its address by now.
    let node = member["node"].as_str().unwrap_or("?");
    let last = member["address"].as_str().map(|address| format!(", last at {address},"));
    let last = last.unwrap_or_default();
    let away = time("away_ms").unwrap_or_default();
    let after = time("removed_after_ms").unwrap_or_default();
    let (agreed, of) = (&member["agreed"], &member["of"]);
    let fate = match member["phase"].as_str() {
        Some("kept") => "stays a member: it has a disk".to_owned(),
        Some("watched") => format!("to be removed after {after}"),
        Some("no_common_list") => "not removed: its members have not all met".to_owned(),
        Some("no_majority") => format!("not removed: no majority, {agreed} of {of} could agree"),
        _ => format!("about to be removed: {agreed} of {of} could agree"),
    };
    format!("node {node}{last} for {away}; {fate}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_that_is_away_is_told_with_what_becomes_of_it() {
        let member = |phase: &str| {
            absent(&json!({
                "node": "ab", "address": "10.0.0.1:8088", "away_ms": 90_000,
                "removed_after_ms": 600_000, "phase": phase, "agreed": 2, "of": 5,
            }))
        };
        assert_eq!(
            member("watched"),
            "node ab, last at 10.0.0.1:8088, for 1m30s; to be removed after 10m"
        );
        let none = "node ab, last at 10.0.0.1:8088, for 1m30s; \
                    not removed: no majority, 2 of 5 could agree";
        assert_eq!(member("no_majority"), none);
        let unmet = json!({"node": "ab", "address": null, "away_ms": 5_000, "phase": "kept"});
        assert_eq!(absent(&unmet), "node ab for 5s; stays a member: it has a disk");
    }
}
