//! `SETNX name value`

use quipu_core::update::{Expiry, Only, Update};

use super::set;
use crate::redis::errors;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("setnx", Class::Write, 3, run, "Sets a counter that does not exist")
        .keys(1, 1)
        .ends();

fn run(call: &mut Call<'_>) -> Next {
    match call.command.integer(2) {
        Some(to) => {
            let update = Update::Set { to, only: Some(Only::Missing), expiry: Expiry::Never };
            call.update(update, set::write_applied)
        }
        None => call.fail(errors::NOT_AN_INTEGER),
    }
}
