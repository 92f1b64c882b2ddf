//! Records of removals and registrations.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::{Address, NodeId};

/// Most parts in one ask: an answer of some 200 KiB from the largest table.
pub(crate) const PARTS_ASKED_MAX: usize = 16;

/// Epochs of records beyond this are nobody's. Far above those of identities, so that whoever comes
/// with the largest epoch that an identity may have can still be removed, and registered again.
pub const RECORD_EPOCH_MAX: u64 = 1 << 62;

/// Two tables are compared by the hashes of so many parts. In the largest one a part holds some
/// 400 records, or 8 KiB.
pub const PARTS: usize = 256;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// A node, wherever it answers.
    Node(NodeId),
    /// An address, whoever answers there.
    Address(Address),
}

/// The record of one key: the epochs of its last removal and its last registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipRecord {
    /// Whose.
    pub key: Key,
    /// 0: never removed.
    pub removed: u64,
    /// 0: never registered after a removal.
    pub registered: u64,
}

impl MembershipRecord {
    /// Whether the last word on this key is a removal.
    pub fn is_removed(&self) -> bool {
        self.removed > self.registered
    }

    /// Whether its epochs can be anyone's.
    pub(crate) fn is_sane(&self) -> bool {
        self.removed.max(self.registered) <= RECORD_EPOCH_MAX
    }
}

/// Why a peer was not registered or removed; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeersRefusal {
    /// As many nodes as may be have been removed.
    #[error("too many removals: the cluster keeps records of {0} nodes, as many as it can")]
    TooManyRemovals(usize),
    /// No removal can come after what is known of the peer: somebody wrote the last epoch.
    #[error("the epochs of this peer are used up: no removal can follow its registration")]
    EpochsUsedUp,
    /// Too many addresses are being asked already; each is for five seconds at most.
    #[error("{0} registered addresses are being asked already, as many as can be at one time")]
    TooManyAsked(usize),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Node(node) => write!(f, "node {node}"),
            Key::Address(address) => write!(f, "address {address}"),
        }
    }
}
