//! `quipu get NAME…`
//!
//! All names are one request, so that their values are of one moment.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::row::Row;
use super::{Asking, Failure};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Which counters. The value of one stands alone, those of several behind their names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Deserialize)]
struct Batch {
    results: Vec<Came>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Came {
    Row(Row),
    Problem { problem: Problem },
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Get {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let get = |name: &String| json!({"op": "get", "name": name});
        let operations: Vec<_> = self.names.iter().map(get).collect();
        let batch: Batch =
            client.post("/batch", &json!({ "operations": operations }).to_string())?;
        let mut unread = Vec::new();
        for came in batch.results {
            match came {
                Came::Problem { problem } => unread.push(problem.detail),
                Came::Row(row) if self.asking.json => row.write_json(out)?,
                Came::Row(row) if self.names.len() == 1 => writeln!(out, "{}", row.digits())?,
                Came::Row(row) => row.write_line(out)?,
            }
        }
        match unread.first() {
            None => Ok(()),
            Some(first) => Err(Failure::Unread(unread.len(), self.names.len(), first.clone())),
        }
    }
}
