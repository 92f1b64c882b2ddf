//! `COMMAND [COUNT | INFO [name …] | DOCS [name …] | LIST [FILTERBY …]]`: what clients and tools ask
//! about the commands that are served when they connect.

use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::reply::Protocol;
use crate::redis::spec::{Call, Class, Next, Served, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::{errors, glob, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("command", Class::Connection, -1, run, "Tells what is served").words(&WORDS);

const WORDS: [Subcommand; 5] = [
    word("count", "command|count", 2, "", "Tells how many commands there are."),
    word(
        "docs",
        "command|docs",
        -2,
        "[<name> ...]",
        "Tells what commands do; of all without a name.",
    ),
    word("help", "command|help", 2, "", HELP),
    word(
        "info",
        "command|info",
        -2,
        "[<name> ...]",
        "Tells what commands take; of all without a name.",
    ),
    word(
        "list",
        "command|list",
        -2,
        "[FILTERBY MODULE|ACLCAT|PATTERN <what>]",
        "Tells the names of commands; there are no modules and no categories.",
    ),
];

fn run(call: &mut Call<'_>) -> Next {
    tell(&call.command, call.served, call.session.protocol, call.plan);
    Next::Go
}

fn tell(command: &Command<'_>, served: &Served, protocol: Protocol, plan: &mut Plan) {
    let is = |word| command.is(1, word);
    if command.len() == 1 || (is("info") && command.len() == 2) {
        plan.say(|out| {
            reply::array(out, served.all.len());
            served.all.iter().for_each(|spec| tell_spec(out, protocol, spec));
        });
    } else if is("info") {
        plan.say(|out| {
            reply::array(out, command.len() - 2);
            for name in command.arguments(2) {
                match (served.find)(name) {
                    Some(spec) => tell_spec(out, protocol, spec),
                    None => reply::null(out, protocol),
                }
            }
        });
    } else if is("docs") {
        let asked: Vec<&Spec> = if command.len() == 2 {
            served.all.iter().collect()
        } else {
            command.arguments(2).filter_map(served.find).collect()
        };
        plan.say(|out| {
            reply::map(out, protocol, asked.len());
            asked.iter().for_each(|spec| tell_docs(out, protocol, spec));
        });
    } else if is("count") {
        plan.say(|out| reply::integer(out, served.all.len() as i64));
    } else {
        list(command, served, plan);
    }
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`. Nothing here is of a
/// module, and no command has a category.
fn list(command: &Command<'_>, served: &Served, plan: &mut Plan) {
    let listed: Vec<&Spec> = match command.len() {
        2 => served.all.iter().collect(),
        5 if !command.is(2, "filterby") => return plan.fail(errors::SYNTAX),
        5 if command.is(3, "module") || command.is(3, "aclcat") => Vec::new(),
        5 if command.is(3, "pattern") => {
            let pattern = command.argument(4).to_ascii_lowercase();
            served.all.iter().filter(|spec| glob::matches(&pattern, spec.name.as_bytes())).collect()
        }
        _ => return plan.fail(errors::SYNTAX),
    };
    plan.say(|out| {
        reply::array(out, listed.len());
        listed.iter().for_each(|spec| reply::bulk(out, spec.name.as_bytes()));
    });
}

/// Name, arity, flags, where the keys stand, and four lists that may be empty.
fn tell_spec(out: &mut Vec<u8>, protocol: Protocol, spec: &Spec) {
    let flags: &[&str] = match spec.class {
        Class::Write => &["write", "fast"],
        Class::Read => &["readonly", "fast"],
        Class::Keyspace => &["readonly"],
        _ => &["fast"],
    };
    let (first, last) = spec.keys;
    reply::array(out, 10);
    reply::bulk(out, spec.name.as_bytes());
    reply::integer(out, spec.arity);
    reply::set(out, protocol, flags.len());
    flags.iter().for_each(|flag| reply::simple(out, flag));
    reply::integer(out, first);
    reply::integer(out, last);
    let step = if first > 0 { spec.key_step as i64 } else { 0 };
    reply::integer(out, step);
    for _ in ["ACL categories", "tips", "key specifications", "subcommands"] {
        reply::set(out, protocol, 0);
    }
}

fn tell_docs(out: &mut Vec<u8>, protocol: Protocol, spec: &Spec) {
    reply::bulk(out, spec.name.as_bytes());
    reply::map(out, protocol, 2);
    for (key, text) in [("summary", spec.summary), ("group", spec.class.as_str())] {
        reply::bulk(out, key.as_bytes());
        reply::bulk(out, text.as_bytes());
    }
}
