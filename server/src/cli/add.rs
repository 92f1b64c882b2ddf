//! `quipu add NAME [BY]`

use std::io::Write;

use clap::Args;

use super::client::Client;
use super::row::Row;
use super::{Asking, Failure, encoded};
use crate::words;

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Which counter
    #[arg(value_parser = words::counter)]
    name: String,
    /// How much; a negative number subtracts
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = words::whole(i64::MIN..=i64::MAX))]
    by: i64,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Add {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let path = format!("/counters/{}/increment", encoded(&self.name));
        let row: Row = client.post(&path, &format!(r#"{{"by":{}}}"#, self.by))?;
        if self.asking.json {
            row.write_json(out)?;
        } else {
            writeln!(out, "{}", row.digits())?;
        }
        Ok(())
    }
}
