//! What a voter does with the table before it grants a settlement: it writes the covers of others on what is
//! to be folded into its own slots (rule `adoption`), and looks whether what is left fits into one slot.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Counters;
use crate::counters::families::Family;
use crate::counters::writer::OriginIndex;
use crate::ending::{Covered, Ending};
use crate::identity::OriginId;
use crate::slot::{Numbers, Slot};

/// Covers on what is to be folded, which this node writes into its own slots before it grants.
#[derive(Debug)]
pub(super) struct Adoption {
    settlement: OriginId,
    family: Arc<Family>,
    at: usize,
    /// Rows that were passed and in which something was covered since.
    again: Vec<u32>,
    /// Whether another settlement has members in common with this one.
    meets: BTreeMap<OriginId, bool>,
    /// A row of which more is left than one slot holds.
    too_large: Option<u32>,
}

impl Counters {
    /// Begins to adopt what others have covered of a settlement's family (rule `adoption`).
    pub(crate) fn begin_adoption(&mut self, settlement: OriginId) {
        let family = self.families.of(settlement).unwrap_or_default();
        let (again, meets) = (Vec::new(), BTreeMap::new());
        let adoption = Adoption { settlement, family, at: 0, again, meets, too_large: None };
        self.folding.adoption = Some(adoption);
    }

    /// Which settlement's covers are adopted.
    pub(crate) fn adopts(&self) -> Option<OriginId> {
        self.folding.adoption.as_ref().map(|adoption| adoption.settlement)
    }

    /// What is adopted serves no more.
    pub(crate) fn end_adoption(&mut self) {
        self.folding.adoption = None;
    }

    /// Adopts on, some rows; tells whether all is adopted that is here now.
    pub(crate) fn adopt_step(&mut self, rows: usize) -> bool {
        let Some(mut adoption) = self.folding.adoption.take() else { return true };
        let end = self.list.end();
        let stop = end.min(adoption.at.saturating_add(rows));
        for at in adoption.at..stop {
            let place = u32::try_from(at).expect("places have 32 bits");
            if self.has_at(at) && self.is_too_large(place, &adoption.family) {
                adoption.too_large = Some(place);
            }
            self.adopt_row(place, &mut adoption);
        }
        adoption.at = stop;
        for place in std::mem::take(&mut adoption.again) {
            self.adopt_row(place, &mut adoption);
        }
        let is_over = adoption.at >= end;
        self.folding.adoption = Some(adoption);
        is_over
    }

    /// A counter of which more is left, of what is to be folded, than one slot holds. What a fold takes into
    /// account beside what is seen here only makes it less, so a sum that fits here fits there.
    pub(crate) fn too_large_to_fold(&self) -> Option<&str> {
        let place = self.folding.adoption.as_ref()?.too_large?;
        Some(self.list.name(place))
    }

    fn is_too_large(&self, place: u32, family: &Family) -> bool {
        let counter = &self.list[place];
        let sum_up = |left: &dyn Fn(&Slot, OriginId) -> Numbers| {
            let mut sums = (Some(0_u64), Some(0_u64));
            for held in counter.slots().iter() {
                let origin = self.origins[held.origin as usize].id;
                let left = left(&held.slot(), origin);
                sums.0 = sums.0.and_then(|sum| sum.checked_add(left.plus));
                sums.1 = sums.1.and_then(|sum| sum.checked_add(left.minus));
            }
            sums.0.and(sums.1).is_none()
        };
        // Nearly no row holds so much, whatever of it is covered or is of others.
        sum_up(&|slot, _| slot.numbers())
            && sum_up(&|slot, origin| match family.contains(origin) {
                true => counter.cover_on(origin).rest_of(slot).numbers(),
                false => Numbers::default(),
            })
    }

    fn adopt_row(&mut self, place: u32, adoption: &mut Adoption) {
        let Some(ended) = self.ended_at(place as usize) else { return };
        let family = &adoption.family;
        let is_others =
            |by: &OriginIndex| *by != self.ours && !family.contains(self.origins[*by as usize].id);
        let mut found: BTreeMap<OriginId, Covered> = BTreeMap::new();
        for (_, of, covered) in ended.covers().filter(|(by, ..)| is_others(by)) {
            if family.contains(of) {
                found.entry(of).or_default().merge(&covered);
            }
        }
        found.retain(|of, covered| !covered.is_within(&ended.cover_by(self.ours, *of)));
        let mut endings: Vec<Ending> =
            found.into_iter().map(|(of, covered)| Ending::Cover { of, covered }).collect();
        for (_, whole) in ended.wholes().filter(|(by, _)| is_others(by)) {
            let other = whole.settlement;
            let meets = *adoption.meets.entry(other).or_insert_with(|| {
                family.contains(other) || whole.family.iter().any(|of| family.contains(of))
            });
            let ending = Ending::Whole(other);
            if meets && other != adoption.settlement && !ended.has(self.ours, &ending) {
                endings.push(ending);
            }
        }
        for ending in endings {
            self.write_ending(place, ending);
        }
        self.find_largest_raise(place);
        if self.is_open_batch_full() {
            let closed = self.close();
            self.closed.extend(closed);
        }
    }

    /// Something was said about the end of a counter: if it may have to be adopted, its row is looked
    /// at again.
    pub(in crate::counters) fn note_for_adoption(
        &mut self,
        place: u32,
        by: OriginIndex,
        ending: &Ending,
    ) {
        let ours = self.ours;
        let Some(adoption) = &mut self.folding.adoption else { return };
        if by != ours && !matches!(ending, Ending::Lifetime(_)) {
            adoption.again.push(place);
        }
    }
}
