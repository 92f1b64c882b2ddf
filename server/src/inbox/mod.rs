//! What waits for the driver: three bounded queues, one for each way in.
//!
//! They are apart because they must not stand in each other's way. Datagrams carry the proof that
//! this node lives, so they are read first and never wait behind load; when they come faster than
//! they are read they are dropped, as datagrams are. What links bring is read next and makes its
//! sender wait, down to the peer's own socket. Commands are read last and make clients wait.

pub(crate) mod metrics;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::histogram::Histogram;
use quipu_core::identity::{NodeId, Version};
use quipu_core::input::LinkId;
use quipu_core::operation::{Request, Results};
use quipu_core::query::{Answer, Changes, Look, Looked, Query};
use quipu_core::status::{Status, Totals};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::access::{Allowed, OnlyIf, Ops};
use crate::transport::link::Connection;

/// Datagrams that wait: half a second of what the busiest cluster sends to one node. At most 2 KiB
/// each, so 1 MiB in all.
const DATAGRAMS_MAX: usize = 512;

/// Arrivals on links that wait. How many *bytes* of frames wait is bounded where they are read.
const ARRIVALS_MAX: usize = 512;

/// Commands that wait: as many as connections are usefully served at a time. Beyond it their
/// senders wait, which costs them no more memory than waiting for the answer does.
const COMMANDS_MAX: usize = 4096;

/// A request that was carried out.
#[derive(Debug)]
pub(crate) struct Done {
    /// One for each operation.
    pub(crate) results: Results,
    /// The version of this node that holds what it changed, for [`quipu_core::query::Await`]; 0 if it
    /// changed nothing.
    pub(crate) version: Version,
    /// How long it took, from when the driver took it until this was safe to tell.
    pub(crate) took: Duration,
}

/// What the driver tells of itself and its node in one go.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) status: Status,
    pub(crate) totals: Totals,
    pub(crate) uptime: Duration,
    /// How full its queues are.
    pub(crate) depths: Depths,
    /// How long requests waited, from being taken to the leaving of their replies.
    pub(crate) replied: Histogram,
}

/// What the driver tells of the cluster at once: nothing of it was counted.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) node: NodeId,
    /// Whether the cluster has removed this node.
    pub(crate) removed: bool,
    /// The peers that lists show, by address.
    pub(crate) listed: Vec<String>,
}

/// What a front end wants, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Command {
    /// Apply these operations.
    Request { request: Request, reply: oneshot::Sender<Done> },
    /// Have a request made, and apply it before anything else.
    Alone { work: Box<dyn Work>, reply: oneshot::Sender<Done> },
    /// Answer a question, with an answer of its kind.
    Query { query: Query, reply: oneshot::Sender<Answer> },
    /// See [`quipu_core::input::Input::Watch`].
    Watch { wait: bool, reply: oneshot::Sender<Changes> },
    /// See [`quipu_core::input::Input::Unwatch`].
    Unwatch { reply: oneshot::Sender<Changes> },
    /// Tell how things stand.
    Report { reply: oneshot::Sender<Report> },
    /// Tell who belongs to the cluster.
    Members { reply: oneshot::Sender<Members> },
}

/// What makes a request of what it sees of counters, while the driver does nothing else. It is over
/// within a millisecond or so, since all other clients wait.
pub(crate) trait Work: Send + std::fmt::Debug {
    /// Makes it. What is seen may leave the process with the request's reply, and not before.
    fn request(self: Box<Self>, look: &dyn Fn(Allowed<Look>) -> Looked) -> (Ops, OnlyIf);
}

/// What the network brings that must not be lost.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A peer, or a stranger, has opened a connection for a link.
    Accepted(Connection),
    /// A connection for a link that the node had asked for stands.
    Dialed { node: NodeId, connection: Connection },
    /// It does not.
    DialFailed { node: NodeId },
    /// A frame; the permit is its share of the memory that waiting frames may take.
    Frame { link: LinkId, frame: Bytes, share: OwnedSemaphorePermit },
    /// A connection has ended.
    Closed { link: LinkId },
}

/// A datagram, on whichever socket it was heard.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Bytes,
}

/// How many inputs wait for the driver, and how much of its work waits for the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depths {
    pub(crate) datagrams: usize,
    pub(crate) arrivals: usize,
    pub(crate) commands: usize,
    /// Batches whose effects wait for the disk.
    pub(crate) batches: usize,
    /// Requests taken and not answered yet.
    pub(crate) replies: usize,
}

/// The ends that the driver reads.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) datagrams: mpsc::Receiver<Received>,
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// The ends that all others write.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    pub(crate) datagrams: mpsc::Sender<Received>,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) commands: mpsc::Sender<Command>,
}

/// Three empty queues.
pub(crate) fn inbox() -> (Outside, Inbox) {
    let (to_datagrams, datagrams) = mpsc::channel(DATAGRAMS_MAX);
    let (to_arrivals, arrivals) = mpsc::channel(ARRIVALS_MAX);
    let (to_commands, commands) = mpsc::channel(COMMANDS_MAX);
    let outside = Outside { datagrams: to_datagrams, arrivals: to_arrivals, commands: to_commands };
    (outside, Inbox { datagrams, arrivals, commands })
}
