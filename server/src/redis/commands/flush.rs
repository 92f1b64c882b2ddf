//! `FLUSHDB [ASYNC|SYNC]` and `FLUSHALL`: delete all that this node sees, step by step, so that the
//! driver serves others between two of them. Counters that come meanwhile may be deleted, or may not.

use quipu_core::operation::Op;
use quipu_core::update::Update;

use crate::access::{Names, Ops};
use crate::handle::Unavailable;
use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::walk::Walk;
use crate::redis::{errors, reply};

pub(in crate::redis) const FLUSHDB: Spec = spec("flushdb", "Deletes all counters of the database");
pub(in crate::redis) const FLUSHALL: Spec = spec("flushall", "Deletes all counters");

/// Counters that one message deletes. Each has a slot of every node that counted on it, and the node
/// serves nobody else while it covers those of one message.
const DELETED_A_STEP: usize = 1000;

const fn spec(name: &'static str, summary: &'static str) -> Spec {
    Spec::new(name, Class::Write, -1, run, summary).alone().ends()
}

fn run(call: &mut Call<'_>) -> Next {
    let is_known = call.command.is(1, "sync") || call.command.is(1, "async");
    if call.command.len() > 2 || (call.command.len() == 2 && !is_known) {
        return call.fail(errors::SYNTAX);
    }
    let name = call.spec.name;
    let database = (name == FLUSHDB.name).then_some(call.session.database);
    call.ask(Names, |names| Question::Flush { names, database, name })
}

/// Answers it with the newest version of this node that holds what it changed.
pub(in crate::redis) async fn answer(
    walk: Walk<'_>,
    command: &'static str,
    out: &mut Vec<u8>,
) -> Result<u64, Unavailable> {
    let (mut from, mut version) = (0, 0);
    loop {
        let (names, next) = walk.names(from, DELETED_A_STEP).await?;
        let mut ops = Ops::with_capacity(names.len());
        for name in names {
            let delete = Op::Update { name, update: Box::new(Update::Delete) };
            if ops.add(walk.caller, delete).is_err() {
                reply::error(out, errors::denied(command.as_bytes()).as_bytes());
                return Ok(version);
            }
        }
        if ops.len() > 0 {
            let done = walk.handle.request(ops).await?;
            version = version.max(done.version);
            if let Some(refusal) = done.results.into_iter().find_map(Result::err) {
                reply::error(out, errors::refusal(refusal).as_bytes());
                return Ok(version);
            }
        }
        if next == 0 {
            reply::simple(out, "OK");
            return Ok(version);
        }
        from = next;
    }
}
