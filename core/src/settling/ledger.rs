//! The records of settlements that a node knows, and what they hash to.

use std::collections::{BTreeMap, BTreeSet};

use crate::counters::Counters;
use crate::fingerprint;
use crate::identity::{NodeId, OriginId};
use crate::settlement::{Ballot, Entry, FAMILY_PIECE_MAX, Prefix, Proposal, Vote, Voter};

/// Proposals that are known at a time, dead ones included: those go with their members, in the next
/// settlement that comes to pass. At one in ten minutes it is more than a day of failed ones.
pub(crate) const PROPOSALS_MAX: usize = 256;

/// Members that are known at a time and not removed.
pub(crate) const MEMBERS_MAX: usize = 4_096;

/// See the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    members: BTreeSet<NodeId>,
    closes: BTreeMap<OriginId, Prefix>,
    proposals: BTreeMap<OriginId, Proposal>,
    votes: BTreeMap<(OriginId, Voter), Ballot>,
    /// Origins of this node's own earlier starts that are still to be closed.
    opened: BTreeSet<OriginId>,
}

impl Ledger {
    /// Takes down what this node or another has said; tells whether it is new. What it says of families
    /// the table learns with it.
    pub(crate) fn merge(&mut self, entry: &Entry, counters: &mut Counters) -> bool {
        match entry {
            Entry::Member { node, .. } => {
                self.members.len() < MEMBERS_MAX && self.members.insert(*node)
            }
            Entry::Close(prefix) => {
                self.opened.remove(&prefix.origin);
                self.close(*prefix, counters)
            }
            Entry::Family { settlement, members } => {
                let families = counters.families_mut();
                let known = families.of(*settlement);
                if families.is_gone(*settlement)
                    || families.holds(*settlement)
                    || known.is_some_and(|known| members.iter().all(|id| known.contains(*id)))
                {
                    return false;
                }
                families.extend(*settlement, members);
                true
            }
            Entry::Proposal(proposal) => self.propose(proposal, counters),
            Entry::Vote(vote) => self.vote(vote, counters),
            Entry::Opened(origin) => self.opened.insert(*origin),
            Entry::GivenUp(settlement) => {
                counters.give_up(*settlement);
                true
            }
        }
    }

    fn close(&mut self, prefix: Prefix, counters: &Counters) -> bool {
        if prefix.version == 0
            || counters.families().is_gone(prefix.origin)
            || self.closes.contains_key(&prefix.origin)
        {
            return false;
        }
        self.closes.insert(prefix.origin, prefix);
        true
    }

    fn propose(&mut self, proposal: &Proposal, counters: &mut Counters) -> bool {
        let id = proposal.settlement;
        if self.proposals.contains_key(&id)
            || self.proposals.len() >= PROPOSALS_MAX
            || counters.families().is_gone(id)
            || is_over(proposal, counters)
        {
            return false;
        }
        let members: Vec<OriginId> = proposal.members.iter().map(|member| member.origin).collect();
        let families = counters.families_mut();
        match families.of(id) {
            // A piece of it was told before.
            Some(family) if !members.iter().all(|member| family.contains(*member)) => {
                families.extend(id, &members);
            }
            Some(_) => {}
            None => families.define(id, members),
        }
        self.proposals.insert(id, proposal.clone());
        true
    }

    fn vote(&mut self, vote: &Vote, counters: &Counters) -> bool {
        let Some(proposal) = self.proposals.get(&vote.settlement) else { return false };
        if proposal.voters.binary_search(&vote.voter).is_err() {
            return false;
        }
        let key = (vote.settlement, vote.voter);
        if self.votes.get(&key).is_some_and(|known| !vote.ballot.follows(known)) {
            return false;
        }
        if let Some(granted) = vote.ballot.granted() {
            self.close(granted, counters);
        }
        self.votes.insert(key, vote.ballot);
        true
    }

    /// Forgets what serves no more: all that is about origins which have gone into a settlement that is
    /// here (rule `gone-for-good`).
    pub(crate) fn forget(&mut self, counters: &mut Counters) {
        self.closes.retain(|origin, _| !counters.families().is_gone(*origin));
        let over: Vec<OriginId> = self
            .proposals
            .values()
            .filter(|proposal| {
                let id = proposal.settlement;
                let holds = counters.families().holds(id);
                let came_to_nothing = proposal.members.is_empty() && self.is_refused(id);
                counters.families().is_gone(id)
                    || !holds && (is_over(proposal, counters) || came_to_nothing)
            })
            .map(|proposal| proposal.settlement)
            .collect();
        for id in over {
            self.proposals.remove(&id);
            self.votes.retain(|(settlement, _), _| *settlement != id);
            counters.families_mut().forget(id);
        }
        counters.families_mut().forget_gone();
    }

    /// An origin of this node's own is closed.
    pub(crate) fn forget_opened(&mut self, origin: OriginId) {
        self.opened.remove(&origin);
    }

    /// None of the origins that were opened is this node's to close.
    pub(crate) fn forget_all_opened(&mut self) {
        self.opened.clear();
    }

    fn is_refused(&self, settlement: OriginId) -> bool {
        let mut votes = self.votes.iter().filter(|((id, _), _)| *id == settlement);
        votes.any(|(_, ballot)| *ballot == Ballot::Refuse)
    }

    /// Forgets members that are none any more.
    pub(crate) fn forget_members(&mut self, is_removed: impl Fn(NodeId) -> bool) {
        self.members.retain(|node| !is_removed(*node));
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied()
    }

    pub(crate) fn closes(&self) -> impl Iterator<Item = &Prefix> {
        self.closes.values()
    }

    pub(crate) fn closed(&self, origin: OriginId) -> Option<&Prefix> {
        self.closes.get(&origin)
    }

    pub(crate) fn proposals(&self) -> impl Iterator<Item = &Proposal> {
        self.proposals.values()
    }

    pub(crate) fn proposal(&self, settlement: OriginId) -> Option<&Proposal> {
        self.proposals.get(&settlement)
    }

    pub(crate) fn ballot(&self, settlement: OriginId, voter: Voter) -> Option<&Ballot> {
        self.votes.get(&(settlement, voter))
    }

    /// The origins that were closed with the grants of a settlement, as far as they are known.
    pub(crate) fn granted(&self, settlement: OriginId) -> Vec<OriginId> {
        let votes = self.votes.iter().filter(|((id, _), _)| *id == settlement);
        votes.filter_map(|(_, ballot)| Some(ballot.granted()?.origin)).collect()
    }

    /// All that a node has granted, and that others are to hold before they hold what it wrote later.
    pub(crate) fn granted_by(&self, node: NodeId) -> Vec<Prefix> {
        let votes = self.votes.iter().filter(|((_, voter), _)| voter.node == node);
        votes.filter_map(|(_, ballot)| ballot.granted()).collect()
    }

    /// Origins of this node's own earlier starts that are still to be closed.
    pub(crate) fn opened(&self) -> &BTreeSet<OriginId> {
        &self.opened
    }

    /// Whether a proposal was ever heard of that is not over: peers that do not know what it is cannot
    /// be told.
    pub(crate) fn has_proposals(&self) -> bool {
        !self.proposals.is_empty()
    }

    /// Everything, in the order in which it must be told: families before the proposals that build on
    /// them, and those before the votes.
    pub(crate) fn entries<'a>(
        &'a self,
        counters: &'a Counters,
        epochs: impl Fn(NodeId) -> (u64, u64) + 'a,
        is_family_told: impl Fn(OriginId) -> bool + 'a,
    ) -> impl Iterator<Item = Entry> + 'a {
        let member = move |&node: &NodeId| {
            let (removed, registered) = epochs(node);
            Entry::Member { node, removed, registered }
        };
        let vote = |(&(settlement, voter), &ballot): (&(OriginId, Voter), &Ballot)| {
            Entry::Vote(Vote { settlement, voter, ballot })
        };
        self.members
            .iter()
            .map(member)
            .chain(self.families(counters, is_family_told))
            .chain(self.closes.values().copied().map(Entry::Close))
            .chain(self.proposals.values().cloned().map(Entry::Proposal))
            .chain(self.votes.iter().map(vote))
    }

    /// The families of the settlements that are here, in pieces.
    fn families<'a>(
        &'a self,
        counters: &'a Counters,
        is_told: impl Fn(OriginId) -> bool + 'a,
    ) -> impl Iterator<Item = Entry> + 'a {
        let held = counters.families().held();
        held.filter(move |id| is_told(*id)).flat_map(move |settlement| {
            let family = counters.families().of(settlement).unwrap_or_default();
            in_pieces(settlement, &family.iter().collect::<Vec<OriginId>>())
        })
    }

    /// Everything that a snapshot keeps: also what others are not told. Epochs stand in the records of
    /// removals.
    pub(crate) fn kept<'a>(&'a self, counters: &'a Counters) -> impl Iterator<Item = Entry> + 'a {
        let own = self.opened.iter().copied().map(Entry::Opened);
        // A settlement that is still being taken has a family as well, which was told once: what is in it of
        // earlier settlements stands in no proposal that this node knows.
        let families = counters.families();
        let others = families.all().filter(|(id, is_here, _)| !is_here && !families.is_gone(*id));
        let others = others.flat_map(|(id, _, members)| in_pieces(id, &members));
        others.chain(self.entries(counters, |_| (0, 0), |_| true)).chain(own)
    }

    /// A hash of all records but families, in no order.
    pub(crate) fn hash(&self, epochs: impl Fn(NodeId) -> (u64, u64)) -> u64 {
        let members = self.members.iter().map(|node| {
            let (removed, registered) = epochs(*node);
            fingerprint::of_entry(&[0, node.0, removed, registered])
        });
        let closes = self.closes.values().map(|prefix| {
            let Prefix { origin, version, fingerprint } = *prefix;
            fingerprint::of_entry(&[1, origin.0, version, fingerprint])
        });
        let proposals = self.proposals.keys().map(|id| fingerprint::of_entry(&[2, id.0]));
        let votes = self.votes.iter().map(|((id, voter), ballot)| {
            let kind = match ballot {
                Ballot::Grant(_) => 1,
                Ballot::Abandon(_) => 2,
                Ballot::Fold(_) => 3,
                Ballot::Refuse => 4,
            };
            fingerprint::of_entry(&[3, id.0, voter.node.0, voter.epoch, kind])
        });
        members.chain(closes).chain(proposals).chain(votes).fold(0, u64::wrapping_add)
    }
}

fn in_pieces(settlement: OriginId, members: &[OriginId]) -> Vec<Entry> {
    let piece = |members: &[OriginId]| Entry::Family { settlement, members: members.to_vec() };
    members.chunks(FAMILY_PIECE_MAX).map(piece).collect()
}

/// Whether all that a proposal would fold has gone into another settlement.
fn is_over(proposal: &Proposal, counters: &Counters) -> bool {
    let families = counters.families();
    !proposal.members.is_empty()
        && proposal.members.iter().all(|member| families.is_gone(member.origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A node takes a settlement of which it has the family, which holds an earlier one's, and makes a
    /// snapshot.` Its next start knew the proposal's members alone: what the earlier settlement had folded
    /// would have counted beside it.
    #[test]
    fn a_snapshot_keeps_the_family_of_a_settlement_that_is_still_taken() {
        let (taken, earlier, old) = (OriginId(1_000), OriginId(900), OriginId(11));
        let mut counters = Counters::new(OriginId(1), 0);
        let mut ledger = Ledger::default();
        let member = Prefix { origin: earlier, version: 1, fingerprint: 7 };
        let proposal =
            Proposal { settlement: taken, members: vec![member], voters: Vec::new(), cutoff_ms: 0 };
        let family = Entry::Family { settlement: taken, members: vec![old, earlier] };
        for entry in [family, Entry::Proposal(proposal)] {
            assert!(ledger.merge(&entry, &mut counters));
        }
        let kept: Vec<Entry> = ledger.kept(&counters).collect();
        let mut found = Counters::new(OriginId(2), 0);
        let mut again = Ledger::default();
        for entry in &kept {
            again.merge(entry, &mut found);
        }
        let family = found.families().of(taken).expect("it was kept");
        assert!(family.contains(old) && family.contains(earlier));
        assert!(again.proposal(taken).is_some());
    }
}
