//! What a read's commands amount to: operations for the driver, and how the replies are put
//! together from their results.
//!
//! Many commands become one message to the driver, and some are answered without it; replies still
//! leave in the order in which the commands came. So each command leaves a *slot* behind: its reply
//! if that is known already, else what to make of the next results.

use quipu_core::name::NameError;
use quipu_core::node::REQUEST_OPS_MAX;
use quipu_core::operation::{Op, Outcome, Refusal, Results};

use super::digits;
use super::errors;
use super::reply::{self, Protocol};
use crate::access::{Caller, Ops};

/// How a command writes what one operation has come to.
pub(super) type Write = fn(&mut Vec<u8>, Protocol, &Outcome);

/// How a reply, or a part of one, is made of the results that follow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    /// Bytes that are known, so many of them.
    Said(usize),
    /// The value as a number, of one result.
    Number,
    /// What a command writes of one result.
    Read(Protocol, Write),
    /// This number, if the one result is of a counter that exists; else null.
    IfExists(Protocol, i64),
    /// The value as text from one place to another, of one result.
    Range(i8, i8),
    /// A bit of the value as text, of one result.
    Bit(u8),
    /// Of how many of so many results this is true.
    Count(usize, fn(&Outcome) -> bool),
    /// That all of so many results were done.
    Done(usize),
    /// No reply of its own: whether the client wants those that follow not.
    Silence(bool),
}

/// Commands on their way to the driver and back.
#[derive(Debug, Default)]
pub(super) struct Plan {
    ops: Ops,
    slots: Vec<Slot>,
    /// The bytes that are known, one slot's after the other's.
    said: Vec<u8>,
    /// Whether the client wants no reply to what is rendered next, and to what is planned next.
    renders_silently: bool,
    plans_silently: bool,
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
    pub(super) fn take_ops(&mut self) -> Ops {
        std::mem::take(&mut self.ops)
    }

    /// Tells whether replies to what follows are not wanted. They are made and dropped: the results
    /// behind them belong to the next commands.
    pub(super) fn silence(&mut self, holds: bool) {
        if self.plans_silently != holds {
            self.plans_silently = holds;
            self.slots.push(Slot::Silence(holds));
        }
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

    /// Takes one operation in whose reply is the value after it; false if the caller may not have it.
    pub(super) fn add(&mut self, caller: &Caller, op: Op) -> bool {
        let is_allowed = self.ops.add(caller, op).is_ok();
        if is_allowed {
            self.slots.push(Slot::Number);
        }
        is_allowed
    }

    /// Takes operations in, all or none; the reply is still to be told by slots. Where one cannot be,
    /// since its counter cannot have such a name or `command` is denied to the caller, that is the reply.
    pub(super) fn operate(
        &mut self,
        caller: &Caller,
        command: &str,
        ops: impl IntoIterator<Item = Result<Op, NameError>>,
    ) -> bool {
        let before = self.ops.len();
        for op in ops {
            let text = match op.map(|op| self.ops.add(caller, op)) {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => errors::denied(command.as_bytes()),
                Err(error) => errors::name(error),
            };
            self.ops.truncate(before);
            self.fail(text);
            return false;
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
        for slot in self.slots.drain(..) {
            let before = out.len();
            match slot {
                Slot::Silence(holds) => self.renders_silently = holds,
                Slot::Said(length) => {
                    let (bytes, rest) = said.split_at(length);
                    out.extend_from_slice(bytes);
                    said = rest;
                }
                Slot::Number => match results.next() {
                    Some(Ok(outcome)) => reply::integer(out, outcome.value.clamped()),
                    Some(Err(refusal)) => reply::error(out, errors::refusal(refusal).as_bytes()),
                    None => reply::error(out, errors::NO_RESULT.as_bytes()),
                },
                Slot::Read(protocol, write) => match outcome(results.next()) {
                    Ok(outcome) => write(out, protocol, &outcome),
                    Err(text) => reply::error(out, text.as_bytes()),
                },
                Slot::IfExists(protocol, number) => match outcome(results.next()) {
                    Ok(outcome) if outcome.exists => reply::integer(out, number),
                    Ok(_) => reply::null(out, protocol),
                    Err(text) => reply::error(out, text.as_bytes()),
                },
                Slot::Range(start, end) => match outcome(results.next()) {
                    Ok(outcome) => digits::write_range(out, &outcome, start, end),
                    Err(text) => reply::error(out, text.as_bytes()),
                },
                Slot::Bit(offset) => match outcome(results.next()) {
                    Ok(outcome) => digits::write_bit(out, &outcome, offset),
                    Err(text) => reply::error(out, text.as_bytes()),
                },
                Slot::Count(ops, is_counted) => match count(ops, is_counted, &mut results) {
                    Ok(count) => reply::integer(out, count),
                    Err(text) => reply::error(out, text.as_bytes()),
                },
                Slot::Done(ops) => match count(ops, |_| true, &mut results) {
                    Ok(_) => reply::simple(out, "OK"),
                    Err(text) => reply::error(out, text.as_bytes()),
                },
            }
            if self.renders_silently {
                out.truncate(before);
            }
        }
        self.said.clear();
        self.slots.shrink_to(SLOTS_KEPT_MAX);
        self.said.shrink_to(SAID_BYTES_KEPT_MAX);
    }
}

/// What an operation has come to, or the error to answer with. The driver gives a result for every
/// operation. Should one ever lack, nothing is made up for it.
fn outcome(result: Option<Result<Outcome, Refusal>>) -> Result<Outcome, String> {
    match result {
        Some(Ok(outcome)) => Ok(outcome),
        Some(Err(refusal)) => Err(errors::refusal(refusal)),
        None => Err(errors::NO_RESULT.to_owned()),
    }
}

/// Of how many results something is true. All results are taken, also behind one that is an error, so
/// that the next command finds its own.
fn count(
    ops: usize,
    is_counted: fn(&Outcome) -> bool,
    results: &mut impl Iterator<Item = Result<Outcome, Refusal>>,
) -> Result<i64, String> {
    let (mut counted, mut failed) = (0, None);
    for _ in 0..ops {
        match outcome(results.next()) {
            Ok(outcome) => counted += i64::from(is_counted(&outcome)),
            Err(text) => failed = failed.or(Some(text)),
        }
    }
    failed.map_or(Ok(counted), Err)
}

#[cfg(test)]
mod tests {
    use quipu_core::operation::Value;

    use super::*;
    use crate::redis::commands::{exists, get, kind, strlen, ttl};

    /// What a plan of one read says, given these results.
    fn rendered(slots: &[Slot], results: Results) -> String {
        let mut plan = Plan::default();
        slots.iter().for_each(|slot| plan.slot(*slot));
        let mut out = Vec::new();
        plan.render(results, &mut out);
        String::from_utf8(out).unwrap()
    }

    const NOTHING: Outcome = Outcome::MISSING;
    const OVERFLOW: Refusal = Refusal::Overflow { found: Value(1) };

    const READS: [Slot; 5] = [
        Slot::Read(Protocol::Two, get::write),
        Slot::Count(2, exists::exists),
        Slot::Read(Protocol::Two, strlen::write),
        Slot::Read(Protocol::Two, kind::write),
        Slot::Read(Protocol::Two, ttl::write_seconds),
    ];

    #[test]
    fn a_result_that_never_came_is_an_error_and_no_value() {
        let others = [Slot::Number, Slot::Done(1), Slot::IfExists(Protocol::Two, 1)];
        for slot in [&READS[..], &others].concat() {
            let said = rendered(&[slot], Results::new());
            assert!(said.starts_with("-ERR the node gave no result"), "{slot:?}: {said}");
        }
    }

    #[test]
    fn only_a_counter_that_does_not_exist_reads_as_none() {
        for (slot, nothing) in
            READS.into_iter().zip(["$-1\r\n", ":0\r\n", ":0\r\n", "+none\r\n", ":-2\r\n"])
        {
            let not_found = vec![Ok(NOTHING), Ok(NOTHING)];
            assert_eq!(rendered(&[slot], not_found), nothing, "{slot:?}");
            let refused = vec![Err(OVERFLOW), Ok(NOTHING)];
            let said = rendered(&[slot], refused);
            assert_eq!(said, format!("-ERR {}\r\n", OVERFLOW), "{slot:?}");
        }
    }

    #[test]
    fn a_failed_read_of_several_leaves_the_next_command_its_own_result() {
        let results = vec![Err(OVERFLOW), Ok(NOTHING), Ok(NOTHING)];
        let said = rendered(&[Slot::Count(2, exists::exists), READS[3]], results);
        assert_eq!(said, format!("-ERR {}\r\n+none\r\n", OVERFLOW));
    }
}
