//! `CONFIG GET pattern …`: the settings that tools print.

use quipu_core::name::DATABASES;

use crate::access::Observe;
use crate::handle::Handle;
use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::{errors, glob, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("config", Class::Connection, -2, run, "Tells settings that tools ask for")
        .words(&WORDS);

const WORDS: [Subcommand; 3] = [
    word(
        "get",
        "config|get",
        -3,
        "<pattern> [<pattern> ...]",
        "Tells the settings of Redis that have a meaning here.",
    ),
    word("help", "config|help", 2, "", HELP),
    word(
        "set",
        "config|set",
        -4,
        "<setting> <value> ...",
        "Is refused: settings are given by flags when the node starts.",
    ),
];

fn run(call: &mut Call<'_>) -> Next {
    tell(&call.command, call.handle, call.session, call.plan);
    Next::Go
}

fn tell(command: &Command<'_>, handle: &Handle, session: &Session, plan: &mut Plan) {
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
        // many databases there are, that nothing is told of keys, and when all is written anew, which
        // is never a matter of a schedule.
        let is_kept = handle.kept(&asked).fsync.is_some();
        let appendonly = if is_kept { "yes" } else { "no" };
        let most = handle.memory(&asked).bytes_max().unwrap_or_default().to_string();
        let databases = DATABASES.to_string();
        let settings = [
            ("appendonly", appendonly),
            ("databases", databases.as_str()),
            ("maxmemory", most.as_str()),
            ("maxmemory-policy", "noeviction"),
            ("notify-keyspace-events", ""),
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
