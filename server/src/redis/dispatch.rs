//! From a command to what it does.
//!
//! The order of the checks is Redis's, since it decides which error a client sees and whether a
//! transaction is broken by it: is there such a command, has it the right number of arguments, is
//! a transaction open.

use std::time::Duration;

use bytes::Bytes;

use super::command::Command;
use super::commands::{
    connection, counters, introspection, keyspace, pubsub, refused, transaction,
};
use super::errors;
use super::plan::Plan;
use super::reply;
use super::session::Session;
use super::subscriptions::Topic;
use super::table::{self, Class, Found, Kind, Spec};
use crate::handle::Handle;

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

/// What is asked of the driver besides operations.
#[derive(Debug)]
pub(super) enum Question {
    /// `DBSIZE`
    Size,
    /// `ROLE`
    Role,
    /// `INFO`, with the names of sections.
    Info(Vec<Bytes>),
    /// `KEYS`
    Keys { pattern: Bytes },
    /// `SCAN`
    Scan(keyspace::Scan),
    /// `SUBSCRIBE`, `PSUBSCRIBE`
    Subscribe(Topic, Vec<Bytes>),
    /// `UNSUBSCRIBE`, `PUNSUBSCRIBE`; no names are all
    Unsubscribe(Topic, Vec<Bytes>),
    /// `PUBSUB`
    Audience(pubsub::About),
    /// `WAIT`; no patience is no end to it.
    Wait { peers: usize, patience: Option<Duration> },
}

/// Plans one command. Answers with how to go on, and under what to count it. Before the node has
/// started, nobody is told anything about counters.
pub(super) fn plan(
    command: &Command<'_>,
    handle: &Handle,
    session: &mut Session,
    plan: &mut Plan,
) -> (Next, Class) {
    let spec = match session.last.find(command.argument(0)) {
        Some(Found::Served(spec)) => spec,
        Some(Found::Refused(reason)) => {
            let name = command.argument(0).to_ascii_lowercase();
            if session.only_listens() && name != b"ssubscribe" && name != b"sunsubscribe" {
                refuse(session, plan, errors::listens(&String::from_utf8_lossy(&name)));
                return (Next::Go, Class::Refused);
            }
            refuse(session, plan, refused::text(command, reason));
            return (Next::Go, Class::Refused);
        }
        None if is_of_http(command.argument(0)) => return (Next::Leave, Class::Refused),
        None => {
            refuse(session, plan, errors::unknown(command));
            return (Next::Go, Class::Unknown);
        }
    };
    let mut checked = table::check(spec, command);
    if checked.is_ok() && session.only_listens() && !may_listener(spec.kind) {
        checked = Err(errors::listens(table::full_name(spec, command)).into());
    }
    if let Err(text) = checked {
        if spec.kind == Kind::Exec {
            transaction::abort(&text, session, plan);
        } else {
            refuse(session, plan, text);
        }
        return (Next::Go, spec.class);
    }
    if waits_for_start(spec) && !handle.is_open() {
        refuse(session, plan, errors::LOADING);
        return (Next::Go, spec.class);
    }
    if session.transaction.is_some() && !acts_at_once(spec.kind) {
        transaction::hold(command, spec, session, plan);
        return (Next::Go, spec.class);
    }
    (carry_out(command, spec, handle, session, plan), spec.class)
}

/// Whether this is how a request of HTTP begins, or what stands in each of its heads. Redis looks for
/// the same two.
fn is_of_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// An error by which a transaction is broken, if one is open.
pub(super) fn refuse(session: &mut Session, plan: &mut Plan, text: impl AsRef<[u8]>) {
    if let Some(transaction) = &mut session.transaction {
        transaction.is_broken = true;
    }
    plan.fail(text);
}

/// Whether a command is refused while the node reads what it had kept. `INFO` tells of that, and is
/// asked by clients before they begin; `PING` is asked by scripts until the server is ready. Both as
/// Redis has it.
fn waits_for_start(spec: &Spec) -> bool {
    match spec.kind {
        Kind::Info => false,
        Kind::Ping => true,
        _ => matches!(spec.class, Class::Write | Class::Read | Class::Keyspace),
    }
}

/// Whether `MULTI` does not hold a command back.
fn acts_at_once(kind: Kind) -> bool {
    matches!(kind, Kind::Exec | Kind::Discard | Kind::Multi | Kind::Quit | Kind::Reset)
}

/// Whether one who listens may send this, in version 2.
fn may_listener(kind: Kind) -> bool {
    use Kind::{PSubscribe, PUnsubscribe, Ping, Quit, Reset, Subscribe, Unsubscribe};
    matches!(kind, PSubscribe | PUnsubscribe | Ping | Quit | Reset | Subscribe | Unsubscribe)
}

/// Does what a command says; its number of arguments is right.
pub(super) fn carry_out(
    command: &Command<'_>,
    spec: &'static Spec,
    handle: &Handle,
    session: &mut Session,
    plan: &mut Plan,
) -> Next {
    match spec.kind {
        Kind::Incr => plan.add(command, 1),
        Kind::Decr => plan.add(command, -1),
        Kind::IncrBy => counters::increment_by(command, plan),
        Kind::DecrBy => counters::decrement_by(command, plan),
        Kind::Get => counters::get(command, session.protocol, plan),
        Kind::MGet => counters::get_many(command, session.protocol, plan),
        Kind::Exists => counters::exists(command, plan),
        Kind::StrLen => counters::length(command, plan),
        Kind::Type => counters::kind(command, plan),
        Kind::Ttl => counters::lifetime(command, plan),
        Kind::Client | Kind::CommandInfo | Kind::Config | Kind::PubSub if command.is(1, "help") => {
            introspection::help(spec, plan);
        }
        Kind::Role => return Next::Ask(Question::Role),
        Kind::DbSize => return Next::Ask(Question::Size),
        Kind::Keys => return Next::Ask(Question::Keys { pattern: command.shared(1) }),
        Kind::Scan => return ask_or_fail(keyspace::scan(command).map(Question::Scan), plan),
        Kind::Wait => return ask_or_fail(keyspace::wait(command), plan),
        Kind::Subscribe => return Next::Ask(Question::Subscribe(Topic::Channel, names(command))),
        Kind::PSubscribe => return Next::Ask(Question::Subscribe(Topic::Pattern, names(command))),
        Kind::Unsubscribe => {
            return Next::Ask(Question::Unsubscribe(Topic::Channel, names(command)));
        }
        Kind::PUnsubscribe => {
            return Next::Ask(Question::Unsubscribe(Topic::Pattern, names(command)));
        }
        Kind::PubSub => return ask_or_fail(pubsub::pubsub(command), plan),
        Kind::Info => return Next::Ask(Question::Info(introspection::sections(command))),
        Kind::Ping => connection::ping(command, spec, session, plan),
        Kind::Echo => plan.say(|out| reply::bulk(out, command.argument(1))),
        Kind::Hello => connection::hello(command, session, plan),
        Kind::Auth => connection::auth(command, plan),
        Kind::Select => connection::select(command, plan),
        Kind::Client => connection::client(command, session, plan),
        Kind::Quit => {
            plan.say(|out| reply::simple(out, "OK"));
            return Next::Close;
        }
        Kind::Reset => {
            session.reset();
            plan.silence(session.silence.holds());
            plan.say(|out| reply::simple(out, "RESET"));
        }
        Kind::CommandInfo => introspection::command(command, session.protocol, plan),
        Kind::Config => introspection::config(command, handle, session.protocol, plan),
        Kind::Multi => transaction::multi(session, plan),
        Kind::Discard => transaction::discard(session, plan),
        // Clients send it to be sure, whatever came of their WATCH.
        Kind::Unwatch => plan.say(|out| reply::simple(out, "OK")),
        Kind::Exec => transaction::exec(handle, session, plan),
    }
    Next::Go
}

/// All arguments, copied: as slices they would keep alive the whole read in which they came.
fn names(command: &Command<'_>) -> Vec<Bytes> {
    command.arguments(1).map(Bytes::copy_from_slice).collect()
}

fn ask_or_fail(question: Result<Question, impl AsRef<[u8]>>, plan: &mut Plan) -> Next {
    match question {
        Ok(question) => Next::Ask(question),
        Err(text) => {
            plan.fail(text);
            Next::Go
        }
    }
}
