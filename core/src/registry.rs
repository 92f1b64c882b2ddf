//! Who was removed, and who was registered again.
//!
//! A removal must outlive everything: restarts, beacons, a new address, an empty disk. So it is
//! kept for the node *and* for its address, as a number that only grows: the epoch of the removal.
//! Registering again writes a larger epoch beside it. Two nodes that hold different records merge
//! them by maximum, number by number, and whoever holds the merged records can tell who is out:
//! those whose last removal is later than their last registration.
//!
//! Rejected: a removal as a mere "down" in the membership protocol. It is undone by the next
//! beacon, which is how the original system's removed peers came back.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::{Address, Identity, NodeId};

/// How many nodes and addresses may have records. Records are written by operators' commands
/// only, two for each; at some 100 bytes each this bounds the table to half a megabyte and a
/// hello's records to one frame.
pub const RECORDS_MAX: usize = 4096;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// A node, wherever it answers.
    Node(NodeId),
    /// An address, whoever answers there.
    Address(Address),
}

/// The record of one key: the epochs of its last removal and its last registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whose.
    pub key: Key,
    /// 0: never removed.
    pub removed: u64,
    /// 0: never registered after a removal.
    pub registered: u64,
}

impl Standing {
    /// Whether the last word on this key is a removal.
    pub fn is_removed(&self) -> bool {
        self.removed > self.registered
    }
}

/// All records, merged by maximum.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    records: BTreeMap<Key, (u64, u64)>,
}

impl Registry {
    /// Merges a record; tells whether it said anything new.
    ///
    /// When the table is full a record for a new key is dropped: it is the operator's 2049th
    /// removal, and the membership protocol still holds the peer for down.
    pub fn merge(&mut self, record: &Standing) -> bool {
        if !self.records.contains_key(&record.key) && self.records.len() >= RECORDS_MAX {
            return false;
        }
        let (removed, registered) = self.records.entry(record.key.clone()).or_default();
        let grew = record.removed > *removed || record.registered > *registered;
        *removed = record.removed.max(*removed);
        *registered = record.registered.max(*registered);
        grew
    }

    /// Removes a node and its address: the records that say so, to be journaled and told.
    pub fn remove(&mut self, node: NodeId, address: &Address) -> Vec<Standing> {
        let epoch = self.epochs(node, address).max() + 1;
        self.write(&[Key::Node(node), Key::Address(address.clone())], |standing| {
            standing.removed = epoch;
        })
    }

    /// Lifts the removal of these keys, if there is one: the records that say so.
    pub fn register(&mut self, keys: &[Key]) -> Vec<Standing> {
        let removed = keys.iter().map(|key| self.of(key).removed).max().unwrap_or(0);
        let keys: Vec<Key> = keys.iter().filter(|key| self.of(key).is_removed()).cloned().collect();
        self.write(&keys, |standing| standing.registered = removed + 1)
    }

    /// Whether a node must not be talked to.
    pub fn is_removed(&self, identity: &Identity) -> bool {
        let epochs = self.epochs(identity.node, &identity.address);
        epochs.removed > epochs.registered.max(identity.epoch)
    }

    /// The epoch that lifted the last removal of a node; 0 if there was none.
    pub fn epoch_of(&self, node: NodeId, address: &Address) -> u64 {
        self.epochs(node, address).registered
    }

    /// The record of one key; zeros if there is none.
    pub fn of(&self, key: &Key) -> Standing {
        let (removed, registered) = self.records.get(key).copied().unwrap_or_default();
        Standing { key: key.clone(), removed, registered }
    }

    /// Every record.
    pub fn records(&self) -> impl Iterator<Item = Standing> + '_ {
        self.records.iter().map(|(key, &(removed, registered))| Standing {
            key: key.clone(),
            removed,
            registered,
        })
    }

    fn write(&mut self, keys: &[Key], change: impl Fn(&mut Standing)) -> Vec<Standing> {
        keys.iter()
            .map(|key| {
                let mut standing = self.of(key);
                change(&mut standing);
                self.merge(&standing);
                standing
            })
            .collect()
    }

    fn epochs(&self, node: NodeId, address: &Address) -> Epochs {
        let node = self.of(&Key::Node(node));
        let address = self.of(&Key::Address(address.clone()));
        Epochs {
            removed: node.removed.max(address.removed),
            registered: node.registered.max(address.registered),
        }
    }
}

struct Epochs {
    removed: u64,
    registered: u64,
}

impl Epochs {
    fn max(&self) -> u64 {
        self.removed.max(self.registered)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Node(node) => write!(f, "node {node}"),
            Key::Address(address) => write!(f, "address {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::OriginId;

    fn identity(node: u64, address: &str, epoch: u64) -> Identity {
        Identity {
            node: NodeId(node),
            address: Address::parse(address, 1).unwrap(),
            epoch,
            boot: 1,
            origin: OriginId(node * 10),
        }
    }

    #[test]
    fn a_removed_node_stays_out_at_a_new_address_and_with_an_empty_disk() {
        let mut registry = Registry::default();
        let peer = identity(1, "a:1", 0);
        registry.remove(peer.node, &peer.address);
        assert!(registry.is_removed(&peer));
        assert!(registry.is_removed(&identity(1, "b:1", 0)), "a new address");
        assert!(registry.is_removed(&identity(2, "a:1", 0)), "an empty disk");
        assert!(!registry.is_removed(&identity(2, "b:1", 0)), "somebody else");
    }

    #[test]
    fn registering_lifts_a_removal_and_removing_again_outlasts_it() {
        let mut registry = Registry::default();
        let peer = identity(1, "a:1", 0);
        registry.remove(peer.node, &peer.address);
        let keys = [Key::Address(peer.address.clone())];
        assert_eq!(registry.register(&keys).len(), 1);
        assert!(!registry.is_removed(&peer));
        assert_eq!(registry.register(&keys), [], "a second registration changes nothing");
        registry.remove(peer.node, &peer.address);
        assert!(registry.is_removed(&peer));
        assert!(registry.is_removed(&identity(1, "a:1", 2)), "the epoch of the old registration");
    }

    #[test]
    fn records_merge_to_the_same_in_any_order_and_however_often() {
        let peer = identity(1, "a:1", 0);
        let mut one = Registry::default();
        let mut records = one.remove(peer.node, &peer.address);
        records.extend(one.register(&[Key::Address(peer.address.clone())]));
        let mut other = Registry::default();
        for record in records.iter().rev().chain(&records) {
            other.merge(record);
        }
        assert!(one.records().eq(other.records()));
    }
}
