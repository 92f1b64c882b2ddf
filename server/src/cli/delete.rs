//! `quipu delete NAME…`, or all whose names begin so.
//!
//! The names are one request; the counters of a prefix as many as it takes, since a node deletes a
//! bounded number of them in one.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::row::{self, Row};
use super::{Asking, Failure, encoded};
use crate::words;

/// How long a node may take to delete as many counters as it does in one call: each step of a thousand
/// is synced, on the slowest of disks in half a second.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Which counters. The value that one had stands alone, those of several behind their names
    #[arg(required_unless_present = "prefix", value_name = "NAME")]
    names: Vec<String>,
    /// All counters whose names begin so; asks at a terminal, and prints how many there were
    #[arg(long, value_parser = words::counter, conflicts_with = "names")]
    prefix: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// What a node says of many.
#[derive(Deserialize)]
struct Deleted {
    deleted: u64,
    more: bool,
}

impl Delete {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        match &self.prefix {
            Some(prefix) => self.delete_prefix(prefix, client, out),
            None => self.delete_names(client, out),
        }
    }

    fn delete_names(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        row::each(client, "delete", &self.names, Failure::Undeleted, |row: Row| {
            let before = row.digits_before();
            if self.asking.json {
                row.write_json(out)?;
            } else if self.names.len() == 1 {
                writeln!(out, "{before}")?;
            } else {
                writeln!(out, "{}\t{before}", row.name)?;
            }
            Ok(())
        })
    }

    fn delete_prefix(
        &self,
        prefix: &str,
        client: &Client,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        if !self.yes && !is_meant(prefix)? {
            return Err(Failure::Unmeant);
        }
        let path = format!("/counters?prefix={}", encoded(prefix));
        let mut deleted = 0;
        loop {
            let step: Deleted = client.ask_for("DELETE", &path, "", CALL_TIME_MAX)?;
            deleted += step.deleted;
            if !step.more {
                break;
            }
        }
        if self.asking.json {
            writeln!(out, "{}", json!({"prefix": prefix, "deleted": deleted}))?;
        } else {
            writeln!(out, "{deleted}")?;
        }
        Ok(())
    }
}

/// Asks the operator, if there is one.
fn is_meant(prefix: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Unasked);
    }
    let mut terminal = io::stderr();
    write!(terminal, "Delete every counter whose name begins with {prefix:?}? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_one() {
        assert!(["y\n", "Y", " yes \n", "YES"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "no", "yesterday", "y y"].into_iter().any(is_yes));
    }
}
