//! What a node has to say and to do about members that are away (rule `one-removal-a-term`).

use std::collections::BTreeSet;

use super::ledger::Absences;
use super::quorum::{self, Share};
use crate::absence::{ABSENCES_MAX, AbsenceEntry, Absentee, Attempt, Call, Removal, Stance};
use crate::identity::NodeId;
use crate::settlement::Voter;

/// What a node can see: everything is judged from it alone.
pub(crate) struct View<'a> {
    pub(crate) me: NodeId,
    pub(crate) absences: &'a Absences,
    /// All members, itself included. Sorted.
    pub(crate) list: &'a [Voter],
    /// Itself, and those that answer.
    pub(crate) there: &'a BTreeSet<NodeId>,
    /// Those that it has seen away for as long as it takes.
    pub(crate) absent: &'a BTreeSet<NodeId>,
    #[cfg(feature = "planted-bugs")]
    pub(crate) bug: Option<crate::bug::Bug>,
}

impl View<'_> {
    fn my_voice(&self) -> Option<Voter> {
        self.list.iter().find(|voter| voter.node == self.me).copied()
    }

    /// The share of those who agree.
    pub(crate) fn share(&self, agreed: &BTreeSet<Voter>) -> Option<Share> {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::MajorityOfThoseUp) {
            let up = self.list.iter().filter(|voter| self.there.contains(&voter.node));
            let up: Vec<Voter> = up.copied().collect();
            return quorum::share(self.absences.commons()?, &up, agreed);
        }
        quorum::share(self.absences.commons()?, self.list, agreed)
    }

    /// The share that there would be if all agreed who answer.
    pub(crate) fn attainable(&self) -> Option<Share> {
        let there = self.list.iter().filter(|voter| self.there.contains(&voter.node));
        self.share(&there.copied().collect())
    }

    fn is_majority(&self, agreed: &BTreeSet<Voter>) -> bool {
        self.share(agreed).is_some_and(Share::is_majority)
    }

    /// What was agreed to in the latest attempt before this one in which any member agreed to anything: it
    /// may have been decided there.
    fn in_doubt(&self, before: Attempt) -> Option<Absentee> {
        let accepted = self.absences.stances().filter_map(|stance| stance.accepted);
        let earlier = accepted.filter(|(attempt, _)| *attempt < before);
        earlier.max_by_key(|(attempt, _)| *attempt).map(|(_, absentee)| absentee)
    }

    /// What is to be said or done next, if anything is.
    pub(crate) fn next(&self) -> Option<AbsenceEntry> {
        let me = self.my_voice()?;
        if let Some(absentee) = self.decided() {
            let term = self.absences.term();
            return Some(AbsenceEntry::Removal(Removal { term, absentee }));
        }
        let call = self.absences.call()?;
        // Who knows another member, or one less, has no part in it.
        if call.list != self.list {
            return None;
        }
        let term = self.absences.term();
        let mine = self.absences.stance(self.me).copied();
        let promised = mine.map_or(Attempt::NONE, |stance| stance.promised);
        let accepted = mine.and_then(|stance| stance.accepted);
        if call.is_chosen {
            let is_later = accepted.is_none_or(|(attempt, _)| attempt < call.attempt);
            let agrees = promised <= call.attempt && is_later && self.agrees_to(call);
            return agrees.then(|| {
                let accepted = Some((call.attempt, call.absentee));
                AbsenceEntry::Stance(Stance { voter: me, term, promised: call.attempt, accepted })
            });
        }
        if promised < call.attempt && self.agrees_to(call) {
            let promised = call.attempt;
            return Some(AbsenceEntry::Stance(Stance { voter: me, term, promised, accepted }));
        }
        self.chosen(call).map(AbsenceEntry::Call)
    }

    /// Whether this node has seen it away itself, or it may have been decided already: then all help
    /// to bring it to its end.
    fn agrees_to(&self, call: &Call) -> bool {
        self.absent.contains(&call.absentee.member.node)
            || self.in_doubt(call.attempt) == Some(call.absentee)
    }

    /// This node's own call, once a majority has promised: what is in doubt goes first.
    fn chosen(&self, call: &Call) -> Option<Call> {
        if call.attempt.caller != self.me {
            return None;
        }
        let promised = self.absences.stances().filter(|stance| stance.promised == call.attempt);
        let promised: BTreeSet<Voter> = promised.map(|stance| stance.voter).collect();
        let absentee = self.in_doubt(call.attempt).unwrap_or(call.absentee);
        self.is_majority(&promised).then(|| Call { absentee, is_chosen: true, ..call.clone() })
    }

    /// What a majority has agreed to. Who knows other members than those who agreed cannot count them.
    fn decided(&self) -> Option<Absentee> {
        let call = self.absences.call().filter(|call| call.is_chosen && call.list == self.list)?;
        if call.absentee.member.node == self.me {
            // Its links would end before any other member has heard of it.
            return None;
        }
        let has_agreed = |stance: &&Stance| {
            stance.accepted.is_some_and(|(accepted, _)| accepted == call.attempt)
        };
        let agreed = self.absences.stances().filter(has_agreed).map(|stance| stance.voter);
        self.is_majority(&agreed.collect()).then_some(call.absentee)
    }

    /// The member that this node would have removed next, if it is the one to call: the first of those
    /// that answer, with a majority of all among them.
    pub(crate) fn candidate(&self) -> Option<Voter> {
        self.my_voice()?;
        let is_first = self.list.iter().find(|voter| self.there.contains(&voter.node))?.node;
        let may_be = is_first == self.me
            && self.absences.term() < ABSENCES_MAX
            && self.attainable().is_some_and(Share::is_majority);
        let is_absent = |voter: &&Voter| self.absent.contains(&voter.node);
        may_be.then(|| self.list.iter().find(is_absent).copied()).flatten()
    }

    /// A fresh call for a member's removal.
    pub(crate) fn call(&self, absentee: Absentee) -> Call {
        let known = self.absences.stances().map(|stance| stance.promised.round);
        let called = self.absences.call().map(|call| call.attempt.round);
        let round = known.chain(called).max().unwrap_or(0) + 1;
        Call {
            term: self.absences.term(),
            attempt: Attempt { round, caller: self.me },
            list: self.list.to_vec(),
            absentee,
            is_chosen: false,
        }
    }
}

#[cfg(test)]
mod tests;
