//! `DEL name …`, and `UNLINK`, which is the same: a counter's end takes no time that could be spared.

use quipu_core::operation::{Op, Outcome};
use quipu_core::update::Update;

use crate::redis::plan::Slot;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec = spec("del");
pub(in crate::redis) const UNLINK: Spec = spec("unlink");

const fn spec(name: &'static str) -> Spec {
    Spec::new(name, Class::Write, -2, run, "Deletes counters and tells how many there were")
        .keys(1, -1)
        .ends()
}

fn run(call: &mut Call<'_>) -> Next {
    let names = call.command.len() - 1;
    if call.operate_on_all(|name| Op::Update { name, update: Box::new(Update::Delete) }) {
        call.plan.slot(Slot::Count(names, was_deleted));
    }
    Next::Go
}

fn was_deleted(outcome: &Outcome) -> bool {
    outcome.applied
}
