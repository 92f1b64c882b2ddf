//! `ROLE`

use crate::access::{Allowed, Observe};
use crate::handle::{Handle, Unavailable};
use crate::redis::question::Question;
use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("role", Class::Keyspace, 1, run, "Tells that this node takes writes");

fn run(call: &mut Call<'_>) -> Next {
    call.ask(Observe, Question::Role)
}

/// Answers it. Every node takes writes, and every other one follows; those are not listed, since a
/// client would look for Redis at their addresses, and where they serve it only they know.
pub(in crate::redis) async fn answer(
    handle: &Handle,
    observe: &Allowed<Observe>,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let version = handle.report(observe).await?.status.version;
    reply::array(out, 3);
    reply::bulk(out, b"master");
    reply::integer(out, i64::try_from(version).unwrap_or(i64::MAX));
    reply::array(out, 0);
    Ok(())
}
