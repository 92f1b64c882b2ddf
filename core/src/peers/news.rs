//! What the membership protocol has to say to the rest of the node.

use crate::identity::NodeId;

/// What has changed about a peer, for those who keep links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It answers.
    Up(NodeId),
    /// A node was removed, perhaps this one: see `Peers::bars`.
    Removal,
    /// A node has spoken that was removed because it was away.
    MetAgain(NodeId),
    /// Other nodes know a life of this node's id that none of ours can follow.
    NewerIncarnation,
    /// Another process answers under this node's id.
    IdInUse,
}

/// Why a message of the membership protocol was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SwimError {
    Malformed,
    /// Its sender, or the node that it is about, was removed.
    Removed,
    /// It is more than what others than members may say in a second.
    Limited,
    /// Its sender would be a member too many.
    Full,
    /// It is for or from an identity that is over, or not what its kind says.
    Refused,
}
