//! Removals: a removed node is met by nobody, here or anywhere, until it is registered again (rule
//! `removed-stays-removed`).
//!
//! It is told so when it speaks, since it cannot know: from then on it keeps away by itself.

use super::{Change, Peers};
use crate::effect::{Destination, Effect};
use crate::event::Event;
use crate::identity::{Identity, NodeId};
use crate::membership::{Key, MembershipRecord, PeersRefusal};
use crate::query::PeerName;
use crate::status::Totals;
use crate::time::Time;
use crate::wire::datagram::Datagram;

/// Notices to removed nodes in a second.
pub(super) const NOTICES_PER_SECOND: u32 = 10;

impl Peers {
    /// An operator removes a peer: the records that must be journaled and told to others.
    ///
    /// # Errors
    /// See [`Registry::remove`](crate::peers::registry::Registry::remove).
    pub fn remove(
        &mut self,
        now: Time,
        name: &PeerName,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        if self.is_me(name) {
            return Ok(Vec::new());
        }
        self.asks.retain(|ask| !ask.is_registration() || ask.address != name.address);
        let found: Vec<Identity> = self
            .found(name)
            .filter(|peer| !self.registry.is_removed(&peer.identity))
            .map(|peer| peer.identity.clone())
            .collect();
        let records = self.registry.remove(&found, self.clock_ms(now))?;
        self.drop_removed(now, totals, out);
        Ok(records)
    }

    /// Has as many nodes removed at most.
    pub(crate) fn limit_removals(&mut self, removals: usize) {
        self.registry.limit_removals(removals);
    }

    /// What a wall clock shows, as far as the one is right that the start was told of.
    pub(super) fn clock_ms(&self, now: Time) -> u64 {
        let (then, ms) = self.clock;
        let passed = u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
        ms.saturating_add(passed)
    }

    /// Merges records that others hold; those that were new here must be journaled and passed on.
    pub fn merge_memberships(
        &mut self,
        now: Time,
        records: &[MembershipRecord],
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) -> Vec<MembershipRecord> {
        let was_removed = self.am_removed();
        let (sane, nobodys): (Vec<_>, Vec<_>) = records.iter().partition(|said| said.is_sane());
        totals.records_refused += nobodys.len() as u64;
        let news: Vec<MembershipRecord> =
            sane.into_iter().filter(|record| self.registry.merge(record)).cloned().collect();
        if news.is_empty() {
            return news;
        }
        self.drop_removed(now, totals, out);
        let mine = |membership: &&MembershipRecord| match &membership.key {
            Key::Node(node) => *node == self.me.node,
            Key::Address(address) => *address == self.me.address,
        };
        if self.am_removed()
            && !was_removed
            && let Some(membership) = news.iter().find(mine)
        {
            out.push(Effect::Event(Event::RemovedOurselves(membership.clone())));
        }
        let epoch = self.registry.epoch_of(self.me.node, &self.me.address);
        if !self.am_removed() && self.me.epoch < epoch {
            self.take_next_boot(now, 0, totals, out);
        }
        news
    }

    /// Ends the membership of whoever the registry now holds for removed.
    fn drop_removed(&mut self, now: Time, totals: &mut Totals, out: &mut Vec<Effect>) {
        let removed: Vec<(Identity, bool)> = self
            .peers
            .values()
            .filter(|peer| self.registry.is_removed(&peer.identity))
            .map(|peer| (peer.identity.clone(), peer.is_up))
            .collect();
        for (identity, is_up) in removed {
            if is_up {
                let membership = self.registry.of(&Key::Node(identity.node));
                out.push(Effect::Event(Event::PeerRemoved(membership)));
                let to = Destination::Address(identity.address.clone());
                self.notify(now, &identity, to, out);
                self.declare_down(identity);
            }
        }
        // A link outlives its peer's being down, so one may stand to a peer that was not up.
        self.changes.push(Change::Removal);
        self.rumours.retain(|_, rumour| !self.registry.is_removed(&rumour.identity));
        self.flush(now, totals, out);
    }

    /// Whether no link to this identity may stand: it is removed, or we are.
    pub(crate) fn bars(&self, identity: &Identity) -> bool {
        self.am_removed() || self.registry.is_removed(identity)
    }

    /// The same for a node of which no more is known than its id.
    pub(crate) fn bars_node(&self, node: NodeId) -> bool {
        let known = self.peers.get(&node);
        self.am_removed() || known.is_some_and(|peer| self.registry.is_removed(&peer.identity))
    }

    /// The records of a node and of its address.
    pub(crate) fn memberships_of(&self, identity: &Identity) -> Vec<MembershipRecord> {
        vec![
            self.registry.of(&Key::Node(identity.node)),
            self.registry.of(&Key::Address(identity.address.clone())),
        ]
    }

    /// Tells a node how it stands, so that it knows why nobody talks to it, or that it may return.
    pub(super) fn notify(
        &mut self,
        now: Time,
        identity: &Identity,
        to: Destination,
        out: &mut Vec<Effect>,
    ) {
        if self.notices.allow(now) {
            let notice = Datagram::Membership(self.memberships_of(identity));
            out.push(Effect::Datagram { to, bytes: self.envelope.seal(&notice) });
        }
    }

    /// Two things may have been said only once, and lost. A node that was registered again has not
    /// heard of it: it would keep away for ever. Or we were removed, and those who knew are gone:
    /// the others would talk to a node that refuses them, and find nothing to lift when it is
    /// registered.
    pub(super) fn tell_what_it_missed(
        &mut self,
        now: Time,
        identity: &Identity,
        to: Destination,
        out: &mut Vec<Effect>,
    ) {
        if self.am_removed() {
            let me = self.me.clone();
            self.notify(now, &me, to, out);
        } else if self.registry.epoch_of(identity.node, &identity.address) > identity.epoch {
            self.notify(now, identity, to, out);
        }
    }
}
