//! `DECRBY name by`

use crate::redis::errors;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("decrby", Class::Write, 3, run, "Subtracts from a counter").keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    match call.command.integer(2).map(i64::checked_neg) {
        Some(Some(by)) => call.add(by),
        // The one number whose opposite there is not.
        Some(None) => call.fail("ERR decrement would overflow"),
        None => call.fail(errors::NOT_AN_INTEGER),
    }
}
