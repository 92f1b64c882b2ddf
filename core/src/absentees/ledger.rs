//! The records of removals for absence that a node knows, and what they hash to.

use std::collections::{BTreeMap, BTreeSet};

use crate::absence::{AbsenceEntry, Absentee, Attempt, Call, Removal, Stance};
use crate::fingerprint;
use crate::identity::NodeId;
use crate::settlement::Voter;

/// Nodes of which it is known that they keep nothing, and stances: as many members as there may be.
const MEMBERS_MAX: usize = 4_096;

/// Common lists that do not hold each other: one, and one more for each cluster that was found by
/// this one and whose members have not all met yet. Beyond that no member is removed for absence.
pub(crate) const COMMONS_MAX: usize = 16;

/// See the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Absences {
    in_memory: BTreeSet<NodeId>,
    commons: Vec<Vec<Voter>>,
    /// Whether one was not taken down for want of room.
    lacks_commons: bool,
    stances: BTreeMap<NodeId, Stance>,
    removals: BTreeMap<NodeId, Removal>,
    call: Option<Call>,
    term: u64,
}

impl Absences {
    /// Takes down what this node or another has said; tells whether it is new. `is_member` says which
    /// registrations hold.
    pub(crate) fn merge(
        &mut self,
        entry: &AbsenceEntry,
        is_member: impl Fn(&Voter) -> bool,
    ) -> bool {
        match entry {
            AbsenceEntry::InMemory(node) => {
                self.in_memory.len() < MEMBERS_MAX && self.in_memory.insert(*node)
            }
            AbsenceEntry::Common(list) => self.share(list, is_member),
            AbsenceEntry::Stance(stance) => self.stand(stance),
            AbsenceEntry::Removal(removal) => self.remove(*removal),
            AbsenceEntry::Call(call) => self.hear(call),
        }
    }

    fn share(&mut self, list: &[Voter], is_member: impl Fn(&Voter) -> bool) -> bool {
        let holds = |whole: &[Voter], part: &[Voter]| {
            part.iter().filter(|voter| is_member(voter)).all(|voter| whole.contains(voter))
        };
        if self.commons.iter().any(|known| holds(known, list)) {
            return false;
        }
        self.commons.retain(|known| !holds(list, known));
        if self.commons.len() >= COMMONS_MAX {
            return !std::mem::replace(&mut self.lacks_commons, true);
        }
        // One that holds all others holds those that were not taken down: its members knew them.
        self.lacks_commons &= !self.commons.is_empty();
        self.commons.push(list.to_vec());
        true
    }

    fn stand(&mut self, stance: &Stance) -> bool {
        if stance.term < self.term {
            return false;
        }
        let known = self.stances.get(&stance.voter.node);
        let is_new = match known {
            Some(known) => stance.follows(known),
            None => self.stances.len() < MEMBERS_MAX,
        };
        if is_new {
            self.stances.insert(stance.voter.node, *stance);
        }
        is_new
    }

    fn remove(&mut self, removal: Removal) -> bool {
        let node = removal.absentee.member.node;
        if self.removals.get(&node).is_some_and(|known| known.term >= removal.term) {
            return false;
        }
        self.removals.insert(node, removal);
        self.in_memory.remove(&node);
        if removal.term >= self.term {
            self.term = removal.term + 1;
            self.stances.retain(|_, stance| stance.term > removal.term);
            self.call = None;
        }
        true
    }

    fn hear(&mut self, call: &Call) -> bool {
        let is_later = self
            .call
            .as_ref()
            .is_none_or(|known| (call.attempt, call.is_chosen) > (known.attempt, known.is_chosen));
        let is_new = call.term == self.term && is_later;
        if is_new {
            self.call = Some(call.clone());
        }
        is_new
    }

    /// How many members were removed for absence: the number of the next removal.
    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    pub(crate) fn is_in_memory(&self, node: NodeId) -> bool {
        self.in_memory.contains(&node)
    }

    /// The lists that all their members have known; `None` if there are more than are kept.
    pub(crate) fn commons(&self) -> Option<&[Vec<Voter>]> {
        (!self.lacks_commons).then_some(&self.commons)
    }

    /// What members have said last of the next removal.
    pub(crate) fn stances(&self) -> impl Iterator<Item = &Stance> {
        self.stances.values().filter(|stance| stance.term == self.term)
    }

    pub(crate) fn stance(&self, node: NodeId) -> Option<&Stance> {
        self.stances.get(&node).filter(|stance| stance.term == self.term)
    }

    pub(crate) fn call(&self) -> Option<&Call> {
        self.call.as_ref().filter(|call| call.term == self.term)
    }

    /// Who was removed for absence, be it a member again or not.
    pub(crate) fn removed(&self) -> impl Iterator<Item = &Absentee> {
        self.removals.values().map(|removal| &removal.absentee)
    }

    /// Forgets who keeps nothing and is no member any more.
    pub(crate) fn forget(&mut self, is_removed: impl Fn(NodeId) -> bool) {
        self.in_memory.retain(|node| !is_removed(*node));
    }

    /// Everything but calls, in the order in which it must be told: what was agreed to before the list
    /// that says who knows of it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = AbsenceEntry> + '_ {
        let mut removals: Vec<&Removal> = self.removals.values().collect();
        removals.sort_by_key(|removal| removal.term);
        let removals = removals.into_iter().map(|removal| AbsenceEntry::Removal(*removal));
        let in_memory = self.in_memory.iter().map(|node| AbsenceEntry::InMemory(*node));
        let stances = self.stances.values().map(|stance| AbsenceEntry::Stance(*stance));
        let commons = self.commons.iter().map(|list| AbsenceEntry::Common(list.clone()));
        removals.chain(in_memory).chain(stances).chain(commons)
    }

    /// A hash of all that [`Absences::entries`] tells, in no order.
    pub(crate) fn hash(&self) -> u64 {
        let in_memory = self.in_memory.iter().map(|node| fingerprint::of_entry(&[0, node.0]));
        let commons = self.commons.iter().map(|list| hash_of_list(list));
        let stances = self.stances.values().map(|stance| {
            let Stance { voter, term, promised, accepted } = stance;
            let (attempt, absentee) = accepted.unzip();
            let attempt = attempt.unwrap_or(Attempt::NONE);
            let of = absentee.map_or([0; 2], |absentee| [absentee.member.node.0, absentee.removed]);
            fingerprint::of_entry(&[
                2,
                voter.node.0,
                voter.epoch,
                *term,
                promised.round,
                promised.caller.0,
                attempt.round,
                attempt.caller.0,
                of[0],
                of[1],
            ])
        });
        let removals = self.removals.values().map(|Removal { term, absentee }| {
            fingerprint::of_entry(&[3, *term, absentee.member.node.0, absentee.removed])
        });
        in_memory.chain(commons).chain(stances).chain(removals).fold(0, u64::wrapping_add)
    }
}

/// What a list of members hashes to: with it a member says which it knows.
pub(crate) fn hash_of_list(list: &[Voter]) -> u64 {
    let numbers: Vec<u64> =
        [1].into_iter().chain(list.iter().flat_map(|voter| [voter.node.0, voter.epoch])).collect();
    fingerprint::of_entry(&numbers)
}
