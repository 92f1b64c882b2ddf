//! A command's row in the table, and what it has at hand when it is carried out.

use bytes::Bytes;
use quipu_core::name::{CounterName, NameError};
use quipu_core::operation::Op;
use quipu_core::update::Update;

use super::command::Command;
use super::plan::{OPS_MAX, Plan, Slot, Write};
use super::question::Question;
use super::session::Session;
use super::subcommands::{self, Subcommand};
use super::{errors, reply};
use crate::access::{Allowed, Asks};
use crate::handle::Handle;

/// A group of commands, as metrics count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Write,
    Read,
    Keyspace,
    Connection,
    Transaction,
    Subscription,
    Script,
    Refused,
    Unknown,
}

impl Class {
    pub(super) const ALL: [Class; 9] = [
        Class::Write,
        Class::Read,
        Class::Keyspace,
        Class::Connection,
        Class::Transaction,
        Class::Subscription,
        Class::Script,
        Class::Refused,
        Class::Unknown,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Class::Write => "write",
            Class::Read => "read",
            Class::Keyspace => "keyspace",
            Class::Connection => "connection",
            Class::Transaction => "transaction",
            Class::Subscription => "subscription",
            Class::Script => "script",
            Class::Refused => "refused",
            Class::Unknown => "unknown",
        }
    }
}

/// A row.
#[derive(Debug)]
pub(super) struct Spec {
    /// In lower case.
    pub(super) name: &'static str,
    pub(super) class: Class,
    /// How many arguments it takes, its name included; at least so many if negative.
    pub(super) arity: i64,
    /// Where its first and last key stand: (0, 0) if it has none, -1 for the last argument.
    pub(super) keys: (i64, i64),
    /// How far its keys stand from one another.
    pub(super) key_step: usize,
    /// For `COMMAND DOCS`.
    pub(super) summary: &'static str,
    /// The second words that it takes, if it takes some.
    pub(super) words: &'static [Subcommand],
    /// Whether it is refused while the node reads what it had kept.
    pub(super) waits_for_start: bool,
    /// Whether `MULTI` does not hold it back.
    pub(super) acts_at_once: bool,
    /// Whether it asks the driver several times, so that it cannot be part of a transaction.
    pub(super) stands_alone: bool,
    /// Whether it may end counters, or sets them, for which a caller needs another right.
    pub(super) ends: bool,
    /// Whether a client that listens may send it, in version 2.
    pub(super) is_for_listeners: bool,
    run: fn(&mut Call<'_>) -> Next,
}

impl Spec {
    pub(super) const fn new(
        name: &'static str,
        class: Class,
        arity: i64,
        run: fn(&mut Call<'_>) -> Next,
        summary: &'static str,
    ) -> Self {
        Spec {
            name,
            class,
            arity,
            keys: (0, 0),
            key_step: 1,
            summary,
            words: &[],
            waits_for_start: matches!(class, Class::Write | Class::Read | Class::Keyspace),
            acts_at_once: false,
            stands_alone: matches!(class, Class::Keyspace | Class::Subscription),
            ends: false,
            is_for_listeners: false,
            run,
        }
    }

    pub(super) const fn keys(mut self, first: i64, last: i64) -> Self {
        self.keys = (first, last);
        self
    }

    pub(super) const fn every(mut self, step: usize) -> Self {
        self.key_step = step;
        self
    }

    pub(super) const fn alone(mut self) -> Self {
        self.stands_alone = true;
        self
    }

    pub(super) const fn ends(mut self) -> Self {
        self.ends = true;
        self
    }

    pub(super) const fn words(mut self, words: &'static [Subcommand]) -> Self {
        self.words = words;
        self
    }

    pub(super) const fn at_once(mut self) -> Self {
        self.acts_at_once = true;
        self
    }

    pub(super) const fn for_listeners(mut self) -> Self {
        self.is_for_listeners = true;
        self
    }

    /// `INFO` tells whether the node has started, and is asked by clients before they begin. As Redis
    /// has it.
    pub(super) const fn before_start(mut self) -> Self {
        self.waits_for_start = false;
        self
    }

    /// `PING` is asked by scripts until the server is ready. As Redis has it.
    pub(super) const fn after_start(mut self) -> Self {
        self.waits_for_start = true;
        self
    }

    /// Its name with the second word of a command, if it has some, as errors tell it.
    pub(super) fn full_name(&self, command: &Command<'_>) -> &'static str {
        let word = self.words.iter().find(|word| command.is(1, word.word));
        word.map_or(self.name, |word| word.name)
    }
}

/// All rows, for the commands that need others: by name in either case, and each.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) all: &'static [Spec],
    pub(super) find: fn(&[u8]) -> Option<&'static Spec>,
}

/// How a connection goes on after a command.
#[derive(Debug)]
pub(super) enum Next {
    /// With the next one.
    Go,
    /// By asking the driver something that is not an operation on counters. What came before is
    /// done first, so that the answer reflects it.
    Ask(Question),
    /// Not at all, once everything is answered.
    Close,
    /// Not at all: a browser speaks, made to by a page of another site, and commands may follow in
    /// what it sends.
    Leave,
}

/// One command that is carried out: its number of arguments is right.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) command: Command<'a>,
    pub(super) spec: &'static Spec,
    pub(super) served: &'static Served,
    pub(super) handle: &'a Handle,
    pub(super) session: &'a mut Session,
    pub(super) plan: &'a mut Plan,
}

impl Call<'_> {
    /// Does what the command says.
    #[inline]
    pub(super) fn carry_out(&mut self) -> Next {
        if !self.spec.words.is_empty() {
            self.session.client.shown().command = self.spec.full_name(&self.command);
            if self.command.is(1, "help") {
                return self.help();
            }
        }
        (self.spec.run)(self)
    }

    fn help(&mut self) -> Next {
        let lines = subcommands::help(self.spec.name, self.spec.words);
        self.say(|out| {
            reply::array(out, lines.len());
            lines.iter().for_each(|line| reply::simple(out, line));
        })
    }

    /// Answers with bytes that are known.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Next {
        self.plan.say(write);
        Next::Go
    }

    /// Answers with an error.
    pub(super) fn fail(&mut self, text: impl AsRef<[u8]>) -> Next {
        self.plan.fail(text);
        Next::Go
    }

    /// The counter that an argument names, in the database that was chosen.
    pub(super) fn name(&self, at: usize) -> Result<CounterName, NameError> {
        self.session.database.name(&self.command, at)
    }

    /// Takes operations in, all or none, unless that is answered with an error.
    pub(super) fn operate(&mut self, ops: impl IntoIterator<Item = Result<Op, NameError>>) -> bool {
        let name = self.spec.full_name(&self.command);
        self.plan.operate(&self.session.caller, name, ops)
    }

    /// Adds to the counter that the first argument names, and answers with the value after it.
    pub(super) fn add(&mut self, by: i64) -> Next {
        // What nearly all commands are: without a list of one operation.
        let name = match self.name(1) {
            Ok(name) => name,
            Err(error) => return self.fail(errors::name(error)),
        };
        if self.plan.add(&self.session.caller, Op::Add { name, by }) {
            return Next::Go;
        }
        let name = self.spec.full_name(&self.command);
        self.fail(errors::denied(name.as_bytes()))
    }

    /// Sets, ends or limits the counter that the first argument names, and has the answer written.
    pub(super) fn update(&mut self, update: Update, write: Write) -> Next {
        let update = Box::new(update);
        let op = self.name(1).map(|name| Op::Update { name, update });
        if self.operate([op]) {
            self.plan.slot(Slot::Read(self.session.protocol, write));
        }
        Next::Go
    }

    /// Reads the counter that an argument names, for a slot.
    pub(super) fn find(&mut self, at: usize) -> bool {
        let op = self.name(at).map(|name| Op::Get { name });
        self.operate([op])
    }

    /// Reads the counter that the first argument names, and has the answer written.
    pub(super) fn read(&mut self, write: Write) -> Next {
        if self.find(1) {
            self.plan.slot(Slot::Read(self.session.protocol, write));
        }
        Next::Go
    }

    /// Does something to every counter that the arguments name, unless that is answered with an error.
    /// A command is never cut, so that what it reads was true at one moment.
    pub(super) fn operate_on_all(&mut self, op: fn(CounterName) -> Op) -> bool {
        let (command, database) = (self.command, self.session.database);
        self.has_room(command.len() - 1)
            && self.operate((1..command.len()).map(|at| database.name(&command, at).map(op)))
    }

    /// Reads every counter that the arguments name, in the same way.
    pub(super) fn find_all(&mut self) -> bool {
        self.operate_on_all(|name| Op::Get { name })
    }

    /// Whether a command may have so many keys; if not, that is the answer.
    pub(super) fn has_room(&mut self, keys: usize) -> bool {
        if keys > OPS_MAX {
            let text = format!("ERR expected at most {OPS_MAX} keys in a command, found {keys}");
            self.plan.fail(text);
        }
        keys <= OPS_MAX
    }

    /// What the caller asks for; `None` if it is answered that it may not have it.
    pub(super) fn allowed<T: Asks>(&mut self, asked: T) -> Option<Allowed<T>> {
        let allowed = self.session.caller.ask(asked);
        if allowed.is_err() {
            let name = self.spec.full_name(&self.command);
            self.plan.fail(errors::denied(name.as_bytes()));
        }
        allowed.ok()
    }

    /// Goes on with a question, if the caller may ask it.
    pub(super) fn ask<T: Asks>(
        &mut self,
        asked: T,
        question: impl FnOnce(Allowed<T>) -> Question,
    ) -> Next {
        self.allowed(asked).map_or(Next::Go, |allowed| Next::Ask(question(allowed)))
    }

    /// All arguments, copied: as slices they would keep alive the whole read in which they came.
    pub(super) fn copied_arguments(&self) -> Vec<Bytes> {
        self.command.arguments(1).map(Bytes::copy_from_slice).collect()
    }
}
