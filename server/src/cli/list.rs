//! `quipu list [PREFIX]`
//!
//! Page by page, printed as they come: a million names need no memory here.

use std::io::Write;

use clap::Args;
use serde::Deserialize;

use super::client::Client;
use super::row::Row;
use super::{Asking, Failure, encoded};
use crate::words;

/// Rows of a page: the most that a node gives.
const PAGE_ROWS: u64 = 1000;

#[derive(Debug, Args)]
pub(crate) struct List {
    /// What the names begin with
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// How many counters at most
    #[arg(long, value_name = "N", value_parser = words::one_or_more)]
    limit: Option<u64>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Deserialize)]
struct Page {
    counters: Vec<Row>,
    next: Option<String>,
}

impl List {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        each_row(client, &self.prefix, self.limit.unwrap_or(u64::MAX), |row| {
            if self.asking.json { row.write_json(out) } else { row.write_line(out) }
                .map_err(Failure::Unwritable)
        })
    }
}

/// Goes through the counters whose names begin with `prefix`, in order, up to so many.
pub(super) fn each_row(
    client: &Client,
    prefix: &str,
    limit: u64,
    mut use_row: impl FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = String::new();
    let mut left = limit;
    loop {
        let path = format!(
            "/counters?prefix={}&after={}&limit={}",
            encoded(prefix),
            encoded(&after),
            left.min(PAGE_ROWS)
        );
        let page: Page = client.get(&path)?;
        left = left.saturating_sub(page.counters.len() as u64);
        page.counters.into_iter().try_for_each(&mut use_row)?;
        match page.next {
            Some(next) if left > 0 => after = next,
            _ => return Ok(()),
        }
    }
}
