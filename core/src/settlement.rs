//! What is said of settlements: which origins are closed, what is to be folded, and who grants it.
//!
//! A *settlement* folds closed origins into one (rule `fold-what-was-granted`). Everything here is a record: once said,
//! it stays true, and records merge in any order.

use crate::identity::{NodeId, OriginId, Version};

/// Origins that one proposal folds at most: an entry of some 100 KiB on the wire and the disk. What is
/// closed beyond it goes into the settlement after it.
pub const PROPOSED_MAX: usize = 4_096;

/// Voters of one proposal at most: as many members as there may be, up or down.
pub const VOTERS_MAX: usize = 4_096;

/// Members of a family that one entry tells of at most.
pub const FAMILY_PIECE_MAX: usize = 16_384;

/// A closed origin: all that it will ever have said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// Whose.
    pub origin: OriginId,
    /// Its last version; 0 if it has never changed anything.
    pub version: Version,
    /// Of all that it has said; see [`crate::fingerprint`].
    pub fingerprint: u64,
}

/// A member that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voter {
    /// Who.
    pub node: NodeId,
    /// Of its last registration; 0 if it was never removed.
    pub epoch: u64,
}

/// What is to be folded, and who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The origin that holds what the members are folded to.
    pub settlement: OriginId,
    /// Closed origins, and earlier settlements. Sorted by origin.
    pub members: Vec<Prefix>,
    /// Sorted.
    pub voters: Vec<Voter>,
    /// Keys that were accepted before it may be forgotten: milliseconds since 1970. (For a later
    /// release.)
    pub cutoff_ms: u64,
}

/// What a voter has said last. A later variant outlasts an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ballot {
    /// Yes; and what it wrote until then, which is closed with it (rule `grant-closes`).
    Grant(Prefix),
    /// It folds only if a member has (rule `abandon-then-follow`).
    Abandon(Prefix),
    /// It has folded.
    Fold(Prefix),
    /// No, for good.
    Refuse,
}

impl Ballot {
    /// What was closed with the grant.
    pub fn granted(&self) -> Option<Prefix> {
        match self {
            Ballot::Grant(prefix) | Ballot::Abandon(prefix) | Ballot::Fold(prefix) => Some(*prefix),
            Ballot::Refuse => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Ballot::Grant(_) => 1,
            Ballot::Abandon(_) => 2,
            Ballot::Fold(_) => 3,
            Ballot::Refuse => 4,
        }
    }

    /// Whether it is said after another one.
    pub fn follows(&self, other: &Ballot) -> bool {
        self.rank() > other.rank()
    }
}

/// One voter's word on one proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Which.
    pub settlement: OriginId,
    /// Whose.
    pub voter: Voter,
    /// What.
    pub ballot: Ballot,
}

/// One record of what is said of settlements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A node is a member: data has gone to it, or will (rule `member-before-data`). The epochs of its
    /// removal and its registration stand beside it.
    Member {
        /// Who.
        node: NodeId,
        /// 0: never.
        removed: u64,
        /// 0: never.
        registered: u64,
    },
    /// An origin is closed.
    Close(Prefix),
    /// Origins that are in the family of a settlement which the sender holds; of a large one, some.
    Family {
        /// Which.
        settlement: OriginId,
        /// At most [`FAMILY_PIECE_MAX`].
        members: Vec<OriginId>,
    },
    /// Something is to be folded.
    Proposal(Proposal),
    /// A voter has voted.
    Vote(Vote),
    /// The journal alone: a start writes under this origin, and all that it will tell others is on its
    /// disk first.
    Opened(OriginId),
    /// The journal alone: a settlement was given up (rule `yield-to-the-voters`).
    GivenUp(OriginId),
}

impl Entry {
    /// Whether its numbers are within their bounds.
    pub fn is_sane(&self) -> bool {
        match self {
            Entry::Family { members, .. } => members.len() <= FAMILY_PIECE_MAX,
            Entry::Proposal(Proposal { members, voters, .. }) => {
                let is_sorted = members.is_sorted_by(|a, b| a.origin < b.origin);
                // Without voters no node could ever decide it.
                let bounded =
                    members.len() <= PROPOSED_MAX && (1..=VOTERS_MAX).contains(&voters.len());
                is_sorted && bounded && voters.is_sorted_by(|a, b| a < b)
            }
            _ => true,
        }
    }
}
