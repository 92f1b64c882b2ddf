//! `PERSIST name`

use quipu_core::update::{Expiry, Update};

use super::set;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("persist", Class::Write, 2, run, "Has a counter live for ever").keys(1, 1).ends();

fn run(call: &mut Call<'_>) -> Next {
    let update = Update::Expire { expiry: Expiry::Never, only: None };
    call.update(update, set::write_applied)
}
