//! What happens to a node: everything that it is handed.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::identity::NodeId;
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
    /// A client or an operator asks something. Answered by [`Effect::Answer`], of the type that the
    /// question names ([`Question::Answer`]).
    ///
    /// [`Question::Answer`]: crate::query::Question::Answer
    Query {
        /// Names the answer.
        token: Token,
        /// One of any kind.
        query: Query,
    },
    /// The watcher asks which counters have changed since it was answered last. From the first time
    /// on, the node keeps what changes, until [`Input::Unwatch`]. A node has one watcher: a question
    /// that still waits is answered at once, without any changes. Answered by [`Effect::Changes`].
    Watch {
        /// Names the answer.
        token: Token,
        /// Whether to wait until there are any.
        wait: bool,
    },
    /// The watcher has gone: the node forgets what has changed, and keeps it no longer. Answered by
    /// [`Effect::Changes`] without any, and so is a question that still waits.
    Unwatch {
        /// Names the answer.
        token: Token,
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
    /// A wall clock shows this, in milliseconds since 1970: to be said now and then, since wall clocks
    /// are set. Only when counters expire depends on it.
    WallClock(u64),
    /// Time has passed; see [`crate::node::Node::next_deadline`].
    Tick,
    /// The node shall leave the cluster; its last effects tell the peers.
    Leave,
}
