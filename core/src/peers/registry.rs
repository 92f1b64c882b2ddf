//! Who was removed, and who was registered again.
//!
//! A removal must outlive everything: restarts, beacons, a new address, an empty disk. So it is
//! kept for the node *and* for its address, as a number that only grows: the epoch of the removal.
//! Registering again writes a larger epoch beside it. Two nodes that hold different records merge
//! them by maximum, number by number, and a node that holds the merged records knows who is out:
//! those whose last removal is later than their last registration.
//!
//! An epoch is the time by the clock of the node that wrote it, or one more than the largest that
//! this node knows of, whichever is greater. So the later word of two wins though the nodes that took
//! them had not heard of each other, as far as their clocks agree; and records have an age.
//!
//! The record of a node stays for good: it alone says who is out. Of addresses only the
//! [`ADDRESSES_MAX`] of the latest epochs are kept; what answers at one that was removed so long ago
//! is another machine's by now. Every holder lets go by that same rule, so that none comes back
//! by merging, whatever the order.
//!
//! Rejected: a removal as a mere "down" in the membership protocol. It is undone by the next
//! beacon, which is how the original system's removed peers came back. Forgetting nodes as well: a
//! stranger without a secret could push out the records of all whom operators removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::fingerprint;
use crate::identity::{Address, EPOCH_MAX, Identity, NodeId};
use crate::membership::{Key, MembershipRecord, PARTS, PeersRefusal, RECORD_EPOCH_MAX};
use crate::settlement::Voter;

/// How many nodes operators can remove: nine every day for ten years. A node's record takes some 50
/// bytes of memory, and 17 on the wire and on the disk.
pub const REMOVALS_MAX: usize = 32_768;

/// How many nodes have records. Nodes that cannot reach each other may each come to
/// [`REMOVALS_MAX`] with others, and all of that must count once they meet.
const NODES_MAX: usize = 2 * REMOVALS_MAX;

/// How many addresses have records; those of the latest epochs. Some 200 bytes of memory each.
pub const ADDRESSES_MAX: usize = 32_768;

/// The epochs of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Epochs {
    removed: u64,
    registered: u64,
}

impl Epochs {
    fn merged(self, other: Epochs) -> Epochs {
        Epochs {
            removed: self.removed.max(other.removed),
            registered: self.registered.max(other.registered),
        }
    }

    fn last(self) -> u64 {
        self.removed.max(self.registered)
    }

    fn of(self, key: Key) -> MembershipRecord {
        MembershipRecord { key, removed: self.removed, registered: self.registered }
    }
}

/// All records, merged by maximum.
#[derive(Clone, Debug)]
pub struct Registry {
    nodes: BTreeMap<NodeId, Epochs>,
    addresses: BTreeMap<Address, Epochs>,
    /// The addresses, those of the earliest last epoch first.
    by_age: BTreeSet<(u64, Address)>,
    hashes: [u64; PARTS],
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    removals: usize,
    nodes: usize,
    addresses: usize,
}

impl Default for Registry {
    fn default() -> Self {
        let (removals, nodes, addresses) = (REMOVALS_MAX, NODES_MAX, ADDRESSES_MAX);
        Registry::within(Limits { removals, nodes, addresses })
    }
}

impl Registry {
    fn within(limits: Limits) -> Self {
        Registry {
            nodes: BTreeMap::new(),
            addresses: BTreeMap::new(),
            by_age: BTreeSet::new(),
            hashes: [0; PARTS],
            limits,
        }
    }

    /// Takes as many removals from operators at most.
    pub(crate) fn limit_removals(&mut self, removals: usize) {
        self.limits.removals = removals;
    }

    /// Merges a record; tells whether it said anything new.
    ///
    /// Epochs beyond [`RECORD_EPOCH_MAX`], of which an earlier release may have written some to the
    /// disk, count as that. A new record for which there is no room says nothing.
    pub fn merge(&mut self, record: &MembershipRecord) -> bool {
        let said = Epochs {
            removed: record.removed.min(RECORD_EPOCH_MAX),
            registered: record.registered.min(RECORD_EPOCH_MAX),
        };
        let known = self.epochs_of(&record.key);
        let merged = known.merged(said);
        if merged == known || !self.has_room_for(&record.key, merged) {
            return false;
        }
        self.forget(&record.key);
        self.add_hash(&record.key, merged);
        match &record.key {
            Key::Node(node) => {
                self.nodes.insert(*node, merged);
            }
            Key::Address(address) => {
                self.addresses.insert(address.clone(), merged);
                self.by_age.insert((merged.last(), address.clone()));
                self.forget_oldest_address();
            }
        }
        true
    }

    /// Removes nodes and their addresses: the records that say so, to be journaled and passed on.
    ///
    /// # Errors
    /// [`PeersRefusal::TooManyRemovals`], [`PeersRefusal::EpochsUsedUp`]; nothing has changed then.
    pub fn remove(
        &mut self,
        identities: &[Identity],
        clock_ms: u64,
    ) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        let is_new = |identity: &&Identity| !self.nodes.contains_key(&identity.node);
        let new = identities.iter().filter(is_new).count();
        if new > 0 && self.nodes.len() + new > self.limits.removals {
            return Err(PeersRefusal::TooManyRemovals(self.limits.removals));
        }
        let mut records = Vec::new();
        for identity in identities {
            // Its own epoch counts as well: where it was registered, this node may not have heard of.
            let last = self.epochs(identity.node, &identity.address).last().max(identity.epoch);
            let removed = clock_ms.min(EPOCH_MAX).max(last.saturating_add(1));
            if removed > RECORD_EPOCH_MAX {
                return Err(PeersRefusal::EpochsUsedUp);
            }
            for key in [Key::Node(identity.node), Key::Address(identity.address.clone())] {
                records.push(MembershipRecord { removed, ..self.of(&key) });
            }
        }
        for record in &records {
            self.merge(record);
        }
        Ok(records)
    }

    /// Lifts the removal of these keys, if there is one: the records that say so. `seen` is the
    /// largest epoch under which those whom it concerns have been seen.
    pub fn register(&mut self, keys: &[Key], seen: u64, clock_ms: u64) -> Vec<MembershipRecord> {
        let removed = keys.iter().map(|key| self.epochs_of(key).removed).max().unwrap_or(0);
        // As late as the removal is late enough, if there is nothing later.
        let registered = clock_ms.min(EPOCH_MAX).max(removed.max(seen).saturating_add(1));
        let registered = registered.min(RECORD_EPOCH_MAX);
        let lifted = keys.iter().map(|key| self.of(key)).filter(MembershipRecord::is_removed);
        let lifted: Vec<MembershipRecord> =
            lifted.map(|record| MembershipRecord { registered, ..record }).collect();
        for record in &lifted {
            self.merge(record);
        }
        lifted
    }

    /// Whether a node must not be talked to.
    pub fn is_removed(&self, identity: &Identity) -> bool {
        let epochs = self.epochs(identity.node, &identity.address);
        epochs.removed > epochs.registered.max(identity.epoch)
    }

    /// The epoch under which a node is a member; `None` if it was removed.
    pub(crate) fn epoch_of_member(&self, node: NodeId) -> Option<u64> {
        let epochs = self.epochs_of(&Key::Node(node));
        (epochs.removed <= epochs.registered).then_some(epochs.registered)
    }

    /// Whether a member's registration holds.
    pub(crate) fn is_member(&self, voter: &Voter) -> bool {
        self.epoch_of_member(voter.node) == Some(voter.epoch)
    }

    /// The epoch of the identity of a node whose removal was lifted; 0 if it never was.
    pub fn epoch_of(&self, node: NodeId, address: &Address) -> u64 {
        self.epochs(node, address).registered.min(EPOCH_MAX)
    }

    /// The record of one key; zeros if there is none.
    pub fn of(&self, key: &Key) -> MembershipRecord {
        self.epochs_of(key).of(key.clone())
    }

    /// Every record.
    pub fn records(&self) -> impl Iterator<Item = MembershipRecord> + '_ {
        let nodes = self.nodes.iter().map(|(node, epochs)| epochs.of(Key::Node(*node)));
        let of_address =
            |(address, epochs): (&Address, &Epochs)| epochs.of(Key::Address(address.clone()));
        nodes.chain(self.addresses.iter().map(of_address))
    }

    /// A hash of each part of the table; none at all of an empty one.
    pub(crate) fn hashes(&self) -> &[u64] {
        let is_empty = self.nodes.is_empty() && self.addresses.is_empty();
        if is_empty { &[] } else { &self.hashes }
    }

    /// The records of some parts.
    pub(crate) fn records_in(&self, parts: &[u8]) -> Vec<MembershipRecord> {
        let mut is_wanted = [false; PARTS];
        parts.iter().for_each(|part| is_wanted[usize::from(*part)] = true);
        self.records().filter(|record| is_wanted[part_of(hash_of(&record.key))]).collect()
    }

    fn epochs_of(&self, key: &Key) -> Epochs {
        let epochs = match key {
            Key::Node(node) => self.nodes.get(node),
            Key::Address(address) => self.addresses.get(address),
        };
        epochs.copied().unwrap_or_default()
    }

    fn epochs(&self, node: NodeId, address: &Address) -> Epochs {
        let of_address = self.addresses.get(address).copied().unwrap_or_default();
        self.epochs_of(&Key::Node(node)).merged(of_address)
    }

    fn has_room_for(&self, key: &Key, epochs: Epochs) -> bool {
        match key {
            Key::Node(node) => {
                self.nodes.contains_key(node) || self.nodes.len() < self.limits.nodes
            }
            Key::Address(address) => {
                self.addresses.contains_key(address)
                    || self.addresses.len() < self.limits.addresses
                    || self.by_age.first() < Some(&(epochs.last(), address.clone()))
            }
        }
    }

    fn forget_oldest_address(&mut self) {
        if self.addresses.len() > self.limits.addresses
            && let Some((_, oldest)) = self.by_age.first().cloned()
        {
            self.forget(&Key::Address(oldest));
        }
    }

    fn forget(&mut self, key: &Key) {
        let known = match key {
            Key::Node(node) => self.nodes.remove(node),
            Key::Address(address) => self.addresses.remove(address),
        };
        let Some(epochs) = known else { return };
        if let Key::Address(address) = key {
            self.by_age.remove(&(epochs.last(), address.clone()));
        }
        let hash = hash_of(key);
        let part = &mut self.hashes[part_of(hash)];
        *part = part.wrapping_sub(fingerprint::of_record(hash, epochs.removed, epochs.registered));
    }

    fn add_hash(&mut self, key: &Key, epochs: Epochs) {
        let hash = hash_of(key);
        let part = &mut self.hashes[part_of(hash)];
        *part = part.wrapping_add(fingerprint::of_record(hash, epochs.removed, epochs.registered));
    }
}

/// What a record is about, as it enters the hashes.
fn hash_of(key: &Key) -> u64 {
    match key {
        Key::Node(node) => fingerprint::of_record_key(&node.0.to_le_bytes()),
        Key::Address(address) => fingerprint::of_record_key(address.as_str().as_bytes()),
    }
}

fn part_of(hash: u64) -> usize {
    usize::try_from(hash % PARTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::OriginId;

    /// The clock of a node that was never set: epochs grow by one.
    const NO_CLOCK: u64 = 0;

    fn identity(node: u64, address: &str, epoch: u64) -> Identity {
        Identity {
            node: NodeId(node),
            address: Address::parse(address, 1).unwrap(),
            epoch,
            boot: 1,
            origin: OriginId(node * 10),
        }
    }

    fn remove(registry: &mut Registry, peer: &Identity) -> Vec<MembershipRecord> {
        registry.remove(std::slice::from_ref(peer), NO_CLOCK).unwrap()
    }

    fn address(peer: &Identity) -> Key {
        Key::Address(peer.address.clone())
    }

    #[test]
    fn a_removed_node_stays_out_at_a_new_address_and_with_an_empty_disk() {
        let mut registry = Registry::default();
        let peer = identity(1, "a:1", 0);
        remove(&mut registry, &peer);
        assert!(registry.is_removed(&peer));
        assert!(registry.is_removed(&identity(1, "b:1", 0)), "a new address");
        assert!(registry.is_removed(&identity(2, "a:1", 0)), "an empty disk");
        assert!(!registry.is_removed(&identity(2, "b:1", 0)), "somebody else");
    }

    #[test]
    fn registering_lifts_a_removal_and_removing_again_outlasts_it() {
        let mut registry = Registry::default();
        let peer = identity(1, "a:1", 0);
        remove(&mut registry, &peer);
        let keys = [address(&peer)];
        assert_eq!(registry.register(&keys, 0, NO_CLOCK).len(), 1);
        assert!(!registry.is_removed(&peer));
        assert_eq!(registry.register(&keys, 0, NO_CLOCK), [], "a second one changes nothing");
        remove(&mut registry, &peer);
        assert!(registry.is_removed(&peer));
        assert!(registry.is_removed(&identity(1, "a:1", 2)), "the epoch of the old registration");
    }

    #[test]
    fn records_merge_to_the_same_in_any_order_and_however_often() {
        let peer = identity(1, "a:1", 0);
        let mut one = Registry::default();
        let mut records = remove(&mut one, &peer);
        records.extend(one.register(&[address(&peer)], 0, NO_CLOCK));
        let mut other = Registry::default();
        for record in records.iter().rev().chain(&records) {
            other.merge(record);
        }
        assert!(one.records().eq(other.records()));
        assert_eq!(one.hashes(), other.hashes());
    }

    #[test]
    fn the_later_word_by_the_clock_wins_though_its_writer_had_not_heard_of_the_other() {
        let peer = identity(1, "a:1", 0);
        let of = std::slice::from_ref(&peer);
        let mut one = Registry::default();
        one.remove(of, 1_000).unwrap();
        let mut other = one.clone();
        one.register(&[Key::Node(peer.node), address(&peer)], 0, 2_000);
        one.remove(of, 3_000).unwrap();
        other.register(&[Key::Node(peer.node), address(&peer)], 0, 4_000);
        for record in other.records() {
            one.merge(&record);
        }
        assert!(!one.is_removed(&peer), "registered last");
    }

    #[test]
    fn a_node_with_the_largest_epoch_can_be_removed_and_registered_again() {
        let mut registry = Registry::default();
        let peer = identity(1, "a:1", EPOCH_MAX);
        remove(&mut registry, &peer);
        assert!(registry.is_removed(&peer));
        registry.register(&[Key::Node(peer.node), address(&peer)], EPOCH_MAX, NO_CLOCK);
        assert!(!registry.is_removed(&peer));
        let epoch = registry.epoch_of(peer.node, &peer.address);
        assert_eq!(epoch, EPOCH_MAX, "that of its next identity");
        remove(&mut registry, &peer);
        assert!(registry.is_removed(&peer));
    }

    #[test]
    fn the_largest_removal_can_be_lifted_and_the_largest_registration_is_refused_to_be_removed() {
        let mut registry = Registry::default();
        let peer = identity(1, "a:1", 0);
        registry.merge(&MembershipRecord {
            key: Key::Node(peer.node),
            removed: u64::MAX,
            registered: 0,
        });
        assert!(registry.is_removed(&peer));
        registry.register(&[Key::Node(peer.node)], 0, NO_CLOCK);
        assert!(!registry.is_removed(&peer));
        let before: Vec<MembershipRecord> = registry.records().collect();
        let refused = registry.remove(std::slice::from_ref(&peer), NO_CLOCK);
        assert_eq!(refused, Err(PeersRefusal::EpochsUsedUp));
        assert!(registry.records().eq(before), "nothing has changed");
    }

    #[test]
    fn a_record_of_zeros_says_nothing_and_takes_no_room() {
        let mut registry = Registry::default();
        let key = address(&identity(1, "a:1", 0));
        assert!(!registry.merge(&MembershipRecord { key, removed: 0, registered: 0 }));
        assert_eq!((registry.records().count(), registry.hashes()), (0, &[][..]));
    }

    const SMALL: Limits = Limits { removals: 4, nodes: 8, addresses: 4 };

    fn nth(n: u64) -> Identity {
        identity(n, &format!("h{n}:1"), 0)
    }

    #[test]
    fn one_removal_too_many_is_refused_and_changes_nothing() {
        let mut registry = Registry::within(SMALL);
        (1..4).for_each(|n| drop(remove(&mut registry, &nth(n))));
        let two = [nth(4), nth(5)];
        assert_eq!(registry.remove(&two, NO_CLOCK), Err(PeersRefusal::TooManyRemovals(4)));
        assert!(!registry.is_removed(&two[0]));
        remove(&mut registry, &two[0]);
        assert_eq!(registry.remove(&two[1..], NO_CLOCK), Err(PeersRefusal::TooManyRemovals(4)));
        // A node that has a record already takes no more room, however full it is.
        registry.register(&[Key::Node(NodeId(1)), address(&nth(1))], 0, NO_CLOCK);
        remove(&mut registry, &nth(1));
        assert!(registry.is_removed(&nth(1)));
    }

    #[test]
    fn what_others_removed_counts_beyond_what_one_may_remove_and_is_bounded_too() {
        let mut registry = Registry::within(SMALL);
        let record = |n| MembershipRecord { key: Key::Node(NodeId(n)), removed: 1, registered: 0 };
        assert!((1..9).all(|n| registry.merge(&record(n))));
        assert!(!registry.merge(&record(9)));
        assert!(registry.merge(&MembershipRecord { removed: 2, ..record(1) }), "a known one");
        assert_eq!(registry.records().count(), 8);
    }

    #[test]
    fn the_address_that_was_removed_longest_ago_is_let_go_and_its_node_stays_out() {
        let mut registry = Registry::within(Limits { removals: 8, ..SMALL });
        for n in 1..=5 {
            registry.remove(&[nth(n)], 1_000 * n).unwrap();
        }
        assert!((1..=5).all(|n| registry.is_removed(&nth(n))));
        let with_an_empty_disk = |n| Identity { node: NodeId(99), ..nth(n) };
        assert!(!registry.is_removed(&with_an_empty_disk(1)), "another machine's by now");
        assert!((2..=5).all(|n| registry.is_removed(&with_an_empty_disk(n))));
        let old = MembershipRecord { key: address(&nth(1)), removed: 1_000, registered: 0 };
        assert!(!registry.merge(&old), "and does not come back");
    }

    fn record() -> impl Strategy<Value = MembershipRecord> {
        let key = prop_oneof![
            (0_u64..6).prop_map(|n| Key::Node(NodeId(n))),
            (0_u64..12).prop_map(|n| address(&nth(n))),
        ];
        (key, 0_u64..20, 0_u64..20).prop_map(|(key, removed, registered)| MembershipRecord {
            key,
            removed,
            registered,
        })
    }

    fn tell(from: &Registry, to: &mut Registry) {
        let parts: Vec<u8> = (0..=u8::MAX).collect();
        tell_all(&from.records_in(&parts), to);
    }

    fn tell_all(records: &[MembershipRecord], to: &mut Registry) {
        for record in records {
            to.merge(record);
        }
    }

    proptest! {
        /// However full the tables are: three nodes that heard of records in different orders, and
        /// then tell each other, hold the same.
        #[test]
        fn tables_that_let_go_come_to_the_same(
            heard in prop::collection::vec(prop::collection::vec(record(), 0..30), 3),
        ) {
            let mut tables = vec![Registry::within(SMALL); 3];
            for (table, records) in tables.iter_mut().zip(&heard) {
                tell_all(records, table);
            }
            for _ in 0..3 {
                for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)] {
                    let said = tables[from].clone();
                    tell(&said, &mut tables[to]);
                }
            }
            for table in &tables[1..] {
                prop_assert!(table.records().eq(tables[0].records()));
                prop_assert_eq!(table.hashes(), tables[0].hashes());
            }
            prop_assert!(tables[0].addresses.len() <= SMALL.addresses);
            prop_assert_eq!(tables[0].addresses.len(), tables[0].by_age.len());
        }

        /// The hashes are those of the records that are there, whatever came and went before.
        #[test]
        fn hashes_tell_tables_apart(records in prop::collection::vec(record(), 0..40)) {
            let mut table = Registry::within(SMALL);
            tell_all(&records, &mut table);
            let mut anew = Registry::within(SMALL);
            tell(&table, &mut anew);
            prop_assert_eq!(table.hashes(), anew.hashes());
            let newer = MembershipRecord { key: Key::Node(NodeId(0)), removed: 21, registered: 0 };
            anew.merge(&newer);
            let differ = table.hashes() != anew.hashes();
            prop_assert!(differ);
        }
    }
}
