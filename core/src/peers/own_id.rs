//! Whose our NodeId is: what follows when another process is said to live under it.
//!
//! Such a call may come from the process of which our disk is a copy (rule `one-node-one-process`).
//! Or a stranger plays what our former life called at another address, or invents it. So a call is
//! believed in nothing: the address is asked with a number that nobody could know before, and only
//! an answer to that has us take a fresh id. A removed node never does: its removal would not be
//! found.

use std::time::Duration;

use rand_core::Rng;

use super::asks::{Ask, Reason};
use super::rumours::Rumour;
use super::{Change, Peers, new_swim};
use crate::effect::{Destination, Effect};
use crate::event::Event;
use crate::identity::{Address, Identity, NodeId};
use crate::time::Time;

/// How long after the call it is asked. The copy of a removed node's disk may hear its original
/// before it hears that it is removed; those who know tell it within this time.
const DOUBT_AFTER: Duration = Duration::from_millis(500);

/// How long it is asked.
const DOUBT_PATIENCE: Duration = Duration::from_millis(2500);

/// Addresses that are asked for this reason at one time. Strangers choose them, and what is sent
/// there: two kilobytes a second to all of them.
const DOUBTS_MAX: usize = 4;

/// How long an id that was taken because of an answer is not given up for another one. Without a
/// secret a stranger can answer under any id, and each change costs all links.
const KEPT_AT_LEAST: Duration = Duration::from_secs(60);

impl Peers {
    /// Someone is said to live under our NodeId.
    pub(super) fn meet_our_id(&mut self, now: Time, other: &Identity, out: &mut Vec<Effect>) {
        if self.am_removed() {
            // A copy that does not know it would take itself for a node of its own.
            let me = self.me.clone();
            self.notify(now, &me, Destination::Address(other.address.clone()), out);
        } else if self.is_ours_elsewhere(other) {
            self.doubt(now, &other.address);
        }
    }

    fn doubt(&mut self, now: Time, address: &Address) {
        let is_kept = self.id_answered.is_some_and(|taken| now < taken + KEPT_AT_LEAST);
        let mut doubts = self.asks.iter().filter(|ask| matches!(ask.reason, Reason::OurId { .. }));
        let is_asked = doubts.any(|ask| ask.address == *address);
        let doubts = self.asks.iter().filter(|ask| matches!(ask.reason, Reason::OurId { .. }));
        if is_kept || is_asked || doubts.count() >= DOUBTS_MAX {
            return;
        }
        let reason = Reason::OurId { until: now + DOUBT_AFTER + DOUBT_PATIENCE };
        let given = address.as_str().to_owned();
        self.asks.push(Ask::new(given, address.clone(), reason, now + DOUBT_AFTER));
    }

    /// The address at which someone was said to live under our NodeId has answered.
    pub(super) fn judge_doubt(&mut self, now: Time, answer: &Identity) {
        if self.is_ours_elsewhere(answer) && !self.am_removed() {
            self.id_answered = Some(now);
            self.changes.push(Change::IdInUse);
        }
    }

    /// Whether this is another process that lives under our NodeId, and began before us: that of
    /// the disk of which ours is a copy.
    fn is_ours_elsewhere(&self, other: &Identity) -> bool {
        other.node == self.me.node
            && other.address != self.me.address
            && other.origin != self.me.origin
            && other.order() < self.me.order()
    }

    /// Another process answers under our NodeId: starts over under a fresh one.
    pub fn take_fresh_id(&mut self, now: Time, out: &mut Vec<Effect>) {
        let old = self.me.node;
        self.me.node = NodeId(self.chance.next_u64());
        // A new instance: changing the identity of this one would declare the other process down.
        self.swim = new_swim(&self.me, &mut self.chance);
        self.timers.clear();
        let known: Vec<Identity> = self.peers.values().map(|peer| peer.identity.clone()).collect();
        self.peers.clear();
        for identity in known {
            self.rumours.insert(identity.node, Rumour { identity, tries: 0, next: now });
        }
        out.push(Effect::Event(Event::NodeIdTaken { old, new: self.me.node }));
    }
}
