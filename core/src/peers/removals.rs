//! Removals: no node meets a removed one, here or anywhere, until it is registered again (rule
//! `removed-stays-removed`).
//!
//! It is sent its records when it speaks, since it cannot know: from then on it keeps away by
//! itself.

use std::collections::BTreeMap;

use super::registry::Registry;
use crate::absence::Absentee;
use crate::effect::Destination;
use crate::event::Event;
use crate::identity::{EPOCH_MAX, Identity, NodeId};
use crate::limit::RateLimit;
use crate::membership::{Key, MembershipRecord, PeersRefusal};
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::datagram::{Datagram, Envelope};

/// Notices to removed nodes in a second.
const NOTICES_PER_SECOND: u32 = 10;

/// The records of removals and registrations, and who is to know of them.
#[derive(Debug)]
pub(super) struct Removals {
    registry: Registry,
    /// The removals that no operator asked for: of nodes that were away, by their epochs.
    absences: BTreeMap<NodeId, u64>,
    envelope: Envelope,
    /// A time, and what a wall clock showed then, in milliseconds.
    clock: (Time, u64),
    notices: RateLimit,
}

impl Removals {
    pub(super) fn new(envelope: Envelope, clock_ms: u64, now: Time) -> Self {
        let notices = RateLimit::new(NOTICES_PER_SECOND, NOTICES_PER_SECOND, now);
        let (registry, absences) = (Registry::default(), BTreeMap::new());
        Removals { registry, absences, envelope, clock: (now, clock_ms), notices }
    }

    /// Takes over the records of an earlier start.
    pub(super) fn recover(&mut self, registry: Registry) {
        self.registry = registry;
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Takes as many removals from operators at most.
    pub(super) fn limit(&mut self, removals: usize) {
        self.registry.limit_removals(removals);
    }

    pub(super) fn is_removed(&self, identity: &Identity) -> bool {
        self.registry.is_removed(identity)
    }

    /// A node was removed because it was away: the record of it, if that is new here.
    pub(super) fn remove_absent(&mut self, absentee: &Absentee) -> Option<MembershipRecord> {
        let Absentee { member, removed } = *absentee;
        self.absences.insert(member.node, removed);
        let known = self.registry.of(&Key::Node(member.node));
        let record = MembershipRecord { removed: removed.max(known.removed), ..known };
        self.registry.merge(&record).then_some(record)
    }

    /// The epoch of a removal that comes after all that is known of a node.
    pub(super) fn next_epoch(&self, node: NodeId, identity: Option<&Identity>, now: Time) -> u64 {
        let known = self.registry.of(&Key::Node(node));
        let of_identity =
            identity.map_or(0, |identity| self.epoch_of(identity).max(identity.epoch));
        let last = known.removed.max(known.registered).max(of_identity);
        self.clock_ms(now).min(EPOCH_MAX).max(last.saturating_add(1))
    }

    /// Whether a node is out because it was away, and no operator wants it out (rule
    /// `met-again-is-back`).
    pub(super) fn is_absent(&self, identity: &Identity) -> bool {
        let of_node = self.registry.of(&Key::Node(identity.node));
        let of_address = self.registry.of(&Key::Address(identity.address.clone()));
        self.is_removed(identity)
            && of_node.is_removed()
            && self.absences.get(&identity.node) == Some(&of_node.removed)
            && of_address.removed <= of_address.registered.max(identity.epoch)
    }

    /// Whether this node, which is `me`, and another one must not meet: either is removed.
    pub(super) fn bars(&self, me: &Identity, other: &Identity) -> bool {
        self.is_removed(me) || self.is_removed(other)
    }

    /// The epoch that a node has since its removal was lifted; 0 if it never was.
    pub(super) fn epoch_of(&self, identity: &Identity) -> u64 {
        self.registry.epoch_of(identity.node, &identity.address)
    }

    /// Whether the last word on any of these is a removal.
    pub(super) fn is_any_removed(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.registry.of(key).is_removed())
    }

    /// The records of a node and of its address.
    pub(super) fn records_of(&self, identity: &Identity) -> Vec<MembershipRecord> {
        vec![
            self.registry.of(&Key::Node(identity.node)),
            self.registry.of(&Key::Address(identity.address.clone())),
        ]
    }

    /// An operator removes nodes: the records that say so.
    ///
    /// # Errors
    /// See [`Registry::remove`].
    pub(super) fn remove(
        &mut self,
        identities: &[Identity],
        now: Time,
    ) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        self.registry.remove(identities, self.clock_ms(now))
    }

    /// An operator registers what these are about: the records of the removals that this lifts.
    /// `seen` is the largest epoch under which the nodes that it concerns have been seen.
    pub(super) fn lift(&mut self, keys: &[Key], seen: u64, now: Time) -> Vec<MembershipRecord> {
        self.registry.register(keys, seen, self.clock_ms(now))
    }

    /// Merges records that others hold: those that are new here.
    pub(super) fn merge(
        &mut self,
        records: &[MembershipRecord],
        turn: &mut Turn<'_>,
    ) -> Vec<MembershipRecord> {
        let (sane, others): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.is_sane());
        turn.totals.records_refused += others.len() as u64;
        sane.into_iter().filter(|record| self.registry.merge(record)).cloned().collect()
    }

    /// Reports the removal of a member that is up, and sends it its records.
    pub(super) fn report_removed(&mut self, member: &Identity, turn: &mut Turn<'_>) {
        let record = self.registry.of(&Key::Node(member.node));
        turn.event(Event::PeerRemoved(record));
        self.notify(member, Destination::Address(member.address.clone()), turn);
    }

    /// Reports registrations that lift removals, and sends them to the address.
    pub(super) fn report_lifted(
        &mut self,
        lifted: &[MembershipRecord],
        to: Destination,
        turn: &mut Turn<'_>,
    ) {
        for record in lifted {
            turn.event(Event::PeerRegistered(record.clone()));
        }
        if !lifted.is_empty() {
            turn.datagram(to, self.envelope.seal(&Datagram::Membership(lifted.to_vec())));
        }
    }

    /// Sends a node its own records, so that it knows why no other node talks to it, or that it may
    /// return.
    pub(super) fn notify(&mut self, identity: &Identity, to: Destination, turn: &mut Turn<'_>) {
        if self.notices.allow(turn.now) {
            let notice = Datagram::Membership(self.records_of(identity));
            turn.datagram(to, self.envelope.seal(&notice));
        }
    }

    /// Sends a node what it has missed. Two things may have been said only once, and lost. A node
    /// that was registered again has not heard of it: it would keep away for ever. Or we, who are
    /// `me`, were removed, and the nodes that knew are gone: the others would talk to a node that
    /// refuses them, and find nothing to lift when it is registered.
    pub(super) fn remind(
        &mut self,
        me: &Identity,
        identity: &Identity,
        to: Destination,
        turn: &mut Turn<'_>,
    ) {
        if self.is_removed(me) {
            self.notify(me, to, turn);
        } else if self.epoch_of(identity) > identity.epoch {
            self.notify(identity, to, turn);
        }
    }

    /// What a wall clock shows, as far as the one was right that the start was handed.
    fn clock_ms(&self, now: Time) -> u64 {
        let (then, ms) = self.clock;
        let passed = u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
        ms.saturating_add(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOOT, Driver, MS, address, identity, removal, sent};
    use super::*;
    use crate::membership::RECORD_EPOCH_MAX;

    fn removals() -> Removals {
        Removals::new(Envelope::new("c", None), BOOT, Time::ZERO)
    }

    fn to(n: u64) -> Destination {
        Destination::Address(address(n))
    }

    #[test]
    fn removals_and_registrations_have_the_time_of_the_clock() {
        let mut removals = removals();
        let records = removals.remove(&[identity(2)], Time::ZERO + 5 * MS).unwrap();
        assert!(records.iter().all(|record| record.removed == BOOT + 5), "{records:?}");
        let keys = [Key::Node(NodeId(2))];
        assert!(removals.is_any_removed(&keys) && removals.bars(&identity(0), &identity(2)));
        let lifted = removals.lift(&keys, 0, Time::ZERO + 7 * MS);
        assert_eq!(lifted[0].registered, BOOT + 7);
        assert_eq!(removals.epoch_of(&identity(2)), BOOT + 7);
    }

    #[test]
    fn only_new_records_are_news_and_those_beyond_all_epochs_are_refused() {
        let (mut removals, mut driver) = (removals(), Driver::default());
        let ours = removal(Key::Node(NodeId(0)));
        let beyond = MembershipRecord { removed: RECORD_EPOCH_MAX + 1, ..ours.clone() };
        let records = [ours.clone(), beyond];
        assert_eq!(driver.turn(|turn| removals.merge(&records, turn)).0, [ours]);
        assert_eq!(driver.turn(|turn| removals.merge(&records, turn)).0, []);
        assert_eq!(driver.totals.records_refused, 2);
        assert!(removals.bars(&identity(0), &identity(2)), "we are removed");
    }

    #[test]
    fn a_node_is_sent_what_it_missed_and_ours_if_we_are_removed() {
        let (mut removals, mut driver) = (removals(), Driver::default());
        let (me, peer) = (identity(0), identity(2));
        let reminds = |removals: &mut Removals, driver: &mut Driver| {
            let (_, effects) = driver.turn(|turn| removals.remind(&me, &peer, to(2), turn));
            sent(&effects).len()
        };
        assert_eq!(reminds(&mut removals, &mut driver), 0, "it missed nothing");
        let registered = MembershipRecord { registered: 9, ..removal(Key::Address(address(2))) };
        driver.turn(|turn| removals.merge(&[registered], turn));
        assert_eq!(reminds(&mut removals, &mut driver), 1);
        driver.turn(|turn| removals.merge(&[removal(Key::Node(NodeId(0)))], turn));
        assert_eq!(reminds(&mut removals, &mut driver), 1);
    }

    #[test]
    fn notices_are_sent_at_a_rate_and_a_registration_whenever_it_lifts_a_removal() {
        let (mut removals, mut driver) = (removals(), Driver::default());
        let (_, effects) = driver.turn(|turn| {
            (0..100).for_each(|_| removals.notify(&identity(2), to(2), turn));
            removals.report_lifted(&[removal(Key::Node(NodeId(2)))], to(3), turn);
            removals.report_lifted(&[], to(4), turn);
        });
        let sent = sent(&effects);
        assert_eq!(sent.len(), NOTICES_PER_SECOND as usize + 1);
        assert_eq!(sent.last(), Some(&(to(3), true)));
    }
}
