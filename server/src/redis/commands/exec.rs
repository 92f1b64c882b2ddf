//! `EXEC`: does the commands since `MULTI` as one message.

use quipu_core::operation::Refusal;

use crate::handle::{Handle, Unavailable};
use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::question::Question;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Served, Spec};
use crate::redis::transaction::Transaction;
use crate::redis::watched::Watched;
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("exec", Class::Transaction, 1, run, "Does the commands since MULTI as one").at_once();

fn run(call: &mut Call<'_>) -> Next {
    let Some(transaction) = call.session.transaction.take() else {
        return call.fail("ERR EXEC without MULTI");
    };
    let watched = std::mem::take(&mut call.session.watched);
    if transaction.is_broken {
        return call.fail("EXECABORT Transaction discarded because of previous errors.");
    }
    if !watched.is_empty() || transaction.has_scripts {
        return Next::Ask(Question::Execute { transaction, watched, served: call.served });
    }
    plan(transaction, call.served, call.handle, call.session, call.plan);
    Next::Go
}

/// Plans the commands of a transaction.
fn plan(
    transaction: Transaction,
    served: &'static Served,
    handle: &Handle,
    session: &mut Session,
    plan: &mut Plan,
) {
    let (bytes, frames) = transaction.into_commands();
    plan.say(|out| reply::array(out, frames.len()));
    for at in 0..frames.len() {
        let command = Command::new(&bytes, frames.command(at));
        // It was found when it was held back, and none that is held back asks or closes.
        if let Some(spec) = (served.find)(command.argument(0)) {
            let (session, plan) = (&mut *session, &mut *plan);
            Call { command, spec, served, handle, session, plan }.carry_out();
        }
    }
}

/// Does a transaction if nothing has changed of what it watches, and writes its answer; else that is
/// null.
pub(in crate::redis) async fn answer_unless_changed(
    (transaction, watched): (Transaction, &Watched),
    served: &'static Served,
    handle: &Handle,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let Ok(only_if) = watched.only_if(&session.caller) else {
        reply::error(out, errors::denied(SPEC.name.as_bytes()).as_bytes());
        return Ok(());
    };
    let mut planned = Plan::default();
    plan(transaction, served, handle, session, &mut planned);
    let ops = planned.take_ops();
    let asked = ops.len();
    let done = handle.request_if(ops, only_if).await?.done().await?;
    session.version = session.version.max(done.version);
    match done.results.first() {
        Some(Err(Refusal::Changed)) => reply::null_array(out, session.protocol),
        // It was refused as a whole.
        Some(Err(refusal)) if done.results.len() < asked => {
            reply::error(out, errors::refusal(*refusal).as_bytes());
        }
        _ => planned.render(done.results, out),
    }
    Ok(())
}

/// An `EXEC` that is none. It ends the transaction all the same.
pub(in crate::redis) fn abort(text: &[u8], session: &mut Session, plan: &mut Plan) {
    session.transaction = None;
    session.watched = Watched::default();
    let why = text.strip_prefix(b"ERR ").unwrap_or(text);
    plan.fail([b"EXECABORT Transaction discarded because of: ", why].concat());
}
