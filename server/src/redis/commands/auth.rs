//! `AUTH [user] password`

use crate::redis::command::Command;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec = Spec::new(
    "auth",
    Class::Connection,
    -2,
    run,
    "Lets in the user `default`, whatever the password",
);

fn run(call: &mut Call<'_>) -> Next {
    match call.command.len() {
        2 => call.fail(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        3 if is_let_in(&call.command, 1) => call.say(|out| reply::simple(out, "OK")),
        3 => call.fail(errors::WRONG_PASSWORD),
        _ => call.fail(errors::SYNTAX),
    }
}

/// Whether the argument at `at` names a user who may come in. The only one is Redis's own, `default`,
/// who needs no password and so may give any.
pub(super) fn is_let_in(command: &Command<'_>, at: usize) -> bool {
    command.argument(at) == b"default"
}
