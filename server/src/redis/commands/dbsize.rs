//! `DBSIZE`

use quipu_core::query::Size;

use crate::access::Names;
use crate::handle::Unavailable;
use crate::redis::database::Database;
use crate::redis::question::Question;
use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::walk::Walk;

pub(in crate::redis) const SPEC: Spec =
    Spec::new("dbsize", Class::Keyspace, 1, run, "Tells how many counters the database has");

fn run(call: &mut Call<'_>) -> Next {
    call.ask(Names, Question::Size)
}

/// Answers it.
pub(in crate::redis) async fn answer(
    walk: Walk<'_>,
    database: Database,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let sizes = walk.handle.ask(walk.names.covering(Size)).await?;
    let counters = sizes.0[usize::from(database.number())].counters;
    reply::integer(out, i64::try_from(counters).unwrap_or(i64::MAX));
    Ok(())
}
