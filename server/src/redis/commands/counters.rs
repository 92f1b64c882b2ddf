//! Commands on counters that the driver knows by name: what changes one, and what reads some.

use crate::access::Caller;
use crate::redis::command::Command;
use crate::redis::plan::{OPS_MAX, Plan, Slot};
use crate::redis::session::Session;
use crate::redis::{errors, reply};

/// `INCRBY name by`
pub(in crate::redis) fn increment_by(caller: &Caller, command: &Command<'_>, plan: &mut Plan) {
    match command.integer(2) {
        Some(by) => plan.add(caller, command, by),
        None => plan.fail(errors::NOT_AN_INTEGER),
    }
}

/// `DECRBY name by`
pub(in crate::redis) fn decrement_by(caller: &Caller, command: &Command<'_>, plan: &mut Plan) {
    match command.integer(2).map(i64::checked_neg) {
        Some(Some(by)) => plan.add(caller, command, by),
        // The one number whose opposite there is not.
        Some(None) => plan.fail("ERR decrement would overflow"),
        None => plan.fail(errors::NOT_AN_INTEGER),
    }
}

/// `GET name`
pub(in crate::redis) fn get(session: &Session, command: &Command<'_>, plan: &mut Plan) {
    let (caller, protocol) = (&session.caller, session.protocol);
    if plan.find(caller, command) {
        plan.slot(Slot::Text(protocol));
    }
}

/// `MGET name …`
pub(in crate::redis) fn get_many(session: &Session, command: &Command<'_>, plan: &mut Plan) {
    let (caller, protocol) = (&session.caller, session.protocol);
    let names = command.len() - 1;
    if is_too_many(names, plan) || !plan.find(caller, command) {
        return;
    }
    plan.say(|out| reply::array(out, names));
    for _ in 0..names {
        plan.slot(Slot::Text(protocol));
    }
}

/// `EXISTS name …`
pub(in crate::redis) fn exists(caller: &Caller, command: &Command<'_>, plan: &mut Plan) {
    let names = command.len() - 1;
    if !is_too_many(names, plan) && plan.find(caller, command) {
        plan.slot(Slot::Existing(names));
    }
}

/// `STRLEN name`
pub(in crate::redis) fn length(caller: &Caller, command: &Command<'_>, plan: &mut Plan) {
    if plan.find(caller, command) {
        plan.slot(Slot::Length);
    }
}

/// `TYPE name`
pub(in crate::redis) fn kind(caller: &Caller, command: &Command<'_>, plan: &mut Plan) {
    if plan.find(caller, command) {
        plan.slot(Slot::Kind);
    }
}

/// `TTL name`
pub(in crate::redis) fn lifetime(caller: &Caller, command: &Command<'_>, plan: &mut Plan) {
    if plan.find(caller, command) {
        plan.slot(Slot::Lifetime);
    }
}

/// A command is never cut, so that what it reads was true at one moment.
fn is_too_many(names: usize, plan: &mut Plan) -> bool {
    let is_too_many = names > OPS_MAX;
    if is_too_many {
        plan.fail(format!("ERR expected at most {OPS_MAX} keys in a command, found {names}"));
    }
    is_too_many
}
