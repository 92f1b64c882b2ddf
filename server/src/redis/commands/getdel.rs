//! `GETDEL name`

use quipu_core::update::Update;

use super::get;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("getdel", Class::Write, 2, run, "Deletes a counter and tells its value before")
        .keys(1, 1)
        .ends();

fn run(call: &mut Call<'_>) -> Next {
    call.update(Update::Delete, get::write_before)
}
