//! What a node wants done.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::event::Event;
use crate::identity::{Address, NodeId, Version};
use crate::input::{LinkId, Token};
use crate::operation::Results;
use crate::query::{Answer, Changes};

/// What a node wants done.
#[derive(Debug)]
pub enum Effect {
    /// Answer a request.
    Reply {
        /// Which.
        token: Token,
        /// One for each operation.
        results: Results,
        /// The last version of our own that holds what the request changed; 0 if it changed
        /// nothing. For [`crate::query::Await`].
        version: Version,
    },
    /// Answer a question.
    Answer {
        /// Which.
        token: Token,
        /// Of the kind that was asked for.
        answer: Answer,
    },
    /// Answer the watcher.
    Changes {
        /// Which of its questions.
        token: Token,
        /// None if another question took this one's place.
        changes: Changes,
    },
    /// Send a datagram from the node's own port.
    Datagram {
        /// To whom.
        to: Destination,
        /// All of it.
        bytes: Bytes,
    },
    /// Send a datagram from the node's own port to the broadcast port on every network.
    Broadcast {
        /// All of it.
        bytes: Bytes,
    },
    /// Open a connection for a link. Answered by `LinkOpened` or `DialFailed`.
    Dial {
        /// Whom it is for.
        node: NodeId,
        /// Where it answers.
        address: Address,
    },
    /// Send one frame on links, in order with the others.
    Frame {
        /// On which links; the same bytes go to all.
        links: Vec<LinkId>,
        /// The frame without its length.
        bytes: Bytes,
    },
    /// The other side of a link has proved who it is: it may send frames of full size from now on.
    LinkEstablished {
        /// Which.
        link: LinkId,
    },
    /// Close a link once its frames so far are sent. No `LinkClosed` follows.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Something that an operator may want to read.
    Event(Event),
}

/// Where a datagram goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Back to a socket that was heard.
    Socket(SocketAddr),
    /// To an address that may be a name; to all that a name resolves to.
    Address(Address),
}
