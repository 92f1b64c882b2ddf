//! What a node does about settlements, and when: `telling` is what it says to peers, `proposing` when it
//! proposes one.
//!
//! What is to be done about each proposal `settling::judge` says; it is looked at whenever a record is new,
//! and every now and then while something is undecided, since what is here of others' changes counts
//! too.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use self::proposing::SHARE_WORTH;
use self::telling::Telling;
use super::Node;
use crate::counters::families::Standing;
use crate::counters::folding::ROWS_A_STEP;
use crate::event::Event;
use crate::identity::{NodeId, OriginId};
use crate::input::LinkId;
use crate::outbox::Effects;
use crate::settlement::{Ballot, Entry, Prefix, Vote, Voter};
use crate::settling::Ledger;
use crate::settling::judge::{Act, View};
use crate::time::Time;

mod proposing;
mod telling;
#[cfg(test)]
mod tests;

pub(crate) use self::proposing::{SETTLE_EVERY, SLOTS_WORTH};

/// The time between looks at what is undecided.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A proposal that could not be granted for so long is refused, so that another may come to pass.
const PATIENCE: Duration = Duration::from_secs(120);

/// See the file.
#[derive(Debug)]
pub(in crate::node) struct Settlements {
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
    /// When a proposal was heard of last, this node's own or a peer's.
    proposed: Option<Time>,
    /// Whether one that no operator asked for was found worth it when it was looked at last.
    is_worth_it: bool,
    /// Why nothing could be proposed when it was tried last.
    waits_for: Vec<NodeId>,
    /// Since when this node waits for others to settle.
    waits_since: Option<Time>,
    settled: u64,
    /// How many slots the table held when the last fold began, until it ends.
    slots_before: Option<u64>,
    /// Whether a fold has let go of so much that a snapshot is worth it.
    has_shrunk: bool,
    has_begun: bool,
    /// Whether this process has gone on under a fresh origin: handshakes may have told of the one before.
    has_gone_on: bool,
}

impl Settlements {
    pub(in crate::node) fn new(
        ledger: Ledger,
        takes_part: bool,
        chance: ChaCha8Rng,
        now: Time,
    ) -> Self {
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
            proposed: None,
            is_worth_it: false,
            waits_for: Vec::new(),
            waits_since: None,
            settled: 0,
            slots_before: None,
            has_shrunk: false,
            has_begun: false,
            has_gone_on: false,
        }
    }

    /// What the table has let go of is in no snapshot from this one on.
    pub(in crate::node) fn begin_snapshot(&mut self) {
        self.has_shrunk = false;
    }

    /// Whether what it tells others is never lost while it is the same node.
    pub(in crate::node) fn takes_part(&self) -> bool {
        self.takes_part
    }

    pub(in crate::node) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Since when a link stands on which not all is told yet.
    pub(in crate::node) fn tells_since(&self, link: LinkId) -> Option<Time> {
        self.tellings.get(&link).map(|telling| telling.since)
    }

    /// A peer that has not told all yet on a link which is younger than this, be it up or not.
    pub(in crate::node) fn tells(&self, now: Time, most: Duration) -> Option<NodeId> {
        let mut tellings = self.tellings.values();
        tellings.find(|telling| now < telling.since + most).map(|telling| telling.peer.node)
    }

    fn next_deadline(&self, is_idle: bool, has_chores: bool, weigh: Duration) -> Option<Time> {
        if self.has_news || has_chores {
            return Some(Time::ZERO);
        }
        if is_idle && self.asked == 0 && !self.takes_part {
            return None;
        }
        let look = (!is_idle || self.asked > 0).then(|| self.looked + LOOK_EVERY);
        let weigh = self.takes_part.then(|| self.weighed + weigh);
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

    /// Whether a snapshot should be made though the journal has not grown: so much has been folded that the
    /// last one holds a tenth too much.
    pub fn has_shrunk(&self) -> bool {
        self.settlements.has_shrunk && self.journal.is_kept()
    }

    /// A snapshot's walk over the table has ended, or was given up.
    pub fn end_snapshot(&mut self) {
        self.counters.walk(false);
        self.settlements.has_news = true;
    }

    /// When something is to be done about settlements.
    pub(in crate::node) fn settlements_due(&self) -> Option<Time> {
        let is_idle = self.settlements.heard.is_empty();
        self.settlements.next_deadline(is_idle, self.counters.has_chores(), self.weigh_every())
    }

    /// Does what is due about settlements.
    pub(in crate::node) fn settle_on(&mut self, now: Time, effects: &mut Effects) {
        if self.settlements_due().is_none_or(|at| at > now) {
            return;
        }
        if self.counters.has_chores() {
            self.counters.chore_step(ROWS_A_STEP);
            self.settlements.has_news |= !self.counters.has_chores();
        }
        if !self.counters.has_chores()
            && let Some(before) = self.settlements.slots_before.take()
        {
            let gone = before.saturating_sub(self.counters.all_slots());
            self.settlements.has_shrunk |= gone.saturating_mul(SHARE_WORTH) >= before;
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
    pub(in crate::node) fn behind_in_settling(&self) -> Option<OriginId> {
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
                    if let Some(counter) = self.counters.too_large_to_fold() {
                        let event = Event::TooLargeToSettle { counter: counter.to_owned() };
                        effects.turn(now, &mut self.totals).event(event);
                        self.counters.end_adoption();
                        let vote = Vote { settlement, voter, ballot: Ballot::Refuse };
                        self.note(now, None, &Entry::Vote(vote), effects);
                        continue;
                    }
                    self.grant(now, settlement, voter, effects);
                    // One a batch: what it has closed leaves before another one begins.
                    self.settlements.has_news = true;
                    return;
                }
                Act::Fold(vote, granted) => {
                    // A snapshot must hold rows as they were before it, or as they are behind it.
                    if self.counters.is_walked() || self.counters.has_chores() {
                        return;
                    }
                    self.note(now, None, &Entry::Vote(vote), effects);
                    self.settlements.slots_before = Some(self.counters.all_slots());
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
}
