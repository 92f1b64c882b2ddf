//! `OBJECT ENCODING|FREQ|IDLETIME|REFCOUNT name`: what Redis would tell of an integer.

use quipu_core::operation::Outcome;

use crate::redis::plan::{Slot, Write};
use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("object", Class::Read, -2, run, "Tells how Redis would hold a counter")
        .words(&WORDS)
        .keys(2, 2);

const WORDS: [Subcommand; 5] = [
    word("encoding", "object|encoding", 3, "<name>", "Tells that it is an int."),
    word(
        "freq",
        "object|freq",
        3,
        "<name>",
        "Is refused: how often names are used is not counted.",
    ),
    word("help", "object|help", 2, "", HELP),
    word("idletime", "object|idletime", 3, "<name>", "Tells 0: when names were used is not noted."),
    word("refcount", "object|refcount", 3, "<name>", "Tells what Redis has for such an integer."),
];

/// In Redis's words.
const NO_FREQUENCIES: &str = "ERR An LFU maxmemory policy is not selected, access frequency not \
    tracked. Please note that when switching between policies at runtime LRU and LFU data will take \
    some time to adjust.";

/// Redis shares integers below it among all keys, and has this for how many hold one.
const SHARED_BELOW: i128 = 10_000;
const SHARED_REFCOUNT: i64 = 2_147_483_647;

fn run(call: &mut Call<'_>) -> Next {
    if call.find(2) {
        let protocol = call.session.protocol;
        let slot = if call.command.is(1, "encoding") {
            Slot::Read(protocol, ENCODING)
        } else if call.command.is(1, "refcount") {
            Slot::Read(protocol, REFCOUNT)
        } else if call.command.is(1, "freq") {
            Slot::Read(protocol, FREQ)
        } else {
            Slot::IfExists(protocol, 0)
        };
        call.plan.slot(slot);
    }
    Next::Go
}

const ENCODING: Write =
    |out, protocol, outcome| told(out, protocol, outcome, |out| reply::bulk(out, b"int"));

const REFCOUNT: Write = |out, protocol, outcome| {
    let is_shared = (0..SHARED_BELOW).contains(&outcome.value.0);
    let count = if is_shared { SHARED_REFCOUNT } else { 1 };
    told(out, protocol, outcome, |out| reply::integer(out, count));
};

const FREQ: Write = |out, protocol, outcome| {
    told(out, protocol, outcome, |out| reply::error(out, NO_FREQUENCIES.as_bytes()));
};

fn told(out: &mut Vec<u8>, protocol: Protocol, outcome: &Outcome, tell: impl FnOnce(&mut Vec<u8>)) {
    if outcome.exists { tell(out) } else { reply::null(out, protocol) }
}
