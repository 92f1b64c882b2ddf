//! What clients ask of counters, and what they are answered.

use std::num::NonZeroU64;

use crate::condition::Condition;
use crate::identity::{NodeId, OriginId};
use crate::name::{CounterName, EARLIER_NAME_BYTES_MAX};
use crate::update::Update;

/// What a client asks at once: operations that are applied in order as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// At most [`crate::node::REQUEST_OPS_MAX`] of them.
    pub ops: Vec<Op>,
    /// At most as many; nearly always none. With some, all operations are carried out or none is:
    /// where one of these does not hold, there is one result, [`Refusal::Changed`], and where one of
    /// the operations would be refused, its refusal.
    pub only_if: Vec<Condition>,
}

impl From<Vec<Op>> for Request {
    /// On no condition.
    fn from(ops: Vec<Op>) -> Self {
        Request { ops, only_if: Vec::new() }
    }
}

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
    /// Answer with the value: 0 if the counter does not exist, which [`Outcome::exists`] tells.
    Get {
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
    /// What sets, bounds, ends or limits a counter; some wait until this node is not known to be
    /// behind.
    Update {
        /// Which counter.
        name: CounterName,
        /// What; in a block of its own, since most operations are additions.
        update: Box<Update>,
    },
}

impl Op {
    /// Which counter.
    pub fn name(&self) -> &CounterName {
        match self {
            Op::Add { name, .. }
            | Op::Get { name }
            | Op::Raise { name, .. }
            | Op::Update { name, .. } => name,
        }
    }

    /// Whether it must not be judged by a node that knows that it lacks what others have counted:
    /// it would take away, or lift the counter above, less than there is.
    pub(crate) fn waits_while_behind(&self) -> bool {
        match self {
            Op::Add { .. } | Op::Get { .. } => false,
            Op::Raise { .. } => true,
            Op::Update { update, .. } => update.waits_while_behind(),
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

/// What an operation has come to that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The counter's value after it; 0 if it does not exist.
    pub value: Value,
    /// How much of that is its doing: what was added, by how much it was raised, or how far a set or a
    /// reset moved it; 0 for a read. The value before it is the value less this.
    pub change: i128,
    /// Whether the counter exists now: whether anything is left of what was ever done to it, on any
    /// node that this one has heard of.
    pub exists: bool,
    /// Whether it existed before.
    pub existed: bool,
    /// When it expires, in milliseconds since 1970; `None` if never. In this form an outcome takes 48
    /// bytes: a pipeline has one for each of its commands.
    pub until: Option<NonZeroU64>,
    /// Whether the operation was applied: not if a condition of it did not hold.
    pub applied: bool,
}

impl Outcome {
    /// What reading a counter comes to that does not exist.
    pub const MISSING: Outcome = Outcome {
        value: Value(0),
        change: 0,
        exists: false,
        existed: false,
        until: None,
        applied: true,
    };

    /// The value before it.
    pub fn before(&self) -> Value {
        Value(self.value.0 - self.change)
    }
}

/// Why an operation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The value seen here would leave i64, or this origin's part of it u64.
    #[error("increment or decrement would overflow")]
    Overflow {
        /// The value seen here.
        found: Value,
    },
    /// It could not be judged: this node knows that it lacks what others have counted.
    #[error("this node is behind its peers: {0}")]
    Behind(Behind),
    /// A condition of its request does not hold.
    #[error("a counter has changed since it was looked at, and nothing was done")]
    Changed,
    /// A counter is not to be ended by a node that the cluster has removed.
    #[error(
        "this node was removed from the cluster: it ends no counters until it is registered again"
    )]
    Removed,
    /// A member would not understand that a counter ends, or its name.
    #[error(
        "peer {0} runs an earlier release, which knows no set, delete or expiry, and no name above \
         {EARLIER_NAME_BYTES_MAX} bytes: upgrade it first"
    )]
    OlderPeer(NodeId),
    /// The table is full.
    #[error("too many counters: this node holds its maximum of {0}")]
    TooManyCounters(u32),
    /// There is no room for a new name, or for a new slot of a known one; see [`Input::Room`].
    #[error("no memory for this counter: this node has used what it may; others count on")]
    OutOfMemory,
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
    /// Others have settled or are about to, and what they settled is not here yet.
    #[error("settlement {0} of its peers has not arrived here yet")]
    Settling(OriginId),
}

/// The results of a request's operations, in their order.
pub type Results = Vec<Result<Outcome, Refusal>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_takes_no_more_memory_than_it_did_before_counters_could_end() {
        assert_eq!(size_of::<Outcome>(), 48);
        assert_eq!(size_of::<Result<Outcome, Refusal>>(), 48);
    }
}
