//! `SLOWLOG GET|LEN|RESET`: the commands that took long; see [`slow`](crate::redis::slow).

use crate::access::Observe;
use crate::redis::slow::Entry;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("slowlog", Class::Connection, -2, run, "Tells which commands took long")
        .words(&WORDS);

const WORDS: [Subcommand; 4] = [
    word(
        "get",
        "slowlog|get",
        -2,
        "[<count>]",
        "Tells the newest of them, 10 without a count and all with -1: number, time, microseconds, \
         arguments, address, name.",
    ),
    word("help", "slowlog|help", 2, "", HELP),
    word("len", "slowlog|len", 2, "", "Tells how many there are."),
    word("reset", "slowlog|reset", 2, "", "Forgets them."),
];

/// As Redis has it: how many are told without a count.
const COUNT: usize = 10;

const NO_COUNT: &str = "ERR count should be greater than or equal to -1";

fn run(call: &mut Call<'_>) -> Next {
    // It tells what others have sent.
    if call.allowed(Observe).is_none() {
        return Next::Go;
    }
    let slow = &call.session.state.slow;
    if call.command.is(1, "reset") {
        slow.forget_log();
        return call.say(|out| reply::simple(out, "OK"));
    }
    if call.command.is(1, "len") {
        let logged = i64::try_from(slow.logged()).unwrap_or(i64::MAX);
        return call.say(|out| reply::integer(out, logged));
    }
    let count = match call.command.len() {
        2 => Some(COUNT),
        3 => match call.command.integer(2) {
            Some(-1) => Some(usize::MAX),
            Some(count) => usize::try_from(count).ok(),
            None => None,
        },
        _ => return call.fail(errors::subcommand_syntax(&call.command, SPEC.name)),
    };
    let Some(count) = count else { return call.fail(NO_COUNT) };
    let entries = slow.newest(count);
    call.say(|out| {
        reply::array(out, entries.len());
        entries.iter().for_each(|entry| tell(out, entry));
    })
}

fn tell(out: &mut Vec<u8>, entry: &Entry) {
    reply::array(out, 6);
    reply::integer(out, entry.id);
    reply::integer(out, entry.at_s);
    reply::integer(out, entry.took_us);
    reply::array(out, entry.arguments.len());
    entry.arguments.iter().for_each(|argument| reply::bulk(out, argument));
    reply::bulk(out, entry.peer.as_bytes());
    reply::bulk(out, &entry.client);
}
