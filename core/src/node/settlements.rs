//! What a node says and does about settlements, and when.
//!
//! Links are told of all records before any of the table flows on them (rule `told-before-data`). What
//! is to be done about each proposal `settling::judge` says; it is looked at whenever a record is new,
//! and every now and then while something is undecided, since what is here of others' changes counts
//! too.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::Node;
use crate::counters::families::Standing;
use crate::counters::folding::ROWS_A_STEP;
use crate::event::Event;
use crate::identity::{Identity, NodeId, OriginId};
use crate::input::LinkId;
use crate::membership::{Key, MembershipRecord};
use crate::outbox::Effects;
use crate::settlement::{Ballot, Entry, Prefix, Proposal, Vote, Voter};
use crate::settling::Ledger;
use crate::settling::judge::{Act, View};
use crate::status::{SettlementPhase, SettlementStatus};
use crate::time::Time;
use crate::wire::frame::{Goodbye, Message};
use crate::wire::versions::{PROTOCOL_VERSIONS, SETTLEMENTS_SINCE};

/// Entries in one frame, and bytes of them about.
const ENTRIES_A_FRAME: usize = 256;
const BYTES_A_FRAME: usize = 256 << 10;

/// The time between looks at what is undecided.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The time between looks at whether a settlement is worth it: reading of how many slots each origin
/// has takes a millisecond with 100,000 of them.
const WEIGH_EVERY: Duration = Duration::from_secs(10);

/// The time between settlements that nobody asked for. Each closes the origins that count at the moment,
/// and what those have done since is told once more.
const PROPOSE_EVERY: Duration = Duration::from_secs(30);

/// After a proposal that came to nothing the next one waits so long, and up to twice as long.
const BACK_OFF: Duration = Duration::from_secs(2);

/// A proposal that could not be granted for so long is refused, so that another may come to pass.
const PATIENCE: Duration = Duration::from_secs(120);

/// Fewer slots than these are not worth a settlement: some 100 kB.
const SLOTS_WORTH: u64 = 1_000;

/// While memory is short a settlement is worth it where one in so many slots could go.
const SHARE_WORTH: u64 = 100;

/// Memory is short when no more bytes than this may be taken by new names: some 20,000 of them.
const ROOM_SHORT: u64 = 8 << 20;

/// Settlements that follow one another when somebody asks: the first folds what was closed before it,
/// the second what was closed for the sake of the first.
const ROUNDS_ASKED: u32 = 2;

/// How far a link has come with telling of settlements.
#[derive(Debug)]
struct Telling {
    peer: Identity,
    since: Time,
    /// The batch behind which all that the peer lacked was told.
    told_in: Option<u64>,
    has_heard: bool,
    /// Whether the peer takes our pushes for those of the origin that we write under now.
    is_origin_taken: bool,
}

/// See the file.
#[derive(Debug)]
pub(super) struct Settlements {
    ledger: Ledger,
    takes_part: bool,
    chance: ChaCha8Rng,
    tellings: BTreeMap<LinkId, Telling>,
    /// When proposals were heard of that are not decided.
    heard: BTreeMap<OriginId, Time>,
    /// Settlements that were asked for and have not begun.
    asked: u32,
    has_news: bool,
    looked: Time,
    weighed: Time,
    propose_from: Time,
    /// Whether what nobody asked for was found worth it when it was looked at last.
    is_worth_it: bool,
    /// Why nothing could be proposed when it was tried last.
    waits_for: Vec<NodeId>,
    /// Since when this node waits for others to settle.
    waits_since: Option<Time>,
    settled: u64,
    has_begun: bool,
    /// Whether this process has gone on under a fresh origin: handshakes may have told of the one before.
    has_gone_on: bool,
}

impl Settlements {
    pub(super) fn new(ledger: Ledger, takes_part: bool, chance: ChaCha8Rng, now: Time) -> Self {
        Settlements {
            ledger,
            takes_part,
            chance,
            tellings: BTreeMap::new(),
            heard: BTreeMap::new(),
            asked: 0,
            has_news: true,
            looked: now,
            weighed: now,
            propose_from: now,
            is_worth_it: false,
            waits_for: Vec::new(),
            waits_since: None,
            settled: 0,
            has_begun: false,
            has_gone_on: false,
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Since when a link stands on which not all is told yet.
    pub(super) fn tells_since(&self, link: LinkId) -> Option<Time> {
        self.tellings.get(&link).map(|telling| telling.since)
    }

    /// A peer that has not told all yet on a link which is younger than this, be it up or not.
    pub(super) fn tells(&self, now: Time, most: Duration) -> Option<NodeId> {
        let mut tellings = self.tellings.values();
        tellings.find(|telling| now < telling.since + most).map(|telling| telling.peer.node)
    }

    pub(super) fn next_deadline(&self, is_idle: bool, has_chores: bool) -> Option<Time> {
        if self.has_news || has_chores {
            return Some(Time::ZERO);
        }
        if is_idle && self.asked == 0 && !self.takes_part {
            return None;
        }
        let look = (!is_idle || self.asked > 0).then(|| self.looked + LOOK_EVERY);
        let weigh = self.takes_part.then(|| self.weighed + WEIGH_EVERY);
        look.into_iter().chain(weigh).min()
    }

    fn id(&mut self) -> OriginId {
        OriginId(self.chance.next_u64())
    }
}

impl Node {
    fn view(&self) -> View<'_> {
        View {
            me: self.peers.me().node,
            ledger: &self.settlements.ledger,
            registry: self.peers.registry(),
            counters: &self.counters,
        }
    }

    /// What is known of settlements but for families, for those who look at a node from outside of the
    /// protocol.
    pub fn settlement_entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.settlements.ledger.entries(&self.counters, |_| (0, 0), |_| false)
    }

    /// Whether rows are being folded: no snapshot begins then (rule `row-done`).
    pub fn is_folding(&self) -> bool {
        self.counters.is_folding()
    }

    /// A snapshot's walk over the table has ended, or was given up.
    pub fn end_snapshot(&mut self) {
        self.counters.walk(false);
        self.settlements.has_news = true;
    }

    /// When something is to be done about settlements.
    pub(super) fn settlements_due(&self) -> Option<Time> {
        let is_idle = self.settlements.heard.is_empty();
        self.settlements.next_deadline(is_idle, self.counters.has_chores())
    }

    /// A link stands on which settlements are spoken of: all is told first.
    pub(super) fn begin_telling(
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

    fn ledger_hash(&self) -> u64 {
        let registry = self.peers.registry();
        self.settlements.ledger.hash(|node| {
            let record = registry.of(&Key::Node(node));
            (record.removed, record.registered)
        })
    }

    /// What a peer says of settlements.
    pub(super) fn settlement_message(
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
            // Nobody is believed about one's own votes (rule `gone-for-good`).
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
    fn note(&mut self, now: Time, from: Option<LinkId>, entry: &Entry, effects: &mut Effects) {
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
            for link in self.links.speak_from(SETTLEMENTS_SINCE) {
                let goodbye = Goodbye::Versions(SETTLEMENTS_SINCE, PROTOCOL_VERSIONS.1);
                self.leave_link(now, link, goodbye, effects);
            }
        }
    }

    pub(super) fn speaks_of_settlements(&self, link: LinkId) -> bool {
        self.links.version(link) >= SETTLEMENTS_SINCE
    }

    /// Replication begins on links on which all has been told, and on which that is synced.
    pub(super) fn end_tellings(&mut self, now: Time, effects: &mut Effects) {
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
    fn tell_fresh_origin(&mut self, now: Time, fresh: OriginId, effects: &mut Effects) {
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
    pub(super) fn end_telling(&mut self, link: LinkId) {
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

    /// Does what is due about settlements.
    pub(super) fn settle_on(&mut self, now: Time, effects: &mut Effects) {
        if self.settlements_due().is_none_or(|at| at > now) {
            return;
        }
        if self.counters.has_chores() {
            self.counters.chore_step(ROWS_A_STEP);
            self.settlements.has_news |= !self.counters.has_chores();
        }
        self.begin_settling(now, effects);
        self.weigh(now);
        let is_time = self.settlements.looked + LOOK_EVERY <= now;
        if !std::mem::take(&mut self.settlements.has_news) && !is_time {
            return;
        }
        self.settlements.looked = now;
        if self.counters.families_mut().take_has_taken() {
            self.settlements.ledger.forget(&mut self.counters);
        }
        self.judge_settlements(now);
        if self.settlements.takes_part && !self.peers.am_removed() {
            self.act(now, effects);
            self.propose_if_due(now, effects);
        }
        self.judge_settlements(now);
    }

    /// What earlier starts of this node wrote is closed: all that they told others is here.
    fn begin_settling(&mut self, now: Time, effects: &mut Effects) {
        if std::mem::replace(&mut self.settlements.has_begun, true) || !self.settlements.takes_part
        {
            return;
        }
        let ours = self.counters.our_origin();
        let former: Vec<OriginId> =
            self.settlements.ledger.opened().iter().copied().filter(|id| *id != ours).collect();
        for origin in former {
            let known = self.counters.known(origin);
            let (version, fingerprint) = (known.version, known.fingerprint);
            let prefix = Prefix { origin, version, fingerprint };
            self.note(now, None, &Entry::Close(prefix), effects);
            self.settlements.ledger.forget_opened(origin);
        }
        self.note(now, None, &Entry::Opened(ours), effects);
    }

    /// Says to the table what it must know: who folds what, and what a reset must name.
    fn judge_settlements(&mut self, now: Time) {
        let me = self.peers.me().node;
        let view = self.view();
        let epoch = view.epoch_of(me);
        let (pending, behind) = (view.pending(), view.behind());
        let undecided: Vec<OriginId> = view.undecided_ids();
        let standings: Vec<(OriginId, Standing)> = self
            .settlements
            .ledger
            .proposals()
            .filter(|proposal| !self.counters.families().holds(proposal.settlement))
            .map(|proposal| {
                let is_voter = epoch.is_some_and(|epoch| {
                    proposal.voters.binary_search(&Voter { node: me, epoch }).is_ok()
                });
                let standing = if is_voter { Standing::Folds } else { Standing::Takes };
                (proposal.settlement, standing)
            })
            .collect();
        self.settlements.heard.retain(|id, _| undecided.contains(id));
        for id in undecided {
            self.settlements.heard.entry(id).or_insert(now);
        }
        let families = self.counters.families_mut();
        for (settlement, standing) in standings {
            families.stand(settlement, standing);
        }
        families.judge(&pending, behind.is_some());
    }

    /// The settlement that this node lacks and for whose sake it ends no counters.
    pub(super) fn behind_in_settling(&self) -> Option<OriginId> {
        let is_behind = self.counters.families().is_behind();
        is_behind.then(|| self.view().behind()).flatten()
    }

    /// Does all that there is to do about proposals.
    fn act(&mut self, now: Time, effects: &mut Effects) {
        while let Some(act) = self.view().next_act() {
            match act {
                Act::Vote(vote) => self.note(now, None, &Entry::Vote(vote), effects),
                Act::Grant(settlement, voter) => {
                    if !self.adopt(settlement, effects) {
                        // It goes on when the next batch ends.
                        self.settlements.has_news = true;
                        return;
                    }
                    self.grant(now, settlement, voter, effects);
                }
                Act::Fold(vote, granted) => {
                    // A snapshot must hold rows as they were before it, or as they are behind it.
                    if self.counters.is_walked() || self.counters.has_chores() {
                        return;
                    }
                    self.note(now, None, &Entry::Vote(vote), effects);
                    self.counters.begin_fold(vote.settlement, &granted);
                    self.settlements.ledger.forget(&mut self.counters);
                    self.settlements.settled += 1;
                    let event = Event::Settled { settlement: vote.settlement };
                    effects.turn(now, &mut self.totals).event(event);
                }
                Act::GiveUp(settlement) => self.give_up(now, settlement, effects),
            }
        }
        if self.counters.adopts().is_some_and(|id| !self.is_to_be_granted(id)) {
            self.counters.end_adoption();
        }
        self.refuse_what_lasts(now, effects);
    }

    fn is_to_be_granted(&self, settlement: OriginId) -> bool {
        matches!(self.view().next_act(), Some(Act::Grant(id, _)) if id == settlement)
    }

    /// Refuses what could not be granted for long.
    fn refuse_what_lasts(&mut self, now: Time, effects: &mut Effects) {
        let lasts = |(_, since): &(&OriginId, &Time)| **since + PATIENCE <= now;
        let late: Vec<OriginId> =
            self.settlements.heard.iter().filter(lasts).map(|(id, _)| *id).collect();
        let me = self.peers.me().node;
        for settlement in late {
            let view = self.view();
            let Some(epoch) = view.epoch_of(me) else { return };
            let voter = Voter { node: me, epoch };
            let is_open = view.ledger.ballot(settlement, voter).is_none();
            let is_asked = view
                .ledger
                .proposal(settlement)
                .is_some_and(|proposal| proposal.voters.binary_search(&voter).is_ok());
            if is_open && is_asked {
                let vote = Vote { settlement, voter, ballot: Ballot::Refuse };
                self.note(now, None, &Entry::Vote(vote), effects);
            }
        }
    }

    /// Adopts what others have covered; tells whether all of it is adopted (rule `adoption`).
    fn adopt(&mut self, settlement: OriginId, effects: &mut Effects) -> bool {
        #[cfg(feature = "planted-bugs")]
        if self.has(crate::bug::Bug::AdoptsNothing) {
            return true;
        }
        if self.counters.adopts() != Some(settlement) {
            self.counters.begin_adoption(settlement);
        }
        let is_over = self.counters.adopt_step(ROWS_A_STEP);
        for batch in self.counters.take_closed() {
            self.keep_version(batch, effects);
        }
        is_over
    }

    /// Grants a settlement: closes what this node has written until now, and goes on in a fresh origin
    /// (rule `grant-closes`). Nothing is done between.
    fn grant(&mut self, now: Time, settlement: OriginId, voter: Voter, effects: &mut Effects) {
        self.counters.end_adoption();
        self.close_version(effects);
        let origin = self.counters.our_origin();
        let known = self.counters.known(origin);
        let (version, fingerprint) = (known.version, known.fingerprint);
        let granted = Prefix { origin, version, fingerprint };
        let vote = Vote { settlement, voter, ballot: Ballot::Grant(granted) };
        self.note(now, None, &Entry::Vote(vote), effects);
        #[cfg(feature = "planted-bugs")]
        if self.has(crate::bug::Bug::GrantClosesNothing) {
            return;
        }
        self.settlements.ledger.forget_opened(origin);
        let fresh = self.settlements.id();
        self.counters.take_fresh_origin(fresh);
        self.note(now, None, &Entry::Opened(fresh), effects);
        self.tell_fresh_origin(now, fresh, effects);
        let turn = &mut effects.turn(now, &mut self.totals);
        self.replication.take_fresh_origin(fresh, turn);
        self.peers.take_fresh_origin(fresh, turn);
        self.journal.keep_identity(self.peers.me(), effects);
        self.settle_changes(now, effects);
    }

    fn give_up(&mut self, now: Time, settlement: OriginId, effects: &mut Effects) {
        self.note(now, None, &Entry::GivenUp(settlement), effects);
    }

    /// An operator asks for a settlement; tells whether this node takes part in any.
    pub(super) fn ask_to_settle(&mut self) -> bool {
        if self.settlements.takes_part {
            self.settlements.asked = ROUNDS_ASKED;
            self.settlements.has_news = true;
        }
        self.settlements.takes_part
    }

    /// Proposes a settlement, if one was asked for or is worth it and all members can be asked.
    fn propose_if_due(&mut self, now: Time, effects: &mut Effects) {
        let is_asked = self.settlements.asked > 0;
        let is_own_idea = self.settlements.is_worth_it && self.is_first();
        if !is_asked && !is_own_idea {
            (self.settlements.waits_for, self.settlements.waits_since) = (Vec::new(), None);
            return;
        }
        if now < self.settlements.propose_from {
            return;
        }
        if self.view().undecided().is_some() || self.counters.has_chores() {
            return;
        }
        let missing = self.members_out_of_reach();
        let is_behind = self.behind(now).is_some();
        self.settlements.waits_since =
            (!missing.is_empty()).then(|| self.settlements.waits_since.unwrap_or(now));
        self.settlements.waits_for = missing;
        if !self.settlements.waits_for.is_empty() || is_behind {
            return;
        }
        let back_off =
            BACK_OFF.mul_f64(1.0 + (self.settlements.chance.next_u32() % 1000) as f64 / 1000.0);
        self.settlements.propose_from = now + if is_asked { back_off } else { PROPOSE_EVERY };
        let id = self.settlements.id();
        let proposal = self.view().propose(id);
        self.settlements.asked = self.settlements.asked.saturating_sub(1);
        self.settlements.is_worth_it = false;
        self.note(now, None, &Entry::Proposal(proposal), effects);
    }

    /// Looks whether a settlement is worth it, every now and then.
    fn weigh(&mut self, now: Time) {
        if self.settlements.weighed + WEIGH_EVERY <= now {
            self.settlements.weighed = now;
            self.settlements.is_worth_it = self.is_worth_it();
            self.forget_removed_members();
        }
    }

    /// Whether this node is the one that proposes where nobody asked: the first of the members that are
    /// up.
    pub(super) fn is_first(&self) -> bool {
        let me = self.peers.me().node;
        self.peers.up().all(|peer| me < peer.node)
    }

    /// Whether enough could go.
    fn is_worth_it(&self) -> bool {
        let view = self.view();
        let closed: Vec<Prefix> = view.foldable();
        let slots = |prefix: &Prefix| u64::from(self.counters.slots_by(prefix.origin));
        let is_closed = |prefix: &&Prefix| !self.counters.families().holds(prefix.origin);
        let foldable: u64 = closed.iter().filter(is_closed).map(slots).sum();
        self.is_memory_short()
            && foldable >= SLOTS_WORTH
            && foldable.saturating_mul(SHARE_WORTH) >= self.counters.all_slots()
    }

    /// Whether new names are about to be refused for want of memory.
    fn is_memory_short(&self) -> bool {
        self.counters.room().names < ROOM_SHORT
    }

    /// Members that are not linked, or that do not speak of settlements.
    fn members_out_of_reach(&self) -> Vec<NodeId> {
        let me = self.peers.me().node;
        let view = self.view();
        let members = view.ledger.members().filter(|node| *node != me);
        let is_linked = |node: NodeId| {
            self.links.to_peer(node).is_some_and(|link| {
                self.replication.is_linked(link) && self.speaks_of_settlements(link)
            })
        };
        let members = members.filter(|node| view.epoch_of(*node).is_some());
        let mut missing: Vec<NodeId> = members.filter(|node| !is_linked(*node)).collect();
        // Of an earlier release, and so no member yet.
        missing.extend(self.links.older_than(SETTLEMENTS_SINCE));
        missing
    }

    fn forget_removed_members(&mut self) {
        let registry = self.peers.registry();
        let is_removed = |node: NodeId| registry.of(&Key::Node(node)).is_removed();
        self.settlements.ledger.forget_members(is_removed);
    }

    /// How far settling has come.
    pub(super) fn settlement_status(&self, now: Time) -> SettlementStatus {
        let view = self.view();
        let undecided: Option<&Proposal> = view.undecided();
        let phase = match undecided {
            _ if !self.settlements.takes_part => SettlementPhase::Off,
            _ if self.counters.has_chores() => SettlementPhase::Folding,
            Some(_) => SettlementPhase::Voting,
            None if !self.settlements.waits_for.is_empty() => SettlementPhase::Waiting,
            None if self.settlements.asked > 0 => SettlementPhase::Asked,
            None => SettlementPhase::Idle,
        };
        let since = undecided
            .and_then(|proposal| self.settlements.heard.get(&proposal.settlement))
            .copied()
            .or(self.settlements.waits_since);
        SettlementStatus {
            phase,
            settlement: undecided.map(|proposal| proposal.settlement),
            waits_for: undecided.map_or_else(
                || self.settlements.waits_for.clone(),
                |proposal| view.awaited(proposal),
            ),
            since: since.map(|since| now.since(since)),
            settled: self.settlements.settled,
            closed_origins: view.foldable().len(),
            slots: self.counters.all_slots(),
        }
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
