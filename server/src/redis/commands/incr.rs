//! `INCR name`

use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("incr", Class::Write, 2, run, "Adds one to a counter").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    call.add(1)
}
