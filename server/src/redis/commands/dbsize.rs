//! `DBSIZE`

use quipu_core::query::Size;

use crate::access::{Allowed, Names};
use crate::handle::{Handle, Unavailable};
use crate::redis::question::Question;
use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("dbsize", Class::Keyspace, 1, run, "Tells how many counters there are");

fn run(call: &mut Call<'_>) -> Next {
    call.ask(Names, Question::Size)
}

/// Answers it.
pub(in crate::redis) async fn answer(
    handle: &Handle,
    names: &Allowed<Names>,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let size = handle.ask(names.covering(Size)).await?;
    reply::integer(out, i64::try_from(size).unwrap_or(i64::MAX));
    Ok(())
}
