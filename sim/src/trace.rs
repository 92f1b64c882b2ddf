//! What happened, one line an event.
//!
//! Every line enters a hash, so that two runs can be compared without keeping either; the lines
//! themselves are kept only where a reader wants them.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

use quipu_core::time::Time;

/// How many lines are kept for reading, the last ones: a run of a minute writes some 100,000.
const LINES_MAX: usize = 1 << 20;

/// The trace of one run.
#[derive(Debug)]
pub struct Trace {
    hasher: DefaultHasher,
    line: String,
    kept: Option<VecDeque<String>>,
    count: u64,
}

impl Trace {
    /// A trace that is only hashed.
    pub fn hashed() -> Self {
        Trace { hasher: DefaultHasher::new(), line: String::new(), kept: None, count: 0 }
    }

    /// A trace whose lines are kept, too.
    pub fn kept() -> Self {
        Trace { kept: Some(VecDeque::new()), ..Trace::hashed() }
    }

    /// Adds a line.
    pub fn note(&mut self, now: Time, what: fmt::Arguments<'_>) {
        self.line.clear();
        let (seconds, micros) = (now.as_micros() / 1_000_000, now.as_micros() % 1_000_000);
        write!(self.line, "{seconds:4}.{micros:06} {what}").expect("a String takes any text");
        self.hasher.write(self.line.as_bytes());
        self.hasher.write_u8(b'\n');
        self.count += 1;
        if let Some(kept) = &mut self.kept {
            if kept.len() == LINES_MAX {
                kept.pop_front();
            }
            kept.push_back(self.line.clone());
        }
    }

    /// A number that two runs share if they wrote the same lines.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many lines were written.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The lines that were kept.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().flatten().map(String::as_str)
    }
}
