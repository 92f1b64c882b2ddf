//! What each peer is known to have synced of our own changes, whatever became of its links.
//!
//! A link is a connection, and connections break; what a peer has on its disk stays there. So a
//! confirmation is noted under the peer's NodeId, and a link that comes back begins with it: clients
//! that wait for confirmations, and the lag that operators see, begin nothing anew.
//!
//! It holds for as long as the peer's process does: another start of the same node may have found
//! less (an old copy put back, a disk that is synced now and then only), and tells by itself what it
//! has. And a process counts once, also if it has taken a fresh NodeId since.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::{NodeId, OriginId, Version};

/// Peers that are remembered while no link to them stands: as many as there are members that are up
/// or remembered, at most. Beyond it, those that have confirmed least are forgotten, and confirm
/// again when they are linked.
const UNLINKED_MAX: usize = 1280;

#[derive(Clone, Copy, Debug)]
struct Held {
    /// What its process writes under.
    origin: OriginId,
    confirmed: Version,
    links: u32,
}

/// What all peers have confirmed.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    peers: BTreeMap<NodeId, Held>,
}

impl Knowledge {
    /// A link to a peer stands; answers what it had confirmed before.
    pub(crate) fn link_up(&mut self, node: NodeId, origin: OriginId) -> Version {
        self.peers.retain(|other, held| *other == node || held.origin != origin || held.links > 0);
        let held = self.peers.entry(node).or_insert(Held { origin, confirmed: 0, links: 0 });
        if held.origin != origin {
            *held = Held { origin, confirmed: 0, links: held.links };
        }
        held.links += 1;
        held.confirmed
    }

    /// A peer goes on under another origin: what it has confirmed of ours stays.
    pub(crate) fn peer_takes_origin(&mut self, node: NodeId, origin: OriginId) {
        if let Some(held) = self.peers.get_mut(&node) {
            held.origin = origin;
        }
    }

    /// A link to a peer is gone.
    pub(crate) fn link_down(&mut self, node: NodeId) {
        if let Some(held) = self.peers.get_mut(&node) {
            held.links = held.links.saturating_sub(1);
        }
        let unlinked = || self.peers.iter().filter(|(_, held)| held.links == 0);
        if unlinked().count() > UNLINKED_MAX
            && let Some((&least, _)) = unlinked().min_by_key(|(_, held)| held.confirmed)
        {
            self.peers.remove(&least);
        }
    }

    /// A peer has synced all our changes up to a version.
    pub(crate) fn confirm(&mut self, node: NodeId, origin: OriginId, version: Version) {
        if let Some(held) = self.peers.get_mut(&node)
            && held.origin == origin
        {
            held.confirmed = held.confirmed.max(version);
        }
    }

    /// What each process has confirmed of those peers that are linked and that `is_up` holds for. One
    /// of the two alone may be the last thing that is left of a process.
    pub(crate) fn confirmations(&self, is_up: impl Fn(NodeId) -> bool) -> Vec<Version> {
        let mut counted = BTreeSet::new();
        let mut peers: Vec<_> = self
            .peers
            .iter()
            .filter(|(node, held)| held.links > 0 && is_up(**node))
            .map(|(_, held)| held)
            .collect();
        peers.sort_by_key(|held| std::cmp::Reverse(held.confirmed));
        peers.retain(|held| counted.insert(held.origin));
        peers.into_iter().map(|held| held.confirmed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    #[test]
    fn a_link_that_breaks_and_comes_back_forgets_no_confirmation() {
        let mut knowledge = Knowledge::default();
        assert_eq!(knowledge.link_up(A, OriginId(10)), 0);
        knowledge.confirm(A, OriginId(10), 7);
        knowledge.link_down(A);
        assert_eq!(knowledge.confirmations(|_| true), [], "it may be gone");
        assert_eq!(knowledge.link_up(A, OriginId(10)), 7);
        assert_eq!(knowledge.confirmations(|_| true), [7]);
        assert_eq!(knowledge.confirmations(|_| false), [], "it is down");
    }

    #[test]
    fn another_start_of_a_peer_confirms_for_itself() {
        let mut knowledge = Knowledge::default();
        knowledge.link_up(A, OriginId(10));
        knowledge.confirm(A, OriginId(10), 7);
        knowledge.link_down(A);
        assert_eq!(knowledge.link_up(A, OriginId(11)), 0);
        knowledge.confirm(A, OriginId(10), 9);
        assert_eq!(knowledge.confirmations(|_| true), [0], "a late word of the last start");
    }

    #[test]
    fn a_process_that_takes_a_fresh_id_counts_once() {
        let mut knowledge = Knowledge::default();
        knowledge.link_up(A, OriginId(10));
        knowledge.confirm(A, OriginId(10), 7);
        // The old link still stands here: nobody has heard of its end.
        knowledge.link_up(B, OriginId(10));
        knowledge.confirm(B, OriginId(10), 8);
        assert_eq!(knowledge.confirmations(|_| true), [8]);
        knowledge.link_down(A);
        knowledge.link_down(B);
        knowledge.link_up(B, OriginId(10));
        assert_eq!(knowledge.peers.len(), 1, "the old id is forgotten");
    }

    #[test]
    fn peers_without_links_are_remembered_in_bounds() {
        let mut knowledge = Knowledge::default();
        for n in 0..UNLINKED_MAX as u64 + 10 {
            knowledge.link_up(NodeId(n), OriginId(n));
            knowledge.confirm(NodeId(n), OriginId(n), n);
            knowledge.link_down(NodeId(n));
        }
        assert_eq!(knowledge.peers.len(), UNLINKED_MAX);
        assert!(!knowledge.peers.contains_key(&NodeId(9)), "it has confirmed least");
        assert!(knowledge.peers.contains_key(&NodeId(10)));
    }
}
