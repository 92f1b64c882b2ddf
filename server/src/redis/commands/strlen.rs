//! `STRLEN name`

use quipu_core::operation::Outcome;

use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("strlen", Class::Read, 2, run, "Tells how long a counter's value is").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    call.read(write)
}

/// How long the value is as a string; 0 where there is none.
pub(in crate::redis) fn write(out: &mut Vec<u8>, _: Protocol, outcome: &Outcome) {
    let length = itoa::Buffer::new().format(outcome.value.clamped()).len() as i64;
    reply::integer(out, if outcome.exists { length } else { 0 });
}
