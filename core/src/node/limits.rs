//! How many of each a node takes at a time.
//!
//! The defaults are the constants beside what they bound, each with its reason. Tests set smaller
//! ones: what happens beyond a bound must happen in them as well.

use std::time::Duration;

use crate::counters::order::WAITING_MAX;
use crate::node::{PARKED_MAX, REAPED_AFTER, SETTLE_EVERY, SLOTS_WORTH, WAITERS_MAX};
use crate::peers::registry::REMOVALS_MAX;
use crate::replication::pull::PART_BYTES;
use crate::replication::window::{WINDOW_BYTES_MAX, WINDOW_PUSHES_MAX};
use crate::storage::frame::RECORD_BYTES_MAX;

/// Bounds of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes that operators can remove.
    pub removals: usize,
    /// Clients that wait until peers have confirmed.
    pub waits: usize,
    /// Raises that wait until the node is not known to be behind.
    pub raises: usize,
    /// Listings that wait for their pages.
    pub listings: usize,
    /// Bytes that are unconfirmed on one link.
    pub window_bytes: usize,
    /// Pushes that are unconfirmed on one link.
    pub window_pushes: usize,
    /// Bytes of a part of an answer to a peer that lacks something, about.
    pub part_bytes: usize,
    /// Bytes of a record of what another node sent; one entry is never cut.
    pub record_bytes: usize,
    /// How long after its deadline an expired counter that no client has asked for is taken away.
    pub reaped_after: Duration,
    /// Slots that a settlement must be able to fold to begin without an operator.
    pub settle_slots: u64,
    /// The time between settlements that no operator asked for.
    pub settle_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            removals: REMOVALS_MAX,
            waits: WAITERS_MAX,
            raises: PARKED_MAX,
            listings: WAITING_MAX,
            window_bytes: WINDOW_BYTES_MAX,
            window_pushes: WINDOW_PUSHES_MAX,
            part_bytes: PART_BYTES,
            record_bytes: RECORD_BYTES_MAX,
            reaped_after: REAPED_AFTER,
            settle_slots: SLOTS_WORTH,
            settle_every: SETTLE_EVERY,
        }
    }
}
