//! `FUNCTION`: there are no functions, and so what is asked of them has an answer: none. Test suites and
//! tools flush them when they begin.

use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::reply::Protocol;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("function", Class::Connection, -2, run, "Tells that there are no functions")
        .words(&WORDS);

const WORDS: [Subcommand; 7] = [
    word("delete", "function|delete", 3, "<library>", "Tells that there is no such library."),
    word("flush", "function|flush", -2, "[ASYNC|SYNC]", "Deletes all functions: there are none."),
    word("help", "function|help", 2, "", HELP),
    word("kill", "function|kill", 2, "", "Tells that no function runs."),
    word(
        "list",
        "function|list",
        -2,
        "[LIBRARYNAME <pattern>] [WITHCODE]",
        "Tells all libraries: none.",
    ),
    word("load", "function|load", -3, "[REPLACE] <code>", "Is refused: there are no functions."),
    word("stats", "function|stats", 2, "", "Tells how many functions there are: none."),
];

const REFUSED: &str =
    "ERR FUNCTION LOAD is refused: functions would have to be the same on all nodes";

fn run(call: &mut Call<'_>) -> Next {
    tell(&call.command, call.session.protocol, call.plan);
    Next::Go
}

fn tell(command: &Command<'_>, protocol: Protocol, plan: &mut Plan) {
    let is = |word| command.is(1, word);
    if is("flush") {
        match command.len() {
            2 => plan.say(|out| reply::simple(out, "OK")),
            3 if command.is(2, "sync") || command.is(2, "async") => {
                plan.say(|out| reply::simple(out, "OK"));
            }
            3 => plan.fail("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
            _ => plan.fail(errors::subcommand_syntax(command, SPEC.name)),
        }
    } else if is("list") {
        match unknown_option(command) {
            None => plan.say(|out| reply::array(out, 0)),
            Some(text) => plan.fail(text),
        }
    } else if is("delete") {
        plan.fail("ERR Library not found");
    } else if is("kill") {
        plan.fail("NOTBUSY No scripts in execution right now.");
    } else if is("stats") {
        plan.say(|out| tell_stats(out, protocol));
    } else {
        plan.fail(REFUSED);
    }
}

/// What is wrong with the options of `FUNCTION LIST`.
fn unknown_option(command: &Command<'_>) -> Option<Vec<u8>> {
    let mut at = 2;
    while at < command.len() {
        if command.is(at, "withcode") {
            at += 1;
        } else if command.is(at, "libraryname") {
            if at + 1 == command.len() {
                return Some(b"ERR library name argument was not given".to_vec());
            }
            at += 2;
        } else {
            return Some([b"ERR Unknown argument ", command.argument(at)].concat());
        }
    }
    None
}

fn tell_stats(out: &mut Vec<u8>, protocol: Protocol) {
    reply::map(out, protocol, 2);
    reply::bulk(out, b"running_script");
    reply::null(out, protocol);
    reply::bulk(out, b"engines");
    reply::map(out, protocol, 1);
    reply::bulk(out, b"LUA");
    reply::map(out, protocol, 2);
    for what in ["libraries_count", "functions_count"] {
        reply::bulk(out, what.as_bytes());
        reply::integer(out, 0);
    }
}
