//! What a node has to say and to do about the settlements that it knows.

use super::ledger::Ledger;
use crate::counters::Counters;
use crate::identity::{NodeId, OriginId};
use crate::membership::Key;
use crate::peers::registry::Registry;
use crate::settlement::{Ballot, PROPOSED_MAX, Prefix, Proposal, Vote, Voter};

/// What a node can see: everything is judged from it alone.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) me: NodeId,
    pub(crate) ledger: &'a Ledger,
    pub(crate) registry: &'a Registry,
    pub(crate) counters: &'a Counters,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Say it: nothing else changes.
    Vote(Vote),
    /// Adopt what others have covered of its family, and then grant it.
    Grant(OriginId, Voter),
    /// Fold it; the origins that were closed with the grants.
    Fold(Vote, Vec<OriginId>),
    /// Give it up.
    GiveUp(OriginId),
}

impl View<'_> {
    /// The epoch under which a node is a member; `None` if it is none.
    pub(crate) fn epoch_of(&self, node: NodeId) -> Option<u64> {
        let record = self.registry.of(&Key::Node(node));
        (!record.is_removed()).then_some(record.registered)
    }

    fn is_member(&self, voter: &Voter) -> bool {
        self.epoch_of(voter.node) == Some(voter.epoch)
    }

    fn my_voice(&self, proposal: &Proposal) -> Option<Voter> {
        let me = Voter { node: self.me, epoch: self.epoch_of(self.me)? };
        proposal.voters.binary_search(&me).is_ok().then_some(me)
    }

    fn holds(&self, settlement: OriginId) -> bool {
        self.counters.families().holds(settlement)
    }

    /// Whether it is here, or has gone into another one that is.
    fn is_done(&self, settlement: OriginId) -> bool {
        self.holds(settlement) || self.counters.families().is_gone(settlement)
    }

    fn ballots<'b>(
        &'b self,
        proposal: &'b Proposal,
    ) -> impl Iterator<Item = (&'b Voter, Option<&'b Ballot>)> {
        let ledger = self.ledger;
        proposal.voters.iter().map(|voter| (voter, ledger.ballot(proposal.settlement, *voter)))
    }

    fn is_refused(&self, proposal: &Proposal) -> bool {
        self.ballots(proposal).any(|(_, ballot)| matches!(ballot, Some(Ballot::Refuse)))
    }

    fn is_folded_by_a_member(&self, proposal: &Proposal) -> bool {
        self.ballots(proposal)
            .any(|(voter, ballot)| matches!(ballot, Some(Ballot::Fold(_))) && self.is_member(voter))
    }

    fn is_folded(&self, proposal: &Proposal) -> bool {
        self.ballots(proposal).any(|(_, ballot)| matches!(ballot, Some(Ballot::Fold(_))))
    }

    /// Whether it can never come to pass any more (rule `abandon-then-follow`).
    pub(crate) fn is_dead(&self, proposal: &Proposal) -> bool {
        if self.is_refused(proposal) {
            return true;
        }
        let mut members =
            self.ballots(proposal).filter(|(voter, _)| self.is_member(voter)).peekable();
        if self.ballots(proposal).all(|(voter, _)| self.is_member(voter)) {
            return false;
        }
        if members.peek().is_none() {
            return !self.holds(proposal.settlement);
        }
        members.all(|(_, ballot)| matches!(ballot, Some(Ballot::Abandon(_))))
    }

    /// Whether all of a closed origin is here, and nothing else (rule `final-votes`).
    fn is_whole(&self, prefix: &Prefix) -> bool {
        let known = self.counters.known(prefix.origin);
        (known.version, known.fingerprint) == (prefix.version, prefix.fingerprint)
    }

    fn has_all(&self, proposal: &Proposal) -> bool {
        proposal.members.iter().all(|member| self.is_whole(member))
    }

    /// The settlements that a reset must name whose members it covers (rule `reset`).
    pub(crate) fn pending(&self) -> Vec<OriginId> {
        let is_pending = |proposal: &&Proposal| {
            if self.is_done(proposal.settlement) || self.is_refused(proposal) {
                return false;
            }
            match self.my_voice(proposal) {
                Some(me) => {
                    let ballot = self.ledger.ballot(proposal.settlement, me);
                    ballot.is_some_and(|ballot| ballot.granted().is_some())
                }
                None => self.has_all(proposal),
            }
        };
        let pending = self.ledger.proposals().filter(is_pending);
        pending.map(|proposal| proposal.settlement).collect()
    }

    /// The settlement for which this node may cover nothing now (rule `no-cover-while-behind`).
    pub(crate) fn behind(&self) -> Option<OriginId> {
        let blocks = |proposal: &&Proposal| {
            // There is nothing in it that could be covered.
            let is_of_nothing = proposal.members.is_empty();
            if is_of_nothing
                || self.is_done(proposal.settlement)
                || self.my_voice(proposal).is_some()
            {
                return false;
            }
            let is_told_of = self.is_folded(proposal) && !self.is_dead(proposal);
            let lacks = !self.is_refused(proposal) && !self.has_all(proposal);
            is_told_of || lacks
        };
        self.ledger.proposals().find(blocks).map(|proposal| proposal.settlement)
    }

    /// What is to be done next, if anything is.
    pub(crate) fn next_act(&self) -> Option<Act> {
        self.epoch_of(self.me)?;
        self.ledger.proposals().find_map(|proposal| self.act_on(proposal))
    }

    fn act_on(&self, proposal: &Proposal) -> Option<Act> {
        let settlement = proposal.settlement;
        let Some(voter) = self.my_voice(proposal) else {
            let is_here = self.holds(settlement) || self.counters.slots_by(settlement) > 0;
            let is_lost = is_here && self.is_dead(proposal);
            return is_lost.then_some(Act::GiveUp(settlement));
        };
        if self.is_done(settlement) {
            return None;
        }
        let vote = |ballot| Vote { settlement, voter, ballot };
        match self.ledger.ballot(settlement, voter) {
            Some(Ballot::Refuse | Ballot::Fold(_)) => None,
            None if self.must_refuse(proposal) => Some(Act::Vote(vote(Ballot::Refuse))),
            None if self.may_grant(proposal) => Some(Act::Grant(settlement, voter)),
            None => None,
            Some(ballot @ (Ballot::Grant(granted) | Ballot::Abandon(granted))) => {
                let granted = *granted;
                let has_abandoned = matches!(ballot, Ballot::Abandon(_));
                if let Some(closed) = self.all_granted(proposal)
                    && (!has_abandoned || self.is_folded_by_a_member(proposal))
                {
                    return Some(Act::Fold(vote(Ballot::Fold(granted)), closed));
                }
                let has_lost = proposal.voters.iter().any(|voter| !self.is_member(voter));
                (has_lost && !has_abandoned).then(|| Act::Vote(vote(Ballot::Abandon(granted))))
            }
        }
    }

    /// Whether it can never be granted here (rule `final-votes`).
    fn must_refuse(&self, proposal: &Proposal) -> bool {
        let families = self.counters.families();
        let other_grant = self.ledger.proposals().any(|other| {
            other.settlement != proposal.settlement
                && !self.is_done(other.settlement)
                && self
                    .my_voice(other)
                    .and_then(|me| self.ledger.ballot(other.settlement, me))
                    .is_some_and(|ballot| ballot.granted().is_some())
                && !self.is_dead(other)
        });
        let is_left_out = |node: NodeId| {
            self.epoch_of(node)
                .is_some_and(|epoch| proposal.voters.binary_search(&Voter { node, epoch }).is_err())
        };
        let is_wrong = |member: &Prefix| {
            families.is_gone(member.origin)
                || self.ledger.closed(member.origin).is_some_and(|closed| closed != member)
                || self.counters.known(member.origin).version > member.version
                || member.origin == self.counters.our_origin()
        };
        let lacks_settlement = families.held().any(|held| {
            proposal.members.binary_search_by_key(&held, |member| member.origin).is_err()
        });
        other_grant
            || self.ledger.members().any(is_left_out)
            || proposal.voters.iter().any(|voter| !self.is_member(voter))
            || proposal.members.iter().any(is_wrong)
            || lacks_settlement
    }

    fn may_grant(&self, proposal: &Proposal) -> bool {
        self.ledger.opened().iter().all(|origin| *origin == self.counters.our_origin())
            && self.has_all(proposal)
            && !self.counters.is_folding()
    }

    /// What was closed with the grants, if all are known and all of that is here (rule `fold-what-was-granted`).
    fn all_granted(&self, proposal: &Proposal) -> Option<Vec<OriginId>> {
        let mut closed = Vec::new();
        for (_, ballot) in self.ballots(proposal) {
            let granted = ballot?.granted()?;
            #[cfg(feature = "planted-bugs")]
            if self.counters.bug == Some(crate::bug::Bug::FoldsEarly) {
                closed.push(granted.origin);
                continue;
            }
            if !self.is_whole(&granted) {
                return None;
            }
            closed.push(granted.origin);
        }
        Some(closed)
    }

    /// Settlements that this node holds without having folded them, and gives up because it meets a
    /// voter that has not folded them either (rule `yield-to-the-voters`).
    pub(crate) fn given_up_before(&self, peer: NodeId) -> Vec<OriginId> {
        let yields = |proposal: &&Proposal| {
            let Some(epoch) = self.epoch_of(peer) else { return false };
            let voter = Voter { node: peer, epoch };
            let ballot = self.ledger.ballot(proposal.settlement, voter);
            self.holds(proposal.settlement)
                && self.my_voice(proposal).is_none()
                && proposal.voters.binary_search(&voter).is_ok()
                && !matches!(ballot, Some(Ballot::Fold(_)))
                && !self.is_folded_by_a_member(proposal)
        };
        let given_up = self.ledger.proposals().filter(yields);
        given_up.map(|proposal| proposal.settlement).collect()
    }

    /// Whether a proposal is still to be decided.
    pub(crate) fn undecided(&self) -> Option<&Proposal> {
        self.ledger
            .proposals()
            .find(|proposal| !self.is_done(proposal.settlement) && !self.is_dead(proposal))
    }

    /// All proposals that are still to be decided.
    pub(crate) fn undecided_ids(&self) -> Vec<OriginId> {
        let is_open =
            |proposal: &&Proposal| !self.is_done(proposal.settlement) && !self.is_dead(proposal);
        self.ledger.proposals().filter(is_open).map(|proposal| proposal.settlement).collect()
    }

    /// Voters of which nothing was heard of a proposal yet, or that have not folded it.
    pub(crate) fn awaited(&self, proposal: &Proposal) -> Vec<NodeId> {
        let is_awaited =
            |(_, ballot): &(&Voter, Option<&Ballot>)| !matches!(ballot, Some(Ballot::Fold(_)));
        let all_grant = self.ballots(proposal).all(|(_, ballot)| ballot.is_some());
        self.ballots(proposal)
            .filter(|at| if all_grant { is_awaited(at) } else { at.1.is_none() })
            .map(|(voter, _)| voter.node)
            .collect()
    }

    /// What could be folded: closed origins that are whole here, and every settlement. Not one of which
    /// another that is being taken has rows already: its fingerprint is that of the rest.
    pub(crate) fn foldable(&self) -> Vec<Prefix> {
        let families = self.counters.families();
        let is_whole = |origin: &OriginId| !self.counters.is_unserved(*origin);
        let held = families.held().filter(is_whole).filter_map(|origin| {
            let known = self.counters.known(origin);
            let (version, fingerprint) = (known.version, known.fingerprint);
            (version > 0).then_some(Prefix { origin, version, fingerprint })
        });
        let closed = self.ledger.closes().filter(|prefix| {
            !families.is_gone(prefix.origin) && prefix.version > 0 && self.is_whole(prefix)
        });
        let mut all: Vec<Prefix> = held.chain(closed.copied()).take(PROPOSED_MAX).collect();
        all.sort_unstable();
        all
    }

    /// A proposal of all that could be folded, to all members. Where there is nothing yet, what the
    /// grants close is folded by the settlement after it.
    pub(crate) fn propose(&self, settlement: OriginId) -> Proposal {
        let members = self.foldable();
        let voter = |node: NodeId| Some(Voter { node, epoch: self.epoch_of(node)? });
        // A node that has met no other is in no record, and asks itself.
        let asked = self.ledger.members().chain([self.me]);
        let mut voters: Vec<Voter> = asked.filter_map(voter).collect();
        voters.sort_unstable();
        voters.dedup();
        Proposal { settlement, members, voters, cutoff_ms: 0 }
    }
}

#[cfg(test)]
mod tests;
