//! Frames, datagrams and inputs in a few words, for the trace.

use std::fmt::Write;

use quipu_core::delta::Change;
use quipu_core::input::Input;
use quipu_core::query::{Await, Query, Register, Remove};
use quipu_core::slot::Numbers;
use quipu_core::wire::datagram::{Datagram, Envelope};
use quipu_core::wire::frame::{self, Message};

/// How many items of a list are worth reading in one line.
const SHOWN: usize = 6;

/// A frame in a few words.
pub fn frame(bytes: &[u8]) -> String {
    let mut text = String::new();
    let written = match frame::decode(bytes) {
        Ok(message) => message_into(&message, &mut text),
        Err(error) => write!(text, "unreadable frame of {} bytes: {error}", bytes.len()),
    };
    written.expect("a String takes any text");
    text
}

fn message_into(message: &Message<'_>, text: &mut String) -> std::fmt::Result {
    match message {
        Message::Hello(hello) => write!(text, "hello of {}", hello.identity.node),
        Message::Proof(_) => write!(text, "proof"),
        Message::Push { after, batches, changes, .. } => {
            write!(text, "push ({after},{}]:", after + batches)?;
            for change in changes.iter().take(SHOWN) {
                let name = short(change.name());
                match change {
                    Change::Slot { slot, .. } => {
                        let Numbers { plus, minus, raise } = slot.numbers();
                        write!(text, " {name} +{plus} -{minus} ^{raise}")?;
                    }
                    Change::Ending { ending, .. } => write!(text, " {name} {ending:?}")?,
                }
            }
            more(changes.len(), text)
        }
        Message::DigestHash(hash) => write!(text, "digest hash {hash:016x}"),
        Message::DigestPart { rows, .. } => {
            write!(text, "digest:")?;
            for row in rows.iter().take(SHOWN) {
                write!(text, " {}@{}", row.origin, row.version)?;
            }
            more(rows.len(), text)
        }
        Message::Digest { recent, rest } => {
            write!(text, "digest, the rest {rest:016x}:")?;
            for row in recent.iter().take(SHOWN) {
                write!(text, " {}@{}", row.origin, row.version)?;
            }
            more(recent.len(), text)
        }
        Message::DigestAsk => text.write_str("asks for the digest's hashes"),
        Message::DigestHashes { recent, .. } => {
            write!(text, "hashes of the digest, {} rows beside them", recent.len())
        }
        Message::DigestPartsAsk(parts) => write!(text, "asks for {} parts", parts.len()),
        Message::DigestTold => text.write_str("all of these parts are told"),
        Message::PullRequest { request, wants } => {
            write!(text, "ask {request}:")?;
            for want in wants.iter().take(SHOWN) {
                match want.after {
                    Some(after) => write!(text, " {} after {after}", want.origin)?,
                    None => write!(text, " all of {}", want.origin)?,
                }
            }
            more(wants.len(), text)
        }
        Message::PullChunk { request, index, last, deltas } => {
            write!(text, "part {index} of {request}{}:", if *last { ", the last" } else { "" })?;
            for delta in deltas.iter().take(SHOWN) {
                let (origin, entries) = (delta.origin, delta.changes.len());
                write!(text, " {origin} ({},{}] {entries} slots;", delta.after, delta.upto)?;
            }
            more(deltas.len(), text)
        }
        Message::Membership(memberships) => write!(text, "{} memberships", memberships.len()),
        other => write!(text, "{other:?}"),
    }
}

fn more(length: usize, text: &mut String) -> std::fmt::Result {
    match length.checked_sub(SHOWN) {
        None | Some(0) => Ok(()),
        Some(rest) => write!(text, " and {rest} more"),
    }
}

/// The wide workload's names end in what tells them apart.
fn short(name: &str) -> &str {
    name.trim_start_matches("wide/").trim_start_matches('0')
}

/// A datagram in a few words.
pub fn datagram(envelope: &Envelope, bytes: &[u8]) -> String {
    match envelope.open(bytes) {
        Ok(Datagram::Beacon(beacon)) => format!("beacon {:?}", beacon.kind),
        Ok(Datagram::Swim(bytes)) => format!("swim, {} bytes", bytes.len()),
        Ok(Datagram::Membership(memberships)) => format!("{} memberships", memberships.len()),
        Err(error) => format!("unreadable datagram: {error}"),
    }
}

/// An input in a few words; `None` for those that say nothing by themselves.
pub fn input(envelope: &Envelope, input: &Input) -> Option<String> {
    match input {
        Input::Request { token, request } => {
            Some(format!("request {token}, {} ops", request.ops.len()))
        }
        Input::Query { token, query: Query::Await(Await { version, peers, .. }) } => {
            Some(format!("await {token}: version {version} at {peers} peers"))
        }
        Input::Query { query: Query::Register(Register { peer }), .. } => {
            Some(format!("register {}", peer.given))
        }
        Input::Query { query: Query::Remove(Remove { peer }), .. } => {
            Some(format!("remove {}", peer.given))
        }
        Input::Query { token, query } => Some(format!("query {token}: {query:?}")),
        Input::Watch { token, .. } => Some(format!("watch {token}")),
        Input::Unwatch { token } => Some(format!("unwatch {token}")),
        Input::Datagram { from, bytes } => {
            Some(format!("from {from}: {}", datagram(envelope, bytes)))
        }
        Input::LinkOpened { link, dialed } => match dialed {
            Some(node) => Some(format!("link {link} to {node} opened")),
            None => Some(format!("link {link} accepted")),
        },
        Input::LinkFrame { link, frame: bytes } => Some(format!("link {link}: {}", frame(bytes))),
        Input::LinkClosed { link } => Some(format!("link {link} closed by the other side")),
        Input::WallClock(ms) => Some(format!("the wall clock shows {ms} ms")),
        Input::DialFailed { node } => Some(format!("dial to {node} failed")),
        Input::Room(room) => Some(format!("room for {room:?}")),
        Input::Leave => Some("told to leave".to_owned()),
        Input::Synced { .. } | Input::Tick => None,
    }
}
