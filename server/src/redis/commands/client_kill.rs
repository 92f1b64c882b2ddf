//! `CLIENT KILL ip:port`, and `CLIENT KILL` with `ID`, `ADDR`, `LADDR`, `TYPE`, `USER` and `SKIPME`: ends
//! connections to this node's Redis port. What one has handed to the node is done, answered or not, as
//! where a connection breaks.

use super::client_list::Kind;
use crate::access::Configure;
use crate::redis::clients::Client;
use crate::redis::command::Command;
use crate::redis::spec::{Call, Next};
use crate::redis::{errors, reply};

const NO_ID: &str = "ERR client-id should be greater than 0";
const NO_CLIENT: &str = "ERR No such client";

/// Which connections are ended: those of which all of this is true.
#[derive(Debug, Default)]
struct Chosen {
    id: Option<u64>,
    peer: Option<String>,
    local: Option<String>,
    kind: Option<Kind>,
    includes_me: bool,
}

impl Chosen {
    fn parsed(command: &Command<'_>) -> Result<Chosen, Vec<u8>> {
        let text = |at| String::from_utf8_lossy(command.argument(at)).into_owned();
        // With the old form one can end oneself.
        if command.len() == 3 {
            return Ok(Chosen { peer: Some(text(2)), includes_me: true, ..Chosen::default() });
        }
        let mut chosen = Chosen::default();
        for at in (2..command.len()).step_by(2) {
            if at + 1 == command.len() {
                return Err(errors::SYNTAX.into());
            }
            if command.is(at, "id") {
                let id = command.integer(at + 1).filter(|id| *id > 0).ok_or(NO_ID)?;
                chosen.id = u64::try_from(id).ok();
            } else if command.is(at, "type") {
                chosen.kind = Some(Kind::named(command, at + 1)?);
            } else if command.is(at, "addr") {
                chosen.peer = Some(text(at + 1));
            } else if command.is(at, "laddr") {
                chosen.local = Some(text(at + 1));
            } else if command.is(at, "user") {
                // There is one, and all are it.
                if command.argument(at + 1) != b"default" {
                    return Err([b"ERR No such user '", command.argument(at + 1), b"'"].concat());
                }
            } else if command.is(at, "skipme") && command.is(at + 1, "yes") {
                chosen.includes_me = false;
            } else if command.is(at, "skipme") && command.is(at + 1, "no") {
                chosen.includes_me = true;
            } else {
                return Err(errors::SYNTAX.into());
            }
        }
        Ok(chosen)
    }

    fn has(&self, client: &Client) -> bool {
        let Chosen { id, peer, local, kind, .. } = self;
        id.is_none_or(|id| client.id == id)
            && peer.as_ref().is_none_or(|peer| client.socket.peer.to_string() == *peer)
            && local.as_ref().is_none_or(|local| client.socket.local.to_string() == *local)
            && kind.is_none_or(|kind| Kind::of(client) == kind)
    }
}

pub(super) fn run(call: &mut Call<'_>) -> Next {
    let chosen = match Chosen::parsed(&call.command) {
        Ok(chosen) => chosen,
        Err(text) => return call.fail(text),
    };
    if call.allowed(Configure).is_none() {
        return Next::Go;
    }
    call.session.tell_others();
    let (mut ended, mut ends_me) = (0, false);
    for client in call.session.state.clients.open() {
        let is_me = client.id == call.session.client.id;
        if !chosen.has(&client) || (is_me && !chosen.includes_me) {
            continue;
        }
        // Itself it ends once it is answered.
        ends_me |= is_me;
        ended += i64::from(is_me || client.end());
    }
    if call.command.len() > 3 {
        call.say(|out| reply::integer(out, ended));
    } else if ended > 0 {
        call.say(|out| reply::simple(out, "OK"));
    } else {
        call.fail(NO_CLIENT);
    }
    if ends_me { Next::Close } else { Next::Go }
}
