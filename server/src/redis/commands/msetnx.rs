//! `MSETNX name value [name value …]`: sets all counters if this node sees none of them.
//!
//! It looks and then sets, in two messages to the driver. Other clients' `MSETNX` and watched
//! transactions wait meanwhile; where another command makes one of the counters in between, that one
//! stays as it is and the others are set.

use std::collections::BTreeSet;

use quipu_core::operation::Op;
use quipu_core::update::Only;

use super::mset;
use crate::access::Ops;
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
    match look_and_sets(call) {
        Ok((look, sets)) => Next::Ask(Question::SetMissing { look, sets }),
        Err(text) => call.fail(text),
    }
}

/// Reads of the counters, and their sets. Of one that is named twice the last value counts, as in Redis,
/// so only the first may need it to be missing.
fn look_and_sets(call: &Call<'_>) -> Result<(Ops, Ops), String> {
    let (caller, database) = (&call.session.caller, call.session.database);
    let (mut look, mut sets, mut named) = (Ops::default(), Ops::default(), BTreeSet::new());
    let missing = mset::sets_of(call.command, database, Some(Only::Missing));
    for (set, again) in missing.zip(mset::sets_of(call.command, database, None)) {
        let set = set.map_err(errors::name)?;
        let name = set.name().clone();
        let set = if named.insert(name.clone()) { set } else { again.map_err(errors::name)? };
        let denied = |_| errors::denied(SPEC.name.as_bytes());
        look.add(caller, Op::Get { name }).map_err(denied)?;
        sets.add(caller, set).map_err(denied)?;
    }
    Ok((look, sets))
}

/// Answers it. Nothing else that looks first may be under way.
pub(in crate::redis) async fn answer(
    handle: &Handle,
    (look, sets): (Ops, Ops),
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let mut is_set = false;
    let mut failed = None;
    let found = handle.request(look).await?.results;
    if !found.iter().any(|result| result.is_ok_and(|outcome| outcome.exists)) {
        let done = handle.request(sets).await?;
        session.version = session.version.max(done.version);
        is_set = done.results.iter().any(|result| result.is_ok_and(|outcome| outcome.applied));
        failed = done.results.into_iter().find_map(Result::err);
    }
    match failed {
        None => reply::integer(out, i64::from(is_set)),
        Some(refusal) => reply::error(out, errors::refusal(refusal).as_bytes()),
    }
    Ok(())
}
