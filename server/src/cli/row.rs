//! A counter as a node tells of it, and as it is printed.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// A counter's name and value.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) value: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) applied: Option<i128>,
    /// The digits of a value that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exact: Option<String>,
}

impl Row {
    /// The exact value as text.
    pub(super) fn digits(&self) -> String {
        self.exact.clone().unwrap_or_else(|| self.value.to_string())
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

    /// Name and value with a tab between them, which no name holds.
    pub(super) fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}\t{}", self.name, self.digits())
    }
}
