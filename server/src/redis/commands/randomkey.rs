//! `RANDOMKEY`: one of the counters that exist. The walk begins anywhere and takes one of the first step
//! that has some, so names behind many that have ended come more often than others.

use quipu_core::query::Size;

use crate::access::Names;
use crate::handle::Unavailable;
use crate::redis::question::Question;
use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::walk::Walk;

pub(in crate::redis) const SPEC: Spec =
    Spec::new("randomkey", Class::Keyspace, 1, run, "Tells the name of any counter");

/// Names that one step looks at. More would be read for one that is wanted.
const NAMES_A_STEP: usize = 100;

fn run(call: &mut Call<'_>) -> Next {
    call.ask(Names, Question::RandomKey)
}

/// Answers it.
pub(in crate::redis) async fn answer(
    walk: Walk<'_>,
    protocol: Protocol,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    // Without chance it is the first.
    let chance = getrandom::u64().unwrap_or_default();
    let names = walk.handle.ask(walk.names.covering(Size)).await?.counters();
    let start = chance % u64::try_from(names.max(1)).unwrap_or(u64::MAX);
    let (mut from, mut has_turned) = (start, false);
    loop {
        let (found, next) = walk.existing(from, NAMES_A_STEP, |_| true).await?;
        let at = usize::try_from(chance).unwrap_or_default() % found.len().max(1);
        if let Some(name) = found.get(at) {
            reply::bulk(out, walk.shown(name).as_bytes());
            return Ok(());
        }
        // Once around: behind the end comes what stands before the start.
        let is_over = if has_turned { next == 0 || next >= start } else { next == 0 && start == 0 };
        if is_over {
            reply::null(out, protocol);
            return Ok(());
        }
        has_turned |= next == 0;
        from = next;
    }
}
