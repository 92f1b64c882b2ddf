//! One counter: the slots of all origins, and the value that they add up to.
//!
//! A slot is what one origin has done to the counter. Only that origin writes it and each of its
//! numbers only grows, so two copies of a slot merge by maximum, number by number: a join
//! semilattice, and the counter with it (Shapiro, Preguiça, Baquero, Zawirski: "A comprehensive
//! study of Convergent and Commutative Replicated Data Types", INRIA RR-7506, 2011, section 3.1,
//! the PN-Counter). To that we add `raise`, of which the largest counts and not the sum: two
//! nodes that lift the counter to the same number at once must not add up.
//!
//! A node may hold 100 million counters, most of them idle and only counting up, so what those need
//! is kept at hand and the rest where it is needed: a slot's `minus` and `raise` in a block of
//! their own, the sums in 64 bits until they need more, an index of the slots (`slots`) once there
//! are many.
//!
//! Rejected: one number merged by maximum, which loses increments as soon as two nodes count.

use std::sync::Arc;

use crate::counters::ended::{self, Ended};
use crate::counters::families::Family;
use crate::counters::slots::{HeldSlot, Slots};
use crate::counters::sums::{Now, Sums, Wide};
use crate::counters::writer::{OriginIndex, Writer};
use crate::ending::{Covered, Ending};
use crate::identity::{OriginId, Version};
use crate::operation::{Refusal, Value};
use crate::slot::{Contribution, Slot};
use crate::update::added;

/// What counting up has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) value: Value,
    /// What our slot had counted before, which is all that it held, if the open version had not
    /// changed it yet.
    pub(crate) outdated: Option<u64>,
}

/// What merging a copy of a slot did to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MergedSlot {
    pub(crate) before: Slot,
    pub(crate) after: Slot,
    /// Whether the slot is new or its version grew.
    pub(crate) is_newer: bool,
    /// Whether it is new.
    pub(crate) is_new: bool,
    /// Whether the counter counts among those that exist now, and did not before.
    pub(crate) appears: bool,
}

/// One counter as one node holds it. Its name stands beside it in the list.
#[derive(Debug)]
pub(crate) struct Counter {
    /// The name's part of every fingerprint, so that a change hashes numbers only.
    pub(crate) name_hash: u64,
    sums: Sums,
    slots: Slots,
}

impl Counter {
    pub(crate) fn new(name_hash: u64) -> Self {
        Counter { name_hash, sums: Sums::Narrow(0), slots: Slots::default() }
    }

    /// What it adds up to, as if it had no lifetime.
    pub(crate) fn value(&self) -> Value {
        Value(self.sums.get().value())
    }

    /// Whether anything is left of any slot, as if it had no lifetime.
    pub(crate) fn is_live(&self) -> bool {
        match self.sums.ended() {
            Some(ended) => ended.live > 0,
            None => self.written().next().is_some(),
        }
    }

    /// Whether it exists at a time of the wall clock: is live, and has not expired.
    pub(crate) fn exists(&self, wall_ms: u64) -> bool {
        self.is_live() && !self.has_expired(wall_ms)
    }

    /// Whether it has a lifetime that is over.
    pub(crate) fn has_expired(&self, wall_ms: u64) -> bool {
        self.until().is_some_and(|until| until <= wall_ms)
    }

    /// When it expires.
    pub(crate) fn until(&self) -> Option<u64> {
        self.sums.ended().and_then(Ended::until)
    }

    /// What has been ended of it, if anything has.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.sums.ended()
    }

    /// Whether it counts among those that exist: an expired one does until that is noticed.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_live() && !self.sums.ended().is_some_and(|ended| ended.has_lapsed)
    }

    /// Whether it has been noticed that its time is over.
    pub(crate) fn has_lapsed(&self) -> bool {
        self.sums.ended().is_some_and(|ended| ended.has_lapsed)
    }

    /// That its time is over has been noticed, or that it is not any more.
    pub(crate) fn lapse(&mut self, has_lapsed: bool) {
        if let Some(ended) = self.sums.ended_mut() {
            ended.has_lapsed = has_lapsed;
        }
    }

    /// Ours comes first, if there is one.
    pub(crate) fn slots(&self) -> &[HeldSlot] {
        self.slots.all()
    }

    pub(crate) fn slot_of(&self, origin: OriginIndex) -> Option<&HeldSlot> {
        self.slots.of(origin)
    }

    /// How much of an origin's slot is covered.
    pub(crate) fn cover_on(&self, of: OriginId) -> Covered {
        self.sums.ended().map_or(Covered::default(), |ended| ended.cover_on(of))
    }

    /// What our slot becomes by adding `by`.
    ///
    /// # Errors
    /// If the value seen here would leave i64, or a number of our slot u64.
    pub(crate) fn added(&self, by: i64, ours: OriginIndex) -> Result<Slot, Refusal> {
        added(self.value().0, by).ok_or_else(|| self.overflow())?;
        self.our_slot(ours).added(by).ok_or_else(|| self.overflow())
    }

    /// Adds to a counter that exists, of which something is left that we have counted, and that has
    /// only ever counted up here: what nearly all increments are. `None`, and nothing has changed, if
    /// it is not that simple.
    pub(crate) fn count_up(&mut self, by: u64, now: &Now) -> Option<Counted> {
        let held = self.slots.ours_mut(now.ours.index)?;
        let outdated = (held.version < now.open).then(|| held.plus());
        let value = self.sums.count_up(by, held, now)?;
        held.version = held.version.max(now.open);
        Some(Counted { value, outdated })
    }

    /// What our slot becomes by raising the value to `to`; `None` if it is there already. `ours` is
    /// our origin.
    ///
    /// # Errors
    /// If the lift does not fit a slot's number.
    pub(crate) fn raised(&self, to: i64, ours: &Writer) -> Result<Option<Slot>, Refusal> {
        if self.value().0 >= i128::from(to) {
            return Ok(None);
        }
        // Above the largest raise that is left, since the value is the sum plus that.
        let lift =
            u64::try_from(i128::from(to) - self.sums.get().sum).map_err(|_| self.overflow())?;
        let covered = self.cover_on(ours.id).numbers.raise;
        let lifted = covered.checked_add(lift).ok_or_else(|| self.overflow())?;
        Ok(Some(self.our_slot(ours.index).lifted(lifted)))
    }

    fn overflow(&self) -> Refusal {
        Refusal::Overflow { found: self.value() }
    }

    fn our_slot(&self, ours: OriginIndex) -> Slot {
        self.slots.ours(ours).map_or(Slot::default(), HeldSlot::slot)
    }

    /// Lets go of the slots of some origins and of all that they have said, whatever it was;
    /// [`Counter::recount`] must follow before the counter is read. Tells how many slots and endings
    /// those were.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(OriginIndex) -> bool) -> usize {
        if self.slots.all().iter().all(|held| is_kept(held.origin)) {
            return 0;
        }
        let held =
            |counter: &Counter| counter.slots.all().len() + counter.ended().map_or(0, Ended::len);
        let before = held(self);
        self.slots.retain(&is_kept);
        if let Sums::Wide(wide) = &mut self.sums
            && let Some(ended) = &mut wide.ended
            && !ended.retain(&is_kept)
        {
            wide.ended = None;
        }
        before - held(self)
    }

    /// Finds anew what is left of all slots. `id_of` tells an origin's id.
    pub(crate) fn recount(&mut self, id_of: impl Fn(OriginIndex) -> OriginId) {
        let left = |held: &HeldSlot| self.cover_on(id_of(held.origin)).rest_of(&held.slot());
        let left: Vec<Slot> = self.slots.all().iter().map(left).collect();
        let all = Contribution::of(&left);
        match (&mut self.sums, i64::try_from(all.sum)) {
            (Sums::Wide(wide), _) if wide.ended.is_some() => {
                let live = left.iter().filter(|slot| **slot != Slot::default()).count();
                (wide.all, wide.is_raise_stale) = (all, false);
                if let Some(ended) = &mut wide.ended {
                    ended.live = u32::try_from(live).unwrap_or(u32::MAX);
                }
            }
            (sums, Ok(sum)) if all.raise == 0 => *sums = Sums::Narrow(sum),
            (sums, _) => *sums = Sums::Wide(Box::new(Wide { all, ..Wide::default() })),
        }
    }

    /// Merges a copy of a slot and lifts its version to at least `version`, whether or not a number
    /// changed (rule `version-never-too-low`).
    pub(crate) fn merge(&mut self, writer: Writer, slot: &Slot, version: Version) -> MergedSlot {
        let (held, is_new) = self.slots.of_or_new(&writer);
        let is_newer = is_new || held.version < version;
        held.version = held.version.max(version);
        let before = held.slot();
        let mut after = before;
        after.merge(slot);
        let mut appears = false;
        if after != before {
            held.set(&after);
            match self.sums.ended_mut() {
                None => {
                    self.sums.grow(&before, &after);
                    // Most slots that grow held something before, and so did their counters.
                    appears = before == Slot::default() && self.written().nth(1).is_none();
                }
                Some(ended) => {
                    let cover = ended.cover_on(writer.id);
                    let (left, more) = (cover.rest_of(&before), cover.rest_of(&after));
                    if left == Slot::default() && more != left {
                        ended.live += 1;
                        appears = ended.live == 1 && !ended.has_lapsed;
                    }
                    self.sums.grow(&left, &more);
                }
            }
        }
        MergedSlot { before, after, is_newer, is_new, appears }
    }

    /// Slots that anything was ever done in.
    fn written(&self) -> impl Iterator<Item = &HeldSlot> {
        self.slots.all().iter().filter(|held| held.slot() != Slot::default())
    }

    /// Merges what an origin has said about the counter's end, and lifts its slot's version like
    /// [`Counter::merge`]. `of` is where the origin stands whose slot it covers, if it is known.
    ///
    /// [`Counter::find_largest_raise`] must follow before the value is read, and where a settlement is
    /// covered, whose family is `family`, [`Counter::recount`].
    pub(crate) fn merge_ending(
        &mut self,
        writer: Writer,
        ending: &Ending,
        of: Option<OriginIndex>,
        family: Option<Arc<Family>>,
        version: Version,
    ) -> (Option<ended::Change>, bool) {
        let (held, is_new) = self.slots.of_or_new(&writer);
        let is_newer = is_new || held.version < version;
        held.version = held.version.max(version);
        let (name_hash, live) = (self.name_hash, self.live_slots());
        let wide = self.sums.widened();
        let ended = wide.ended.get_or_insert_with(|| Box::new(Ended::none_of(live)));
        let covered = match ending {
            Ending::Cover { of, .. } => Some((*of, ended.cover_on(*of))),
            Ending::Lifetime(_) | Ending::Whole(_) => None,
        };
        let change = ended.merge(writer.index, writer.id, name_hash, ending, family);
        if let Some((id, before)) = covered.filter(|_| change.is_some())
            && let Some(held) = of.and_then(|of| self.slots.of(of))
        {
            let slot = held.slot();
            let (before, after) = (before.rest_of(&slot), ended.cover_on(id).rest_of(&slot));
            ended.live -= u32::from(before != after && after == Slot::default());
            wide.all.sum += after.contribution().sum - before.contribution().sum;
            let raise = before.contribution().raise;
            wide.is_raise_stale |= raise > after.contribution().raise && raise == wide.all.raise;
        }
        (change, is_newer)
    }

    /// Finds the largest raise that is left, if it is not known. `id_of` tells an origin's id.
    pub(crate) fn find_largest_raise(&mut self, id_of: impl Fn(OriginIndex) -> OriginId) {
        let Sums::Wide(wide) = &mut self.sums else { return };
        if let Some(ended) = wide.ended.as_deref().filter(|_| wide.is_raise_stale) {
            let left = self.slots.all().iter().map(|held| {
                ended.cover_on(id_of(held.origin)).rest_of(&held.slot()).contribution().raise
            });
            wide.all.raise = left.max().unwrap_or(0);
            wide.is_raise_stale = false;
        }
    }

    fn live_slots(&self) -> u32 {
        if self.sums.ended().is_some() {
            return 0;
        }
        u32::try_from(self.written().count()).unwrap_or(u32::MAX)
    }

    /// Takes away of the sums by how much a cover exceeds the slot that it is on: the bug that the
    /// simulator must find.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn go_below_zero(&mut self, covered: &Covered, of: Option<OriginIndex>) {
        let held = of.and_then(|of| self.slot_of(of)).map_or(Slot::default(), HeldSlot::slot);
        let beyond = covered.numbers.plus.saturating_sub(held.numbers().plus);
        self.sums.widened().all.sum -= i128::from(beyond);
    }

    /// Adds a copy of a slot's numbers instead of taking the larger ones: the bug that the
    /// simulator must find.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn merge_by_adding(&self, writer: Writer, slot: &Slot) -> Slot {
        use crate::slot::Numbers;
        let held = self.slot_of(writer.index).map_or(Slot::default(), HeldSlot::slot);
        let (held, told) = (held.numbers(), slot.numbers());
        Slot::from(Numbers { plus: held.plus.saturating_add(told.plus), ..told })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ending::Lifetime;
    use crate::slot::Numbers;

    /// Where our origin stands.
    const OURS: OriginIndex = 0;

    fn numbered(plus: u64) -> Slot {
        Slot::from(Numbers { plus, ..Numbers::default() })
    }

    fn id_of(index: OriginIndex) -> OriginId {
        OriginId(u64::from(index) + 1)
    }

    fn writer(index: OriginIndex) -> Writer {
        Writer { index, id: id_of(index), is_ours: index == OURS }
    }

    fn counter(slots: &[Slot]) -> Counter {
        let mut counter = Counter::new(0);
        for (index, slot) in slots.iter().enumerate() {
            counter.merge(writer(u32::try_from(index).unwrap()), slot, 1);
        }
        counter
    }

    fn apply(counter: &mut Counter, slot: &Slot) {
        counter.merge(writer(OURS), slot, 1);
    }

    #[test]
    fn the_value_is_the_sums_plus_the_largest_raise() {
        let counter = counter(&[
            Slot::from(Numbers { plus: 10, minus: 3, raise: 5 }),
            Slot::from(Numbers { plus: 1, minus: 0, raise: 7 }),
            Slot::from(Numbers { plus: 0, minus: 4, raise: 0 }),
        ]);
        assert_eq!(counter.value(), Value(10 - 3 + 1 - 4 + 7));
    }

    #[test]
    fn a_raise_brings_the_value_to_its_target_and_a_lower_one_changes_nothing() {
        let mut counter = counter(&[Slot::from(Numbers { plus: 10, minus: 0, raise: 0 })]);
        let slot = counter.raised(17, &writer(OURS)).unwrap().unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(17));
        assert_eq!(counter.raised(17, &writer(OURS)), Ok(None));
        assert_eq!(counter.raised(3, &writer(OURS)), Ok(None));
        let slot = counter.raised(20, &writer(OURS)).unwrap().unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(20));
    }

    #[test]
    fn a_negative_counter_can_be_raised_over_its_whole_range() {
        let mut counter = counter(&[Slot::from(Numbers { plus: 0, minus: 1 << 63, raise: 0 })]);
        assert_eq!(counter.value(), Value(i128::from(i64::MIN)));
        let slot = counter.raised(i64::MAX, &writer(OURS)).unwrap().unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(i128::from(i64::MAX)));
    }

    #[test]
    fn an_operation_that_would_leave_the_range_is_refused() {
        let mut counter =
            counter(&[Slot::from(Numbers { plus: i64::MAX as u64, minus: 0, raise: 0 })]);
        assert_eq!(counter.added(1, OURS), Err(counter.overflow()));
        assert_eq!(counter.added(0, OURS).unwrap().numbers().plus, i64::MAX as u64);
        let slot = counter.added(i64::MIN, OURS).unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(-1));
        assert_eq!(counter.added(i64::MIN, OURS), Err(counter.overflow()));
    }

    #[test]
    fn a_value_that_merging_took_out_of_range_can_only_be_led_back() {
        let big = Slot::from(Numbers { plus: i64::MAX as u64, minus: 0, raise: 0 });
        let counter = counter(&[Slot::default(), big, big]);
        assert!(counter.value().is_out_of_range());
        assert_eq!(counter.value().clamped(), i64::MAX);
        assert_eq!(counter.added(1, OURS), Err(counter.overflow()));
        assert_eq!(counter.added(-1, OURS).unwrap().numbers().minus, 1);
    }

    #[test]
    fn what_has_expired_or_been_taken_away_is_not_counted_up() {
        let mut counter = counter(&[numbered(5)]);
        let now = |wall_ms| Now { open: 1, ours: writer(OURS), wall_ms };
        let lifetime = Ending::Lifetime(Lifetime { stamp: 1, until: Some(10) });
        counter.merge_ending(writer(OURS), &lifetime, None, None, 1);
        assert_eq!(counter.count_up(1, &now(9)).map(|counted| counted.value), Some(Value(6)));
        assert_eq!(counter.count_up(1, &now(10)), None);
        let covered = Covered { numbers: numbered(6).numbers(), stamp: 1 };
        let cover = Ending::Cover { of: id_of(OURS), covered };
        counter.merge_ending(writer(OURS), &cover, Some(OURS), None, 1);
        assert_eq!(counter.count_up(1, &now(9)), None);
        assert_eq!(counter.value(), Value(0), "nothing has changed");
    }

    #[test]
    fn a_slot_number_never_wraps() {
        let counter = counter(&[Slot::from(Numbers { plus: u64::MAX, minus: u64::MAX, raise: 0 })]);
        assert_eq!(counter.value(), Value(0));
        assert_eq!(counter.added(1, OURS), Err(counter.overflow()));
        assert_eq!(counter.added(-1, OURS), Err(counter.overflow()));
    }

    #[test]
    fn an_idle_counter_takes_as_little_as_the_bound_on_counters_counts_with() {
        assert_eq!(size_of::<HeldSlot>(), 32);
        assert_eq!(size_of::<Counter>(), 40);
    }

    #[test]
    fn a_sum_that_leaves_64_bits_is_exact_and_so_is_its_way_back() {
        let mut counter = Counter::new(0);
        let (plus, minus) = (u64::MAX, u64::MAX);
        counter.merge(writer(1), &Slot::from(Numbers { plus, minus: 0, raise: 0 }), 1);
        counter.merge(writer(2), &Slot::from(Numbers { plus, minus: 0, raise: 0 }), 1);
        assert_eq!(counter.value(), Value(2 * i128::from(u64::MAX)));
        counter.merge(writer(3), &Slot::from(Numbers { plus: 0, minus, raise: 0 }), 1);
        counter.merge(writer(1), &Slot::from(Numbers { plus, minus, raise: 0 }), 2);
        assert_eq!(counter.value(), Value(0));
        counter.merge(writer(2), &Slot::from(Numbers { plus, minus, raise: 0 }), 2);
        assert_eq!(counter.value(), Value(-i128::from(u64::MAX)));
    }

    /// Numbers of every size, as often at the edges as between.
    fn number() -> impl Strategy<Value = u64> {
        let edge = i64::MAX as u64;
        prop_oneof![0..4_u64, edge - 2..edge + 3, u64::MAX - 2..=u64::MAX, any::<u64>()]
    }

    /// Covers of every size, and lifetimes.
    fn ending() -> impl Strategy<Value = Ending> {
        let cover = (0..2_u32, number(), 0..2_u64).prop_map(|(of, plus, stamp)| {
            let numbers = Numbers { plus, ..Numbers::default() };
            Ending::Cover { of: id_of(of), covered: Covered { numbers, stamp } }
        });
        let lifetime = (1..3_u64, prop::option::of(0..4_u64))
            .prop_map(|(stamp, until)| Ending::Lifetime(Lifetime { stamp, until }));
        prop_oneof![cover, lifetime]
    }

    proptest! {
        #[test]
        fn what_is_kept_of_the_slots_is_what_they_add_up_to(
            merges in prop::collection::vec((0..4_u32, number(), number(), number()), 0..12),
            may_raise: bool,
        ) {
            let mut counter = Counter::new(0);
            let mut slots = [Slot::default(); 4];
            for (origin, plus, minus, raise) in merges {
                let slot = Slot::from(Numbers { plus, minus, raise: if may_raise { raise } else { 0 } });
                let (before, existed) = (slots[origin as usize], counter.is_counted());
                slots[origin as usize].merge(&slot);
                let merged = counter.merge(writer(origin), &slot, 1);
                prop_assert_eq!((merged.before, merged.after), (before, slots[origin as usize]));
                prop_assert_eq!(merged.appears, !existed && counter.is_counted());
                let numbers = slots.map(|slot| slot.numbers());
                let sum = |number: fn(&Numbers) -> u64| -> i128 {
                    numbers.iter().map(|numbers| i128::from(number(numbers))).sum()
                };
                let raise = numbers.iter().map(|numbers| numbers.raise).max().unwrap_or(0);
                let value = sum(|of| of.plus) - sum(|of| of.minus) + i128::from(raise);
                prop_assert_eq!(counter.value(), Value(value));
            }
            for held in counter.slots() {
                prop_assert_eq!(held.slot(), slots[held.origin as usize]);
            }
        }

        /// Slots and covers in any order: what is kept of them is what they come to, read anew.
        #[test]
        fn what_is_kept_of_an_ended_counter_is_what_its_slots_leave_of_the_covers(
            steps in prop::collection::vec(
                (0..4_u32, 0..4_u32, any::<bool>(), 0..6_u64, 0..6_u64, 0..6_u64), 0..20,
            ),
        ) {
            let mut counter = Counter::new(0);
            let mut slots = [Slot::default(); 4];
            let mut covers = [Covered::default(); 4];
            for (by, of, is_cover, plus, minus, raise) in steps {
                let numbers = Numbers { plus, minus, raise };
                if is_cover {
                    let covered = Covered { numbers, stamp: 0 };
                    covers[of as usize].merge(&covered);
                    let ending = Ending::Cover { of: id_of(of), covered };
                    let of = counter.slot_of(of).map(|_| of);
                    counter.merge_ending(writer(by), &ending, of, None, 1);
                    counter.find_largest_raise(id_of);
                } else {
                    let existed = counter.is_counted();
                    slots[by as usize].merge(&Slot::from(numbers));
                    let merged = counter.merge(writer(by), &Slot::from(numbers), 1);
                    prop_assert_eq!(merged.appears, !existed && counter.is_counted());
                }
                let left: Vec<Slot> =
                    slots.iter().zip(&covers).map(|(slot, cover)| cover.rest_of(slot)).collect();
                prop_assert_eq!(counter.value(), Value(Contribution::of(&left).value()));
                let is_live = left.iter().any(|slot| *slot != Slot::default());
                prop_assert_eq!(counter.is_live(), is_live);
            }
        }

        #[test]
        fn the_short_way_to_add_ends_where_the_long_one_does(
            merges in prop::collection::vec((0..2_u32, number(), 0..2_u64, 0..2_u64), 0..4),
            endings in prop::collection::vec((0..2_u32, ending()), 0..3),
            open in 1..4_u64,
            wall_ms in 0..4_u64,
            by in number().prop_filter("what add allows", |by| (1..=i64::MAX as u64).contains(by)),
        ) {
            let made = || {
                let mut counter = Counter::new(0);
                for (origin, plus, minus, raise) in &merges {
                    let slot = Slot::from(Numbers { plus: *plus, minus: *minus, raise: *raise });
                    counter.merge(writer(*origin), &slot, 2);
                }
                for (by, ending) in &endings {
                    let of = match ending {
                        Ending::Cover { of, .. } => (0..2).find(|index| id_of(*index) == *of),
                        Ending::Lifetime(_) | Ending::Whole(_) => None,
                    };
                    counter.merge_ending(writer(*by), ending, of, None, 2);
                    counter.find_largest_raise(id_of);
                }
                counter
            };
            let (mut short, mut long) = (made(), made());
            let Some(counted) = short.count_up(by, &Now { open, ours: writer(OURS), wall_ms }) else {
                prop_assert_eq!(format!("{short:?}"), format!("{long:?}"), "nothing has changed");
                return Ok(());
            };
            prop_assert!(long.exists(wall_ms), "what does not exist is to begin anew");
            let slot = long.added(by as i64, OURS).expect("the short way has found room");
            let merged = long.merge(writer(OURS), &slot, open);
            prop_assert!(!merged.appears, "it existed");
            prop_assert_eq!(merged.before, numbered(merged.before.numbers().plus));
            let outdated = merged.is_newer.then_some(merged.before.numbers().plus);
            prop_assert_eq!(counted, Counted { value: long.value(), outdated });
            prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
        }
    }
}
