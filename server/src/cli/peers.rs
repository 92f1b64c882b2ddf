//! `quipu peers`

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::{Asking, Failure};

#[derive(Debug, Args)]
pub(crate) struct Peers {
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Peers {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let status: Value = client.get("/status")?;
        let peers = status["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
        for peer in peers {
            if self.asking.json {
                writeln!(out, "{peer}")?;
            } else {
                writeln!(out, "{}", line(peer))?;
            }
        }
        Ok(())
    }
}

/// A peer in words: where it is, how it is, how far it is behind.
pub(super) fn line(peer: &Value) -> String {
    let text = |key: &str| peer[key].as_str().unwrap_or("?").to_owned();
    let lag = match peer["link"]["lag_ms"].as_f64() {
        None => "no link".to_owned(),
        Some(_) if peer["link"]["lag_versions"] == 0 => "has all our changes".to_owned(),
        Some(lag_ms) => format!("lacks our changes of the last {lag_ms:.1} ms"),
    };
    format!("{}\t{}\t{lag}", text("address"), text("state"))
}
