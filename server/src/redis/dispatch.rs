//! From a command to what it does.
//!
//! The order of the checks is Redis's, since it decides which error a client sees and whether a
//! transaction is broken by it: is there such a command, has it the right number of arguments, is
//! a transaction open.

use super::command::Command;
use super::commands::{exec, refused};
use super::plan::Plan;
use super::session::Session;
use super::spec::{Call, Class, Next, Spec};
use super::table::{self, Found, Last};
use super::{errors, reply};
use crate::access::Action;
use crate::handle::Handle;

/// Plans one command. Answers with how to go on, and under what to count it. Before the node has
/// started, no client is told anything about counters.
pub(super) fn plan(
    command: &Command<'_>,
    handle: &Handle,
    last: &mut Last,
    session: &mut Session,
    plan: &mut Plan,
) -> (Next, Class) {
    let spec = match last.find(command.argument(0)) {
        Some(Found::Served(spec)) => spec,
        Some(Found::Refused(reason)) => {
            let name = command.argument(0).to_ascii_lowercase();
            if session.only_listens() && name != b"ssubscribe" && name != b"sunsubscribe" {
                refuse(session, plan, errors::listens(&String::from_utf8_lossy(&name)));
                return (Next::Go, Class::Refused);
            }
            let in_transaction = session.transaction.is_some();
            match in_transaction && reason.is_never_in_a_transaction(command) {
                true => refuse(session, plan, errors::NOT_IN_A_TRANSACTION),
                false => refuse(session, plan, refused::text(command, reason)),
            }
            return (Next::Go, Class::Refused);
        }
        None if is_of_http(command.argument(0)) => return (Next::Leave, Class::Refused),
        None => {
            refuse(session, plan, errors::unknown(command));
            return (Next::Go, Class::Unknown);
        }
    };
    let mut checked = table::check(spec, command);
    if checked.is_ok() && session.only_listens() && !spec.is_for_listeners {
        checked = Err(errors::listens(spec.full_name(command)).into());
    }
    if let Err(text) = checked {
        if spec.name == exec::SPEC.name {
            exec::abort(&text, session, plan);
        } else {
            refuse(session, plan, text);
        }
        return (Next::Go, spec.class);
    }
    if spec.waits_for_start && !handle.is_open() {
        refuse(session, plan, errors::LOADING);
        return (Next::Go, spec.class);
    }
    if session.transaction.is_some() && !spec.acts_at_once {
        if let Err(denied) = judged(command, spec, session) {
            refuse(session, plan, denied);
            return (Next::Go, spec.class);
        }
        hold(command, spec, session, plan);
        return (Next::Go, spec.class);
    }
    let mut call = Call { command: *command, spec, served: &table::TABLE, handle, session, plan };
    (call.carry_out(), spec.class)
}

/// A command between `MULTI` and `EXEC`.
fn hold(command: &Command<'_>, spec: &Spec, session: &mut Session, plan: &mut Plan) {
    // What is asked step by step cannot be part of a batch; nor can what begins or ends to listen.
    if spec.stands_alone {
        return refuse(session, plan, errors::NOT_IN_A_TRANSACTION);
    }
    let Some(transaction) = &mut session.transaction else { return };
    // What names several counters is an operation on each; what names none counts as one.
    let ops = if spec.keys.1 < 0 { command.len() - 1 } else { 1 };
    match transaction.hold(command, ops) {
        Ok(()) => {
            transaction.has_scripts |= spec.class == Class::Script;
            plan.say(|out| reply::simple(out, "QUEUED"));
        }
        Err(text) => refuse(session, plan, text),
    }
}

/// Whether a command of a transaction will be allowed: one that will not is refused before it is held
/// back, and breaks the transaction.
fn judged(command: &Command<'_>, spec: &Spec, session: &Session) -> Result<(), String> {
    let last = if spec.keys.1 < 0 { command.len() } else { spec.keys.1 as usize + 1 };
    let places = (spec.keys.0 as usize..last).step_by(spec.key_step);
    let names = places.filter_map(|at| session.database.name(command, at).ok());
    for name in names.filter(|_| spec.keys.0 > 0) {
        let action = match spec.class {
            Class::Write if spec.ends => Action::End(&name),
            Class::Write => Action::Change(&name),
            _ => Action::Read(&name),
        };
        let denied = |_| errors::denied(spec.full_name(command).as_bytes());
        session.caller.may(&action).map_err(denied)?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;
    use quipu_core::operation::Results;

    use super::*;
    use crate::access::{Caller, Door, Right};
    use crate::redis::clients::Socket;
    use crate::redis::frames::Frames;
    use crate::redis::parser::Parser;
    use crate::redis::spec::Class;
    use crate::redis::state::State;

    /// What commands are answered, as far as they are answered without the driver, and how the last
    /// of them goes on.
    fn answered(caller: Caller, commands: &str) -> (String, Next) {
        let handle = Handle::without_driver().0;
        let state = Arc::new(State::new(Arc::default(), 1, 1));
        let address = "127.0.0.1:1".parse().expect("an address");
        let client = state.clients.admit(Socket { peer: address, local: address, descriptor: 1 });
        let (mut session, mut plan) = (Session::new(state, client, caller), Plan::default());
        let (mut parser, mut frames) = (Parser::default(), Frames::default());
        let mut input = BytesMut::from(commands);
        parser.parse(&mut input, &mut frames).expect("commands");
        let bytes = input.freeze();
        let (mut next, mut last) = (Next::Go, Last::default());
        for at in 0..frames.len() {
            let command = Command::new(&bytes, frames.command(at));
            next = super::plan(&command, &handle, &mut last, &mut session, &mut plan).0;
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
        let arguments = |spec: &Spec| match spec.name {
            "incrby" | "incrbyfloat" | "decrby" | "getbit" | "set" | "setnx" | "getset"
            | "mset" | "msetnx" | "expire" | "pexpire" | "expireat" | "pexpireat" => " a 1",
            "setex" | "psetex" | "getrange" | "substr" => " a 1 1",
            "object" => " encoding a",
            "memory" => " usage a",
            "wait" => " 1 1",
            "scan" => " 0",
            _ if spec.arity.abs() == 1 => "",
            _ => " a",
        };
        let is_of_counters =
            |spec: &&Spec| matches!(spec.class, Class::Write | Class::Read | Class::Keyspace);
        let mut denied = 0;
        for spec in table::TABLE.all.iter().filter(is_of_counters) {
            let (said, next) =
                answered(powerless(), &format!("{}{}\r\n", spec.name, arguments(spec)));
            let name = match spec.name {
                "object" => "object|encoding",
                "memory" => "memory|usage",
                name => name,
            };
            let expected =
                format!("-NOPERM this user has no permissions to run the '{name}' command\r\n");
            assert_eq!(said, expected);
            assert!(matches!(next, Next::Go), "{name}: {next:?}");
            denied += 1;
        }
        assert_eq!(denied, 46, "commands on counters");
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
