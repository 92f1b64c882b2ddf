//! `CLIENT SETNAME|GETNAME|SETINFO|ID|REPLY …`

use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("client", Class::Connection, -2, run, "Names this connection").words(&WORDS);

const WORDS: [Subcommand; 6] = [
    word("getname", "client|getname", 2, "", "Tells this connection's name."),
    word("help", "client|help", 2, "", HELP),
    word("id", "client|id", 2, "", "Tells this connection's number."),
    word(
        "reply",
        "client|reply",
        3,
        "ON|OFF|SKIP",
        "Chooses whether commands are replied to; SKIP is for the next one only.",
    ),
    word(
        "setinfo",
        "client|setinfo",
        4,
        "LIB-NAME|LIB-VER <text>",
        "Takes which library the client is of.",
    ),
    word("setname", "client|setname", 3, "<name>", "Names this connection."),
];

fn run(call: &mut Call<'_>) -> Next {
    tell_or_take(&call.command, call.session, call.plan);
    Next::Go
}

fn tell_or_take(command: &Command<'_>, session: &mut Session, plan: &mut Plan) {
    if command.is(1, "id") {
        plan.say(|out| reply::integer(out, i64::try_from(session.id).unwrap_or(i64::MAX)));
    } else if command.is(1, "getname") {
        plan.say(|out| match &session.name {
            Some(name) => reply::bulk(out, name),
            None => reply::null(out, session.protocol),
        });
    } else if command.is(1, "reply") {
        choose_replies(command, session, plan);
    } else if command.is(1, "setinfo") {
        set_info(command, plan);
    } else if set_name(command, 2, session, plan) {
        plan.say(|out| reply::simple(out, "OK"));
    }
}

/// `CLIENT REPLY ON|OFF|SKIP`. Only `ON` is replied to.
fn choose_replies(command: &Command<'_>, session: &mut Session, plan: &mut Plan) {
    let silence = &mut session.silence;
    if command.is(2, "on") {
        silence.end();
        plan.silence(silence.holds());
        plan.say(|out| reply::simple(out, "OK"));
    } else if command.is(2, "off") {
        silence.begin();
        plan.silence(silence.holds());
    } else if command.is(2, "skip") {
        silence.skip_next();
    } else {
        plan.fail(errors::SYNTAX);
    }
}

/// Takes a name, or says what is wrong with it. No name at all takes the name away.
pub(super) fn set_name(
    command: &Command<'_>,
    at: usize,
    session: &mut Session,
    plan: &mut Plan,
) -> bool {
    let name = command.argument(at);
    if !name.iter().all(u8::is_ascii_graphic) {
        plan.fail("ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    // A copy, since a slice would keep the whole read alive.
    session.name = (!name.is_empty()).then(|| bytes::Bytes::copy_from_slice(name));
    true
}

/// Clients tell what they are when they connect. No command tells it here, so it is not kept.
fn set_info(command: &Command<'_>, plan: &mut Plan) {
    let attribute = match () {
        () if command.is(2, "lib-name") => "lib-name",
        () if command.is(2, "lib-ver") => "lib-ver",
        () => {
            let option = command.argument(2);
            return plan.fail([b"ERR Unrecognized option '", option, b"'"].concat());
        }
    };
    if command.argument(3).iter().all(u8::is_ascii_graphic) {
        plan.say(|out| reply::simple(out, "OK"));
    } else {
        plan.fail(format!(
            "ERR {attribute} cannot contain spaces, newlines or special characters."
        ));
    }
}
