//! `CONFIG GET pattern …`, `CONFIG SET name value …`, `CONFIG RESETSTAT`, `CONFIG REWRITE`. What may be
//! changed while a node runs lasts until it ends; what is given by flags may be set to what it is.

use crate::access::{Configure, Observe};
use crate::redis::command::Command;
use crate::redis::setting::{self, View};
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::{errors, glob, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("config", Class::Connection, -2, run, "Tells settings and changes some")
        .words(&WORDS);

const WORDS: [Subcommand; 5] = [
    word(
        "get",
        "config|get",
        -3,
        "<pattern> [<pattern> ...]",
        "Tells the settings of Redis that have a meaning here.",
    ),
    word("help", "config|help", 2, "", HELP),
    word("resetstat", "config|resetstat", 2, "", "Has INFO count connections and commands anew."),
    word("rewrite", "config|rewrite", 2, "", "Is refused: there is no file of settings."),
    word(
        "set",
        "config|set",
        -4,
        "<setting> <value> ...",
        "Changes maxmemory, notify-keyspace-events, slowlog-log-slower-than, slowlog-max-len and \
         latency-monitor-threshold until the node ends; others are given by flags.",
    ),
];

const NO_FILE: &str = "ERR The server is running without a config file";

fn run(call: &mut Call<'_>) -> Next {
    if call.command.is(1, "get") {
        get(call)
    } else if call.command.is(1, "set") {
        set(call)
    } else if call.command.is(1, "rewrite") {
        call.fail(NO_FILE)
    } else {
        if call.allowed(Configure).is_none() {
            return Next::Go;
        }
        call.session.state.reset_totals();
        call.say(|out| reply::simple(out, "OK"))
    }
}

fn get(call: &mut Call<'_>) -> Next {
    let Some(asked) = call.allowed(Observe) else { return Next::Go };
    let view = View { handle: call.handle, asked: &asked, state: &call.session.state };
    let command = call.command;
    // A name that was asked for as such is told as it was written.
    let asked_as = |name: &'static str| {
        let mut patterns = command.arguments(2);
        let written = command.arguments(2).find(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        written.or_else(|| {
            let matches =
                |pattern: &&[u8]| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes());
            patterns.find(matches).map(|_| name.as_bytes())
        })
    };
    let told: Vec<(&[u8], String)> = setting::ALL
        .iter()
        .filter_map(|setting| Some((asked_as(setting.name)?, (setting.value)(&view))))
        .collect();
    let protocol = call.session.protocol;
    call.say(|out| {
        reply::map(out, protocol, told.len());
        for (name, value) in told {
            reply::bulk(out, name);
            reply::bulk(out, value.as_bytes());
        }
    })
}

/// All that a command sets is set, or nothing.
fn set(call: &mut Call<'_>) -> Next {
    let Some(configure) = call.allowed(Configure) else { return Next::Go };
    let Some(asked) = call.allowed(Observe) else { return Next::Go };
    let view = View { handle: call.handle, asked: &asked, state: &call.session.state };
    let changes = match changes(&call.command, &view) {
        Ok(changes) => changes,
        Err(text) => return call.fail(text),
    };
    changes.into_iter().for_each(|change| change.apply(&view, &configure));
    call.say(|out| reply::simple(out, "OK"))
}

/// What is to be set, or the error. The order in which mistakes are found is that of Redis: names that it
/// does not know, then those that come twice, then values.
fn changes(command: &Command<'_>, view: &View<'_>) -> Result<Vec<setting::Change>, Vec<u8>> {
    if command.len() % 2 == 1 {
        return Err(errors::SYNTAX.into());
    }
    let names = (2..command.len()).step_by(2);
    let mut found = Vec::new();
    for at in names.clone() {
        let Some(setting) = setting::find(command.argument(at)) else {
            let what = b"ERR Unknown option or number of arguments for CONFIG SET - '";
            return Err([what, command.argument(at), b"'"].concat());
        };
        found.push(setting);
    }
    for (nth, at) in names.enumerate() {
        let name = found[nth].name;
        if found[..nth].iter().any(|before| before.name == name) {
            return Err(failed(command.argument(at), "duplicate parameter"));
        }
    }
    let change = |(nth, setting): (usize, &&setting::Setting)| {
        let value = command.argument(2 * nth + 3);
        setting.change(view, value).map_err(|why| failed(setting.name.as_bytes(), &why))
    };
    found.iter().enumerate().map(change).collect()
}

fn failed(name: &[u8], why: &str) -> Vec<u8> {
    let what = b"ERR CONFIG SET failed (possibly related to argument '";
    [what, name, b"') - ", why.as_bytes()].concat()
}
