//! `quipu settle`

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::{Asking, Failure};

/// The time between looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// For so long nothing may seem to happen before it begins.
const BEGINS_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Settle {
    /// For how many seconds to wait for its end; 0 asks for it and returns
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Settle {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let before: Value = client.get("/status")?;
        let answer: Value = client.ask("POST", "/settle", "")?;
        if answer["asked"] != true {
            return Err(Failure::Unsettled);
        }
        let began = Instant::now();
        let mut status = before;
        let (mut has_begun, slots_before) = (false, slots(&status));
        while began.elapsed() < Duration::from_secs(self.wait) {
            thread::sleep(LOOK_EVERY);
            status = client.get("/status")?;
            let phase = status["settlement"]["phase"].as_str().unwrap_or("idle");
            has_begun |= phase != "idle";
            if phase == "idle" && (has_begun || began.elapsed() > BEGINS_WITHIN) {
                break;
            }
        }
        let settlement = &status["settlement"];
        if self.asking.json {
            return Ok(writeln!(out, "{settlement}")?);
        }
        match settlement["phase"].as_str() {
            Some("idle") => {
                writeln!(out, "settled: {slots_before} slots before, {} now", slots(&status))?;
            }
            phase => {
                let waits_for = settlement["waits_for"].as_array().map_or(0, Vec::len);
                let phase = phase.unwrap_or("unknown");
                writeln!(out, "not settled yet ({phase}): {waits_for} members are waited for")?;
            }
        }
        Ok(())
    }
}

fn slots(status: &Value) -> u64 {
    status["settlement"]["slots"].as_u64().unwrap_or_default()
}
