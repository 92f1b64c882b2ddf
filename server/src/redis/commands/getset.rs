//! `GETSET name value`

use quipu_core::update::{Expiry, Update};

use super::get;
use crate::redis::errors;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("getset", Class::Write, 3, run, "Sets a counter and tells its value before")
        .keys(1, 1)
        .ends();

fn run(call: &mut Call<'_>) -> Next {
    match call.command.integer(2) {
        Some(to) => {
            let update = Update::Set { to, only: None, expiry: Expiry::Never };
            call.update(update, get::write_before)
        }
        None => call.fail(errors::NOT_AN_INTEGER),
    }
}
