//! `quipu set NAME VALUE`

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::row::Row;
use super::{Asking, Failure, encoded};
use crate::{lifetime, words};

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Which counter
    #[arg(value_parser = words::counter)]
    name: String,
    /// To what
    #[arg(allow_negative_numbers = true, value_parser = words::whole(i64::MIN..=i64::MAX))]
    value: i64,
    /// It expires so long from now: 500ms, 60s, 5m, 2h, 7d; never without this
    #[arg(long, value_name = "TIME", value_parser = lifetime::checked)]
    ttl: Option<String>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Set {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let path = format!("/counters/{}", encoded(&self.name));
        let body = json!({"value": self.value, "ttl": self.ttl});
        let row: Row = client.ask("PUT", &path, &body.to_string())?;
        if self.asking.json {
            row.write_json(out)?;
        } else {
            writeln!(out, "{}", row.digits())?;
        }
        Ok(())
    }
}
