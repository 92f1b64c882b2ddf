//! The slots of one counter as a node holds them, found by their origins.
//!
//! A node may hold 100 million counters, and most have as many slots as the cluster has nodes: a
//! block as long as it must be, searched from its beginning. But every start of every node leaves
//! a slot on the counters that it counts on, so a busy counter of an old cluster has 100,000. Searched
//! and copied for each new one, they took a time that grew with the square of their number. So many
//! slots stand in a block with room for more, beside an index of their origins.
//!
//! Rejected: slots in the order of their origins, found by halving. Slots come in another order
//! whenever their origins were heard of by other counters first, and each would move half of those
//! that are there. An index for every counter: it takes more than two slots do.

use hashbrown::HashTable;

use super::writer::{OriginIndex, Writer};
use crate::identity::Version;
use crate::slot::{Numbers, Slot};

/// A counter of more slots has an index. So many are searched in 2 KiB of memory that is read in
/// order, which costs about what the three reads out of order do that an index takes.
const UNINDEXED_MAX: usize = 64;

/// A slot as one node holds it.
#[derive(Debug)]
pub(crate) struct HeldSlot {
    pub(crate) origin: OriginIndex,
    /// Not below the batch of `origin` that last changed the slot; it may be above (rule
    /// `version-never-too-low`).
    pub(crate) version: Version,
    plus: u64,
    /// `None` while both are 0: most slots only count up, for which they would take a third more.
    rest: Option<Box<Rest>>,
}

#[derive(Debug)]
struct Rest {
    minus: u64,
    raise: u64,
}

impl HeldSlot {
    fn new(origin: OriginIndex) -> Self {
        HeldSlot { origin, version: 0, plus: 0, rest: None }
    }

    pub(crate) fn slot(&self) -> Slot {
        let (minus, raise) = self.rest.as_ref().map_or((0, 0), |rest| (rest.minus, rest.raise));
        Slot::from(Numbers { plus: self.plus, minus, raise })
    }

    pub(super) fn plus(&self) -> u64 {
        self.plus
    }

    /// Adds to a slot that has only ever counted up. `None`, and nothing has changed, if it has not,
    /// or would overflow.
    pub(super) fn count_up(&mut self, by: u64) -> Option<()> {
        if self.rest.is_some() {
            return None;
        }
        self.plus = self.plus.checked_add(by)?;
        Some(())
    }

    pub(super) fn set(&mut self, slot: &Slot) {
        let Numbers { plus, minus, raise } = slot.numbers();
        self.plus = plus;
        match &mut self.rest {
            Some(rest) => **rest = Rest { minus, raise },
            None if (minus, raise) == (0, 0) => {}
            none => *none = Some(Box::new(Rest { minus, raise })),
        }
    }
}

/// See the file. Our own slot comes first, if there is one; the others stand in the order in which
/// they came, but for the one that ours has sent to the end.
#[derive(Debug)]
pub(super) enum Slots {
    /// As long as it must be: most counters never get another slot.
    Few(Box<[HeldSlot]>),
    /// More than [`UNINDEXED_MAX`].
    Many(Box<Many>),
}

#[derive(Debug)]
pub(super) struct Many {
    slots: Vec<HeldSlot>,
    /// Where in `slots` each of them stands.
    places: HashTable<u32>,
}

impl Default for Slots {
    fn default() -> Self {
        Slots::Few(Box::default())
    }
}

impl Slots {
    pub(super) fn all(&self) -> &[HeldSlot] {
        match self {
            Slots::Few(slots) => slots,
            Slots::Many(many) => &many.slots,
        }
    }

    /// Ours, where `ours` is what this process writes under.
    pub(super) fn ours(&self, ours: OriginIndex) -> Option<&HeldSlot> {
        self.all().first().filter(|held| held.origin == ours)
    }

    pub(super) fn ours_mut(&mut self, ours: OriginIndex) -> Option<&mut HeldSlot> {
        self.all_mut().first_mut().filter(|held| held.origin == ours)
    }

    pub(super) fn of(&self, origin: OriginIndex) -> Option<&HeldSlot> {
        self.place(origin).map(|at| &self.all()[at])
    }

    /// The slot of an origin, and whether it is new.
    pub(super) fn of_or_new(&mut self, writer: &Writer) -> (&mut HeldSlot, bool) {
        let (at, is_new) = match self.place(writer.index) {
            Some(at) => (at, false),
            None => (self.insert(writer), true),
        };
        (&mut self.all_mut()[at], is_new)
    }

    fn all_mut(&mut self) -> &mut [HeldSlot] {
        match self {
            Slots::Few(slots) => slots,
            Slots::Many(many) => &mut many.slots,
        }
    }

    #[inline]
    fn place(&self, origin: OriginIndex) -> Option<usize> {
        match self {
            Slots::Few(slots) => slots.iter().position(|held| held.origin == origin),
            Slots::Many(many) => many.place(origin),
        }
    }

    /// Lets go of slots, and of the memory that they took.
    pub(super) fn retain(&mut self, is_kept: impl Fn(OriginIndex) -> bool) {
        let slots = match std::mem::take(self) {
            Slots::Few(slots) => slots.into_vec(),
            Slots::Many(many) => many.slots,
        };
        let kept: Vec<HeldSlot> = slots.into_iter().filter(|held| is_kept(held.origin)).collect();
        *self = if kept.len() > UNINDEXED_MAX {
            Slots::Many(Box::new(Many::of(kept)))
        } else {
            Slots::Few(kept.into_boxed_slice())
        };
    }

    fn insert(&mut self, writer: &Writer) -> usize {
        if let Slots::Few(slots) = self
            && slots.len() == UNINDEXED_MAX
        {
            *self = Slots::Many(Box::new(Many::of(std::mem::take(slots).into_vec())));
        }
        let (held, last) = (HeldSlot::new(writer.index), self.all().len());
        match self {
            Slots::Few(slots) => {
                let mut longer = std::mem::take(slots).into_vec();
                longer.reserve_exact(1);
                longer.push(held);
                *slots = longer.into_boxed_slice();
            }
            Slots::Many(many) => many.push(held),
        }
        if !writer.is_ours {
            return last;
        }
        match self {
            Slots::Few(slots) => slots.swap(0, last),
            Slots::Many(many) => many.bring_ours_forward(),
        }
        0
    }
}

impl Many {
    fn of(slots: Vec<HeldSlot>) -> Self {
        let places = HashTable::with_capacity(slots.len() + 1);
        let mut many = Many { slots: Vec::new(), places };
        slots.into_iter().for_each(|held| many.push(held));
        many
    }

    fn push(&mut self, held: HeldSlot) {
        // By a quarter: what growing costs stays in proportion, and hardly any room is empty.
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.slots.len() / 4).max(UNINDEXED_MAX));
        }
        let (origin, place) = (held.origin, place_of(self.slots.len()));
        self.slots.push(held);
        let slots = &self.slots;
        let hash = |place: &u32| spread(slots[*place as usize].origin);
        self.places.insert_unique(spread(origin), place, hash);
    }

    fn place(&self, origin: OriginIndex) -> Option<usize> {
        let is_it = |place: &u32| self.slots[*place as usize].origin == origin;
        self.places.find(spread(origin), is_it).map(|place| *place as usize)
    }

    /// Ours is the last: it changes places with the first.
    fn bring_ours_forward(&mut self) {
        let (first, last) = (place_of(0), place_of(self.slots.len() - 1));
        for (from, to) in [(first, u32::MAX), (last, first), (u32::MAX, last)] {
            let of = if from == last { last } else { first };
            let hash = spread(self.slots[of as usize].origin);
            if let Some(place) = self.places.find_mut(hash, |place| *place == from) {
                *place = to;
            }
        }
        self.slots.swap(0, last as usize);
    }
}

fn place_of(at: usize) -> u32 {
    u32::try_from(at).expect("a slot for each origin at most, and origins are counted in 32 bits")
}

/// What the index works with. Origins are numbered as they come, so nobody chooses what collides;
/// but it takes buckets by the lowest bits and tells entries apart by the highest.
fn spread(origin: OriginIndex) -> u64 {
    let product = u64::from(origin).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const OURS: OriginIndex = 0;

    fn writer(index: OriginIndex) -> Writer {
        let id = crate::identity::OriginId(u64::from(index) + 1);
        Writer { index, id, is_ours: index == OURS }
    }

    fn numbered(plus: u64) -> Slot {
        Slot::from(Numbers { plus, ..Numbers::default() })
    }

    /// Puts a slot there, or finds the one that is, and gives it a number.
    fn put(slots: &mut Slots, origin: OriginIndex, plus: u64) -> bool {
        let (held, is_new) = slots.of_or_new(&writer(origin));
        assert_eq!(held.origin, origin);
        held.set(&numbered(plus));
        is_new
    }

    fn held(slots: &Slots) -> BTreeMap<OriginIndex, u64> {
        let all: BTreeMap<_, _> =
            slots.all().iter().map(|held| (held.origin, held.slot().numbers().plus)).collect();
        assert_eq!(all.len(), slots.all().len(), "each origin has one slot");
        all
    }

    #[test]
    fn an_index_is_made_when_it_pays_and_not_before() {
        let mut slots = Slots::default();
        for origin in 1..=64 {
            put(&mut slots, origin, 1);
            assert!(matches!(slots, Slots::Few(_)), "{origin} slots");
        }
        assert!(!put(&mut slots, 64, 2) && matches!(slots, Slots::Few(_)), "none is new");
        put(&mut slots, 65, 1);
        assert!(matches!(slots, Slots::Many(_)));
    }

    #[test]
    fn few_slots_take_no_more_memory_than_a_block_of_them() {
        assert_eq!(size_of::<Slots>(), size_of::<Box<[HeldSlot]>>());
    }

    #[test]
    fn room_for_more_is_a_quarter_at_most() {
        let mut slots = Slots::default();
        for origin in 0..10_000 {
            put(&mut slots, origin, 1);
            let Slots::Many(many) = &slots else { continue };
            let (length, room) = (many.slots.len(), many.slots.capacity());
            assert!(room <= length + (length / 4).max(64), "{length}, {room}");
        }
    }

    #[test]
    fn our_slot_comes_first_whenever_it_comes_and_the_others_are_found_behind_it() {
        for others in [0, 1, 2, 63, 64, 65, 300] {
            let mut slots = Slots::default();
            for origin in 1..=others {
                assert!(put(&mut slots, origin, u64::from(origin)));
            }
            assert!(
                slots.ours(OURS).is_none()
                    && slots.of(OURS).is_none()
                    && slots.ours_mut(OURS).is_none()
            );
            assert!(put(&mut slots, OURS, 7_000));
            assert!(!put(&mut slots, OURS, 8_000));
            assert_eq!(slots.all()[0].slot(), numbered(8_000));
            assert_eq!(slots.ours(OURS).map(HeldSlot::slot), Some(numbered(8_000)));
            assert!(put(&mut slots, others + 1, u64::from(others + 1)));
            for origin in 1..=others + 1 {
                let found = slots.of(origin).map(HeldSlot::slot);
                assert_eq!(found, Some(numbered(u64::from(origin))), "{origin} of {others}");
            }
            assert!(slots.of(others + 2).is_none());
        }
    }

    #[test]
    fn the_index_spreads_origins_whatever_the_steps_between_them() {
        for step in [1, 2, 128, 1 << 12] {
            let buckets: std::collections::BTreeSet<u64> =
                (1..=1024).map(|n| spread(n * step) % 2048).collect();
            assert!(buckets.len() > 512, "1024 origins {step} apart share {}", buckets.len());
        }
    }

    proptest! {
        #[test]
        fn every_slot_is_found_in_whichever_order_they_came(
            origins in prop::collection::vec(0..400_u32, 0..600),
        ) {
            let (mut slots, mut model) = (Slots::default(), BTreeMap::new());
            for (plus, origin) in origins.into_iter().enumerate() {
                let plus = plus as u64;
                let is_new = put(&mut slots, origin, plus);
                prop_assert_eq!(is_new, model.insert(origin, plus).is_none());
            }
            for origin in 0..400 {
                let found = slots.of(origin).map(|held| held.slot().numbers().plus);
                prop_assert_eq!(found, model.get(&origin).copied());
            }
            prop_assert_eq!(held(&slots), model);
        }
    }
}
