//! Under which ids a machine's processes live, start after start, held against what its disk must remember.
//!
//! A node keeps its id for as long as it keeps its disk, unless another process lives under it, which
//! only a copied disk brings about. Of one id no start comes before an earlier one, whatever the wall
//! clock says: peers would take it for the past, and would have to say so to it.

use std::collections::BTreeMap;

use quipu_core::identity::{Identity, NodeId, OriginId};
use quipu_core::storage::record::Start;

use crate::checker::Checker;
use crate::host::HostId;
use crate::violation::Violation;

/// What is known of the identities that were written on one disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    /// The last id that is safe on the disk, and those that may have reached it since, in the order
    /// in which they were taken.
    ids: Vec<NodeId>,
    /// By id, the last boot that is safe on the disk.
    boots: BTreeMap<NodeId, u64>,
    /// Whether a power cut may have taken a registration of this node from a disk that is not synced
    /// before answers: others who know of it outrank the node then.
    may_meet_newer: bool,
}

impl Identities {
    /// A power cut may have taken what was written last.
    pub(crate) fn lost() -> Self {
        Identities { may_meet_newer: true, ..Identities::default() }
    }

    /// An identity was written down, or is about to be.
    fn taken(&mut self, node: NodeId) {
        if self.ids.last() != Some(&node) {
            self.ids.push(node);
        }
    }

    /// An identity is safe on the disk.
    pub(crate) fn safe(&mut self, node: NodeId, boot: u64) {
        self.taken(node);
        let at = self.ids.iter().rposition(|id| *id == node).unwrap_or_default();
        self.ids.drain(..at);
        let last = self.boots.entry(node).or_default();
        *last = (*last).max(boot);
    }

    /// Whether the last start that a disk shows can be the last one that was written on it.
    pub(crate) fn allow(&self, last: Option<Start>) -> bool {
        match last {
            None => self.ids.is_empty(),
            Some(start) => {
                let boot = self.boots.get(&start.node).copied().unwrap_or_default();
                (self.ids.is_empty() || self.ids.contains(&start.node)) && start.boot >= boot
            }
        }
    }
}

impl Checker {
    /// Whether a start can follow those before it on a machine's disk.
    ///
    /// # Errors
    /// If it is another node than before, or not later than its last start.
    pub fn start_follows(&self, host: HostId, start: &Start) -> Result<(), Box<Violation>> {
        let Some(disk) = self.disks.get(&host) else { return Ok(()) };
        let (node, boot) = (start.node, start.boot);
        let before = &disk.identities.ids;
        if !before.is_empty() && !before.contains(&node) {
            let before = before.clone();
            return Err(Box::new(Violation::IdentityLost { host, before, node }));
        }
        match disk.identities.boots.get(&node) {
            Some(before) if boot <= *before => {
                let before = *before;
                Err(Box::new(Violation::BootWentBack { host, node, before, boot }))
            }
            _ => Ok(()),
        }
    }

    /// A process starts as this, and has written it down.
    pub fn starts_as(&mut self, host: HostId, start: &Start) {
        self.disks.entry(host).or_default().identities.safe(start.node, start.boot);
    }

    /// A process lives under another id than it did.
    ///
    /// # Errors
    /// If nothing can have made it do so.
    pub fn takes_another_id(
        &mut self,
        origin: OriginId,
        identity: &Identity,
    ) -> Result<(), Box<Violation>> {
        let Some(history) = self.histories.get(&origin) else { return Ok(()) };
        let (host, node) = (history.host, identity.node);
        self.lives(host, node, &identity.address);
        let identities = &mut self.disks.entry(host).or_default().identities;
        let before = identities.ids.clone();
        identities.taken(node);
        if self.operators.are_copied || identities.may_meet_newer {
            return Ok(());
        }
        Err(Box::new(Violation::IdentityLost { host, before, node }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_may_tell_of_the_last_safe_id_or_a_later_one_and_of_no_earlier_boot() {
        let start = |node, boot| Some(Start { node: NodeId(node), boot, origin: OriginId(0) });
        let mut identities = Identities::default();
        assert!(identities.allow(None) && identities.allow(start(1, 1)));
        identities.safe(NodeId(1), 5);
        identities.taken(NodeId(2));
        assert!(identities.allow(start(1, 5)) && identities.allow(start(2, 1)));
        assert!(!identities.allow(start(1, 4)) && !identities.allow(start(3, 9)));
        identities.safe(NodeId(2), 6);
        assert!(!identities.allow(start(1, 9)) && !identities.allow(None));
    }
}
