//! The commands that a script or a transaction calls, carried out on a scratch.
//!
//! Each is the command that clients have: it is planned in the same way, and its reply is written in
//! the same way, but the operations in between are done on the scratch and not by the node.

use bytes::Bytes;
use quipu_core::condition::Condition;
use quipu_core::name::CounterName;
use quipu_core::operation::{Op, Results};

use super::budget::Bounds;
use super::ended::Ended;
use super::sandbox;
use super::scratch::{Scratch, Stop};
use super::shelf::{Script, Shelf};
use crate::access::Ops;
use crate::handle::Handle;
use crate::redis::command::Command;
use crate::redis::commands::{keys, msetnx, refused};
use crate::redis::frames::{Frames, Span};
use crate::redis::glob;
use crate::redis::plan::Plan;
use crate::redis::question::{Named, Question, Scripts};
use crate::redis::reply::{self, Protocol};
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Served, Spec};

/// Commands that Redis refuses to scripts, since they are about a connection, which a script has none of; and some
/// that are answered by more than the counters that a script has seen.
const NOT_IN_SCRIPTS: [&str; 27] = [
    "auth",
    "client",
    "config",
    "discard",
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "exec",
    "hello",
    "multi",
    "psubscribe",
    "punsubscribe",
    "quit",
    "reset",
    "role",
    "script",
    "subscribe",
    "unsubscribe",
    "unwatch",
    "wait",
    "watch",
    // They ask the node step by step, and what they find could not be held against what is there at
    // the end. Redis lets scripts have them.
    "dbsize",
    "flushall",
    "flushdb",
    "randomkey",
    "scan",
];

/// What carries commands out.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) served: &'static Served,
    pub(super) handle: &'a Handle,
    pub(super) shelf: &'a Shelf,
    pub(super) bounds: Bounds,
    /// How often kills had been said when it began.
    pub(super) kills_before: u64,
    pub(super) session: Session,
    pub(super) scratch: Scratch<'a>,
}

impl Machine<'_> {
    /// Carries a command of a client out, which was looked at when it came, and writes its reply.
    pub(super) fn carry_out(
        &mut self,
        command: Command<'_>,
        spec: &'static Spec,
        out: &mut Vec<u8>,
    ) -> Result<(), Ended> {
        let mut plan = Plan::default();
        let (served, handle) = (self.served, self.handle);
        let session = &mut self.session;
        let next = Call { command, spec, served, handle, session, plan: &mut plan }.carry_out();
        match next {
            Next::Go => {
                let results = self.apply(plan.take_ops())?;
                plan.render(results, out);
            }
            Next::Ask(Question::SetMissing { sets, missing }) => {
                let mut none = true;
                for condition in missing.iter() {
                    none &= self.scratch.holds(condition)?;
                }
                let results = if none { Some(self.apply(sets)?) } else { None };
                msetnx::write(results, out);
            }
            Next::Ask(Question::Keys { names, pattern }) => {
                let database = Some(self.session.database);
                let is_wanted = |name: &CounterName| {
                    let shown = self.session.database.shown(name.as_str());
                    shown.is_some_and(|shown| glob::matches(&pattern, shown.as_bytes()))
                };
                let mut found = self.scratch.names(&names, keys::KEYS_MAX, is_wanted)?;
                found.sort_unstable();
                keys::write(database, &found, out);
            }
            Next::Ask(Question::Scripts(asked, _)) => self.scripts(asked, out)?,
            Next::Ask(_) | Next::Close | Next::Leave => {
                reply::error(out, b"ERR This Redis command is not allowed from script");
            }
        }
        Ok(())
    }

    fn apply(&mut self, ops: Ops) -> Result<Results, Ended> {
        let ops = ops.into_inner();
        self.scratch.look(ops.iter().map(Op::name).cloned().collect())?;
        let applied: Result<Results, Stop> = ops.iter().map(|op| self.scratch.apply(op)).collect();
        Ok(applied?)
    }

    /// Answers what is asked of scripts.
    pub(super) fn scripts(&mut self, asked: Scripts, out: &mut Vec<u8>) -> Result<(), Ended> {
        let eval = match asked {
            Scripts::Eval(eval) => eval,
            Scripts::Load(body) => {
                match self.compiled(&body) {
                    Ok(script) => reply::bulk(out, script.sha.as_bytes()),
                    Err(text) => reply::error(out, &text),
                }
                return Ok(());
            }
            Scripts::Shelf(asked) => {
                self.shelf.answer(&asked, out);
                return Ok(());
            }
        };
        let script = match &eval.script {
            Named::Body(body) => self.shelf.script(body),
            Named::Sha(name) => self
                .shelf
                .named(name)
                .ok_or_else(|| b"NOSCRIPT No matching script. Please use EVAL.".to_vec()),
        };
        let script = match script {
            Ok(script) => script,
            Err(text) => {
                reply::error(out, &text);
                return Ok(());
            }
        };
        if eval.only_reads && script.flags.are_said && !script.flags.no_writes {
            let text = b"ERR Can not execute a script with write flag using *_ro command.";
            reply::error(out, text);
            return Ok(());
        }
        let only_reads = eval.only_reads || script.flags.no_writes;
        // What a script chooses is chosen for itself.
        let before = (self.session.database, self.session.protocol);
        let (bounds, kills_before, shelf) = (self.bounds, self.kills_before, self.shelf);
        let run = sandbox::Run { script: &script, eval: &eval, only_reads, bounds, kills_before };
        let ran = run.run(self, &shelf.kills, || shelf.keep(&script), out);
        (self.session.database, self.session.protocol) = before;
        ran
    }

    /// A script that was sent to be kept.
    fn compiled(&self, body: &[u8]) -> Result<std::sync::Arc<Script>, Vec<u8>> {
        let script = self.shelf.script(body)?;
        sandbox::check(&script, self.bounds)?;
        self.shelf.keep(&script);
        Ok(script)
    }

    /// Carries a transaction out, if what it watches is as it was; else its answer is null.
    pub(super) fn transaction(
        &mut self,
        (bytes, frames): &(Bytes, Frames),
        watched: &[Condition],
        out: &mut Vec<u8>,
    ) -> Result<(), Ended> {
        self.scratch.look(watched.iter().map(|condition| condition.name.clone()).collect())?;
        for condition in watched {
            if !self.scratch.holds(condition)? {
                reply::null_array(out, self.session.protocol);
                return Ok(());
            }
        }
        reply::array(out, frames.len());
        for at in 0..frames.len() {
            let command = Command::new(bytes, frames.command(at));
            // It was found when it was held back.
            if let Some(spec) = (self.served.find)(command.argument(0)) {
                self.carry_out(command, spec, out)?;
            }
        }
        Ok(())
    }
}

impl sandbox::Commands for Machine<'_> {
    fn call(
        &mut self,
        arguments: &[Vec<u8>],
        only_reads: bool,
    ) -> Result<Result<Vec<u8>, Vec<u8>>, Ended> {
        let (mut bytes, mut frames) = (Vec::new(), Frames::default());
        for argument in arguments {
            let start = bytes.len();
            bytes.extend_from_slice(argument);
            frames.argument(Span::new(start, bytes.len()));
        }
        frames.end_command();
        let bytes = Bytes::from(bytes);
        let command = Command::new(&bytes, frames.command(0));
        let Some(spec) = (self.served.find)(command.argument(0)) else {
            // What is no command of counters says so, with what to use instead.
            return Ok(Err(match refused::reason(command.argument(0)) {
                Some(reason) => [b"-", refused::text(&command, reason).as_bytes()].concat(),
                None => b"Unknown Redis command called from script".to_vec(),
            }));
        };
        if let Err(text) = checked(spec, &command) {
            return Ok(Err(text.to_vec()));
        }
        if NOT_IN_SCRIPTS.contains(&spec.name) {
            return Ok(Err(b"This Redis command is not allowed from script".to_vec()));
        }
        if only_reads && spec.class == Class::Write {
            return Ok(Err(b"Write commands are not allowed from read-only scripts.".to_vec()));
        }
        let mut out = Vec::new();
        self.carry_out(command, spec, &mut out)?;
        Ok(Ok(out))
    }

    fn speak(&mut self, protocol: Protocol) -> Protocol {
        std::mem::replace(&mut self.session.protocol, protocol)
    }
}

/// What is wrong with a command's number of arguments, as scripts are told.
fn checked(spec: &Spec, command: &Command<'_>) -> Result<(), &'static [u8]> {
    let takes = |arity: i64| {
        let arguments = i64::try_from(command.len()).unwrap_or(i64::MAX);
        if arity < 0 { arguments >= -arity } else { arguments == arity }
    };
    let word = spec.words.iter().find(|word| command.is(1, word.word));
    let wrong = b"Wrong number of args calling Redis command from script".as_slice();
    match word {
        _ if spec.words.is_empty() || command.len() < 2 => {
            if takes(spec.arity) {
                Ok(())
            } else {
                Err(wrong)
            }
        }
        Some(word) if takes(word.arity) => Ok(()),
        Some(_) => Err(wrong),
        None if command.is(1, "help") => Ok(()),
        None => Err(b"Unknown Redis command called from script"),
    }
}
