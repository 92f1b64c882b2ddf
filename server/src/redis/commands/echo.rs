//! `ECHO message`

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("echo", Class::Connection, 2, run, "Answers with its argument");

fn run(call: &mut Call<'_>) -> Next {
    let message = call.command.argument(1);
    call.say(|out| reply::bulk(out, message))
}
