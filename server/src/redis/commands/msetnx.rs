//! `MSETNX name value [name value …]`: sets all counters if this node sees none of them.
//!
//! It is one request, which is carried out as a whole if each of them is missing.

use std::collections::BTreeSet;

use quipu_core::condition::Holds;
use quipu_core::operation::{Refusal, Results};

use super::mset;
use crate::access::{OnlyIf, Ops};
use crate::handle::{Handle, Unavailable};
use crate::redis::question::Question;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("msetnx", Class::Write, -3, run, "Sets counters if none of them exists")
        .keys(1, -1)
        .every(2)
        .alone()
        .ends();

fn run(call: &mut Call<'_>) -> Next {
    if let Err(text) = mset::check(&call.command, SPEC.name) {
        return call.fail(text);
    }
    if !call.has_room((call.command.len() - 1) / 2) {
        return Next::Go;
    }
    match sets_and_missing(call) {
        Ok((sets, missing)) => Next::Ask(Question::SetMissing { sets, missing }),
        Err(text) => call.fail(text),
    }
}

/// Sets of counters, and that they are missing. Of one that is named twice the last value counts, as in
/// Redis.
fn sets_and_missing(call: &Call<'_>) -> Result<(Ops, OnlyIf), String> {
    let (caller, database) = (&call.session.caller, call.session.database);
    let (mut sets, mut missing, mut named) = (Ops::default(), OnlyIf::default(), BTreeSet::new());
    let denied = |_| errors::denied(SPEC.name.as_bytes());
    for set in mset::sets_of(call.command, database) {
        let set = set.map_err(errors::name)?;
        if named.insert(set.name().clone()) {
            missing.add(caller, set.name().clone(), Holds::Missing).map_err(denied)?;
        }
        sets.add(caller, set).map_err(denied)?;
    }
    Ok((sets, missing))
}

/// Answers it.
pub(in crate::redis) async fn answer(
    handle: &Handle,
    (sets, missing): (Ops, OnlyIf),
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let done = handle.request_if(sets, missing).await?.done().await?;
    session.version = session.version.max(done.version);
    let is_changed = done.results.first() == Some(&Err(Refusal::Changed));
    write((!is_changed).then_some(done.results), out);
    Ok(())
}

/// Writes what setting them has come to, if none existed.
pub(in crate::redis) fn write(results: Option<Results>, out: &mut Vec<u8>) {
    let is_done = results.is_some();
    match results.into_iter().flatten().find_map(Result::err) {
        None => reply::integer(out, i64::from(is_done)),
        Some(refusal) => reply::error(out, errors::refusal(refusal).as_bytes()),
    }
}
