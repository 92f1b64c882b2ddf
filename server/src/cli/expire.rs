//! `quipu expire NAME TIME`

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::row::Row;
use super::{Asking, Failure, encoded};
use crate::lifetime;
use crate::lifetime::moment;
use crate::words;

#[derive(Debug, Args)]
pub(crate) struct Expire {
    /// Which counter
    #[arg(value_parser = words::counter)]
    name: String,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// One of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct When {
    /// How long from now: 500ms, 60s, 5m, 2h, 7d
    #[arg(value_name = "TIME", value_parser = lifetime::checked)]
    ttl: Option<String>,
    /// At which moment, like 2026-12-01T00:00:00Z (RFC 3339); one that is over deletes it
    #[arg(long, value_name = "MOMENT", value_parser = moment::checked)]
    at: Option<String>,
    /// Never: take away the lifetime that it has
    #[arg(long)]
    never: bool,
}

impl When {
    fn body(&self) -> Value {
        match self {
            When { ttl: Some(ttl), .. } => json!({ "ttl": ttl }),
            When { at: Some(at), .. } => json!({ "at": at }),
            _ => json!({ "ttl": null }),
        }
    }
}

impl Expire {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let path = format!("/counters/{}/expire", encoded(&self.name));
        let row: Row = client.ask("POST", &path, &self.when.body().to_string())?;
        if self.asking.json {
            row.write_json(out)?;
        }
        if row.existed == Some(false) {
            return Err(Failure::Missing(self.name.clone()));
        }
        if !self.asking.json {
            match row.ttl_ms {
                _ if row.exists == Some(false) => writeln!(out, "expired")?,
                Some(ms) => writeln!(out, "{}", lifetime::left(ms))?,
                None => writeln!(out, "never")?,
            }
        }
        Ok(())
    }
}
