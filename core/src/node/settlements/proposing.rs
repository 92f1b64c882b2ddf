//! When this node proposes a settlement, and what it says of settling to operators.

use std::time::Duration;

use rand_core::Rng;

use crate::identity::NodeId;
use crate::membership::Key;
use crate::node::Node;
use crate::node::limits::Limits;
use crate::outbox::Effects;
use crate::settlement::{Entry, Prefix, Proposal};
use crate::status::{SettlementPhase, SettlementStatus};
use crate::time::Time;
use crate::wire::versions::SETTLEMENTS_SINCE;

/// The time between looks at whether a settlement is worth it: reading of how many slots each origin
/// has takes a millisecond with 100,000 of them.
const WEIGH_EVERY: Duration = Duration::from_secs(10);

/// The time between settlements that no operator asked for, and from a start to the first of them. Each closes
/// the origins that count at the moment, and a node that counts on after it tells each counter once more.
pub(crate) const SETTLE_EVERY: Duration = Duration::from_secs(600);

/// The same while memory is short: names are refused if nothing is given back.
const PRESSED_EVERY: Duration = Duration::from_secs(30);

/// After a proposal that came to nothing the next one waits so long, and up to twice as long.
const BACK_OFF: Duration = Duration::from_secs(2);

/// Fewer slots than these are not worth a settlement: some 100 kB.
pub(crate) const SLOTS_WORTH: u64 = 1_000;

/// A settlement is worth it where one in so many slots could go.
pub(super) const SHARE_WORTH: u64 = 10;

/// The same while memory is short.
const SHARE_PRESSED: u64 = 100;

/// Memory is short when no more bytes than this may be taken by new names: some 20,000 of them.
const ROOM_SHORT: u64 = 8 << 20;

/// Settlements that follow one another when an operator asks: the first folds what was closed before it,
/// the second what was closed for the sake of the first.
const ROUNDS_ASKED: u32 = 2;

impl Node {
    /// An operator asks for a settlement; tells whether this node takes part in any.
    pub(in crate::node) fn ask_to_settle(&mut self) -> bool {
        if self.settlements.takes_part {
            self.settlements.asked = ROUNDS_ASKED;
            self.settlements.has_news = true;
        }
        self.settlements.takes_part
    }

    /// Proposes a settlement, if one was asked for or is worth it and all members can be asked.
    pub(super) fn propose_if_due(&mut self, now: Time, effects: &mut Effects) {
        let is_asked = self.settlements.asked > 0;
        let is_own_idea = self.settlements.is_worth_it && self.is_first() && self.has_rested(now);
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
        self.settlements.propose_from = now + back_off;
        let id = self.settlements.id();
        let proposal = self.view().propose(id);
        self.settlements.asked = self.settlements.asked.saturating_sub(1);
        self.settlements.is_worth_it = false;
        self.note(now, None, &Entry::Proposal(proposal), effects);
    }

    /// Looks whether a settlement is worth it, every now and then.
    pub(super) fn weigh(&mut self, now: Time) {
        if self.settlements.weighed + self.weigh_every() <= now {
            self.settlements.weighed = now;
            self.settlements.is_worth_it = self.is_worth_it();
            self.forget_removed_members();
        }
    }

    pub(super) fn weigh_every(&self) -> Duration {
        WEIGH_EVERY.min(self.limits.settle_every)
    }

    /// Whether this node is the one that proposes where no operator asked: the first of the members that are
    /// up.
    pub(in crate::node) fn is_first(&self) -> bool {
        let me = self.peers.me().node;
        self.peers.up().all(|peer| me < peer.node)
    }

    /// Whether the last settlement is long enough ago for one that no operator asked for.
    fn has_rested(&self, now: Time) -> bool {
        let Limits { settle_every, .. } = self.limits;
        match self.settlements.proposed {
            Some(at) if self.is_memory_short() => at + PRESSED_EVERY.min(settle_every) <= now,
            None if self.is_memory_short() => true,
            at => at.unwrap_or(self.started) + settle_every <= now,
        }
    }

    /// Whether enough could go.
    fn is_worth_it(&self) -> bool {
        let view = self.view();
        let closed: Vec<Prefix> = view.foldable();
        let slots = |prefix: &Prefix| u64::from(self.counters.slots_by(prefix.origin));
        let is_closed = |prefix: &&Prefix| !self.counters.families().holds(prefix.origin);
        let foldable: u64 = closed.iter().filter(is_closed).map(slots).sum();
        let share = if self.is_memory_short() { SHARE_PRESSED } else { SHARE_WORTH };
        foldable >= self.limits.settle_slots
            && foldable.saturating_mul(share) >= self.counters.all_slots()
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
    pub(in crate::node) fn settlement_status(&self, now: Time) -> SettlementStatus {
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
