//! How settlements change the table: rows are folded, and origins go.
//!
//! All of it is done in steps of a bounded size while the node serves (rule `row-done`): a row is read
//! and reset in either form meanwhile. What a fold makes of a row depends on closed origins only, so
//! it is the same whenever the row's turn comes, here and on every other node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::adoption::Adoption;
use super::Counters;
use crate::counters::VACATED;
use crate::counters::counter::Counter;
use crate::counters::families::{Families, Family, Standing};
use crate::counters::ranges::Ranges;
use crate::counters::writer::OriginIndex;
use crate::digest::DigestEntry;
use crate::ending::{Covered, Ending, Lifetime};
use crate::identity::OriginId;
use crate::slot::{Numbers, Slot};

mod adoption;

/// Rows that one step passes: some millisecond of them.
pub(crate) const ROWS_A_STEP: usize = 2_048;

/// Origins, by their places.
#[derive(Debug, Default)]
struct Mask(Vec<bool>);

impl Mask {
    fn add(&mut self, index: OriginIndex) {
        let index = index as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, false);
        }
        self.0[index] = true;
    }

    fn has(&self, index: OriginIndex) -> bool {
        self.0.get(index as usize).is_some_and(|is_in| *is_in)
    }

    fn iter(&self) -> impl Iterator<Item = OriginIndex> + '_ {
        (0..).zip(&self.0).filter(|(_, is_in)| **is_in).map(|(index, _)| index)
    }
}

/// Something that is to be done to every row.
#[derive(Debug)]
struct Chore {
    kind: Kind,
    /// Origins whose slots go.
    going: Mask,
    at: usize,
    /// Rows that come later hold nothing of them.
    end: usize,
}

#[derive(Debug)]
enum Kind {
    /// Rows are folded.
    Fold { settlement: OriginId, index: OriginIndex, family: Arc<Family>, counted: Mask },
    /// Slots just go.
    Sweep,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Folding {
    chores: VecDeque<Chore>,
    adoption: Option<Adoption>,
    /// Places of origins that are gone, for others.
    pub(super) vacant: BTreeSet<OriginIndex>,
    /// Whether a snapshot walks over the table, which names origins by their places.
    is_walked: bool,
    /// How often rows have lost slots.
    losses: u64,
    /// How often an origin has given up its place, or taken that of another.
    moves: u64,
}

impl Folding {
    pub(super) fn take_vacant(&mut self) -> Option<OriginIndex> {
        let vacant = if self.is_walked { None } else { self.vacant.pop_first() };
        self.moves += u64::from(vacant.is_some());
        vacant
    }
}

/// What a delta has to do with settlements.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// It tells of one that is taken: its family.
    pub(super) takes: Option<Arc<Family>>,
    /// Its origin is in the family of these, of which some rows are here.
    over: Vec<OriginIndex>,
}

impl Settling {
    /// Whether a settlement that holds this origin has told of the row (rule `row-done`).
    pub(super) fn is_row_done(&self, counter: &Counter) -> bool {
        self.over.iter().any(|index| counter.slot_of(*index).is_some())
    }
}

/// What a row is folded to.
#[derive(Debug, Default)]
struct Folded {
    slot: Slot,
    endings: Vec<Ending>,
}

impl Counters {
    /// The settlements that are known, and their families.
    pub(crate) fn families(&self) -> &Families {
        &self.families
    }

    pub(crate) fn families_mut(&mut self) -> &mut Families {
        &mut self.families
    }

    /// Goes on in a fresh origin. What was changed under the one before has been closed.
    pub(crate) fn take_fresh_origin(&mut self, id: OriginId) {
        debug_assert!(self.is_open_batch_empty(), "the version is to be closed first");
        let version = self.our_version();
        if let Some(index) = self.add_origin(id) {
            self.ours = index;
            self.versions_before += version;
        }
    }

    /// How many slots an origin has here.
    pub(crate) fn slots_by(&self, origin: OriginId) -> u32 {
        self.index_of(origin).map_or(0, |index| self.origins[index as usize].slots)
    }

    /// How many slots there are.
    pub(crate) fn all_slots(&self) -> u64 {
        self.origins.iter().map(|origin| u64::from(origin.slots)).sum()
    }

    /// A snapshot walks over the table, or does not any more.
    pub(crate) fn walk(&mut self, is_walked: bool) {
        self.folding.is_walked = is_walked;
    }

    pub(crate) fn is_walked(&self) -> bool {
        self.folding.is_walked
    }

    /// Whether rows are being folded.
    pub(crate) fn is_folding(&self) -> bool {
        self.folding.chores.iter().any(|chore| matches!(chore.kind, Kind::Fold { .. }))
    }

    /// The settlements whose families are known, for those who look at a node from outside of the
    /// protocol: whether each is here, and all that is in its family.
    pub fn settlements(&self) -> impl Iterator<Item = (OriginId, bool, Vec<OriginId>)> + '_ {
        self.families.all()
    }

    /// The settlements that a reset names instead of a slot of this origin (rule `reset`).
    pub fn named_for(&self, origin: OriginId) -> Vec<OriginId> {
        self.families.named_for(origin)
    }

    /// Whether nothing may be covered now (rule `no-cover-while-behind`).
    pub fn covers_nothing(&self) -> bool {
        self.families.is_behind()
    }

    /// Whether something is still to be done to rows.
    pub fn has_chores(&self) -> bool {
        !self.folding.chores.is_empty()
    }

    /// How often rows have lost slots: who walks over the slots of a row begins it anew then.
    pub(crate) fn losses(&self) -> u64 {
        self.folding.losses
    }

    /// How often the places of origins have changed hands: who knows some looks for them anew then.
    pub(crate) fn moves(&self) -> u64 {
        self.folding.moves
    }

    /// Whether nothing that others tell of an origin is taken: it has gone into a settlement, or is one
    /// that this node folds itself (rules `gone-for-good` and `take-or-fold`).
    pub(crate) fn is_untaken(&self, origin: OriginId) -> bool {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::TakesWhatIsGone) {
            return matches!(
                self.families.standing(origin),
                Some(Standing::Folds | Standing::Folded)
            );
        }
        !self.families.is_empty()
            && (matches!(self.families.standing(origin), Some(Standing::Folds | Standing::Folded))
                || self.families.is_gone(origin))
    }

    /// Whether what is here of an origin is not to be given to others: a settlement that is being taken
    /// has some of it (rule `take-or-fold`).
    pub(crate) fn is_unserved(&self, origin: OriginId) -> bool {
        if self.families.is_empty() {
            return false;
        }
        let has_begun = |settlement: OriginId| self.slots_by(settlement) > 0;
        let is_settlement = self.families.standing(origin).is_some();
        is_settlement && self.known(origin).version == 0
            || self.families.is_gone(origin)
            || self.families.taken_over(origin).into_iter().any(has_begun)
    }

    pub(super) fn settling(&self, origin: OriginId) -> Settling {
        if self.families.is_empty() {
            return Settling::default();
        }
        let takes = (self.families.standing(origin) == Some(Standing::Takes))
            .then(|| self.families.of(origin))
            .flatten();
        let over = self.families.taken_over(origin).into_iter();
        Settling { takes, over: over.filter_map(|id| self.index_of(id)).collect() }
    }

    /// A settlement has come whole: its family goes from all rows.
    pub(super) fn hold(&mut self, settlement: OriginId) {
        self.end_chores();
        self.families.stand(settlement, Standing::Holds);
        let going = self.let_go_of_family(settlement);
        let end = self.list.end();
        self.folding.chores.push_back(Chore { kind: Kind::Sweep, going, at: 0, end });
    }

    /// The origins of a settlement's family are not held any more as far as others are told.
    fn let_go_of_family(&mut self, settlement: OriginId) -> Mask {
        let family = self.families.of(settlement).unwrap_or_default();
        let mut going = Mask::default();
        for index in 0..self.origins.len() {
            let origin = &mut self.origins[index];
            if origin.id != VACATED && family.contains(origin.id) {
                origin.known = DigestEntry::default();
                origin.beyond = Ranges::default();
                origin.is_gone = true;
                let index = u32::try_from(index).expect("places have 32 bits");
                going.add(index);
                self.note_row(index);
            }
        }
        going
    }

    /// Begins to fold (rule `fold-what-was-granted`): `counted` are the origins whose covers count beside the family's
    /// own. Nothing may walk over the table.
    pub(crate) fn begin_fold(&mut self, settlement: OriginId, counted: &[OriginId]) {
        let Some(index) = self.index_of(settlement).or_else(|| self.add_origin(settlement)) else {
            return;
        };
        self.families.stand(settlement, Standing::Folded);
        let going = self.let_go_of_family(settlement);
        let mut mask = Mask::default();
        let counted = counted.iter().filter_map(|id| self.index_of(*id));
        counted.chain(going.iter()).for_each(|index| mask.add(index));
        let family = self.families.of(settlement).unwrap_or_default();
        let kind = Kind::Fold { settlement, index, family, counted: mask };
        let end = self.list.end();
        self.folding.chores.push_back(Chore { kind, going, at: 0, end });
    }

    /// Gives up a settlement, to take what it was made of again (rule `yield-to-the-voters`).
    pub(crate) fn give_up(&mut self, settlement: OriginId) {
        self.end_chores();
        self.families.stand(settlement, Standing::Takes);
        // Rows of it have taken the place of what earlier settlements in its family left: those are had
        // again as well, also where this node has folded them itself.
        for nested in self.families.held_within(settlement) {
            self.families.stand(nested, Standing::Takes);
            if let Some(index) = self.index_of(nested) {
                let origin = &mut self.origins[index as usize];
                (origin.known.version, origin.beyond) = (0, Ranges::default());
                self.note_row(index);
            }
        }
        for origin in &mut self.origins {
            origin.is_gone = origin.is_gone && self.families.is_gone(origin.id);
        }
        let mut going = Mask::default();
        if let Some(index) = self.index_of(settlement) {
            let origin = &mut self.origins[index as usize];
            (origin.known, origin.beyond) = (DigestEntry::default(), Ranges::default());
            origin.slots = 0;
            going.add(index);
            self.note_row(index);
        }
        let end = self.list.end();
        self.folding.chores.push_back(Chore { kind: Kind::Sweep, going, at: 0, end });
    }

    /// Does all that is to be done to rows, before something else begins.
    pub(crate) fn end_chores(&mut self) {
        while self.has_chores() {
            self.chore_step(usize::MAX);
        }
    }

    /// Does the next of what is to be done to every row, some rows of it.
    pub(crate) fn chore_step(&mut self, rows: usize) {
        let Some(mut chore) = self.folding.chores.pop_front() else { return };
        let stop = chore.end.min(chore.at.saturating_add(rows));
        for at in chore.at..stop {
            if !self.has_at(at) {
                continue;
            }
            let place = u32::try_from(at).expect("places have 32 bits");
            match &chore.kind {
                Kind::Fold { .. } => self.fold_row(place, &chore),
                Kind::Sweep => self.drop_slots(place, &chore.going),
            }
            self.note_passed(place);
        }
        chore.at = stop;
        if chore.at < chore.end {
            return self.folding.chores.push_front(chore);
        }
        if let Kind::Fold { index, .. } = chore.kind {
            self.origins[index as usize].known.version = 1;
            self.note_row(index);
        }
        self.settle_rows();
        for index in chore.going.iter() {
            self.vacate(index);
        }
        self.trim_origins();
    }

    /// An origin has no slot any more, and gives up its place.
    fn vacate(&mut self, index: OriginIndex) {
        let origin = &mut self.origins[index as usize];
        let id = std::mem::replace(&mut origin.id, VACATED);
        origin.slots = 0;
        self.rows.remove(id, index);
        self.origin_places.remove(&id);
        self.folding.vacant.insert(index);
        self.folding.moves += 1;
    }

    /// Takes away of a row what some origins have in it.
    fn drop_slots(&mut self, place: u32, going: &Mask) {
        let (tracked, before) = (self.tracked(place), self.existing_at(place));
        let counter = &mut self.list[place];
        if counter.retain(|index| !going.has(index)) == 0 {
            return;
        }
        self.folding.losses += 1;
        let origins = &self.origins;
        counter.recount(|index| origins[index as usize].id);
        self.track_rewritten(place, tracked);
        if self.existing_at(place) != before {
            self.changes.note(place);
        }
    }

    /// The same of a settlement's family.
    pub(super) fn drop_family(&mut self, place: u32, family: &Family) {
        let (mut going, counter) = (Mask::default(), &self.list[place]);
        let mut lost: Vec<(OriginIndex, u64)> = Vec::new();
        for held in counter.slots().iter() {
            let origin = &self.origins[held.origin as usize];
            if family.contains(origin.id) {
                going.add(held.origin);
                let endings = counter.ended().into_iter();
                let endings = endings.flat_map(|ended| ended.endings_of(held.origin, 0));
                let hashes = endings.map(|ending| ending.hash(counter.name_hash));
                let slot = held.slot().hash(counter.name_hash);
                lost.push((held.origin, hashes.fold(slot, u64::wrapping_add)));
            }
        }
        if lost.is_empty() {
            return;
        }
        self.drop_slots(place, &going);
        // Should the settlement be given up before it is whole here, all of its family is to be had again.
        for (index, hash) in lost {
            let origin = &mut self.origins[index as usize];
            let known = &mut origin.known;
            known.fingerprint = known.fingerprint.wrapping_sub(hash);
            // A settlement that is here stays here until then, and a start must find it so: of what has
            // gone into it nothing may come back in rows of which it left nothing (rule `gone-for-good`).
            if !self.families.holds(origin.id) {
                known.version = 0;
                origin.beyond = Ranges::default();
            }
            self.note_row(index);
        }
    }

    fn fold_row(&mut self, place: u32, chore: &Chore) {
        let Kind::Fold { index, settlement, ref family, ref counted } = chore.kind else { return };
        let is_going = |index: OriginIndex| chore.going.has(index);
        if !self.list[place].slots().iter().any(|held| is_going(held.origin)) {
            return;
        }
        let folded = self.folded(place, settlement, family, &chore.going, counted);
        let tracked = self.tracked(place);
        let writer = self.writer(index);
        let counter = &mut self.list[place];
        counter.retain(|index| !is_going(index));
        let mut hash = 0_u64;
        if folded.slot != Slot::default() || !folded.endings.is_empty() {
            counter.merge(writer, &folded.slot, 1);
            hash = folded.slot.hash(counter.name_hash);
            for ending in &folded.endings {
                let whole = match ending {
                    Ending::Whole(settlement) => self.families.of(*settlement),
                    Ending::Cover { .. } | Ending::Lifetime(_) => None,
                };
                let (change, _) = counter.merge_ending(writer, ending, None, whole, 1);
                let change = change.unwrap_or_default();
                hash = hash.wrapping_sub(change.before).wrapping_add(change.after);
            }
            self.origins[index as usize].slots += 1;
        }
        let origins = &self.origins;
        self.list[place].recount(|index| origins[index as usize].id);
        self.track_rewritten(place, tracked);
        self.folding.losses += 1;
        let known = &mut self.origins[index as usize].known;
        known.fingerprint = known.fingerprint.wrapping_add(hash);
    }

    /// What a row is folded to (rule `fold-what-was-granted`).
    fn folded(
        &self,
        place: u32,
        settlement: OriginId,
        family: &Family,
        going: &Mask,
        counted: &Mask,
    ) -> Folded {
        let counter = &self.list[place];
        let id_of = |index: OriginIndex| self.origins[index as usize].id;
        let mut covers: BTreeMap<OriginId, Covered> = BTreeMap::new();
        let (mut beyond, mut wholes) = (BTreeMap::<OriginId, Covered>::new(), Vec::new());
        if let Some(ended) = counter.ended() {
            for (by, of, covered) in ended.covers().filter(|(by, ..)| counted.has(*by)) {
                if family.contains(of) {
                    covers.entry(of).or_default().merge(&covered);
                } else if going.has(by) {
                    beyond.entry(of).or_default().merge(&covered);
                }
            }
            for (by, whole) in ended.wholes().filter(|(by, _)| counted.has(*by)) {
                if whole.settlement != settlement {
                    wholes.push((by, whole));
                }
            }
        }
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::FoldSparesWholes) {
            wholes.clear();
        }
        let cover_on = |origin: OriginId| {
            let is_whole = wholes.iter().any(|(_, whole)| whole.covers(origin));
            let explicit = covers.get(&origin).copied().unwrap_or_default();
            if is_whole { Covered::EVERYTHING } else { explicit }
        };
        let (mut plus, mut minus, mut raise) = (0_u128, 0_u128, 0_u64);
        let mut lifetime: Option<(Lifetime, OriginId)> = None;
        for held in counter.slots().iter().filter(|held| going.has(held.origin)) {
            let origin = id_of(held.origin);
            let cover = cover_on(origin);
            let left = cover.rest_of(&held.slot()).numbers();
            plus += u128::from(left.plus);
            minus += u128::from(left.minus);
            raise = raise.max(left.raise);
            let said = counter.ended().and_then(|ended| ended.lifetime_by(held.origin));
            if let Some(said) = said.filter(|said| said.stamp > cover.stamp) {
                lifetime = lifetime.max(Some((said, origin)));
            }
        }
        // No voter has granted what does not fit (rule `final-votes`).
        let number = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        let numbers = Numbers { plus: number(plus), minus: number(minus), raise };
        let slot = Slot::from(numbers);
        let mut endings: Vec<Ending> = Vec::new();
        endings.extend(lifetime.map(|(lifetime, _)| Ending::Lifetime(lifetime)));
        endings.extend(beyond.into_iter().map(|(of, covered)| Ending::Cover { of, covered }));
        let others = wholes.iter().filter(|(by, whole)| {
            going.has(*by) && !family.contains(whole.settlement) && !whole.family.is_within(family)
        });
        endings.extend(others.map(|(_, whole)| Ending::Whole(whole.settlement)));
        Folded { slot, endings }
    }
}

#[cfg(test)]
mod tests;
