//! `quipu reset NAME`

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::row::Row;
use super::{Asking, Failure, encoded};
use crate::words;

#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// Which counter
    #[arg(value_parser = words::counter)]
    name: String,
    /// To what
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    #[arg(value_parser = words::whole(i64::MIN..=i64::MAX))]
    to: i64,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Reset {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let path = format!("/counters/{}/reset", encoded(&self.name));
        let row: Row = client.ask("POST", &path, &json!({"to": self.to}).to_string())?;
        if self.asking.json {
            row.write_json(out)?;
        } else {
            writeln!(out, "{}", row.digits_before())?;
        }
        Ok(())
    }
}
