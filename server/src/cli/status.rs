//! `quipu status`

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::{Asking, Failure, peers};

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
        let peers = status["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
        writeln!(out, "peers     {}", peers.len())?;
        for peer in peers {
            writeln!(out, "  {}", peers::line(peer))?;
        }
        Ok(())
    }
}
