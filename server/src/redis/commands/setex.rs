//! `SETEX name seconds value`, and `PSETEX` in milliseconds.

use quipu_core::update::Update;

use super::set;
use crate::redis::errors;
use crate::redis::lifetime::Unit;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec = spec("setex", |call| run(call, Unit::Ex));
pub(in crate::redis) const PSETEX: Spec = spec("psetex", |call| run(call, Unit::Px));

const fn spec(name: &'static str, run: fn(&mut Call<'_>) -> Next) -> Spec {
    Spec::new(name, Class::Write, 4, run, "Sets a counter for a time").keys(1, 1).ends()
}

fn run(call: &mut Call<'_>, unit: Unit) -> Next {
    let expiry = match unit.lifetime(&call.command, 2, call.spec.name) {
        Ok(expiry) => expiry,
        Err(text) => return call.fail(text),
    };
    match call.command.integer(3) {
        Some(to) => call.update(Update::Set { to, only: None, expiry }, set::write),
        None => call.fail(errors::NOT_AN_INTEGER),
    }
}
