//! What happens to a node: everything that it is handed.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::identity::{Address, NodeId, Version};
use crate::operation::Request;
use crate::query::Query;
use crate::room::Room;

/// The caller's name for a connection that carries a link. Never reused by the caller.
pub type LinkId = u64;

/// The caller's name for a request that waits for its reply.
pub type Token = u64;

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// A client's operations, to be applied in order as one. Answered by [`Effect::Reply`].
    Request {
        /// Names the reply.
        token: Token,
        /// What.
        request: Request,
    },
    /// A client asks about the table. Answered by [`Effect::Answer`].
    Query {
        /// Names the answer.
        token: Token,
        /// What.
        query: Query,
    },
    /// A client waits until peers have confirmed a version of our own. Answered by
    /// [`Answer::Confirmed`] with their number when it is reached or the patience is over, or at
    /// once by [`Answer::TooManyWait`].
    Await {
        /// Names the answer.
        token: Token,
        /// As [`Effect::Reply`] told.
        version: Version,
        /// How many peers.
        peers: usize,
        /// How long to wait; `None` waits for as long as it takes.
        patience: Option<Duration>,
    },
    /// An operator asks to take a peer in (again). Answered by [`Answer::Peers`].
    Register {
        /// Names the answer.
        token: Token,
        /// Whom.
        peer: PeerName,
    },
    /// An operator asks to remove a peer from the cluster. Answered by [`Answer::Peers`].
    Remove {
        /// Names the answer.
        token: Token,
        /// Whom.
        peer: PeerName,
    },
    /// A datagram arrived, on the node's own port or on the broadcast port.
    Datagram {
        /// Where it came from.
        from: SocketAddr,
        /// All of it.
        bytes: Bytes,
    },
    /// A connection for a link stands: accepted, or dialed because of [`Effect::Dial`].
    LinkOpened {
        /// Its name from now on.
        link: LinkId,
        /// Whom the dial was for; `None` if it was accepted.
        dialed: Option<NodeId>,
    },
    /// A frame arrived on a link, whole and without its length.
    LinkFrame {
        /// On which link.
        link: LinkId,
        /// At most [`crate::wire::frame::FRAME_BYTES_MAX`] of them.
        frame: Bytes,
    },
    /// A link's connection has ended, by the other side or by an error.
    LinkClosed {
        /// Which.
        link: LinkId,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Whom it was for.
        node: NodeId,
    },
    /// Batches up to and including this one have been synced, and their effects have left.
    Synced {
        /// The number that [`crate::node::Node::close_batch`] gave.
        batch: u64,
    },
    /// How many bytes may be taken until this is said again; none has said it yet, without end.
    /// Beyond it, operations on new names are refused ([`Refusal::OutOfMemory`]), and what peers
    /// tell of new names is not taken, as if the table were full; so for new slots of known names.
    Room(Room),
    /// Time has passed; see [`crate::node::Node::next_deadline`].
    Tick,
    /// The node shall leave the cluster; its last effects tell the peers.
    Leave,
}

/// A peer as an operator names it.
#[derive(Clone, Debug)]
pub struct PeerName {
    /// The text exactly as it was given; lists repeat it until the peer has answered.
    pub given: String,
    /// The same with its port.
    pub address: Address,
    /// The addresses to which the name resolves now; the address itself if it is one.
    pub resolved: Vec<SocketAddr>,
}
