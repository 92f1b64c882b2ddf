//! Nodes of which was only heard: each is announced to a few times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::Event;
use crate::identity::{Identity, NodeId, OriginId};
use crate::time::Time;
use crate::turn::Turn;

/// How often a rumour is announced to before it is forgotten, and the time between.
const RUMOUR_TRIES: u32 = 4;
const RUMOUR_EVERY: Duration = Duration::from_millis(250);

/// Rumours at one time. They come from beacons and hellos, whose number strangers choose.
pub(super) const RUMOURS_MAX: usize = 256;

#[derive(Debug)]
struct Rumour {
    identity: Identity,
    tries: u32,
    next: Time,
}

#[derive(Debug, Default)]
pub(super) struct Rumours {
    rumours: BTreeMap<NodeId, Rumour>,
    /// Starts that were reported as joining: one that calls for long and never answers is reported
    /// once. At most [`RUMOURS_MAX`].
    joining: BTreeSet<OriginId>,
}

impl Rumours {
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.rumours.values().map(|rumour| rumour.next).min()
    }

    /// A node is said to be there. `is_met`: it was a member before. Answers whether that is new.
    pub(super) fn hear(&mut self, identity: Identity, is_met: bool, turn: &mut Turn<'_>) -> bool {
        if self.rumours.contains_key(&identity.node) || self.rumours.len() >= RUMOURS_MAX {
            return false;
        }
        if !is_met {
            self.report_joining(&identity, turn);
        }
        self.note(identity, turn.now);
        true
    }

    /// Notes a node without a bound: for those that we met under our former NodeId, which are
    /// bounded as members are.
    pub(super) fn note(&mut self, identity: Identity, now: Time) {
        self.rumours.insert(identity.node, Rumour { identity, tries: 0, next: now });
    }

    fn report_joining(&mut self, identity: &Identity, turn: &mut Turn<'_>) {
        if self.joining.len() == RUMOURS_MAX {
            self.joining.clear();
        }
        if self.joining.insert(identity.origin) {
            turn.event(Event::PeerJoining(identity.address.to_string()));
        }
    }

    /// The nodes that are to be announced to now.
    pub(super) fn due(&mut self, now: Time) -> Vec<Identity> {
        let mut due = Vec::new();
        self.rumours.retain(|_, rumour| {
            if rumour.next > now {
                return true;
            }
            if rumour.tries >= RUMOUR_TRIES {
                return false;
            }
            rumour.tries += 1;
            rumour.next = now + RUMOUR_EVERY * rumour.tries;
            due.push(rumour.identity.clone());
            true
        });
        due
    }

    /// SWIM has found out how the node is.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.rumours.remove(&node);
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&Identity) -> bool) {
        self.rumours.retain(|_, rumour| is_kept(&rumour.identity));
    }

    pub(super) fn clear(&mut self) {
        self.rumours.clear();
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.rumours.values().map(|rumour| &rumour.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Driver, MS, address, events, identity};
    use super::*;

    fn hear(rumours: &mut Rumours, identity: Identity, is_met: bool) -> (bool, Vec<Event>) {
        let (is_new, effects) = Driver::default().turn(|turn| rumours.hear(identity, is_met, turn));
        (is_new, events(effects))
    }

    #[test]
    fn a_node_that_is_only_heard_of_is_announced_to_four_times() {
        let mut rumours = Rumours::default();
        assert!(hear(&mut rumours, identity(3), false).0);
        let mut announced = Vec::new();
        for ms in 0..5_000 {
            let due = rumours.due(Time::ZERO + ms * MS);
            assert!(due.is_empty() || due == [identity(3)]);
            announced.extend((!due.is_empty()).then_some(ms));
        }
        assert_eq!(announced, [0, 250, 750, 1500]);
        assert_eq!((rumours.next_deadline(), rumours.identities().count()), (None, 0));
    }

    #[test]
    fn rumours_are_bounded_and_each_is_heard_once() {
        let mut rumours = Rumours::default();
        for n in 0..RUMOURS_MAX as u64 + 10 {
            let is_new = hear(&mut rumours, identity(100 + n), false).0;
            assert_eq!(is_new, n < RUMOURS_MAX as u64);
            let elsewhere = Identity { address: address(99), ..identity(100 + n) };
            assert!(!hear(&mut rumours, elsewhere, false).0);
        }
        assert_eq!(rumours.identities().count(), RUMOURS_MAX);
        assert_eq!(rumours.identities().next(), Some(&identity(100)));
    }

    #[test]
    fn a_start_that_joins_is_reported_once_and_one_that_was_met_is_not() {
        let mut rumours = Rumours::default();
        let joining = Event::PeerJoining(address(3).to_string());
        assert_eq!(hear(&mut rumours, identity(3), false).1, [joining]);
        rumours.clear();
        assert_eq!(hear(&mut rumours, identity(3), false), (true, vec![]));
        assert_eq!(hear(&mut rumours, identity(4), true), (true, vec![]));
    }

    #[test]
    fn what_is_settled_of_a_node_ends_its_rumour_and_no_other() {
        let mut rumours = Rumours::default();
        for n in 2..6 {
            hear(&mut rumours, identity(n), false);
        }
        rumours.forget(NodeId(2));
        rumours.retain(|identity| identity.node != NodeId(4));
        let left: Vec<u64> = rumours.identities().map(|identity| identity.node.0).collect();
        assert_eq!(left, [3, 5]);
    }
}
