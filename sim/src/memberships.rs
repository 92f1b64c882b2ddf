//! Removals and registrations, held against what operators asked for.
//!
//! A record of either only grows, in a process and on a disk, and says nothing that no operator
//! asked for: so a removal is lifted by a registration and by nothing else.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::peers::registry::Registry;

use crate::checker::Checker;
use crate::host::HostId;
use crate::violation::Violation;

/// The records of nodes, by their ids: the epochs of the last removal and the last registration.
pub type NodeMemberships = BTreeMap<NodeId, (u64, u64)>;

/// What operators may have caused.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    /// By machine, under which ids and at which addresses its processes lived.
    lives: BTreeMap<HostId, BTreeSet<Key>>,
    /// The machines that records of removals may be about.
    removed: BTreeSet<HostId>,
    /// The machines that records of registrations may be about.
    registered: BTreeSet<HostId>,
    /// Whether two machines may have lived under one id: then a record of one concerns the other.
    pub(crate) are_copied: bool,
}

impl Operators {
    /// Whether an operator has ever removed a machine's node.
    pub(crate) fn has_removed(&self, host: HostId) -> bool {
        self.removed.contains(&host)
    }

    /// The machine whose processes lived under an id.
    pub(crate) fn host_of(&self, node: NodeId) -> Option<HostId> {
        let lives = self.lives.iter().find(|(_, lives)| lives.contains(&Key::Node(node)));
        lives.map(|(host, _)| *host)
    }

    fn are_about(&self, hosts: &BTreeSet<HostId>, key: &Key) -> bool {
        hosts.iter().any(|host| self.lives.get(host).is_some_and(|lives| lives.contains(key)))
    }
}

/// The records of nodes that a registry holds.
pub fn of_nodes(registry: &Registry) -> NodeMemberships {
    let epochs = |record: MembershipRecord| match record.key {
        Key::Node(node) => Some((node, (record.removed, record.registered))),
        Key::Address(_) => None,
    };
    registry.records().filter_map(epochs).collect()
}

/// The first record of which less is held now than before.
pub(crate) fn shrunk(before: &NodeMemberships, now: &NodeMemberships) -> Option<NodeId> {
    let has_less = |(node, (removed, registered)): &(&NodeId, &(u64, u64))| {
        let (removed_now, registered_now) = now.get(node).copied().unwrap_or_default();
        removed_now < *removed || registered_now < *registered
    };
    before.iter().find(has_less).map(|(node, _)| *node)
}

impl Checker {
    /// A machine's process lives under this id and at this address.
    pub fn lives(&mut self, host: HostId, node: NodeId, address: &Address) {
        let lives = self.operators.lives.entry(host).or_default();
        lives.insert(Key::Node(node));
        lives.insert(Key::Address(address.clone()));
    }

    /// A disk was copied to another machine.
    pub fn two_under_one_id(&mut self) {
        self.operators.are_copied = true;
    }

    /// An operator has removed a machine's node.
    pub fn removed(&mut self, host: HostId) {
        self.operators.removed.insert(host);
    }

    /// An operator has registered a machine's node.
    pub fn registered(&mut self, host: HostId) {
        self.operators.registered.insert(host);
    }

    /// Looks at the records that a process holds.
    ///
    /// # Errors
    /// If one says less than before, or what no operator asked for.
    pub fn look_at_memberships(
        &mut self,
        origin: OriginId,
        registry: &Registry,
    ) -> Result<(), Box<Violation>> {
        let Some(history) = self.histories.get_mut(&origin) else { return Ok(()) };
        let host = history.host;
        let held = of_nodes(registry);
        if let Some(node) = shrunk(&history.memberships, &held) {
            return Err(Box::new(Violation::MembershipLost { host, node, when: "while it ran" }));
        }
        if held == history.memberships {
            return Ok(());
        }
        history.memberships = held;
        let operators = &self.operators;
        let is_invented = |record: &MembershipRecord| {
            (record.removed > 0 && !operators.are_about(&operators.removed, &record.key))
                || (record.registered > 0
                    && !operators.are_about(&operators.registered, &record.key))
        };
        match registry.records().find(is_invented) {
            Some(record) if !operators.are_copied => {
                Err(Box::new(Violation::MembershipInvented { host, record }))
            }
            _ => Ok(()),
        }
    }
}
