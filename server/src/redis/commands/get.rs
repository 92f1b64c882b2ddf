//! `GET name`

use quipu_core::operation::Value;

use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("get", Class::Read, 2, run, "Tells a counter's value").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    call.read(write)
}

/// The value as a string, or null.
pub(in crate::redis) fn write(out: &mut Vec<u8>, protocol: Protocol, value: Option<Value>) {
    match value {
        Some(value) => reply::bulk_number(out, value.clamped()),
        None => reply::null(out, protocol),
    }
}
