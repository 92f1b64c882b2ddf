//! Settlements and the origins that they fold.
//!
//! A settlement is an origin whose slots hold what is left of other, closed origins: its *family*, its
//! members and those of the settlements among them. Who reads a cover on a settlement must know its
//! family (rule `whole`), and who holds a settlement whole takes nothing of its family any more (rule
//! `gone`), for ever: eight bytes for each start that a node of the cluster ever had.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::OriginId;

/// All origins that a settlement folds, those of the settlements among its members included.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    /// Sorted.
    members: Vec<OriginId>,
    /// Those of settlements among the members.
    nested: Vec<Arc<Family>>,
}

impl Family {
    fn new(mut members: Vec<OriginId>, nested: Vec<Arc<Family>>) -> Self {
        members.sort_unstable();
        members.dedup();
        members.shrink_to_fit();
        Family { members, nested }
    }

    pub(crate) fn contains(&self, origin: OriginId) -> bool {
        self.members.binary_search(&origin).is_ok()
            || self.nested.iter().any(|family| family.contains(origin))
    }

    /// Whether all of it is in another one.
    pub(crate) fn is_within(&self, other: &Family) -> bool {
        self.iter().all(|origin| other.contains(origin))
    }

    /// Everyone in it; one that is there twice may be told twice.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = OriginId> + '_> {
        let nested = self.nested.iter().flat_map(|family| family.iter());
        Box::new(self.members.iter().copied().chain(nested))
    }

    /// The same family in one list, so that none is kept for the sake of what is in it.
    fn flat(&self) -> Self {
        Family::new(self.iter().collect(), Vec::new())
    }
}

/// What a node has to do with a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It folds it itself, and takes it from no peer (rule `take-or-fold`).
    Folds,
    /// It takes it from others, and has none or some of it.
    Takes,
    /// It has taken it whole.
    Holds,
    /// It has folded it, or does row by row at the moment.
    Folded,
}

impl Standing {
    fn is_here(self) -> bool {
        matches!(self, Standing::Holds | Standing::Folded)
    }
}

/// All settlements of which this node knows the family.
#[derive(Debug, Default)]
pub(crate) struct Families {
    known: BTreeMap<OriginId, (Arc<Family>, Standing)>,
    /// Those which a reset must name whose members it covers: they may be folded without its cover
    /// otherwise (rule `reset`).
    pending: Vec<(OriginId, Arc<Family>)>,
    /// Whether nothing may be covered (rule `no-cover-while-behind`).
    is_behind: bool,
    /// See [`Families::take_has_taken`].
    has_taken: bool,
}

impl Families {
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes down a family. The settlements among its members are known already (rule
    /// `told-before-data`).
    pub(crate) fn define(&mut self, settlement: OriginId, members: Vec<OriginId>) {
        if self.known.contains_key(&settlement) {
            return;
        }
        let known = members.iter().filter_map(|member| self.known.get(member));
        let nested = known.map(|(family, _)| Arc::clone(family)).collect();
        let family = Arc::new(Family::new(members, nested));
        self.known.insert(settlement, (family, Standing::Takes));
    }

    /// Adds to a family that is told in several pieces.
    pub(crate) fn extend(&mut self, settlement: OriginId, members: &[OriginId]) {
        let family = self.of(settlement).unwrap_or_default();
        let all = family.iter().chain(members.iter().copied()).collect();
        let standing = self.standing(settlement).unwrap_or(Standing::Takes);
        self.known.insert(settlement, (Arc::new(Family::new(all, Vec::new())), standing));
    }

    pub(crate) fn forget(&mut self, settlement: OriginId) {
        self.known.remove(&settlement);
    }

    pub(crate) fn of(&self, settlement: OriginId) -> Option<Arc<Family>> {
        self.known.get(&settlement).map(|(family, _)| Arc::clone(family))
    }

    pub(crate) fn standing(&self, settlement: OriginId) -> Option<Standing> {
        self.known.get(&settlement).map(|(_, standing)| *standing)
    }

    pub(crate) fn stand(&mut self, settlement: OriginId, standing: Standing) {
        if let Some(known) = self.known.get_mut(&settlement) {
            self.has_taken |= standing == Standing::Holds;
            known.1 = standing;
            if standing.is_here() {
                known.0 = Arc::new(known.0.flat());
            }
        }
    }

    /// These are pending now, and nothing may be covered or it may.
    pub(crate) fn judge(&mut self, pending: &[OriginId], is_behind: bool) {
        let family = |id: &OriginId| Some((*id, self.of(*id)?));
        self.pending = pending.iter().filter_map(family).collect();
        self.is_behind = is_behind;
    }

    /// Whether nothing may be covered.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The settlements that a reset names instead of a slot of this origin; none if it covers the slot
    /// itself (rule `reset`).
    pub(crate) fn named_for(&self, origin: OriginId) -> Vec<OriginId> {
        let pending = self.pending.iter().filter(|(_, family)| family.contains(origin));
        let held = self.known.iter().filter(|(id, (family, standing))| {
            **id == origin || standing.is_here() && family.contains(origin)
        });
        let pending = pending.map(|(settlement, _)| *settlement);
        pending.chain(held.map(|(settlement, _)| *settlement)).collect()
    }

    /// Settlements that are here, or are being folded.
    pub(crate) fn held(&self) -> impl Iterator<Item = OriginId> + '_ {
        let held = self.known.iter().filter(|(_, known)| known.1.is_here());
        held.map(|(settlement, _)| *settlement)
    }

    /// Those of them that are in the family of another one.
    pub(crate) fn held_within(&self, settlement: OriginId) -> Vec<OriginId> {
        let family = self.of(settlement).unwrap_or_default();
        self.held().filter(|id| family.contains(*id)).collect()
    }

    /// Whether a settlement was taken whole since this was asked last: what is in its family serves no
    /// more.
    pub(crate) fn take_has_taken(&mut self) -> bool {
        std::mem::take(&mut self.has_taken)
    }

    /// Forgets settlements that have gone into others that are here.
    pub(crate) fn forget_gone(&mut self) {
        let gone: Vec<OriginId> = self.held().filter(|id| self.is_gone(*id)).collect();
        gone.into_iter().for_each(|id| self.forget(id));
    }

    /// All that are known, whether each is here, and who is in it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (OriginId, bool, Vec<OriginId>)> + '_ {
        let known = self.known.iter();
        known.map(|(id, (family, standing))| (*id, standing.is_here(), family.iter().collect()))
    }

    /// Whether a settlement is here, or is being folded.
    pub(crate) fn holds(&self, settlement: OriginId) -> bool {
        self.standing(settlement).is_some_and(Standing::is_here)
    }

    /// Whether an origin has gone into a settlement that is here.
    pub(crate) fn is_gone(&self, origin: OriginId) -> bool {
        let mut held = self.known.values().filter(|(_, standing)| standing.is_here());
        held.any(|(family, _)| family.contains(origin))
    }

    /// Settlements that this node takes and that have this origin in their family.
    pub(crate) fn taken_over(&self, origin: OriginId) -> Vec<OriginId> {
        let taken = self.known.iter().filter(|(_, known)| known.1 == Standing::Takes);
        let over = taken.filter(|(_, (family, _))| family.contains(origin));
        over.map(|(settlement, _)| *settlement).collect()
    }
}
