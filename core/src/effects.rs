//! What goes into a node and what comes out of it.
//!
//! A node is a function of its inputs: it is handed one, and answers with effects for the caller
//! to carry out. The fields of [`Effects`] stand in the order in which that must happen, which is
//! the whole of promise 4: what was read from the table leaves only after everything that the
//! table was made of is synced.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::codec::Foreign;
use crate::counter::Slot;
use crate::identity::{Address, Identity, NodeId, OriginId, Version};
use crate::name::CounterName;
use crate::registry::{PeersRefusal, Standing};
use crate::storage::records::Records;

/// The caller's name for a connection that carries a link. Never reused by the caller.
pub type LinkId = u64;

/// The caller's name for a request that waits for its reply.
pub type Token = u64;

/// One operation on one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Add `by` (which may be negative or zero) and answer with the value after it.
    Add {
        /// Which counter.
        name: CounterName,
        /// How much.
        by: i64,
    },
    /// Answer with the value; 0 if nobody has touched the counter.
    Get {
        /// Which counter.
        name: CounterName,
    },
    /// Answer with the value, or [`Refusal::Untouched`] if nobody has touched the counter.
    Find {
        /// Which counter.
        name: CounterName,
    },
    /// Bring the value to `to` if it is below; waits until this node is not known to be behind.
    Raise {
        /// Which counter.
        name: CounterName,
        /// The value that it shall have at least.
        to: i64,
    },
}

impl Op {
    /// Which counter.
    pub fn name(&self) -> &CounterName {
        match self {
            Op::Add { name, .. }
            | Op::Get { name }
            | Op::Find { name }
            | Op::Raise { name, .. } => name,
        }
    }
}

/// A counter's value as one node sees it.
///
/// Operations keep it within i64, but merging what several nodes did can take it beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(pub i128);

impl Value {
    /// The value, clamped to what clients can hold.
    pub fn clamped(self) -> i64 {
        i64::try_from(self.0).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether [`Value::clamped`] is not the exact value.
    pub fn is_out_of_range(self) -> bool {
        i64::try_from(self.0).is_err()
    }
}

/// Why an operation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The value seen here would leave i64, or this origin's part of it u64.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// A raise could not be judged: this node knows that it lacks what others have counted.
    #[error("this node is behind its peers: {0}")]
    Behind(Behind),
    /// There is no such counter: nobody has ever added to it or raised it.
    #[error("nobody has touched this counter")]
    Untouched,
    /// The table is full.
    #[error("too many counters: this node holds its maximum of {0}")]
    TooManyCounters(u32),
}

/// In what way a node is known to be behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Behind {
    /// It has just started and not yet had the time to hear of anyone.
    #[error("it has just started and still looks for them")]
    Starting,
    /// It has not yet exchanged digests with a peer that is alive.
    #[error("it has not yet compared its counts with peer {0}")]
    NotCompared(NodeId),
    /// A peer told of changes that are not here yet.
    #[error("peer {0} holds changes that have not arrived here yet")]
    Lacking(NodeId),
}

/// The results of a request's operations, in their order.
pub type Results = Vec<Result<Value, Refusal>>;

/// A counter's name, and its value when it was listed.
pub type Row = (CounterName, Value);

/// A question about the table as a whole; it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// How many counters there are. Answered by [`Answer::Size`].
    Size,
    /// Names in the order in which this node first heard of them. A counter that was there when
    /// the first call of a walk was answered is named exactly once by the walk. Answered by
    /// [`Answer::Scanned`].
    Scan {
        /// 0 to begin with, then what the last answer said.
        from: u64,
        /// How many names at most; [`crate::node::SCAN_NAMES_MAX`] bounds it.
        count: usize,
    },
    /// Counters in the order of their names, byte by byte; those that were there when it was asked
    /// and come next, and perhaps some that came since. Answered by [`Answer::Page`], later than
    /// what is asked after it where there are many new names to be put in order, or by
    /// [`Answer::Busy`].
    List {
        /// What the names begin with; anything if there is none.
        prefix: Option<CounterName>,
        /// The last name that is known already: it and what stands before it are left out.
        after: Option<CounterName>,
        /// How many rows at most; [`crate::order::PAGE_ROWS_MAX`] bounds it.
        limit: usize,
    },
    /// Who has contributed what to a counter. Answered by [`Answer::Origins`].
    Origins {
        /// Which counter.
        name: CounterName,
    },
    /// Which counters have changed since this was answered last; from the first time that it is
    /// asked on, until [`Query::IgnoreChanges`]. For one who asks: somebody who asked before and
    /// still waits is answered at once, with nothing. Answered by [`Answer::Changes`].
    Changes {
        /// Whether to wait until there are any.
        wait: bool,
    },
    /// Nobody wants to know what changes any more. Answered by [`Answer::Changes`] without any, as
    /// is who still waits for them.
    IgnoreChanges,
}

/// The answer to a [`Query`], to [`Input::Await`], or to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// How many counters there are.
    Size(usize),
    /// Names, and where to go on; 0 when all have been told.
    Scanned {
        /// The next names.
        names: Vec<CounterName>,
        /// What to ask from next.
        next: u64,
    },
    /// Counters in the order of their names.
    Page {
        /// The next ones.
        rows: Vec<Row>,
        /// Whether there is at least one more behind them.
        more: bool,
    },
    /// Too many wait for the same already; nothing was asked.
    Busy,
    /// Every origin's share of a counter; empty if nobody has touched it.
    Origins(Vec<Share>),
    /// How many peers have synced what was awaited.
    Confirmed(usize),
    /// The same as of now: too many wait already.
    TooManyWait(usize),
    /// A peer was registered or removed, or why not.
    Peers(Result<(), PeersRefusal>),
    /// Counters that have changed.
    Changes {
        /// Each once, with its value when this was read; at most
        /// [`crate::changes::CHANGES_ROWS_MAX`] of them.
        rows: Vec<Row>,
        /// Whether there are more already.
        more: bool,
    },
}

/// What one origin has contributed to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub origin: OriginId,
    /// Where the origin answers, if it is this node or a peer that is alive.
    pub address: Option<Address>,
    /// The numbers.
    pub slot: Slot,
    /// Not below the origin's version that last changed them.
    pub version: Version,
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// A client's operations, to be applied in order as one. Answered by [`Effect::Reply`].
    Request {
        /// Names the reply.
        token: Token,
        /// At most [`crate::node::REQUEST_OPS_MAX`] of them.
        ops: Vec<Op>,
    },
    /// A client asks about the table. Answered by [`Effect::Answer`].
    Query {
        /// Names the answer.
        token: Token,
        /// What.
        query: Query,
    },
    /// A client waits until peers have synced a version of our own. Answered by
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
        /// At most [`crate::codec::FRAME_BYTES_MAX`] of them.
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
        /// nothing. To be given to [`Input::Await`].
        version: Version,
    },
    /// Answer a query.
    Answer {
        /// Which.
        token: Token,
        /// With what.
        answer: Answer,
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

/// The effects of the inputs since the last batch was closed, in the order in which they must be
/// carried out.
#[derive(Debug, Default)]
pub struct Effects {
    /// Let go at once: nothing in it was read from the table.
    pub at_once: Vec<Effect>,
    /// Append these records to the journal and sync it. Empty if the batch changed nothing, and
    /// always where nothing is kept.
    pub journal: Records,
    /// Let go when `journal` and all before it is synced.
    pub after_sync: Vec<Effect>,
}

/// Something that happened and that an operator may want to read. Its text is one log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is being asked for, by its name or address, or announced to: it has not answered yet.
    PeerJoining(String),
    /// A member answered for the first time, or again.
    PeerUp(Identity),
    /// A member failed to answer, and has some two seconds to prove that it lives.
    PeerSuspect(Identity),
    /// A member that was suspected has proved that it lives.
    PeerTrusted(Identity),
    /// A member was declared down, or said that it leaves.
    PeerDown(Identity),
    /// A peer that was registered by hand never answered.
    PeerNeverAnswered(String),
    /// A member was removed from the cluster.
    PeerRemoved(Standing),
    /// A removed member may come back.
    PeerRegistered(Standing),
    /// The cluster has removed this node.
    RemovedOurselves(Standing),
    /// A link to a peer stands.
    LinkUp {
        /// The peer.
        peer: NodeId,
        /// Its address.
        address: Address,
    },
    /// A link to a peer has ended.
    LinkDown {
        /// The peer, if we dialed it or it was believed to be the one it said.
        peer: Option<NodeId>,
        /// Why.
        reason: LinkEnd,
    },
    /// What a peer held could not be got from it by ranges: fingerprints differed and all its
    /// slots of one origin were asked for.
    RepairStarted {
        /// Whom we ask.
        peer: NodeId,
        /// Whose slots.
        origin: OriginId,
    },
    /// Catching up with a peer has ended.
    CaughtUp {
        /// The peer.
        peer: NodeId,
        /// How many slots it sent.
        slots: u64,
        /// How long it took.
        took: Duration,
    },
    /// A peer claims changes of our own origin that we never made. A bug, a forgery or a copied
    /// process.
    ForeignWriter {
        /// Who says so.
        peer: NodeId,
    },
    /// Another process answers under our NodeId, so we took a new one.
    NodeIdTaken {
        /// The one that we had.
        old: NodeId,
        /// The one that we have now.
        new: NodeId,
    },
    /// The membership protocol's own state may not be what it should be: a bug.
    MembershipFault {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// A node with another secret, or none, or another cluster name, or of a release that this one
    /// does not understand calls here.
    Stranger {
        /// Where it called from.
        from: String,
        /// What it lacks.
        reason: Foreign,
    },
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// The connection was closed or reset.
    #[error("connection closed")]
    Closed,
    /// Nothing was heard for too long.
    #[error("silent for too long")]
    Silent,
    /// Another link to the same peer takes its place.
    #[error("replaced by another link to the same peer")]
    Replaced,
    /// The peer was removed.
    #[error("peer removed from the cluster")]
    Removed,
    /// The other side said why it goes.
    #[error("refused by the other side: {0}")]
    Refused(String),
    /// We refused the other side.
    #[error("refused: {0}")]
    Refusing(String),
    /// The other side broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::PeerJoining(given) => write!(f, "peer {given} is joining"),
            Event::PeerSuspect(id) => {
                write!(f, "peer {} is suspect: it does not answer (node {})", id.address, id.node)
            }
            Event::PeerTrusted(id) => {
                write!(f, "peer {} answers again (node {})", id.address, id.node)
            }
            Event::PeerUp(id) => write!(f, "peer {} is alive (node {})", id.address, id.node),
            Event::PeerDown(id) => write!(f, "peer {} is down (node {})", id.address, id.node),
            Event::PeerNeverAnswered(given) => {
                write!(f, "peer {given} was registered and never answered; forgotten")
            }
            Event::PeerRemoved(s) => write!(f, "{} was removed from the cluster", s.key),
            Event::PeerRegistered(s) => write!(f, "{} may join the cluster again", s.key),
            Event::RemovedOurselves(_) => write!(
                f,
                "the cluster has removed this node: it serves its own clients only, until a \
                 member registers it again"
            ),
            Event::LinkUp { peer, address } => write!(f, "link to {address} is up (node {peer})"),
            Event::LinkDown { peer: Some(peer), reason } => {
                write!(f, "link to node {peer} ended: {reason}")
            }
            Event::LinkDown { peer: None, reason } => {
                write!(f, "an incoming link ended before it was known whose it is: {reason}")
            }
            Event::RepairStarted { peer, origin } => write!(
                f,
                "counts of origin {origin} differ from node {peer}'s at the same version: asking \
                 for all of them"
            ),
            Event::CaughtUp { peer, slots, took } => write!(
                f,
                "caught up with node {peer}: {slots} slots in {:.3} s",
                took.as_secs_f64()
            ),
            Event::ForeignWriter { peer } => write!(
                f,
                "node {peer} sent changes of our own origin that we never made; its link is \
                 dropped"
            ),
            Event::NodeIdTaken { old, new } => write!(
                f,
                "node id {old} is in use by another process (a copied data directory?): this \
                 node is now {new}"
            ),
            Event::MembershipFault { doing, reason } => write!(
                f,
                "a fault in the membership protocol, {doing}: {reason}; if peers stay down, start \
                 this node again"
            ),
            Event::Stranger { from, reason } => {
                write!(f, "refused a node at {from}: {reason}")
            }
        }
    }
}

impl Event {
    /// Whether it is a reason to worry.
    pub fn is_warning(&self) -> bool {
        matches!(
            self,
            Event::RemovedOurselves(_)
                | Event::RepairStarted { .. }
                | Event::ForeignWriter { .. }
                | Event::NodeIdTaken { .. }
                | Event::MembershipFault { .. }
                | Event::Stranger { .. }
        )
    }
}
