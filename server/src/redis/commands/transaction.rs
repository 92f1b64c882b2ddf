//! `MULTI`, `EXEC` and `DISCARD`: commands of counters as one batch.
//!
//! As in Redis, a command that cannot be understood breaks the transaction when it is sent, and one
//! that fails when it is done fails alone.

use crate::handle::Handle;
use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::session::Session;
use crate::redis::table::{Class, Found, Spec};
use crate::redis::transaction::Transaction;
use crate::redis::{dispatch, reply, table};

/// `MULTI`
pub(in crate::redis) fn multi(session: &mut Session, plan: &mut Plan) {
    if session.transaction.is_some() {
        return plan.fail("ERR MULTI calls can not be nested");
    }
    session.transaction = Some(Transaction::default());
    plan.say(|out| reply::simple(out, "OK"));
}

/// `DISCARD`
pub(in crate::redis) fn discard(session: &mut Session, plan: &mut Plan) {
    match session.transaction.take() {
        Some(_) => plan.say(|out| reply::simple(out, "OK")),
        None => plan.fail("ERR DISCARD without MULTI"),
    }
}

/// A command between `MULTI` and `EXEC`.
pub(in crate::redis) fn hold(
    command: &Command<'_>,
    spec: &Spec,
    session: &mut Session,
    plan: &mut Plan,
) {
    // What looks at the table as a whole is asked step by step, and so cannot be part of a batch;
    // nor can what begins or ends to listen.
    if matches!(spec.class, Class::Keyspace | Class::Subscription) {
        let text = "ERR Command not allowed inside a transaction";
        return dispatch::refuse(session, plan, text);
    }
    let Some(transaction) = &mut session.transaction else { return };
    match transaction.hold(command, spec) {
        Ok(()) => plan.say(|out| reply::simple(out, "QUEUED")),
        Err(text) => dispatch::refuse(session, plan, text),
    }
}

/// An `EXEC` that is none. It ends the transaction all the same.
pub(in crate::redis) fn abort(text: &[u8], session: &mut Session, plan: &mut Plan) {
    session.transaction = None;
    let why = text.strip_prefix(b"ERR ").unwrap_or(text);
    plan.fail([b"EXECABORT Transaction discarded because of: ", why].concat());
}

/// `EXEC`
pub(in crate::redis) fn exec(handle: &Handle, session: &mut Session, plan: &mut Plan) {
    let Some(transaction) = session.transaction.take() else {
        return plan.fail("ERR EXEC without MULTI");
    };
    if transaction.is_broken {
        return plan.fail("EXECABORT Transaction discarded because of previous errors.");
    }
    let (bytes, frames) = transaction.into_commands();
    plan.say(|out| reply::array(out, frames.len()));
    for at in 0..frames.len() {
        let command = Command::new(&bytes, frames.command(at));
        // It was found when it was held back, and none that is held back asks or closes.
        if let Some(Found::Served(spec)) = table::find(command.argument(0)) {
            dispatch::carry_out(&command, spec, handle, session, plan);
        }
    }
}
