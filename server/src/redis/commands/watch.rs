//! `WATCH name …`: notes what this node sees of counters. `EXEC` does nothing if it then sees something
//! else of any of them.
//!
//! Whether it does is found when it is done, so nothing comes in between. What another node has not told
//! yet is not seen.

use quipu_core::name::CounterName;
use quipu_core::query::Look;

use crate::access::Caller;
use crate::handle::{Handle, Unavailable};
use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::watched::Watched;
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("watch", Class::Transaction, -2, run, "Has EXEC do nothing if a counter has changed")
        .keys(1, -1)
        .at_once()
        .after_start();

fn run(call: &mut Call<'_>) -> Next {
    if call.session.transaction.is_some() {
        return call.fail("ERR WATCH inside MULTI is not allowed");
    }
    if !call.has_room(call.command.len() - 1) {
        return Next::Go;
    }
    let names: Result<Vec<_>, _> = (1..call.command.len()).map(|at| call.name(at)).collect();
    let names = names.map_err(errors::name);
    match names.and_then(|names| call.session.watched.new_ones(names)) {
        Ok(names) => Next::Ask(Question::Watch(names)),
        Err(text) => call.fail(text),
    }
}

/// Answers it.
pub(in crate::redis) async fn answer(
    handle: &Handle,
    caller: &Caller,
    names: Vec<CounterName>,
    watched: &mut Watched,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let Ok(look) = caller.ask(Look { names: names.clone() }) else {
        reply::error(out, errors::denied(SPEC.name.as_bytes()).as_bytes());
        return Ok(());
    };
    watched.add(&names, &handle.ask(look).await?);
    reply::simple(out, "OK");
    Ok(())
}
