//! `KEYS pattern`: the names that match, gathered in steps, so that the driver serves others between
//! two of them.

use quipu_core::name::CounterName;
use quipu_core::node::SCAN_NAMES_MAX;

use crate::access::Names;
use crate::handle::Unavailable;
use crate::redis::database::Database;
use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::walk::{Walk, shown};
use crate::redis::{glob, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("keys", Class::Keyspace, 2, run, "Tells the names that match a pattern");

/// Most names that `KEYS` tells: some megabytes of reply.
pub(in crate::redis) const KEYS_MAX: usize = 10_000;

fn run(call: &mut Call<'_>) -> Next {
    let pattern = call.command.shared(1);
    call.ask(Names, |names| Question::Keys { names, pattern })
}

/// Answers it.
pub(in crate::redis) async fn answer(
    walk: Walk<'_>,
    pattern: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let mut found = Vec::new();
    let mut from = 0;
    loop {
        let is_matching = |name: &str| glob::matches(pattern, name.as_bytes());
        let (names, next) = walk.existing(from, SCAN_NAMES_MAX, is_matching).await?;
        found.extend(names);
        if found.len() > KEYS_MAX || next == 0 {
            break;
        }
        from = next;
    }
    write(walk.database, &found, out);
    Ok(())
}

/// Writes the names that match, unless they are too many.
pub(in crate::redis) fn write(
    database: Option<Database>,
    found: &[CounterName],
    out: &mut Vec<u8>,
) {
    if found.len() > KEYS_MAX {
        let text =
            format!("ERR KEYS tells at most {KEYS_MAX} names, and more match; use SCAN with MATCH");
        return reply::error(out, text.as_bytes());
    }
    reply::array(out, found.len());
    for name in found {
        reply::bulk(out, shown(database, name).as_bytes());
    }
}
