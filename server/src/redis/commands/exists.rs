//! `EXISTS name …`, and `TOUCH`, which Redis has for the same with a side effect that there is not here.

use quipu_core::operation::Outcome;

use crate::redis::plan::Slot;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec = spec("exists");
pub(in crate::redis) const TOUCH: Spec = spec("touch");

const fn spec(name: &'static str) -> Spec {
    Spec::new(name, Class::Read, -2, run, "Tells how many of the counters exist").keys(1, -1)
}

fn run(call: &mut Call<'_>) -> Next {
    let names = call.command.len() - 1;
    if call.find_all() {
        call.plan.slot(Slot::Count(names, exists));
    }
    Next::Go
}

pub(in crate::redis) fn exists(outcome: &Outcome) -> bool {
    outcome.exists
}
