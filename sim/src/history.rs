//! What the simulator knows of one origin: what its process was asked for, what it answered, and each of its
//! slots at every version.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::identity::{OriginId, Version};
use quipu_core::slot::Slot;

use crate::endings::EndedHistory;
use crate::host::HostId;
use crate::memberships::NodeMemberships;

/// Sums of what was added and of what was subtracted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    // Wider than a slot's numbers: what was asked for may be more than a slot can hold.
    pub(crate) plus: u128,
    pub(crate) minus: u128,
}

impl Sums {
    pub(crate) fn add(&mut self, by: i64) {
        let number = if by < 0 { &mut self.minus } else { &mut self.plus };
        *number += u128::from(by.unsigned_abs());
    }

    pub(crate) fn remove(&mut self, by: i64) {
        let number = if by < 0 { &mut self.minus } else { &mut self.plus };
        *number -= u128::from(by.unsigned_abs());
    }
}

/// What is known of one origin.
#[derive(Debug)]
pub(crate) struct OriginHistory {
    pub(crate) host: HostId,
    pub(crate) runs: bool,
    /// Which process counts under it: a process may do so under several, one after the other.
    pub(crate) life: u64,
    /// How many versions its process had closed under others before.
    pub(crate) before: Version,
    /// Settlements that this process was last seen to hold.
    pub(crate) here: BTreeSet<OriginId>,
    /// By counter, its own slot after each version that changed it.
    pub(crate) slots: BTreeMap<String, Vec<(Version, Slot)>>,
    pub(crate) version: Version,
    /// Up to which version others may hold its changes.
    pub(crate) synced: Version,
    pub(crate) acknowledged: BTreeMap<String, Sums>,
    pub(crate) asked: BTreeMap<String, Sums>,
    /// What it has done to counters that may end.
    pub(crate) endings: EndedHistory,
    /// Removals and registrations that it holds.
    pub(crate) memberships: NodeMemberships,
    /// Others' slots as this process was last seen to hold them.
    pub(crate) held: BTreeMap<(OriginId, String), Slot>,
    /// Changes whenever what it holds of others does.
    pub(crate) looked_at: u64,
}

impl OriginHistory {
    pub(crate) fn slot_at(&self, name: &str, version: Version) -> Slot {
        let Some(states) = self.slots.get(name) else { return Slot::default() };
        let later = states.partition_point(|(changed, _)| *changed <= version);
        later.checked_sub(1).map_or(Slot::default(), |at| states[at].1)
    }
}
