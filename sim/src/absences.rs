//! Removals for absence, held against what every member has said.
//!
//! Whatever any node writes down of them is taken down here. Removals are one chain: of each number
//! there is one, whichever members are cut off. Each was agreed to by a majority of all members that
//! the node knew which decided it. And what a member has said it knows for as long as it may vote.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::absence::{AbsenceEntry, Absentee, Removal, Stance};
use quipu_core::identity::NodeId;
use quipu_core::membership::Key;
use quipu_core::node::Node;
use quipu_core::settlement::Entry;

use crate::checker::Checker;
use crate::host::HostId;
use crate::violation::Violation;

/// In what a node breaks the rules by which members are removed for absence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Two removals have one number: two sides may have removed each other.
    #[error("removal {term} is of node {one} and of node {other}")]
    TwoAtATerm {
        /// Which.
        term: u64,
        /// As it was seen first.
        one: NodeId,
        /// As it is seen now.
        other: NodeId,
    },
    /// No majority has agreed to a removal.
    #[error("node {node} is removed, and {agreed} of {of} members have agreed")]
    NoMajority {
        /// Who.
        node: NodeId,
        /// How many had said so.
        agreed: usize,
        /// Of all that the node knew which decided it, the removed one included.
        of: usize,
    },
    /// A node does not know any more what it has agreed to.
    #[error("node {node} had said {said:?}, and knows {known:?}")]
    Forgotten {
        /// Who.
        node: NodeId,
        /// What others were told.
        said: Box<Stance>,
        /// What it knows.
        known: Option<Box<Stance>>,
    },
    /// In calm, a majority does not remove who is away.
    #[error("after {seconds} s of calm it still has {state}")]
    Stuck {
        /// How long.
        seconds: u64,
        /// Who is away.
        state: String,
    },
}

impl Fault {
    pub(crate) fn at(self, host: HostId) -> Box<Violation> {
        Box::new(Violation::Absence { host, fault: self })
    }
}

/// All that was said.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    removals: BTreeMap<u64, Absentee>,
    /// Who agreed, by the number of the removal and who was to be removed.
    agreed: BTreeMap<(u64, Absentee), BTreeSet<NodeId>>,
    /// Of each member, the last word that another one was told.
    told: BTreeMap<NodeId, Stance>,
}

impl Absences {
    fn take_down(&mut self, me: NodeId, stance: &Stance) {
        if let Some((_, absentee)) = stance.accepted {
            let agreed = self.agreed.entry((stance.term, absentee)).or_default();
            agreed.insert(stance.voter.node);
        }
        let node = stance.voter.node;
        if node != me && self.told.get(&node).is_none_or(|told| stance.follows(told)) {
            self.told.insert(node, *stance);
        }
    }

    fn look_at_removal(&mut self, node: &Node, removal: &Removal) -> Result<(), Fault> {
        let Removal { term, absentee } = *removal;
        if let Some(known) = self.removals.get(&term) {
            let (one, other) = (known.member.node, absentee.member.node);
            return match *known == absentee {
                true => Ok(()),
                false => Err(Fault::TwoAtATerm { term, one, other }),
            };
        }
        self.removals.insert(term, absentee);
        // Who decides may have agreed in the same step.
        let mut agreed = self.agreed.get(&(term, absentee)).cloned().unwrap_or_default();
        agreed.insert(node.identity().node);
        let mut members = members_known_to(node);
        members.insert(absentee.member.node);
        let (agreed, of) = (agreed.intersection(&members).count(), members.len());
        match 2 * agreed > of {
            true => Ok(()),
            false => Err(Fault::NoMajority { node: absentee.member.node, agreed, of }),
        }
    }

    fn look_at_own(&self, me: NodeId, own: Option<Stance>, term: u64) -> Result<(), Fault> {
        let Some(said) = self.told.get(&me) else { return Ok(()) };
        let knows = own.is_some_and(|own| !said.follows(&own)) || term > said.term;
        match knows {
            true => Ok(()),
            false => {
                Err(Fault::Forgotten { node: me, said: Box::new(*said), known: own.map(Box::new) })
            }
        }
    }

    fn look_at(&mut self, node: &Node) -> Result<(), Fault> {
        let me = node.identity().node;
        let entries: Vec<AbsenceEntry> = node.absence_entries().collect();
        let (mut own, mut term) = (None, 0);
        for entry in &entries {
            match entry {
                AbsenceEntry::Stance(stance) => {
                    self.take_down(me, stance);
                    own = own.or((stance.voter.node == me).then_some(*stance));
                }
                AbsenceEntry::Removal(removal) => term = term.max(removal.term + 1),
                _ => {}
            }
        }
        for entry in &entries {
            if let AbsenceEntry::Removal(removal) = entry {
                self.look_at_removal(node, removal)?;
            }
        }
        self.look_at_own(me, own, term)
    }
}

/// The members that a node knows of and that are not removed.
pub(crate) fn members_known_to(node: &Node) -> BTreeSet<NodeId> {
    let registry = node.registry();
    let known = node.settlement_entries().filter_map(|entry| match entry {
        Entry::Member { node, .. } => Some(node),
        _ => None,
    });
    known.filter(|node| !registry.of(&Key::Node(*node)).is_removed()).collect()
}

impl Checker {
    /// Looks at what a process knows of removals for absence.
    ///
    /// # Errors
    /// If it breaks a rule.
    pub fn look_at_absences(&mut self, host: HostId, node: &Node) -> Result<(), Box<Violation>> {
        let looked = self.absences.look_at(node);
        let removed: Vec<NodeId> =
            self.absences.removals.values().map(|absentee| absentee.member.node).collect();
        for node in removed {
            // What follows is the same as behind an operator's removal and registration.
            if let Some(host) = self.operators.host_of(node) {
                self.removed(host);
                self.registered(host);
            }
        }
        looked.map_err(|fault| fault.at(host))
    }
}
