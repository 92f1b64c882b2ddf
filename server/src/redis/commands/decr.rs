//! `DECR name`

use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("decr", Class::Write, 2, run, "Subtracts one from a counter").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    call.add(-1)
}
