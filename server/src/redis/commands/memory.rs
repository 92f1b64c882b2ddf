//! `MEMORY USAGE name [SAMPLES count]`: how much memory a counter takes, as an estimate.

use crate::redis::errors;
use crate::redis::plan::Slot;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("memory", Class::Read, -2, run, "Tells how much memory a counter takes")
        .words(&WORDS)
        .keys(2, 2);

const WORDS: [Subcommand; 2] = [
    word("help", "memory|help", 2, "", HELP),
    word(
        "usage",
        "memory|usage",
        -3,
        "<name> [SAMPLES <count>]",
        "Tells some 145 bytes and those of the name.",
    ),
];

/// Of a counter that three origins count on, less its name: some 165 bytes with a name of 20 (measured,
/// as docs/benchmarks.md says).
const BYTES: i64 = 145;

fn run(call: &mut Call<'_>) -> Next {
    for at in (3..call.command.len()).step_by(2) {
        if !call.command.is(at, "samples") || at + 1 == call.command.len() {
            return call.fail(errors::SYNTAX);
        }
        match call.command.integer(at + 1) {
            Some(0..) => {}
            Some(_) => return call.fail(errors::SYNTAX),
            None => return call.fail(errors::NOT_AN_INTEGER),
        }
    }
    let name_bytes = call.command.argument(2).len() as i64;
    if call.find(2) {
        call.plan.slot(Slot::IfExists(call.session.protocol, BYTES + name_bytes));
    }
    Next::Go
}
