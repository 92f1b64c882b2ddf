//! `STRLEN name`

use quipu_core::operation::Value;

use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("strlen", Class::Read, 2, run, "Tells how long a counter's value is").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    call.read(write)
}

/// How long the value is as a string; 0 where there is none.
pub(in crate::redis) fn write(out: &mut Vec<u8>, _: Protocol, value: Option<Value>) {
    let length = |value: Value| itoa::Buffer::new().format(value.clamped()).len() as i64;
    reply::integer(out, value.map_or(0, length));
}
