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
use crate::access::{Action, Allowed, Caller, Confirm, Denied, Names, Observe};
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
    Size(Allowed<Names>),
    /// `ROLE`
    Role(Allowed<Observe>),
    /// `INFO`, with the names of sections.
    Info { asked: (Allowed<Observe>, Allowed<Names>), sections: Vec<Bytes> },
    /// `KEYS`
    Keys { names: Allowed<Names>, pattern: Bytes },
    /// `SCAN`
    Scan(Allowed<Names>, keyspace::Scan),
    /// `SUBSCRIBE`, `PSUBSCRIBE`
    Subscribe(Topic, Vec<Bytes>),
    /// `UNSUBSCRIBE`, `PUNSUBSCRIBE`; no names are all
    Unsubscribe(Topic, Vec<Bytes>),
    /// `PUBSUB`
    Audience(pubsub::About),
    /// `WAIT`; no patience is no end to it.
    Wait { asked: Allowed<Confirm>, peers: usize, patience: Option<Duration> },
}

/// Plans one command. Answers with how to go on, and under what to count it. Before the node has
/// started, no client is told anything about counters.
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
        if let Err(denied) = judged(command, spec, &session.caller) {
            refuse(session, plan, denied);
            return (Next::Go, spec.class);
        }
        transaction::hold(command, spec, session, plan);
        return (Next::Go, spec.class);
    }
    (carry_out(command, spec, handle, session, plan), spec.class)
}

/// Whether a command of a transaction will be allowed: one that will not is refused before it is held
/// back, and breaks the transaction.
fn judged(command: &Command<'_>, spec: &Spec, caller: &Caller) -> Result<(), String> {
    let last = if spec.keys.1 < 0 { command.len() } else { spec.keys.1 as usize + 1 };
    let names = (spec.keys.0 as usize..last).filter_map(|at| command.name(at).ok());
    for name in names.filter(|_| spec.keys.0 > 0) {
        let action = match spec.class {
            Class::Write => Action::Change(&name),
            _ => Action::Read(&name),
        };
        caller.may(&action).map_err(|_| errors::denied(command.argument(0)))?;
    }
    Ok(())
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
    let caller = &session.caller;
    match spec.kind {
        Kind::Incr => plan.add(caller, command, 1),
        Kind::Decr => plan.add(caller, command, -1),
        Kind::IncrBy => counters::increment_by(caller, command, plan),
        Kind::DecrBy => counters::decrement_by(caller, command, plan),
        Kind::Get => counters::get(session, command, plan),
        Kind::MGet => counters::get_many(session, command, plan),
        Kind::Exists => counters::exists(caller, command, plan),
        Kind::StrLen => counters::length(caller, command, plan),
        Kind::Type => counters::kind(caller, command, plan),
        Kind::Ttl => counters::lifetime(caller, command, plan),
        Kind::Client | Kind::CommandInfo | Kind::Config | Kind::PubSub if command.is(1, "help") => {
            introspection::help(spec, plan);
        }
        Kind::Role => {
            return ask_if_allowed(command, plan, caller.ask(Observe).map(Question::Role));
        }
        Kind::DbSize => {
            return ask_if_allowed(command, plan, caller.ask(Names).map(Question::Size));
        }
        Kind::Keys => {
            let keys = |names| Question::Keys { names, pattern: command.shared(1) };
            return ask_if_allowed(command, plan, caller.ask(Names).map(keys));
        }
        Kind::Scan => {
            return match keyspace::scan(command) {
                Ok(scan) => {
                    let asked = caller.ask(Names).map(|names| Question::Scan(names, scan));
                    ask_if_allowed(command, plan, asked)
                }
                Err(text) => failed(plan, text),
            };
        }
        Kind::Wait => {
            return match keyspace::wait(command) {
                Ok((peers, patience)) => {
                    let wait = |asked| Question::Wait { asked, peers, patience };
                    ask_if_allowed(command, plan, caller.ask(Confirm).map(wait))
                }
                Err(text) => failed(plan, text),
            };
        }
        Kind::Subscribe => return Next::Ask(Question::Subscribe(Topic::Channel, names(command))),
        Kind::PSubscribe => return Next::Ask(Question::Subscribe(Topic::Pattern, names(command))),
        Kind::Unsubscribe => {
            return Next::Ask(Question::Unsubscribe(Topic::Channel, names(command)));
        }
        Kind::PUnsubscribe => {
            return Next::Ask(Question::Unsubscribe(Topic::Pattern, names(command)));
        }
        Kind::PubSub => {
            return match pubsub::pubsub(command) {
                Ok(question) => Next::Ask(question),
                Err(text) => failed(plan, text),
            };
        }
        Kind::Info => {
            let sections = introspection::sections(command);
            let asked = caller.ask(Observe).and_then(|observe| Ok((observe, caller.ask(Names)?)));
            let info = |asked| Question::Info { asked, sections };
            return ask_if_allowed(command, plan, asked.map(info));
        }
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
        Kind::Config => introspection::config(command, handle, session, plan),
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

/// Asks what its caller may have, or answers that it may not.
fn ask_if_allowed(
    command: &Command<'_>,
    plan: &mut Plan,
    question: Result<Question, Denied>,
) -> Next {
    match question {
        Ok(question) => Next::Ask(question),
        Err(_) => failed(plan, errors::denied(command.argument(0))),
    }
}

/// Answers with an error.
fn failed(plan: &mut Plan, text: impl AsRef<[u8]>) -> Next {
    plan.fail(text);
    Next::Go
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use quipu_core::operation::Results;

    use super::*;
    use crate::access::{Door, Right};
    use crate::redis::frames::Frames;
    use crate::redis::parser::Parser;
    use crate::redis::stage;

    /// What commands are answered, as far as they are answered without the driver, and how the last
    /// of them goes on.
    fn answered(caller: Caller, commands: &str) -> (String, Next) {
        let handle = stage::handle().0;
        let (mut session, mut plan) = (Session::new(1, caller), Plan::default());
        let (mut parser, mut frames) = (Parser::default(), Frames::default());
        let mut input = BytesMut::from(commands);
        parser.parse(&mut input, &mut frames).expect("commands");
        let bytes = input.freeze();
        let mut next = Next::Go;
        for at in 0..frames.len() {
            let command = Command::new(&bytes, frames.command(at));
            next = super::plan(&command, &handle, &mut session, &mut plan).0;
            assert_eq!(plan.ops(), 0, "an operation of {commands:?} reached the plan");
        }
        let mut out = Vec::new();
        plan.render(Results::new(), &mut out);
        (String::from_utf8(out).unwrap(), next)
    }

    fn powerless() -> Caller {
        let anyone = Caller::anyone(Door::Redis, "127.0.0.1:1".parse().unwrap());
        Right::ALL.into_iter().fold(anyone, Caller::without)
    }

    #[test]
    fn a_caller_without_rights_is_denied_every_command_on_counters() {
        let arguments = |spec: &Spec| match spec.kind {
            Kind::IncrBy | Kind::DecrBy => " a 1",
            Kind::Wait => " 1 1",
            Kind::Scan => " 0",
            _ if spec.arity == 1 || spec.kind == Kind::Info => "",
            _ => " a",
        };
        let is_of_counters =
            |spec: &&Spec| matches!(spec.class, Class::Write | Class::Read | Class::Keyspace);
        let mut denied = 0;
        for spec in table::SERVED.iter().filter(is_of_counters) {
            let (said, next) =
                answered(powerless(), &format!("{}{}\r\n", spec.name, arguments(spec)));
            let name = spec.name;
            let expected =
                format!("-NOPERM this user has no permissions to run the '{name}' command\r\n");
            assert_eq!(said, expected);
            assert!(matches!(next, Next::Go), "{name}: {next:?}");
            denied += 1;
        }
        assert_eq!(denied, 20, "commands on counters");
        let (said, _) = answered(powerless(), "CONFIG GET maxmemory\r\n");
        assert!(said.starts_with("-NOPERM"), "{said}");
        assert!(said.ends_with("'config|get' command\r\n"), "{said}");
    }

    #[test]
    fn a_transaction_is_broken_by_a_command_that_its_caller_may_not_have() {
        let (said, _) = answered(powerless(), "MULTI\r\nINCR a\r\nMGET a b\r\nPING\r\nEXEC\r\n");
        assert_eq!(
            said,
            "+OK\r\n-NOPERM this user has no permissions to run the 'incr' command\r\n\
             -NOPERM this user has no permissions to run the 'mget' command\r\n+QUEUED\r\n\
             -EXECABORT Transaction discarded because of previous errors.\r\n"
        );
    }
}
