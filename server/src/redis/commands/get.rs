//! `GET name`

use quipu_core::operation::Outcome;

use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("get", Class::Read, 2, run, "Tells a counter's value").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    call.read(write)
}

/// The value as a string, or null.
pub(in crate::redis) fn write(out: &mut Vec<u8>, protocol: Protocol, outcome: &Outcome) {
    if outcome.exists {
        reply::bulk_number(out, outcome.value.clamped());
    } else {
        reply::null(out, protocol);
    }
}

/// The same of the value before.
pub(in crate::redis) fn write_before(out: &mut Vec<u8>, protocol: Protocol, outcome: &Outcome) {
    if outcome.existed {
        reply::bulk_number(out, outcome.before().clamped());
    } else {
        reply::null(out, protocol);
    }
}
