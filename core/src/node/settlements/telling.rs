//! What is said of settlements on links: all of it before any of the table flows (rule
//! `told-before-data`), then each record when it is new; and under which origin a node goes on.

use crate::event::Event;
use crate::identity::{Identity, NodeId, OriginId};
use crate::input::LinkId;
use crate::membership::{Key, MembershipRecord};
use crate::node::Node;
use crate::outbox::Effects;
use crate::settlement::Entry;
use crate::time::Time;
use crate::wire::frame::{Goodbye, Message};
use crate::wire::versions::{PROTOCOL_VERSIONS, SETTLEMENTS_SINCE};

/// Entries in one frame, and bytes of them about.
const ENTRIES_A_FRAME: usize = 256;
const BYTES_A_FRAME: usize = 256 << 10;

/// How far a link has come with telling of settlements.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) peer: Identity,
    pub(super) since: Time,
    /// The batch behind which all that the peer lacked was told.
    pub(super) told_in: Option<u64>,
    pub(super) has_heard: bool,
    /// Whether the peer takes our pushes for those of the origin that we write under now.
    pub(super) is_origin_taken: bool,
}

impl Node {
    /// A link stands on which settlements are spoken of: all is told first.
    pub(in crate::node) fn begin_telling(
        &mut self,
        now: Time,
        link: LinkId,
        peer: Identity,
        effects: &mut Effects,
    ) {
        let me = self.peers.me().node;
        for node in [me, peer.node] {
            let record = self.peers.registry().of(&Key::Node(node));
            let MembershipRecord { removed, registered, .. } = record;
            self.note(now, None, &Entry::Member { node, removed, registered }, effects);
        }
        let is_origin_taken = !self.settlements.has_gone_on;
        let telling =
            Telling { peer, since: now, told_in: None, has_heard: false, is_origin_taken };
        self.settlements.tellings.insert(link, telling);
        let rest = self.ledger_hash();
        let held = self.counters.families().held().collect();
        let turn = &mut effects.turn(now, &mut self.totals);
        turn.frame_after_sync(vec![link], &Message::SettlementHashes { rest, held });
    }

    pub(super) fn ledger_hash(&self) -> u64 {
        let registry = self.peers.registry();
        self.settlements.ledger.hash(|node| {
            let record = registry.of(&Key::Node(node));
            (record.removed, record.registered)
        })
    }

    /// What a peer says of settlements.
    pub(in crate::node) fn settlement_message(
        &mut self,
        now: Time,
        link: LinkId,
        message: Message<'_>,
        effects: &mut Effects,
    ) {
        match message {
            Message::SettlementHashes { rest, held } => {
                self.tell(now, link, rest, &held, effects);
            }
            Message::Settlement(entries) => {
                for entry in &entries {
                    self.hear(now, link, entry, effects);
                }
            }
            Message::SettlementTold => {
                if let Some(telling) = self.settlements.tellings.get_mut(&link) {
                    telling.has_heard = true;
                }
                // What follows on the link is of the table already.
                self.end_tellings(now, effects);
            }
            Message::FreshOrigin(origin) => self.peer_takes_origin(now, link, origin, effects),
            Message::OriginTaken(origin) if origin == self.counters.our_origin() => {
                self.replication.origin_taken(link);
                if let Some(telling) = self.settlements.tellings.get_mut(&link) {
                    telling.is_origin_taken = true;
                }
            }
            _ => {}
        }
    }

    /// Tells a peer what it lacks.
    fn tell(
        &mut self,
        now: Time,
        link: LinkId,
        rest: u64,
        held: &[OriginId],
        effects: &mut Effects,
    ) {
        if self.are_apart(now, link, held, effects) {
            return;
        }
        let registry = self.peers.registry();
        let ledger = &self.settlements.ledger;
        let is_same = rest == self.ledger_hash();
        let epochs = |node: NodeId| {
            let record = registry.of(&Key::Node(node));
            (record.removed, record.registered)
        };
        let is_family_told = |id: OriginId| !held.contains(&id);
        let entries: Vec<Entry> = ledger
            .entries(&self.counters, epochs, is_family_told)
            .filter(|entry| !is_same || matches!(entry, Entry::Family { .. }))
            .collect();
        let turn = &mut effects.turn(now, &mut self.totals);
        for entries in in_frames(entries) {
            turn.frame_after_sync(vec![link], &Message::Settlement(entries));
        }
        if self.settlements.has_gone_on {
            let ours = self.counters.our_origin();
            turn.frame_after_sync(vec![link], &Message::FreshOrigin(ours));
        }
        turn.frame_after_sync(vec![link], &Message::SettlementTold);
        let open = self.batches.open();
        if let Some(telling) = self.settlements.tellings.get_mut(&link) {
            telling.told_in = Some(open);
        }
        self.settlements.has_news = true;
    }

    /// Whether the peer has settled some of the same origins otherwise: only two halves of a cluster that
    /// removed each other can come to that, and they can never be joined (rule `yield-to-the-voters`).
    fn are_apart(
        &mut self,
        now: Time,
        link: LinkId,
        held: &[OriginId],
        effects: &mut Effects,
    ) -> bool {
        let families = self.counters.families();
        let ours: Vec<OriginId> = families.held().collect();
        let meets = |theirs: &OriginId| {
            let Some(their_family) = families.of(*theirs) else { return false };
            ours.iter().any(|ours| {
                let family = families.of(*ours).unwrap_or_default();
                ours != theirs
                    && !family.contains(*theirs)
                    && !their_family.contains(*ours)
                    && family.iter().any(|member| their_family.contains(member))
            })
        };
        if !held.iter().any(meets) {
            return false;
        }
        if let Some(telling) = self.settlements.tellings.get(&link) {
            let peer = telling.peer.node;
            let turn = &mut effects.turn(now, &mut self.totals);
            turn.event(Event::SettledApart { peer });
        }
        self.leave_link(now, link, Goodbye::NotAMember, effects);
        true
    }

    /// Takes down what a peer says.
    fn hear(&mut self, now: Time, link: LinkId, entry: &Entry, effects: &mut Effects) {
        let me = self.peers.me().node;
        match entry {
            // No peer is believed about this node's own votes (rule `gone-for-good`).
            Entry::Vote(vote)
                if vote.voter.node == me && self.view().epoch_of(me) == Some(vote.voter.epoch) =>
            {
                return;
            }
            Entry::Close(prefix) if prefix.origin == self.counters.our_origin() => {
                return self.warn_of_foreign_writer(now, link, effects);
            }
            Entry::Opened(_) | Entry::GivenUp(_) => return,
            Entry::Member { node, removed, registered } if removed.max(registered) > &0 => {
                let (removed, registered) = (*removed, *registered);
                let record = MembershipRecord { key: Key::Node(*node), removed, registered };
                self.merge_memberships(now, &[record], effects);
            }
            _ => {}
        }
        self.note(now, Some(link), entry, effects);
    }

    /// Takes down a record; if it is new it is kept, and passed on to all that have been told before.
    pub(super) fn note(
        &mut self,
        now: Time,
        from: Option<LinkId>,
        entry: &Entry,
        effects: &mut Effects,
    ) {
        if !self.settlements.ledger.merge(entry, &mut self.counters) {
            return;
        }
        self.settlements.has_news = true;
        self.journal.add_settlement(entry, effects);
        if matches!(entry, Entry::Opened(_) | Entry::GivenUp(_)) {
            return;
        }
        let tellings = self.settlements.tellings.iter();
        let told = tellings.filter(|(_, telling)| telling.told_in.is_some());
        let mut links: Vec<LinkId> = told.map(|(link, _)| *link).collect();
        let running = self.replication.links();
        links.extend(running.into_iter().filter(|link| self.speaks_of_settlements(*link)));
        links.retain(|link| Some(*link) != from);
        if !links.is_empty() {
            let turn = &mut effects.turn(now, &mut self.totals);
            turn.frame_after_sync(links, &Message::Settlement(vec![entry.clone()]));
        }
        if let Entry::Proposal(proposal) = entry {
            self.settlements.heard.insert(proposal.settlement, now);
            self.settlements.proposed = Some(now);
            for link in self.links.speak_from(SETTLEMENTS_SINCE) {
                let goodbye = Goodbye::Versions(SETTLEMENTS_SINCE, PROTOCOL_VERSIONS.1);
                self.leave_link(now, link, goodbye, effects);
            }
        }
    }

    pub(in crate::node) fn speaks_of_settlements(&self, link: LinkId) -> bool {
        self.links.version(link) >= SETTLEMENTS_SINCE
    }

    /// Replication begins on links on which all has been told, and on which that is synced.
    pub(in crate::node) fn end_tellings(&mut self, now: Time, effects: &mut Effects) {
        let synced = self.replication.synced;
        let is_over = |telling: &Telling| {
            telling.has_heard && telling.told_in.is_some_and(|batch| batch <= synced)
        };
        let over = self.settlements.tellings.iter().filter(|(_, telling)| is_over(telling));
        let over: Vec<LinkId> = over.map(|(link, _)| *link).collect();
        for link in over {
            let Some(Telling { peer, is_origin_taken, .. }) =
                self.settlements.tellings.remove(&link)
            else {
                continue;
            };
            for settlement in self.view().given_up_before(peer.node) {
                self.give_up(now, settlement, effects);
            }
            let version = self.links.version(link);
            // It may have gone on under another origin since.
            let origin = self.links.peer_of(link).map_or(peer.origin, |peer| peer.origin);
            self.replication.link_up(link, version, peer.node, origin, now);
            let owed = self.settlements.ledger.granted_by(peer.node);
            self.replication.owe(link, owed);
            if !is_origin_taken {
                self.replication.tell_origin(link);
            }
        }
    }

    /// Peers that were told of everything, and on whose links nothing flows yet, hear that this node goes
    /// on under a fresh origin before anything of it flows.
    pub(super) fn tell_fresh_origin(&mut self, now: Time, fresh: OriginId, effects: &mut Effects) {
        self.settlements.has_gone_on = true;
        // Their peers were greeted under the former one: they would take it for another process.
        let established = self.links.established();
        let mut greeted = self.links.all();
        greeted.retain(|link| !established.contains(link));
        for link in greeted {
            self.leave_link(now, link, Goodbye::Duplicate, effects);
        }
        let open = self.batches.open();
        let mut links = Vec::new();
        for (link, telling) in &mut self.settlements.tellings {
            telling.is_origin_taken = false;
            if telling.told_in.is_some() {
                telling.told_in = Some(open);
                links.push(*link);
            }
        }
        if !links.is_empty() {
            let turn = &mut effects.turn(now, &mut self.totals);
            turn.frame_after_sync(links, &Message::FreshOrigin(fresh));
        }
    }

    /// A link has ended.
    pub(in crate::node) fn end_telling(&mut self, link: LinkId) {
        self.settlements.tellings.remove(&link);
    }

    /// The peer of a link goes on under another origin.
    fn peer_takes_origin(
        &mut self,
        now: Time,
        link: LinkId,
        origin: OriginId,
        effects: &mut Effects,
    ) {
        if origin == self.counters.our_origin() {
            return self.warn_of_foreign_writer(now, link, effects);
        }
        self.links.peer_takes_origin(link, origin);
        let Some(node) = self.links.peer_of(link).map(|peer| peer.node) else { return };
        self.counters.meet_writer(origin);
        let owed = self.settlements.ledger.granted_by(node);
        let turn = &mut effects.turn(now, &mut self.totals);
        self.replication.peer_takes_origin(link, origin, owed);
        turn.frame_after_sync(vec![link], &Message::OriginTaken(origin));
    }
}

/// Entries, as many at a time as a frame holds.
fn in_frames(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut frames = Vec::new();
    let (mut frame, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        bytes += match &entry {
            Entry::Family { members, .. } => 16 + members.len() * 10,
            Entry::Proposal(proposal) => {
                64 + proposal.members.len() * 30 + proposal.voters.len() * 20
            }
            _ => 64,
        };
        frame.push(entry);
        if frame.len() >= ENTRIES_A_FRAME || bytes >= BYTES_A_FRAME {
            frames.push(std::mem::take(&mut frame));
            bytes = 0;
        }
    }
    frames.push(frame);
    frames.retain(|frame| !frame.is_empty());
    frames
}
