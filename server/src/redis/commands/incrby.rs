//! `INCRBY name by`

use crate::redis::errors;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("incrby", Class::Write, 3, run, "Adds to a counter").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    match call.command.integer(2) {
        Some(by) => call.add(by),
        None => call.fail(errors::NOT_AN_INTEGER),
    }
}
