//! A counter as a node tells of it, and as it is printed.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Failure;
use super::client::Client;
use crate::lifetime;

/// A counter's name and value.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) value: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) applied: Option<i128>,
    /// The digits of a value that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exact: Option<String>,
    /// False if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exists: Option<bool>,
    /// The value before it was set, reset or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<i64>,
    /// The digits of that, if it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before_exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) existed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ttl_ms: Option<u64>,
    /// Whether this tells that it was deleted, or has expired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
}

impl Row {
    /// One that was deleted, or has expired.
    pub(super) fn deleted(name: String) -> Self {
        Row { name, deleted: true, ..Row::default() }
    }

    /// The exact value as text.
    pub(super) fn digits(&self) -> String {
        self.exact.clone().unwrap_or_else(|| self.value.to_string())
    }

    /// The exact value before it as text.
    pub(super) fn digits_before(&self) -> String {
        let clamped = || self.before.unwrap_or_default().to_string();
        self.before_exact.clone().unwrap_or_else(clamped)
    }

    /// The exact value as a number.
    pub(super) fn exact_value(&self) -> i128 {
        let exact = self.exact.as_ref().and_then(|digits| digits.parse().ok());
        exact.unwrap_or(self.value.into())
    }

    /// As an object in a line of its own.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// The exact value, and behind a tab what is left of its lifetime, if it has one.
    pub(super) fn told(&self) -> String {
        let digits = self.digits();
        self.ttl_ms.map_or(digits.clone(), |ms| format!("{digits}\t{}", lifetime::left(ms)))
    }

    /// Name and value with a tab between them, which no name holds.
    pub(super) fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}\t{}", self.name, self.told())
    }
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

/// Does the same to several counters in one request, and uses what came of each.
pub(super) fn each(
    client: &Client,
    op: &str,
    names: &[String],
    failure: impl FnOnce(usize, usize, String) -> Failure,
    mut use_row: impl FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let operations: Vec<_> = names.iter().map(|name| json!({"op": op, "name": name})).collect();
    let batch: Batch = client.post("/batch", &json!({ "operations": operations }).to_string())?;
    let mut failed = Vec::new();
    for came in batch.results {
        match came {
            Came::Problem { problem } => failed.push(problem.detail),
            Came::Row(row) => use_row(row)?,
        }
    }
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(failure(failed.len(), names.len(), first.clone())),
    }
}
