//! Commands about the connection itself, answered without the driver.

use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::reply::Protocol;
use crate::redis::session::Session;
use crate::redis::table::Spec;
use crate::redis::{REDIS_VERSION, errors, reply};

/// `PING [message]`
pub(in crate::redis) fn ping(
    command: &Command<'_>,
    spec: &Spec,
    session: &Session,
    plan: &mut Plan,
) {
    match command.len() {
        // Who listens takes everything for a message, and so this looks like one.
        1 | 2 if session.only_listens() => plan.say(|out| {
            reply::array(out, 2);
            reply::bulk(out, b"pong");
            reply::bulk(out, command.argument(1));
        }),
        1 => plan.say(|out| reply::simple(out, "PONG")),
        2 => plan.say(|out| reply::bulk(out, command.argument(1))),
        _ => plan.fail(errors::arity(spec.name)),
    }
}

/// `AUTH [user] password`
pub(in crate::redis) fn auth(command: &Command<'_>, plan: &mut Plan) {
    match command.len() {
        2 => plan.fail(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        3 if is_let_in(command, 1) => plan.say(|out| reply::simple(out, "OK")),
        3 => plan.fail(errors::WRONG_PASSWORD),
        _ => plan.fail(errors::SYNTAX),
    }
}

/// Whether the argument at `at` names a user who may come in. The only one is Redis's own, `default`,
/// who needs no password and so may give any.
fn is_let_in(command: &Command<'_>, at: usize) -> bool {
    command.argument(at) == b"default"
}

/// `SELECT index`
pub(in crate::redis) fn select(command: &Command<'_>, plan: &mut Plan) {
    match command.integer(1).map(i32::try_from) {
        Some(Ok(0)) => plan.say(|out| reply::simple(out, "OK")),
        Some(Ok(_)) => plan.fail("ERR DB index is out of range"),
        Some(Err(_)) => {
            plan.fail("ERR value is out of range, value must between -2147483648 and 2147483647")
        }
        None => plan.fail(errors::NOT_AN_INTEGER),
    }
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(in crate::redis) fn hello(command: &Command<'_>, session: &mut Session, plan: &mut Plan) {
    let mut protocol = session.protocol;
    if command.len() > 1 {
        protocol = match command.integer(1) {
            Some(2) => Protocol::Two,
            Some(3) => Protocol::Three,
            Some(_) => return plan.fail("NOPROTO unsupported protocol version"),
            None => {
                return plan.fail("ERR Protocol version is not an integer or out of range");
            }
        };
    }
    // As in Redis, what stands before a mistake is done; the version is chosen last.
    let mut at = 2;
    while at < command.len() {
        let more = command.len() - 1 - at;
        if command.is(at, "auth") && more >= 2 {
            if !is_let_in(command, at + 1) {
                return plan.fail(errors::WRONG_PASSWORD);
            }
            at += 3;
        } else if command.is(at, "setname") && more >= 1 {
            if !set_name(command, at + 1, session, plan) {
                return;
            }
            at += 2;
        } else {
            let option = command.argument(at);
            return plan.fail([b"ERR Syntax error in HELLO option '", option, b"'"].concat());
        }
    }
    session.protocol = protocol;
    plan.say(|out| {
        reply::map(out, protocol, 7);
        for (key, text) in [("server", "quipu"), ("version", REDIS_VERSION)] {
            reply::bulk(out, key.as_bytes());
            reply::bulk(out, text.as_bytes());
        }
        reply::bulk(out, b"proto");
        reply::integer(out, protocol.number());
        reply::bulk(out, b"id");
        reply::integer(out, i64::try_from(session.id).unwrap_or(i64::MAX));
        // Clients look for a node that takes writes and is no part of a Redis cluster.
        for (key, text) in [("mode", "standalone"), ("role", "master")] {
            reply::bulk(out, key.as_bytes());
            reply::bulk(out, text.as_bytes());
        }
        reply::bulk(out, b"modules");
        reply::array(out, 0);
    });
}

/// `CLIENT SETNAME|GETNAME|SETINFO|ID|REPLY …`
pub(in crate::redis) fn client(command: &Command<'_>, session: &mut Session, plan: &mut Plan) {
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
fn set_name(command: &Command<'_>, at: usize, session: &mut Session, plan: &mut Plan) -> bool {
    let name = command.argument(at);
    if !name.iter().all(u8::is_ascii_graphic) {
        plan.fail("ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    // A copy, since a slice would keep the whole read alive.
    session.name = (!name.is_empty()).then(|| bytes::Bytes::copy_from_slice(name));
    true
}

/// Clients tell what they are when they connect. Nobody asks for it here, so it is not kept.
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
