//! Whose our NodeId is: what follows when another process is said to live under it.
//!
//! Such a call may come from the process of which our disk is a copy (rule `one-node-one-process`).
//! Or a stranger plays what our former life called at another address, or invents it. So a call is
//! believed in nothing: the address is asked with a number that no process could know before, and
//! only an answer to that has us take a fresh id. A removed node never does: its removal would not
//! be found.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::identity::{Address, BOOT_MAX, Identity, NodeId, OriginId};
use crate::membership::{Key, MembershipRecord};
use crate::query::PeerName;
use crate::time::Time;

/// How long an id that was taken because of an answer is not given up for another one. Without a
/// secret a stranger can answer under any id, and each change costs all links.
const KEPT_AT_LEAST: Duration = Duration::from_secs(60);

/// Who this node is.
#[derive(Debug)]
pub(super) struct OwnId {
    me: Identity,
    /// When another process last answered under the id that we had then.
    answered: Option<Time>,
    chance: ChaCha8Rng,
}

impl OwnId {
    pub(super) fn new(me: Identity, chance: ChaCha8Rng) -> Self {
        OwnId { me, answered: None, chance }
    }

    pub(super) fn me(&self) -> &Identity {
        &self.me
    }

    /// Whether an operator's name for a peer leads to this node.
    pub(super) fn is_named(&self, name: &PeerName) -> bool {
        name.address == self.me.address
            || name.resolved.iter().any(|socket| Address::from(*socket) == self.me.address)
    }

    pub(super) fn is_about_us(&self, record: &MembershipRecord) -> bool {
        match &record.key {
            Key::Node(node) => *node == self.me.node,
            Key::Address(address) => *address == self.me.address,
        }
    }

    /// Takes the epoch of a registration; tells whether it is a later one.
    pub(super) fn raise_epoch(&mut self, epoch: u64) -> bool {
        let is_later = epoch > self.me.epoch;
        self.me.epoch = self.me.epoch.max(epoch);
        is_later
    }

    /// Takes the identity that comes after ours and after `boot`; tells whether there is one.
    pub(super) fn take_next_boot(&mut self, boot: u64, epoch: u64) -> bool {
        let next = self.me.boot.max(boot).saturating_add(1);
        if next > BOOT_MAX {
            return false;
        }
        self.me.boot = next;
        self.raise_epoch(epoch);
        true
    }

    /// Goes on under a fresh origin.
    pub(super) fn take_origin(&mut self, origin: OriginId) {
        self.me.origin = origin;
    }

    /// Takes a fresh NodeId, since another process answers under ours: the former and the new one.
    pub(super) fn take_fresh(&mut self) -> (NodeId, NodeId) {
        let old = std::mem::replace(&mut self.me.node, NodeId(self.chance.next_u64()));
        (old, self.me.node)
    }

    /// Whether a process that is said to live under our NodeId is to be asked.
    pub(super) fn is_in_doubt(&self, other: &Identity, now: Time) -> bool {
        let is_kept = self.answered.is_some_and(|taken| now < taken + KEPT_AT_LEAST);
        self.is_elsewhere(other) && !is_kept
    }

    /// A process that was asked has answered; tells whether our NodeId is its.
    pub(super) fn is_taken_by(&mut self, answer: &Identity, now: Time) -> bool {
        let is_taken = self.is_elsewhere(answer);
        if is_taken {
            self.answered = Some(now);
        }
        is_taken
    }

    /// Whether this is another process that lives under our NodeId, and began before us: that of
    /// the disk of which ours is a copy.
    fn is_elsewhere(&self, other: &Identity) -> bool {
        other.node == self.me.node
            && other.address != self.me.address
            && other.origin != self.me.origin
            && other.order() < self.me.order()
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::super::tests::{BOOT, MS, address, identity, name};
    use super::*;
    use crate::identity::OriginId;

    fn own() -> OwnId {
        OwnId::new(identity(0), ChaCha8Rng::seed_from_u64(1))
    }

    /// Another process under node 0's id, which began before it.
    fn under_our_id() -> Identity {
        Identity { node: NodeId(0), boot: BOOT - 1, ..identity(5) }
    }

    #[test]
    fn an_id_that_was_just_taken_is_kept_for_a_minute() {
        let mut own = own();
        assert!(own.is_in_doubt(&under_our_id(), Time::ZERO));
        assert!(own.is_taken_by(&under_our_id(), Time::ZERO));
        assert!(!own.is_in_doubt(&under_our_id(), Time::ZERO + 59_999 * MS));
        assert!(own.is_in_doubt(&under_our_id(), Time::ZERO + 60_000 * MS));
    }

    #[test]
    fn only_another_process_elsewhere_that_began_before_us_has_our_id() {
        let other = under_our_id();
        for (is_ours, other) in [
            (true, other.clone()),
            (false, Identity { node: NodeId(1), ..other.clone() }),
            (false, Identity { address: address(0), ..other.clone() }),
            (false, Identity { origin: OriginId(0), ..other.clone() }),
            (false, Identity { boot: BOOT + 1, ..other }),
        ] {
            let mut own = own();
            assert_eq!(own.is_taken_by(&other, Time::ZERO), is_ours, "{other:?}");
            assert_eq!(own.answered.is_some(), is_ours);
        }
    }

    #[test]
    fn the_next_boot_comes_after_ours_and_after_what_others_know_while_there_is_one() {
        let mut own = own();
        assert!(own.take_next_boot(0, 0));
        assert_eq!((own.me().boot, own.me().epoch), (BOOT + 1, 0));
        assert!(own.take_next_boot(BOOT + 7, 3));
        assert_eq!((own.me().boot, own.me().epoch), (BOOT + 8, 3));
        assert!(own.take_next_boot(BOOT_MAX - 1, 1));
        assert_eq!((own.me().boot, own.me().epoch), (BOOT_MAX, 3));
        assert!(!own.take_next_boot(0, 9));
        assert_eq!((own.me().boot, own.me().epoch), (BOOT_MAX, 3));
    }

    #[test]
    fn a_fresh_id_is_another_one_and_all_else_stays() {
        let mut own = own();
        let (old, new) = own.take_fresh();
        assert_eq!(old, NodeId(0));
        assert_ne!(new, old);
        assert_eq!(*own.me(), Identity { node: new, ..identity(0) });
    }

    #[test]
    fn this_node_is_known_by_its_address_and_by_a_name_that_leads_to_it() {
        let own = own();
        let named = Address::parse("peers.example:8088", 1).unwrap();
        let resolved = PeerName { resolved: address(0).ip().into_iter().collect(), ..name(&named) };
        let unresolved = PeerName { resolved: Vec::new(), ..name(&address(0)) };
        assert!(own.is_named(&resolved) && own.is_named(&unresolved));
        assert!(!own.is_named(&name(&named)) && !own.is_named(&name(&address(1))));
    }
}
