//! What clients and tools ask about the server itself when they connect: the commands it has, and
//! the settings that tools print. Answered without the driver.

use bytes::Bytes;

use crate::access::Observe;
use crate::handle::Handle;
use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::reply::Protocol;
use crate::redis::session::Session;
use crate::redis::table::{Class, Found, SERVED, Spec};
use crate::redis::{errors, glob, reply, subcommands, table};

/// `INFO [section …]`, in lower case.
pub(in crate::redis) fn sections(command: &Command<'_>) -> Vec<Bytes> {
    command.arguments(1).map(|section| section.to_ascii_lowercase().into()).collect()
}

/// `HELP` behind a command that takes a second word.
pub(in crate::redis) fn help(spec: &Spec, plan: &mut Plan) {
    let lines = subcommands::help(spec);
    plan.say(|out| {
        reply::array(out, lines.len());
        lines.iter().for_each(|line| reply::simple(out, line));
    });
}

/// `CONFIG GET pattern …`
pub(in crate::redis) fn config(
    command: &Command<'_>,
    handle: &Handle,
    session: &Session,
    plan: &mut Plan,
) {
    if command.is(1, "get") {
        let Ok(asked) = session.caller.ask(Observe) else {
            return plan.fail(errors::denied(b"config|get"));
        };
        // A name that was asked for as such is told as it was written.
        let asked_as = |name: &'static str| {
            let mut patterns = command.arguments(2);
            let written =
                command.arguments(2).find(|word| word.eq_ignore_ascii_case(name.as_bytes()));
            written.or_else(|| {
                let matches =
                    |pattern: &&[u8]| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes());
                patterns.find(matches).map(|_| name.as_bytes())
            })
        };
        // The settings of Redis that have a meaning here: whether every change is written down, how
        // many databases there are, and when all is written anew, which is never a matter of a
        // schedule. Tools show 16 databases where they are not told how many.
        let is_kept = handle.kept(&asked).fsync.is_some();
        let appendonly = if is_kept { "yes" } else { "no" };
        let most = handle.memory(&asked).bytes_max().unwrap_or_default().to_string();
        let settings = [
            ("appendonly", appendonly),
            ("databases", "1"),
            ("maxmemory", most.as_str()),
            ("maxmemory-policy", "noeviction"),
            ("save", ""),
        ];
        let told: Vec<_> = settings
            .into_iter()
            .filter_map(|(name, value)| Some((asked_as(name)?, value.to_owned())))
            .collect();
        plan.say(|out| {
            reply::map(out, session.protocol, told.len());
            for (name, value) in told {
                reply::bulk(out, name);
                reply::bulk(out, value.as_bytes());
            }
        });
    } else {
        plan.fail("ERR CONFIG SET is refused: settings are given by flags when the node starts");
    }
}

/// `COMMAND [COUNT | INFO [name …] | DOCS [name …] | LIST [FILTERBY …]]`
pub(in crate::redis) fn command(command: &Command<'_>, protocol: Protocol, plan: &mut Plan) {
    let is = |word| command.is(1, word);
    if command.len() == 1 || (is("info") && command.len() == 2) {
        plan.say(|out| {
            reply::array(out, SERVED.len());
            SERVED.iter().for_each(|spec| tell_spec(out, protocol, spec));
        });
    } else if is("info") {
        plan.say(|out| {
            reply::array(out, command.len() - 2);
            for name in command.arguments(2) {
                match served(name) {
                    Some(spec) => tell_spec(out, protocol, spec),
                    None => reply::null(out, protocol),
                }
            }
        });
    } else if is("docs") {
        let asked: Vec<&Spec> = if command.len() == 2 {
            SERVED.iter().collect()
        } else {
            command.arguments(2).filter_map(served).collect()
        };
        plan.say(|out| {
            reply::map(out, protocol, asked.len());
            asked.iter().for_each(|spec| tell_docs(out, protocol, spec));
        });
    } else if is("count") {
        plan.say(|out| reply::integer(out, SERVED.len() as i64));
    } else {
        list(command, plan);
    }
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`. Nothing here is of a
/// module, and no command has a category.
fn list(command: &Command<'_>, plan: &mut Plan) {
    let listed: Vec<&Spec> = match command.len() {
        2 => SERVED.iter().collect(),
        5 if !command.is(2, "filterby") => return plan.fail(errors::SYNTAX),
        5 if command.is(3, "module") || command.is(3, "aclcat") => Vec::new(),
        5 if command.is(3, "pattern") => {
            let pattern = command.argument(4).to_ascii_lowercase();
            SERVED.iter().filter(|spec| glob::matches(&pattern, spec.name.as_bytes())).collect()
        }
        _ => return plan.fail(errors::SYNTAX),
    };
    plan.say(|out| {
        reply::array(out, listed.len());
        listed.iter().for_each(|spec| reply::bulk(out, spec.name.as_bytes()));
    });
}

fn served(name: &[u8]) -> Option<&'static Spec> {
    match table::find(name)? {
        Found::Served(spec) => Some(spec),
        Found::Refused(_) => None,
    }
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
    reply::integer(out, i64::from(first > 0));
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
