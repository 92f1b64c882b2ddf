//! What a start of a node is made of.

use std::time::Duration;

use crate::identity::{Address, NodeId, OriginId};
use crate::wire::auth::Secret;

/// What a start of a node is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Stays with the data directory.
    pub node: NodeId,
    /// A fresh random id for this start.
    pub origin: OriginId,
    /// Where others reach it.
    pub address: Address,
    /// Milliseconds of a wall clock, or the last start's number + 1, whichever is greater.
    pub boot: u64,
    /// The cluster's name: nodes of another name are not heard. At most
    /// [`crate::wire::datagram::CLUSTER_BYTES_MAX`] bytes.
    pub cluster: String,
    /// The cluster's secret, if it has one.
    pub secret: Option<Secret>,
    /// Addresses to ask for the cluster, again and again: every second while no member is up there.
    pub seeds: Vec<Address>,
    /// Whether to call by broadcast and to answer those who do.
    pub discovery: bool,
    /// Whether what it changes is kept anywhere: without a journal no records are made for one.
    pub is_kept: bool,
    /// Whether it takes part in settlements: what it tells others is on its disk first, or it keeps
    /// nothing at all. Else nothing settles while it is a member.
    pub settles: bool,
    /// When members that are away are removed.
    pub removes_after: RemovesAfter,
    /// All the chance that the node will ever use. Must come from the operating system where
    /// there is a secret: nonces are made of it.
    pub chance: [u8; 32],
}

/// After which time a member that is away is removed by the others (rule `away-by-ones-own-clock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovesAfter {
    /// One that keeps nothing.
    pub in_memory: Duration,
    /// One that has a disk; `None`: never.
    pub on_disk: Option<Duration>,
}

/// A process that keeps nothing never comes back once it has ended, so this is only for networks:
/// longer than a switch or a virtual machine takes to come back, as short as a settlement may have to
/// wait for a pod that was replaced.
pub const IN_MEMORY_REMOVED_AFTER: Duration = Duration::from_secs(600);

impl Default for RemovesAfter {
    fn default() -> Self {
        RemovesAfter { in_memory: IN_MEMORY_REMOVED_AFTER, on_disk: None }
    }
}
