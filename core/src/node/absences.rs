//! What a node does about members that are away: it watches them, says which members it knows, agrees
//! that one is removed, and takes back who is met again. What is to be said next `absentees::judge`
//! says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::Node;
use super::config::RemovesAfter;
use crate::absence::{AbsenceEntry, Absentee};
use crate::absentees::Absences;
use crate::absentees::judge::View;
use crate::absentees::ledger::hash_of_list;
use crate::absentees::quorum::Share;
use crate::event::Event;
use crate::identity::NodeId;
use crate::input::LinkId;
use crate::membership::Key;
use crate::outbox::Effects;
use crate::settlement::Voter;
use crate::status::{AbsentPhase, AbsentStatus};
use crate::time::Time;
use crate::wire::frame::Message;
use crate::wire::versions::ABSENCES_SINCE;

/// The time between looks at who is away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What one look adds to a member's absence at most: a process that was stopped, or whose machine slept,
/// has seen nothing meanwhile (rule `away-by-ones-own-clock`).
const SEEN_A_LOOK_MAX: Duration = Duration::from_secs(2);

/// The time between calls of one node, and up to twice as long: a call is answered within two syncs of
/// every member, and each costs every member a record.
const CALL_EVERY: Duration = Duration::from_secs(10);

/// Entries in one frame: a common list of as many members as there may be is 80 KiB.
const ENTRIES_A_FRAME: usize = 64;

/// See the file.
#[derive(Debug)]
pub(super) struct Absentees {
    records: Absences,
    times: RemovesAfter,
    chance: ChaCha8Rng,
    /// For how long each member that does not answer was seen not to.
    away: BTreeMap<NodeId, Duration>,
    looked: Time,
    /// The links on which all was told, with the list that was told last.
    told: BTreeMap<LinkId, Option<u64>>,
    /// The lists of the peers at the other ends.
    rolls: BTreeMap<LinkId, u64>,
    call_from: Time,
    has_news: bool,
}

impl Absentees {
    pub(super) fn new(
        records: Absences,
        times: RemovesAfter,
        chance: ChaCha8Rng,
        now: Time,
    ) -> Self {
        Absentees {
            records,
            times,
            chance,
            away: BTreeMap::new(),
            looked: now,
            told: BTreeMap::new(),
            rolls: BTreeMap::new(),
            call_from: now,
            has_news: false,
        }
    }

    pub(super) fn records(&self) -> &Absences {
        &self.records
    }

    pub(super) fn next_deadline(&self) -> Time {
        if self.has_news { Time::ZERO } else { self.looked + LOOK_EVERY }
    }

    pub(super) fn link_down(&mut self, link: LinkId) {
        self.told.remove(&link);
        self.rolls.remove(&link);
    }

    /// After which time a member that is away is removed, if ever.
    fn removes_after(&self, node: NodeId) -> Option<Duration> {
        let is_in_memory = self.records.is_in_memory(node);
        if is_in_memory { Some(self.times.in_memory) } else { self.times.on_disk }
    }

    /// The members that it has seen away for as long as it takes.
    fn absent(&self) -> BTreeSet<NodeId> {
        let is_over = |(node, away): &(&NodeId, &Duration)| {
            self.removes_after(**node).is_some_and(|after| **away >= after)
        };
        self.away.iter().filter(is_over).map(|(node, _)| *node).collect()
    }
}

impl Node {
    /// What is known of members that are away, for those who look at a node from outside of the protocol.
    pub fn absence_entries(&self) -> impl Iterator<Item = AbsenceEntry> + '_ {
        self.absentees.records.entries()
    }

    /// All members, this node among them. Sorted.
    fn roll(&self) -> Vec<Voter> {
        let registry = self.peers.registry();
        let voter = |node| Some(Voter { node, epoch: registry.epoch_of_member(node)? });
        let members = self.settlements.ledger().members().chain([self.peers.me().node]);
        let mut list: Vec<Voter> = members.filter_map(voter).collect();
        list.sort_unstable();
        list.dedup();
        list
    }

    /// Whether a member gives any sign of life.
    fn answers(&self, node: NodeId) -> bool {
        node == self.peers.me().node
            || self.peers.up_member(node).is_some()
            || self.links.to_peer(node).is_some()
    }

    /// The members with whom this node can agree on anything now, itself included.
    fn in_touch(&self, list: &[Voter]) -> BTreeSet<NodeId> {
        let me = self.peers.me().node;
        let is_told = |node: NodeId| {
            let link = self.links.to_peer(node);
            link.is_some_and(|link| self.absentees.told.contains_key(&link))
        };
        let nodes = list.iter().map(|voter| voter.node);
        nodes.filter(|node| *node == me || is_told(*node)).collect()
    }

    /// Does what is due about members that are away.
    pub(super) fn watch_absent(&mut self, now: Time, effects: &mut Effects) {
        if self.absentees.next_deadline() > now {
            return;
        }
        self.absentees.has_news = false;
        if self.absentees.looked + LOOK_EVERY <= now {
            self.look_for_absent(now);
        }
        if !self.settlements.takes_part() || self.peers.am_removed() {
            // What it says of others might be lost, or is no member's word.
            return;
        }
        let me = self.peers.me().node;
        if !self.journal.is_kept() && !self.absentees.records.is_in_memory(me) {
            self.note_absence(now, None, &AbsenceEntry::InMemory(me), effects);
        }
        self.tell_roll(now, effects);
        self.share_list(now, effects);
        self.act_on_absence(now, effects);
    }

    /// Adds to the time for which each member was seen away.
    fn look_for_absent(&mut self, now: Time) {
        let passed = now.since(self.absentees.looked).min(SEEN_A_LOOK_MAX);
        self.absentees.looked = now;
        let list = self.roll();
        let away: BTreeSet<NodeId> =
            list.iter().map(|voter| voter.node).filter(|node| !self.answers(*node)).collect();
        self.absentees.away.retain(|node, _| away.contains(node));
        for node in away {
            *self.absentees.away.entry(node).or_default() += passed;
        }
        let registry = self.peers.registry();
        let is_removed = |node: NodeId| registry.of(&Key::Node(node)).is_removed();
        self.absentees.records.forget(is_removed);
    }

    /// Tells every peer which members this node knows, when that has changed (rule `common-list`).
    fn tell_roll(&mut self, now: Time, effects: &mut Effects) {
        let hash = hash_of_list(&self.roll());
        let told = self.absentees.told.iter_mut().filter(|(_, told)| **told != Some(hash));
        let links: Vec<LinkId> = told
            .map(|(link, told)| {
                *told = Some(hash);
                *link
            })
            .collect();
        if !links.is_empty() {
            effects.turn(now, &mut self.totals).frame_after_sync(links, &Message::Roll(hash));
        }
    }

    /// Takes down that all members have said that they know the same list.
    fn share_list(&mut self, now: Time, effects: &mut Effects) {
        let (list, me) = (self.roll(), self.peers.me().node);
        let hash = hash_of_list(&list);
        let has_said = |voter: &Voter| {
            let link = self.links.to_peer(voter.node);
            voter.node == me
                || link.is_some_and(|link| self.absentees.rolls.get(&link) == Some(&hash))
        };
        // A list of one says nothing that others could rely on, and its node may never be met again.
        if list.len() >= 2 && list.iter().all(has_said) {
            self.note_absence(now, None, &AbsenceEntry::Common(list), effects);
        }
    }

    /// Says all that there is to say about the next removal.
    fn act_on_absence(&mut self, now: Time, effects: &mut Effects) {
        while let Some(entry) = self.on_absence(|view| view.next()) {
            self.note_absence(now, None, &entry, effects);
        }
        if now < self.absentees.call_from {
            return;
        }
        let Some(member) = self.on_absence(|view| view.candidate()) else { return };
        let jitter = f64::from(self.absentees.chance.next_u32()) / f64::from(u32::MAX);
        self.absentees.call_from = now + CALL_EVERY.mul_f64(1.0 + jitter);
        let removed = self.peers.next_epoch(member.node, now).max(member.epoch + 1);
        let call = self.on_absence(|view| view.call(Absentee { member, removed }));
        self.note_absence(now, None, &AbsenceEntry::Call(call), effects);
        self.absentees.has_news = true;
    }

    fn on_absence<T>(&self, judge: impl FnOnce(&View<'_>) -> T) -> T {
        let list = self.roll();
        let (there, absent) = (self.in_touch(&list), self.absentees.absent());
        judge(&View {
            me: self.peers.me().node,
            absences: &self.absentees.records,
            list: &list,
            there: &there,
            absent: &absent,
            #[cfg(feature = "planted-bugs")]
            bug: self.counters.bug,
        })
    }

    /// Takes down what this node or another says; if it is new it is kept, passed on and carried out.
    fn note_absence(
        &mut self,
        now: Time,
        from: Option<LinkId>,
        entry: &AbsenceEntry,
        effects: &mut Effects,
    ) {
        let registry = self.peers.registry();
        if let AbsenceEntry::InMemory(node) = entry
            && registry.of(&Key::Node(*node)).is_removed()
        {
            return;
        }
        if !self.absentees.records.merge(entry, |voter| registry.is_member(voter)) {
            return;
        }
        self.absentees.has_news = true;
        self.journal.add_absence(entry, effects);
        let told = self.absentees.told.keys().copied();
        let links: Vec<LinkId> = told.filter(|link| Some(*link) != from).collect();
        if !links.is_empty() {
            let turn = &mut effects.turn(now, &mut self.totals);
            turn.frame_after_sync(links, &Message::Absences(vec![entry.clone()]));
        }
        if let AbsenceEntry::Removal(removal) = entry {
            // The next one need not wait.
            self.absentees.call_from = now;
            self.remove_absent(now, &removal.absentee, effects);
        }
    }

    /// A majority has agreed that a member is removed.
    fn remove_absent(&mut self, now: Time, absentee: &Absentee, effects: &mut Effects) {
        let turn = &mut effects.turn(now, &mut self.totals);
        let Some(record) = self.peers.remove_absent(absentee, turn) else { return };
        let node = absentee.member.node;
        let address = self.peers.address_of(node).cloned();
        turn.totals.absent_removed += 1;
        turn.event(Event::AbsentRemoved { node, address });
        self.pass_on_memberships(now, &[record], effects);
    }

    /// A node has spoken that was removed because it was away (rule `met-again-is-back`).
    pub(super) fn take_back(&mut self, now: Time, node: NodeId, effects: &mut Effects) {
        #[cfg(feature = "planted-bugs")]
        if self.has(crate::bug::Bug::AbsenteesStayOut) {
            return;
        }
        let turn = &mut effects.turn(now, &mut self.totals);
        let lifted = self.peers.take_back(node, turn);
        if lifted.is_empty() {
            return;
        }
        turn.totals.absent_back += 1;
        turn.event(Event::AbsentBack { node });
        self.pass_on_memberships(now, &lifted, effects);
    }

    /// A link stands on which removals for absence are spoken of.
    pub(super) fn begin_absences(&mut self, now: Time, link: LinkId, effects: &mut Effects) {
        if self.links.version(link) >= ABSENCES_SINCE {
            let hash = self.absentees.records.hash();
            let turn = &mut effects.turn(now, &mut self.totals);
            turn.frame_after_sync(vec![link], &Message::AbsenceHash(hash));
        }
    }

    /// What a peer says of members that are away.
    pub(super) fn absence_message(
        &mut self,
        now: Time,
        link: LinkId,
        message: Message<'_>,
        effects: &mut Effects,
    ) {
        match message {
            Message::AbsenceHash(hash) => self.tell_absences(now, link, hash, effects),
            Message::Absences(entries) => {
                for entry in &entries {
                    self.hear_absence(now, link, entry, effects);
                }
            }
            Message::Roll(hash) => {
                self.absentees.rolls.insert(link, hash);
                self.absentees.has_news = true;
            }
            _ => {}
        }
    }

    /// Tells a peer what it lacks, and from then on what is new.
    fn tell_absences(&mut self, now: Time, link: LinkId, hash: u64, effects: &mut Effects) {
        if hash != self.absentees.records.hash() {
            let entries: Vec<AbsenceEntry> = self.absentees.records.entries().collect();
            let turn = &mut effects.turn(now, &mut self.totals);
            for entries in entries.chunks(ENTRIES_A_FRAME) {
                turn.frame_after_sync(vec![link], &Message::Absences(entries.to_vec()));
            }
        }
        self.absentees.told.insert(link, None);
        self.absentees.has_news = true;
    }

    fn hear_absence(
        &mut self,
        now: Time,
        link: LinkId,
        entry: &AbsenceEntry,
        effects: &mut Effects,
    ) {
        let me = self.peers.me().node;
        // No peer is believed about this node's own word.
        if !matches!(entry, AbsenceEntry::Stance(stance) if stance.voter.node == me) {
            self.note_absence(now, Some(link), entry, effects);
        }
    }

    /// The members that are away, and what becomes of each.
    pub(super) fn absent_status(&self) -> Vec<AbsentStatus> {
        let share = self.on_absence(|view| view.attainable());
        let Share { agreed, of } = share.unwrap_or(Share { agreed: 0, of: 0 });
        let status = |(node, away): (&NodeId, &Duration)| {
            let removed_after = self.absentees.removes_after(*node);
            let phase = match (removed_after, share) {
                (None, _) => AbsentPhase::Kept,
                (Some(after), _) if *away < after => AbsentPhase::Watched,
                (_, None) => AbsentPhase::NoCommonList,
                (_, Some(share)) if !share.is_majority() => AbsentPhase::NoMajority,
                _ => AbsentPhase::Deciding,
            };
            AbsentStatus {
                node: *node,
                address: self.peers.address_of(*node).cloned(),
                in_memory: self.absentees.records.is_in_memory(*node),
                away: *away,
                removed_after,
                phase,
                agreed,
                of,
            }
        };
        self.absentees.away.iter().map(status).collect()
    }
}
