//! `PING [message]`

use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("ping", Class::Connection, -1, run, "Answers").for_listeners().after_start();

fn run(call: &mut Call<'_>) -> Next {
    let message = call.command.argument(1);
    match call.command.len() {
        // A client that listens takes everything for a message, and so this looks like one.
        1 | 2 if call.session.only_listens() => call.say(|out| {
            reply::array(out, 2);
            reply::bulk(out, b"pong");
            reply::bulk(out, message);
        }),
        1 => call.say(|out| reply::simple(out, "PONG")),
        2 => call.say(|out| reply::bulk(out, message)),
        _ => call.fail(errors::arity(call.spec.name)),
    }
}
