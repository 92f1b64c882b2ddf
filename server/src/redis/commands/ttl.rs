//! `TTL name`, and its like: how long a counter will live, in whatever unit. For ever, if it exists.

use quipu_core::operation::Value;

use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec = spec("ttl");
pub(in crate::redis) const PTTL: Spec = spec("pttl");
pub(in crate::redis) const EXPIRETIME: Spec = spec("expiretime");
pub(in crate::redis) const PEXPIRETIME: Spec = spec("pexpiretime");

const fn spec(name: &'static str) -> Spec {
    Spec::new(name, Class::Read, 2, run, "Tells that a counter lives for ever").keys(1, 1)
}

fn run(call: &mut Call<'_>) -> Next {
    call.read(write)
}

pub(in crate::redis) fn write(out: &mut Vec<u8>, _: Protocol, value: Option<Value>) {
    reply::integer(out, if value.is_some() { -1 } else { -2 });
}
