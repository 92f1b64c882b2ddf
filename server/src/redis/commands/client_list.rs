//! `CLIENT LIST` and `CLIENT INFO`: connections, a line each, with the fields that Redis has. Sizes of
//! buffers are not measured and are told as 0.

use std::fmt::Write;

use crate::access::Observe;
use crate::redis::clients::{Client, Shown};
use crate::redis::command::Command;
use crate::redis::spec::{Call, Next};
use crate::redis::{errors, reply};

const NO_ID: &str = "ERR Invalid client ID";

/// Of what kind a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Pubsub,
    /// Of a replica or to a master of Redis: there are none.
    Replication,
}

impl Kind {
    /// What an argument names, or the error.
    pub(super) fn named(command: &Command<'_>, at: usize) -> Result<Kind, Vec<u8>> {
        let is = |word| command.is(at, word);
        match () {
            () if is("normal") => Ok(Kind::Normal),
            () if is("pubsub") => Ok(Kind::Pubsub),
            () if is("master") || is("replica") || is("slave") => Ok(Kind::Replication),
            () => Err([b"ERR Unknown client type '", command.argument(at), b"'"].concat()),
        }
    }

    pub(super) fn of(client: &Client) -> Kind {
        let shown = client.shown();
        if shown.channels + shown.patterns > 0 { Kind::Pubsub } else { Kind::Normal }
    }
}

/// `CLIENT LIST [TYPE type | ID id …]`
pub(super) fn run(call: &mut Call<'_>) -> Next {
    let chosen = match Chosen::parsed(&call.command) {
        Ok(chosen) => chosen,
        Err(text) => return call.fail(text),
    };
    if call.allowed(Observe).is_none() {
        return Next::Go;
    }
    call.session.tell_others();
    call.session.client.shown().command = "client|list";
    let clients = &call.session.state.clients;
    let clients = match chosen {
        Chosen::All => clients.open(),
        Chosen::Kind(kind) => {
            let mut open = clients.open();
            open.retain(|client| Kind::of(client) == kind);
            open
        }
        Chosen::Ids(ids) => ids.into_iter().filter_map(|id| clients.find(id)).collect(),
    };
    let mut text = String::new();
    clients.iter().for_each(|client| tell(&mut text, client));
    let protocol = call.session.protocol;
    call.say(|out| reply::verbatim(out, protocol, &text))
}

/// `CLIENT INFO`
pub(super) fn tell_own(call: &mut Call<'_>) -> Next {
    call.session.tell_others();
    call.session.client.shown().command = "client|info";
    let mut text = String::new();
    tell(&mut text, &call.session.client);
    let protocol = call.session.protocol;
    call.say(|out| reply::verbatim(out, protocol, &text))
}

/// Which connections are told.
enum Chosen {
    All,
    Kind(Kind),
    Ids(Vec<u64>),
}

impl Chosen {
    fn parsed(command: &Command<'_>) -> Result<Chosen, Vec<u8>> {
        match command.len() {
            2 => Ok(Chosen::All),
            4 if command.is(2, "type") => Kind::named(command, 3).map(Chosen::Kind),
            4.. if command.is(2, "id") => {
                let mut ids = Vec::new();
                for at in 3..command.len() {
                    let id = command.integer(at).ok_or(NO_ID)?;
                    ids.extend(u64::try_from(id));
                }
                Ok(Chosen::Ids(ids))
            }
            _ => Err(errors::SYNTAX.into()),
        }
    }
}

/// One line.
fn tell(text: &mut String, client: &Client) {
    let shown = client.shown().clone();
    let name = shown.name.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let socket = &client.socket;
    let held = shown.held.map_or(-1, |held| i64::try_from(held).unwrap_or(i64::MAX));
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={name} age={} idle={} flags={} db={} sub={} psub={} ssub=0 \
         multi={held} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 \
         tot-mem=0 events=r cmd={} user=default redir=-1 resp={}",
        client.id,
        socket.peer,
        socket.local,
        socket.descriptor,
        client.age().as_secs(),
        client.idle().as_secs(),
        flags(&shown, client.wait.is_blocked()),
        shown.database,
        shown.channels,
        shown.patterns,
        if shown.command.is_empty() { "NULL" } else { shown.command },
        shown.protocol.number(),
    );
}

/// In the order in which Redis has them.
fn flags(shown: &Shown, is_blocked: bool) -> String {
    let flags = [
        ('P', shown.channels + shown.patterns > 0),
        ('x', shown.held.is_some()),
        ('b', is_blocked),
        ('e', shown.stays),
    ];
    let told: String = flags.into_iter().filter(|(_, is)| *is).map(|(flag, _)| flag).collect();
    if told.is_empty() { "N".to_owned() } else { told }
}
