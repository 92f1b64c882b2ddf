//! `WATCH name …`: notes what this node sees of counters. `EXEC` does nothing if it then sees something
//! else of any of them.
//!
//! Transactions that watch are looked at and done one after another on a node, so of two that watch the
//! same counter and change it, one is told. What others change between the look and the transaction is
//! not seen, nor what another node has not told yet.

use quipu_core::name::CounterName;

use crate::access::Caller;
use crate::handle::{Handle, Unavailable};
use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::watched::{Watched, reads};
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
    let Ok(ops) = reads(caller, names.iter()) else {
        reply::error(out, errors::denied(SPEC.name.as_bytes()).as_bytes());
        return Ok(());
    };
    let results = handle.request(ops).await?.results;
    match watched.add(&names, &results) {
        Ok(()) => reply::simple(out, "OK"),
        Err(text) => reply::error(out, text.as_bytes()),
    }
    Ok(())
}
