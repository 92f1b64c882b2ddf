//! `CLIENT SETNAME|GETNAME|SETINFO|ID|REPLY|NO-EVICT|NO-TOUCH|UNBLOCK …`; those that tell of connections
//! or end them have files of their own.

use super::{client_kill, client_list};
use crate::access::Configure;
use crate::redis::clients::Unblocked;
use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::reply::Protocol;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("client", Class::Connection, -2, run, "Tells of connections, names and ends them")
        .words(&WORDS);

const WORDS: [Subcommand; 15] = [
    word("getname", "client|getname", 2, "", "Tells this connection's name."),
    word("getredir", "client|getredir", 2, "", "Tells -1: what clients cache is not tracked."),
    word("help", "client|help", 2, "", HELP),
    word("id", "client|id", 2, "", "Tells this connection's number."),
    word("info", "client|info", 2, "", "Tells of this connection."),
    word(
        "kill",
        "client|kill",
        -3,
        "<ip:port> | [ID <id>] [ADDR <ip:port>] [LADDR <ip:port>] [TYPE <type>] [USER <name>] \
         [SKIPME yes|no]",
        "Ends connections to this node's Redis port.",
    ),
    word(
        "list",
        "client|list",
        -2,
        "[TYPE normal|master|replica|pubsub] [ID <id> ...]",
        "Tells of the connections to this node's Redis port.",
    ),
    word("no-evict", "client|no-evict", 3, "ON|OFF", "Takes it: no connection is ever evicted."),
    word(
        "no-touch",
        "client|no-touch",
        3,
        "ON|OFF",
        "Takes it: when names were used is not noted.",
    ),
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
    word("tracking", "client|tracking", -3, "OFF", "Takes OFF; what clients cache is not tracked."),
    word("trackinginfo", "client|trackinginfo", 2, "", "Tells that it is off."),
    word(
        "unblock",
        "client|unblock",
        -3,
        "<id> [TIMEOUT|ERROR]",
        "Ends the waiting of a connection that waits in WAIT.",
    ),
];

const NO_REASON: &str = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
const NO_TRACKING: &str = "ERR CLIENT TRACKING is refused: what clients cache is not tracked; SUBSCRIBE counter:<name> tells \
     new values";

fn run(call: &mut Call<'_>) -> Next {
    if call.command.is(1, "kill") {
        return client_kill::run(call);
    }
    if call.command.is(1, "list") {
        return client_list::run(call);
    }
    if call.command.is(1, "info") {
        return client_list::tell_own(call);
    }
    if call.command.is(1, "unblock") {
        return unblock(call);
    }
    tell_or_take(&call.command, call.session, call.plan);
    Next::Go
}

fn tell_or_take(command: &Command<'_>, session: &mut Session, plan: &mut Plan) {
    let is = |word| command.is(1, word);
    if is("id") {
        plan.say(|out| reply::integer(out, i64::try_from(session.client.id).unwrap_or(i64::MAX)));
    } else if is("getname") {
        plan.say(|out| match &session.name {
            Some(name) => reply::bulk(out, name),
            None => reply::null(out, session.protocol),
        });
    } else if is("reply") {
        choose_replies(command, session, plan);
    } else if is("setinfo") {
        set_info(command, plan);
    } else if is("no-evict") {
        if let Some(is_on) = on_or_off(command, plan) {
            session.client.shown().stays = is_on;
        }
    } else if is("no-touch") {
        on_or_off(command, plan);
    } else if is("getredir") {
        plan.say(|out| reply::integer(out, -1));
    } else if is("trackinginfo") {
        plan.say(|out| tell_tracking(out, session.protocol));
    } else if is("tracking") {
        track(command, plan);
    } else if set_name(command, 2, session, plan) {
        plan.say(|out| reply::simple(out, "OK"));
    }
}

/// Takes `ON` or `OFF`; the answer is given.
fn on_or_off(command: &Command<'_>, plan: &mut Plan) -> Option<bool> {
    let is_on = command.is(2, "on");
    if !is_on && !command.is(2, "off") {
        plan.fail(errors::SYNTAX);
        return None;
    }
    plan.say(|out| reply::simple(out, "OK"));
    Some(is_on)
}

/// `CLIENT TRACKING ON|OFF …`. What is off already may be switched off.
fn track(command: &Command<'_>, plan: &mut Plan) {
    if command.is(2, "off") && command.len() == 3 {
        plan.say(|out| reply::simple(out, "OK"));
    } else if command.is(2, "on") {
        plan.fail(NO_TRACKING);
    } else {
        plan.fail(errors::SYNTAX);
    }
}

fn tell_tracking(out: &mut Vec<u8>, protocol: Protocol) {
    reply::map(out, protocol, 3);
    reply::bulk(out, b"flags");
    reply::set(out, protocol, 1);
    reply::bulk(out, b"off");
    reply::bulk(out, b"redirect");
    reply::integer(out, -1);
    reply::bulk(out, b"prefixes");
    reply::array(out, 0);
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`
fn unblock(call: &mut Call<'_>) -> Next {
    let command = call.command;
    let how = match command.len() {
        3 => Unblocked::AsTimedOut,
        4 if command.is(3, "timeout") => Unblocked::AsTimedOut,
        4 if command.is(3, "error") => Unblocked::WithError,
        4 => return call.fail(NO_REASON),
        _ => return call.fail(errors::subcommand_syntax(&command, SPEC.name)),
    };
    let Some(id) = command.integer(2) else { return call.fail(errors::NOT_AN_INTEGER) };
    if call.allowed(Configure).is_none() {
        return Next::Go;
    }
    let client = u64::try_from(id).ok().and_then(|id| call.session.state.clients.find(id));
    let did = client.is_some_and(|client| client.wait.unblock(how));
    call.say(|out| reply::integer(out, i64::from(did)))
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
