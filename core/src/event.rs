//! What happens in a node that an operator may want to read.

use std::fmt;
use std::time::Duration;

use crate::identity::{Address, Identity, NodeId, OriginId};
use crate::membership::MembershipRecord;
use crate::wire::error::Foreign;

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
    PeerRemoved(MembershipRecord),
    /// A removed member may come back.
    PeerRegistered(MembershipRecord),
    /// A member was removed because it was away, by a majority of all.
    AbsentRemoved {
        /// Who.
        node: NodeId,
        /// Where it answered last, if this node has met it.
        address: Option<Address>,
    },
    /// A node that was removed because it was away has spoken, and is registered again.
    AbsentBack {
        /// Who.
        node: NodeId,
    },
    /// The cluster has removed this node.
    RemovedOurselves(MembershipRecord),
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
    /// Closed origins have been folded into one.
    Settled {
        /// It.
        settlement: OriginId,
    },
    /// What closed origins have left of a counter is more than one slot holds: nothing settles before it is
    /// less.
    TooLargeToSettle {
        /// Its name.
        counter: String,
    },
    /// A peer has settled without this node what this node has settled without it.
    SettledApart {
        /// Which.
        peer: NodeId,
    },
    /// This node's wall clock and those of most peers are more than a second apart.
    ClockOff {
        /// By how many milliseconds theirs are ahead.
        behind_ms: i64,
    },
    /// They agree again.
    ClockRight,
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
            Event::AbsentRemoved { node, address: Some(address) } => write!(
                f,
                "node {node} at {address} was away for so long that a majority has removed it: it is \
                 taken back when it answers"
            ),
            Event::AbsentRemoved { node, address: None } => write!(
                f,
                "node {node} was away for so long that a majority has removed it: it is taken back \
                 when it answers"
            ),
            Event::AbsentBack { node } => {
                write!(f, "node {node}, removed while it was away, answers: it is registered again")
            }
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
                "node {peer} claims changes of our own origin that we never made: a bug, a \
                 forgery or a copied process"
            ),
            Event::NodeIdTaken { old, new } => write!(
                f,
                "node id {old} is in use by another process (a copied data directory?): this \
                 node is now {new}"
            ),
            Event::Settled { settlement } => {
                write!(f, "closed origins are folded into one, {settlement}")
            }
            Event::ClockOff { behind_ms } => write!(
                f,
                "the wall clock is {}.{:03} s {} its peers': counters expire here so much {}; set it right",
                behind_ms.unsigned_abs() / 1000,
                behind_ms.unsigned_abs() % 1000,
                if *behind_ms > 0 { "behind" } else { "ahead of" },
                if *behind_ms > 0 { "later" } else { "earlier" },
            ),
            Event::ClockRight => f.write_str("the wall clock agrees with its peers' again"),
            Event::TooLargeToSettle { counter } => write!(
                f,
                "nothing settles: what starts that are over have added to {counter:?}, or subtracted from it, \
                 is more than 2^64; delete it, or leave it as it is"
            ),
            Event::SettledApart { peer } => write!(
                f,
                "node {peer} has settled without this one what this one has settled without it, as \
                 only halves of a cluster can that removed each other: they cannot be joined again; \
                 empty the data directories of one half"
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
                | Event::SettledApart { .. }
                | Event::TooLargeToSettle { .. }
                | Event::ClockOff { .. }
                | Event::MembershipFault { .. }
                | Event::Stranger { .. }
        )
    }
}
