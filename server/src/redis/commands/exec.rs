//! `EXEC`: does the commands since `MULTI` as one message.

use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::reply;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("exec", Class::Transaction, 1, run, "Does the commands since MULTI as one").at_once();

fn run(call: &mut Call<'_>) -> Next {
    let Some(transaction) = call.session.transaction.take() else {
        return call.fail("ERR EXEC without MULTI");
    };
    if transaction.is_broken {
        return call.fail("EXECABORT Transaction discarded because of previous errors.");
    }
    let (bytes, frames) = transaction.into_commands();
    call.plan.say(|out| reply::array(out, frames.len()));
    for at in 0..frames.len() {
        let command = Command::new(&bytes, frames.command(at));
        // It was found when it was held back, and none that is held back asks or closes.
        if let Some(spec) = (call.served.find)(command.argument(0)) {
            let (session, plan) = (&mut *call.session, &mut *call.plan);
            Call { command, spec, session, plan, ..*call }.carry_out();
        }
    }
    Next::Go
}

/// An `EXEC` that is none. It ends the transaction all the same.
pub(in crate::redis) fn abort(text: &[u8], session: &mut Session, plan: &mut Plan) {
    session.transaction = None;
    let why = text.strip_prefix(b"ERR ").unwrap_or(text);
    plan.fail([b"EXECABORT Transaction discarded because of: ", why].concat());
}
