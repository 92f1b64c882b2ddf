//! Commands that `MULTI` holds back until `EXEC`.
//!
//! They are copied: as slices they would keep alive every buffer in which they arrived, of which
//! each may be a thousand times longer. What is kept has the form in which commands arrive, so
//! `EXEC` reads it as if it had come in one piece. It becomes one message to the driver, which
//! applies it as one: no client sees half of it.

use bytes::Bytes;

use super::command::Command;
use super::frames::{Frames, Span};
use super::plan::OPS_MAX;

/// Most bytes of commands, with where each of their arguments stands: as many as the longest command
/// takes, and enough for as many operations as there may be, of the longest names.
const BYTES_MAX: usize = super::parser::COMMAND_BYTES_MAX;

/// The commands since `MULTI`.
#[derive(Clone, Debug, Default)]
pub(super) struct Transaction {
    bytes: Vec<u8>,
    frames: Frames,
    /// At most so many will come of them.
    ops: usize,
    /// Of the arguments, and of where each stands.
    taken: usize,
    /// Whether one of them runs a script, or asks of scripts.
    pub(super) has_scripts: bool,
    /// Whether a command was refused, so that nothing will be done.
    pub(super) is_broken: bool,
}

impl Transaction {
    /// Holds back a command of so many operations, unless there are too many already.
    pub(super) fn hold(&mut self, command: &Command<'_>, ops: usize) -> Result<(), String> {
        if self.ops + ops > OPS_MAX {
            return Err(format!(
                "ERR expected a transaction of at most {OPS_MAX} operations, found more"
            ));
        }
        let bytes: usize =
            command.arguments(0).map(|argument| argument.len() + size_of::<Span>()).sum();
        if self.taken + bytes > BYTES_MAX {
            return Err(format!(
                "ERR expected a transaction of at most {BYTES_MAX} bytes, found more"
            ));
        }
        for argument in command.arguments(0) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(argument);
            self.frames.argument(Span::new(start, self.bytes.len()));
        }
        self.frames.end_command();
        self.ops += ops;
        self.taken += bytes;
        Ok(())
    }

    /// Most operations that the commands amount to.
    pub(super) fn ops_max(&self) -> usize {
        self.ops
    }

    /// How many commands are held back.
    pub(super) fn commands(&self) -> usize {
        self.frames.len()
    }

    /// What was held back.
    pub(super) fn into_commands(self) -> (Bytes, Frames) {
        (self.bytes.into(), self.frames)
    }
}
