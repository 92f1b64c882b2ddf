//! What a command tells people: a title, then one line a step.
//!
//! Who has closed the pipe wants no more lines, but still the exit status: what cannot be written
//! is dropped.

use std::fmt::Display;
use std::io::{self, Write};

/// What comes now, or what came of it.
pub(crate) fn title(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What was done or seen.
pub(crate) fn step(text: impl Display) {
    let _ = writeln!(io::stdout(), "  {text}");
}

/// What went wrong, or may surprise.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
