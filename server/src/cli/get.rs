//! `quipu get NAME…`
//!
//! All names are one request, so that their values are of one moment.

use std::io::Write;

use clap::Args;

use super::client::Client;
use super::row;
use super::{Asking, Failure};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Which counters. The value of one stands alone, those of several behind their names; what is left
    /// of a lifetime stands behind the value
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Get {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        row::each(client, "get", &self.names, Failure::Unread, |row| {
            match row {
                row if self.asking.json => row.write_json(out)?,
                row if self.names.len() == 1 => writeln!(out, "{}", row.told())?,
                row => row.write_line(out)?,
            }
            Ok(())
        })
    }
}
