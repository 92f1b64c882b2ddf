//! `DBSIZE`

use quipu_core::name::CounterName;
use quipu_core::query::{List, PAGE_ROWS_MAX, Page, Size};

use crate::access::Names;
use crate::handle::Unavailable;
use crate::redis::database::Database;
use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::walk::Walk;
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("dbsize", Class::Keyspace, 1, run, "Tells how many counters the database has");

fn run(call: &mut Call<'_>) -> Next {
    call.ask(Names, Question::Size)
}

/// Why the counters of a database were not counted.
enum Uncounted {
    Busy,
    Denied,
    Unavailable(Unavailable),
}

/// Answers it. Those of other databases than the first are counted in the order of names, a page at a
/// time; the first has all others.
pub(in crate::redis) async fn answer(
    walk: Walk<'_>,
    database: Database,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let counted = match database.is_first() {
        true => all_but_others(walk).await,
        false => count(walk, database).await,
    };
    match counted {
        Ok(size) => reply::integer(out, i64::try_from(size).unwrap_or(i64::MAX)),
        Err(Uncounted::Busy) => reply::error(out, b"TRYAGAIN too many wait for lists of counters"),
        Err(Uncounted::Denied) => {
            reply::error(out, errors::denied(SPEC.name.as_bytes()).as_bytes());
        }
        Err(Uncounted::Unavailable(unavailable)) => return Err(unavailable),
    }
    Ok(())
}

async fn all_but_others(walk: Walk<'_>) -> Result<usize, Uncounted> {
    let mut others = 0;
    for database in Database::others() {
        others += count(walk, database).await?;
    }
    let all = walk.handle.ask(walk.names.covering(Size)).await.map_err(Uncounted::Unavailable)?;
    Ok(all.saturating_sub(others))
}

async fn count(walk: Walk<'_>, database: Database) -> Result<usize, Uncounted> {
    let prefix = CounterName::bound(database.prefix()).ok();
    let (mut counted, mut after) = (0, None);
    loop {
        let list = List { prefix: prefix.clone(), after, limit: PAGE_ROWS_MAX };
        let list = walk.caller.ask(list).map_err(|_| Uncounted::Denied)?;
        let page = walk.handle.ask(list).await.map_err(Uncounted::Unavailable)?;
        let Page { rows, more } = page.map_err(|_| Uncounted::Busy)?;
        let is_its = |name: &CounterName| database.shown(name.as_str()).is_some();
        counted += rows.iter().filter(|(name, _)| is_its(name)).count();
        after = rows.into_iter().next_back().map(|(name, _)| name);
        if !more || after.is_none() {
            return Ok(counted);
        }
    }
}
