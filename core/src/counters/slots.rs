//! The slots of one counter as a node holds them, found by their origins.
//!
//! A node may hold 100 million counters, and most have one slot, or as many as the cluster has nodes.
//! So a lone slot stands in the counter itself and a few in a block as long as it must be, searched
//! from its beginning; and slots that only ever counted up, as most do, have no place for what they
//! never subtracted or raised. But every start of every node leaves a slot on the counters that it
//! counts on, until a settlement folds them, so a busy counter of an old cluster has 100,000. Searched
//! and copied for each new one, they took a time that grew with the square of their number. So many
//! slots stand in a block with room for more, beside an index of their origins.
//!
//! Rejected: slots in the order of their origins, found by halving. Slots come in another order
//! whenever their origins were heard of by other counters first, and each would move half of those
//! that are there. An index for every counter: it takes more than two slots do.

use hashbrown::HashTable;

use super::writer::{OriginIndex, Writer};
use crate::identity::Version;
use crate::slot::{Contribution, Numbers, Slot};

/// A counter of more slots has an index. So many are searched in 2 KiB of memory that is read in
/// order, which costs about what the three reads out of order do that an index takes.
const UNINDEXED_MAX: usize = 64;

/// A slot that one node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldSlot {
    pub(crate) origin: OriginIndex,
    /// Not below the batch of `origin` that last changed the slot; it may be above (rule
    /// `version-never-too-low`).
    pub(crate) version: Version,
    slot: Slot,
}

impl HeldSlot {
    fn new(origin: OriginIndex) -> Self {
        HeldSlot { origin, version: 0, slot: Slot::default() }
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }
}

/// A slot that has only ever counted up. Packed: a hole of four bytes in each would take a fifth more.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
pub(super) struct Up {
    origin: OriginIndex,
    version: Version,
    plus: u64,
}

/// Any slot.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
pub(super) struct Full {
    up: Up,
    minus: u64,
    raise: u64,
}

impl Up {
    pub(super) fn version(&self) -> Version {
        self.version
    }

    pub(super) fn plus(&self) -> u64 {
        self.plus
    }

    /// What it has counted and the version that did it; neither is below what it was.
    pub(super) fn grow(&mut self, plus: u64, version: Version) {
        self.plus = plus;
        self.version = version;
    }
}

impl Full {
    fn is_up(&self) -> bool {
        (self.minus, self.raise) == (0, 0)
    }
}

impl From<&Up> for HeldSlot {
    fn from(up: &Up) -> Self {
        let slot = Slot::from(Numbers { plus: up.plus, ..Numbers::default() });
        HeldSlot { origin: up.origin, version: up.version, slot }
    }
}

impl From<&Full> for HeldSlot {
    fn from(full: &Full) -> Self {
        let (up, minus, raise) = (full.up, full.minus, full.raise);
        let slot = Slot::from(Numbers { plus: up.plus, minus, raise });
        HeldSlot { origin: up.origin, version: up.version, slot }
    }
}

impl From<&HeldSlot> for Full {
    fn from(held: &HeldSlot) -> Self {
        let Numbers { plus, minus, raise } = held.slot.numbers();
        Full { up: Up { origin: held.origin, version: held.version, plus }, minus, raise }
    }
}

/// All slots of a counter, in whichever form they are held. Ours comes first, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldSlots<'a> {
    /// All of them, or none.
    ups: &'a [Up],
    /// The same.
    fulls: &'a [Full],
}

impl<'a> HeldSlots<'a> {
    pub(crate) fn len(self) -> usize {
        self.ups.len() + self.fulls.len()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(self, at: usize) -> Option<HeldSlot> {
        let up = self.ups.get(at).map(HeldSlot::from);
        up.or_else(|| self.fulls.get(at).map(HeldSlot::from))
    }

    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = HeldSlot> + 'a {
        (0..self.len()).map(move |at| match self.ups.get(at) {
            Some(up) => HeldSlot::from(up),
            None => HeldSlot::from(&self.fulls[at]),
        })
    }

    /// Those from a place on; none beyond the last.
    pub(crate) fn from(self, at: usize) -> Self {
        let (ups, fulls) = (self.ups.get(at..), self.fulls.get(at..));
        HeldSlots { ups: ups.unwrap_or_default(), fulls: fulls.unwrap_or_default() }
    }

    /// Those in front of a place.
    pub(crate) fn upto(self, at: usize) -> Self {
        let (ups, fulls) = (self.ups, self.fulls);
        HeldSlots { ups: &ups[..at.min(ups.len())], fulls: &fulls[..at.min(fulls.len())] }
    }
}

/// See the file. Our own slot comes first, if there is one; the others stand in the order in which
/// they came, but for the one that ours has sent to the end.
#[derive(Debug)]
pub(super) enum Slots {
    /// In the counter itself.
    One(Up),
    /// None, or several up to [`UNINDEXED_MAX`].
    Ups(Box<[Up]>),
    /// One or several up to [`UNINDEXED_MAX`].
    Fulls(Box<[Full]>),
    /// More than [`UNINDEXED_MAX`].
    Many(Box<Many>),
}

#[derive(Debug)]
pub(super) struct Many {
    slots: Vec<Full>,
    /// Where in `slots` each of them stands.
    places: HashTable<u32>,
}

impl Default for Slots {
    fn default() -> Self {
        Slots::Ups(Box::default())
    }
}

impl Slots {
    /// These, in the form that takes least.
    fn of(slots: Vec<Full>) -> Self {
        if slots.len() > UNINDEXED_MAX {
            return Slots::Many(Box::new(Many::of(slots)));
        }
        if !slots.iter().all(Full::is_up) {
            return Slots::Fulls(slots.into_boxed_slice());
        }
        match *slots {
            [one] => Slots::One(one.up),
            _ => Slots::Ups(slots.into_iter().map(|full| full.up).collect()),
        }
    }

    pub(super) fn all(&self) -> HeldSlots<'_> {
        match self {
            Slots::One(up) => HeldSlots { ups: std::slice::from_ref(up), fulls: &[] },
            Slots::Ups(ups) => HeldSlots { ups, fulls: &[] },
            Slots::Fulls(fulls) => HeldSlots { ups: &[], fulls },
            Slots::Many(many) => HeldSlots { ups: &[], fulls: &many.slots },
        }
    }

    fn fulls(&self) -> Vec<Full> {
        self.all().iter().map(|held| Full::from(&held)).collect()
    }

    /// Ours, where `ours` is what this process writes under.
    pub(super) fn ours(&self, ours: OriginIndex) -> Option<HeldSlot> {
        self.all().get(0).filter(|held| held.origin == ours)
    }

    /// Ours, if it has only ever counted up, and what all others that have count together, if no slot
    /// has done anything else and 64 bits hold it.
    #[inline]
    pub(super) fn ours_among_ups(&mut self, ours: OriginIndex) -> Option<(&mut Up, u64)> {
        let (first, others): (_, &[Up]) = match self {
            Slots::One(up) => (up, &[]),
            Slots::Ups(ups) => {
                let (first, others) = ups.split_first_mut()?;
                (first, others)
            }
            Slots::Fulls(_) | Slots::Many(_) => return None,
        };
        if first.origin != ours {
            return None;
        }
        let others = others.iter().try_fold(0_u64, |sum, up| sum.checked_add(up.plus))?;
        Some((first, others))
    }

    /// Ours, if it has only ever counted up.
    pub(super) fn ours_up(&mut self, ours: OriginIndex) -> Option<&mut Up> {
        let up = match self {
            Slots::One(up) => up,
            Slots::Ups(ups) => ups.first_mut()?,
            Slots::Fulls(fulls) => fulls.first_mut().filter(|full| full.is_up()).map(up_of)?,
            Slots::Many(many) => many.slots.first_mut().filter(|full| full.is_up()).map(up_of)?,
        };
        (up.origin == ours).then_some(up)
    }

    pub(super) fn of_origin(&self, origin: OriginIndex) -> Option<HeldSlot> {
        self.all().get(self.place(origin)?)
    }

    /// What all of them add up to.
    pub(super) fn contribution(&self) -> Contribution {
        let HeldSlots { ups, fulls } = self.all();
        let sum = ups.iter().map(|up| i128::from(up.plus)).sum();
        let mut all = Contribution { sum, raise: 0 };
        for full in fulls {
            all.replace(&Slot::default(), &HeldSlot::from(full).slot());
        }
        all
    }

    /// Where the slot of an origin stands, and whether it is new.
    pub(super) fn find_or_insert(&mut self, writer: &Writer) -> (usize, bool) {
        match self.place(writer.index) {
            Some(at) => (at, false),
            None => (self.insert(writer), true),
        }
    }

    pub(super) fn get(&self, at: usize) -> HeldSlot {
        self.all().get(at).expect("it was found there")
    }

    /// Has the slot at a place be of a version and hold these numbers.
    pub(super) fn set(&mut self, at: usize, version: Version, slot: &Slot) {
        let held = HeldSlot { version, slot: *slot, ..self.get(at) };
        let full = Full::from(&held);
        match self {
            Slots::One(up) if full.is_up() => *up = full.up,
            Slots::Ups(ups) if full.is_up() => ups[at] = full.up,
            Slots::One(_) | Slots::Ups(_) => {
                let mut fulls = self.fulls();
                fulls[at] = full;
                *self = Slots::Fulls(fulls.into_boxed_slice());
            }
            Slots::Fulls(fulls) => fulls[at] = full,
            Slots::Many(many) => many.slots[at] = full,
        }
    }

    #[inline]
    fn place(&self, origin: OriginIndex) -> Option<usize> {
        match self {
            Slots::One(up) => (up.origin == origin).then_some(0),
            Slots::Ups(ups) => ups.iter().position(|up| up.origin == origin),
            Slots::Fulls(fulls) => fulls.iter().position(|full| full.up.origin == origin),
            Slots::Many(many) => many.place(origin),
        }
    }

    /// Lets go of slots, and of the memory that they took.
    pub(super) fn retain(&mut self, is_kept: impl Fn(OriginIndex) -> bool) {
        let mut slots = self.fulls();
        slots.retain(|full| is_kept(full.up.origin));
        slots.shrink_to_fit();
        *self = Slots::of(slots);
    }

    fn insert(&mut self, writer: &Writer) -> usize {
        let last = self.all().len();
        let new = Full::from(&HeldSlot::new(writer.index));
        match self {
            Slots::Many(many) => many.push(new),
            Slots::Ups(ups) if last < UNINDEXED_MAX => {
                *self = if last == 0 { Slots::One(new.up) } else { Slots::Ups(longer(ups, new.up)) }
            }
            Slots::One(up) => *self = Slots::Ups(Box::new([*up, new.up])),
            Slots::Fulls(fulls) if last < UNINDEXED_MAX => *fulls = longer(fulls, new),
            Slots::Ups(_) | Slots::Fulls(_) => {
                let mut many = Many::of(self.fulls());
                many.push(new);
                *self = Slots::Many(Box::new(many));
            }
        }
        if !writer.is_ours {
            return last;
        }
        match self {
            Slots::One(_) => {}
            Slots::Ups(ups) => ups.swap(0, last),
            Slots::Fulls(fulls) => fulls.swap(0, last),
            Slots::Many(many) => many.bring_ours_forward(),
        }
        0
    }
}

fn up_of(full: &mut Full) -> &mut Up {
    &mut full.up
}

/// The same slots and one more, in a block as long as they are.
fn longer<S>(slots: &mut Box<[S]>, one: S) -> Box<[S]> {
    let mut longer = std::mem::take(slots).into_vec();
    longer.reserve_exact(1);
    longer.push(one);
    longer.into_boxed_slice()
}

impl Many {
    fn of(slots: Vec<Full>) -> Self {
        let places = HashTable::with_capacity(slots.len() + 1);
        let mut many = Many { slots: Vec::new(), places };
        slots.into_iter().for_each(|full| many.push(full));
        many
    }

    fn push(&mut self, full: Full) {
        // By a quarter: what growing costs stays in proportion, and hardly any room is empty.
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.slots.len() / 4).max(UNINDEXED_MAX));
        }
        let (origin, place) = (full.up.origin, place_of(self.slots.len()));
        self.slots.push(full);
        let slots = &self.slots;
        let hash = |place: &u32| spread(slots[*place as usize].up.origin);
        self.places.insert_unique(spread(origin), place, hash);
    }

    fn place(&self, origin: OriginIndex) -> Option<usize> {
        let is_it = |place: &u32| self.slots[*place as usize].up.origin == origin;
        self.places.find(spread(origin), is_it).map(|place| *place as usize)
    }

    /// Ours is the last: it changes places with the first.
    fn bring_ours_forward(&mut self) {
        let (first, last) = (place_of(0), place_of(self.slots.len() - 1));
        for (from, to) in [(first, u32::MAX), (last, first), (u32::MAX, last)] {
            let of = if from == last { last } else { first };
            let hash = spread(self.slots[of as usize].up.origin);
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
        let (at, is_new) = slots.find_or_insert(&writer(origin));
        assert_eq!(slots.get(at).origin, origin);
        slots.set(at, 1, &numbered(plus));
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
            assert!(!matches!(slots, Slots::Many(_)), "{origin} slots");
        }
        assert!(!put(&mut slots, 64, 2) && matches!(slots, Slots::Ups(_)), "none is new");
        put(&mut slots, 65, 1);
        assert!(matches!(slots, Slots::Many(_)));
    }

    #[test]
    fn slots_take_as_little_as_the_form_that_they_need() {
        assert_eq!((size_of::<Slots>(), size_of::<Up>(), size_of::<Full>()), (24, 20, 36));
        let mut slots = Slots::default();
        put(&mut slots, 1, 5);
        assert!(matches!(slots, Slots::One(_)));
        put(&mut slots, 2, 5);
        assert!(matches!(&slots, Slots::Ups(ups) if ups.len() == 2));
        let subtracted = Slot::from(Numbers { plus: 5, minus: 1, raise: 0 });
        slots.set(1, 2, &subtracted);
        assert!(matches!(&slots, Slots::Fulls(fulls) if fulls.len() == 2));
        assert_eq!(
            slots.of_origin(2).map(|held| (held.version, held.slot())),
            Some((2, subtracted))
        );
        slots.retain(|origin| origin == 1);
        assert!(matches!(slots, Slots::One(_)), "what is left has only ever counted up");
        assert_eq!(slots.of_origin(1).map(|held| held.slot()), Some(numbered(5)));
        slots.retain(|_| false);
        assert!(slots.all().is_empty());
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
                    && slots.of_origin(OURS).is_none()
                    && slots.ours_up(OURS).is_none()
            );
            assert!(put(&mut slots, OURS, 7_000));
            assert!(!put(&mut slots, OURS, 8_000));
            assert_eq!(slots.get(0).slot(), numbered(8_000));
            assert_eq!(slots.ours(OURS).map(|held| held.slot()), Some(numbered(8_000)));
            assert!(put(&mut slots, others + 1, u64::from(others + 1)));
            for origin in 1..=others + 1 {
                let found = slots.of_origin(origin).map(|held| held.slot());
                assert_eq!(found, Some(numbered(u64::from(origin))), "{origin} of {others}");
            }
            assert!(slots.of_origin(others + 2).is_none());
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
                let found = slots.of_origin(origin).map(|held| held.slot().numbers().plus);
                prop_assert_eq!(found, model.get(&origin).copied());
            }
            prop_assert_eq!(held(&slots), model);
        }
    }
}
