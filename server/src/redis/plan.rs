//! What a read's commands amount to: operations for the driver, and how the replies are put
//! together from their results.
//!
//! Many commands become one message to the driver, and some are answered without it; replies still
//! leave in the order in which the commands came. So each command leaves a *slot* behind: its reply
//! if that is known already, else what to make of the next results.

use quipu_core::effects::{Op, Refusal, Results, Value};
use quipu_core::node::REQUEST_OPS_MAX;

use super::command::Command;
use super::errors;
use super::reply::{self, Protocol};

/// How a reply, or a part of one, is made of the results that follow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    /// Bytes that are known, so many of them.
    Said(usize),
    /// The value as a number, of one result.
    Number,
    /// The value as a string, or null, of one result.
    Text(Protocol),
    /// How many of so many results are of counters that exist.
    Existing(usize),
    /// How long the value is as a string, of one result.
    Length,
    /// What kind of value it is, of one result.
    Kind,
    /// How long it will live, of one result: for ever, if it exists.
    Lifetime,
}

/// Commands on their way to the driver and back.
#[derive(Debug, Default)]
pub(super) struct Plan {
    ops: Vec<Op>,
    slots: Vec<Slot>,
    /// The bytes that are known, one slot's after the other's.
    said: Vec<u8>,
}

/// Most operations that are handed in together. A command is never cut, so it is the most that one
/// command or transaction may be as well.
pub(super) const OPS_MAX: usize = 10_000;

const _: () = assert!(OPS_MAX <= REQUEST_OPS_MAX);

/// What is kept of a plan's memory for the next one. More was needed by an unusual read, and ten
/// thousand idle connections would each keep it.
const SLOTS_KEPT_MAX: usize = 256;
const SAID_BYTES_KEPT_MAX: usize = 4096;

impl Plan {
    /// Makes room for so many commands.
    pub(super) fn expect(&mut self, commands: usize) {
        self.ops.reserve_exact(commands);
        self.slots.reserve(commands);
    }

    /// How many operations wait.
    pub(super) fn ops(&self) -> usize {
        self.ops.len()
    }

    /// Takes the operations out, for the driver.
    pub(super) fn take_ops(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.ops)
    }

    /// Adds bytes that are known.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.said.len();
        write(&mut self.said);
        self.slots.push(Slot::Said(self.said.len() - before));
    }

    /// Adds an error as the reply.
    pub(super) fn fail(&mut self, text: impl AsRef<[u8]>) {
        self.say(|out| reply::error(out, text.as_ref()));
    }

    /// Adds `by` to the counter that the first argument names; the reply is the value after it.
    pub(super) fn add(&mut self, command: &Command<'_>, by: i64) {
        match command.name(1) {
            Ok(name) => {
                self.ops.push(Op::Add { name, by });
                self.slots.push(Slot::Number);
            }
            Err(error) => self.fail(errors::name(error)),
        }
    }

    /// Reads every counter that the arguments name. If one cannot be a name, none is read and that
    /// is the reply; else the reply is still to be told by slots.
    pub(super) fn find(&mut self, command: &Command<'_>) -> bool {
        let before = self.ops.len();
        for at in 1..command.len() {
            match command.name(at) {
                Ok(name) => self.ops.push(Op::Find { name }),
                Err(error) => {
                    self.ops.truncate(before);
                    self.fail(errors::name(error));
                    return false;
                }
            }
        }
        true
    }

    /// Tells what to make of results.
    pub(super) fn slot(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    /// Writes all replies, and is empty then.
    pub(super) fn render(&mut self, results: Results, out: &mut Vec<u8>) {
        let mut results = results.into_iter();
        let mut said = self.said.as_slice();
        // The driver answers every operation; should it ever not, the reply says so.
        let mut next = || results.next().unwrap_or(Err(Refusal::Untouched));
        for slot in self.slots.drain(..) {
            match slot {
                Slot::Said(length) => {
                    let (bytes, rest) = said.split_at(length);
                    out.extend_from_slice(bytes);
                    said = rest;
                }
                Slot::Number => match next() {
                    Ok(value) => reply::integer(out, value.clamped()),
                    Err(refusal) => reply::error(out, errors::refusal(refusal).as_bytes()),
                },
                Slot::Text(protocol) => match next() {
                    Ok(value) => reply::bulk_number(out, value.clamped()),
                    Err(_) => reply::null(out, protocol),
                },
                Slot::Existing(names) => {
                    let existing = (0..names).filter(|_| next().is_ok()).count();
                    reply::integer(out, i64::try_from(existing).unwrap_or(i64::MAX));
                }
                Slot::Length => reply::integer(out, next().map_or(0, length)),
                Slot::Kind => reply::simple(out, if next().is_ok() { "string" } else { "none" }),
                Slot::Lifetime => reply::integer(out, if next().is_ok() { -1 } else { -2 }),
            }
        }
        self.said.clear();
        self.slots.shrink_to(SLOTS_KEPT_MAX);
        self.said.shrink_to(SAID_BYTES_KEPT_MAX);
    }
}

fn length(value: Value) -> i64 {
    itoa::Buffer::new().format(value.clamped()).len() as i64
}
