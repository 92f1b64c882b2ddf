//! `HELLO [version [AUTH user password] [SETNAME name]]`

use super::{auth, client};
use crate::redis::command::Command;
use crate::redis::plan::Plan;
use crate::redis::reply::Protocol;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::{REDIS_VERSION, errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("hello", Class::Connection, -1, run, "Agrees on the protocol's version");

fn run(call: &mut Call<'_>) -> Next {
    agree(&call.command, call.session, call.plan);
    Next::Go
}

fn agree(command: &Command<'_>, session: &mut Session, plan: &mut Plan) {
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
            if !auth::is_let_in(command, at + 1) {
                return plan.fail(errors::WRONG_PASSWORD);
            }
            at += 3;
        } else if command.is(at, "setname") && more >= 1 {
            if !client::set_name(command, at + 1, session, plan) {
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
        reply::integer(out, i64::try_from(session.client.id).unwrap_or(i64::MAX));
        // Clients look for a node that takes writes and is no part of a Redis cluster.
        for (key, text) in [("mode", "standalone"), ("role", "master")] {
            reply::bulk(out, key.as_bytes());
            reply::bulk(out, text.as_bytes());
        }
        reply::bulk(out, b"modules");
        reply::array(out, 0);
    });
}
