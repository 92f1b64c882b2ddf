//! `TYPE name`

use quipu_core::operation::Outcome;

use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("type", Class::Read, 2, run, "Tells that a counter is a string").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    call.read(write)
}

/// What kind of value it is.
pub(in crate::redis) fn write(out: &mut Vec<u8>, _: Protocol, outcome: &Outcome) {
    reply::simple(out, if outcome.exists { "string" } else { "none" });
}
