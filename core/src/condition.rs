//! What must hold for a request to be carried out: that counters are as its sender has seen them.
//!
//! A client that reads, thinks and writes must not write what it thought of something else. So a
//! request may name counters with what was seen of them ([`Stamp`]); it is done as a whole while all of
//! them are still so, and not at all once one is not. No client waits for another (Kung and Robinson, "On
//! Optimistic Methods for Concurrency Control", ACM TODS 6(2), 1981).
//!
//! Whether a counter has changed is exact. All that a node holds of it only grows: the numbers of its
//! slots, the covers on them, the stamps of its lifetimes. So does their sum, and a sum that is the same
//! is of the same numbers: a counter that was changed and changed back is found to have changed, be it
//! by a peer. It takes no memory, and nothing of an increment's time.
//!
//! Rejected: a change number in each counter, which would be one more word for each of 100 million.

use crate::name::CounterName;

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Of which counter.
    pub name: CounterName,
    /// What.
    pub holds: Holds,
}

/// What must hold of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// No client has changed it, and its time is not over, since this was seen.
    Unchanged(Stamp),
    /// It does not exist.
    Missing,
}

/// How far everything that one node holds of a counter has grown, and whether the counter existed. To
/// be compared with others of the same counter, of the same start of the same node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The sum of all numbers of its slots, covers and lifetimes.
    pub(crate) grown: u128,
    /// It ends by the clock alone, without anything growing.
    pub(crate) exists: bool,
    /// How often settlements have folded rows: what a row holds is less then, and grows anew. So who
    /// looked before one has to look again, whatever it was folded of.
    pub(crate) folded: u64,
}
