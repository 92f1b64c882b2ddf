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

use crate::counters::slots::{HeldSlot, Slots};
use crate::identity::Version;
use crate::operation::{Refusal, Value};
use crate::slot::{Contribution, Slot};

/// The place of an origin in the table of origins: a slot names its writer in four bytes.
pub(crate) type OriginIndex = u32;

/// The place of this process's own origin.
pub(crate) const OURS: OriginIndex = 0;

/// What all slots add up to, kept so that an increment does not read them all.
#[derive(Debug)]
enum Sums {
    /// Σ plus − Σ minus, where it fits and nobody has raised the counter.
    Narrow(i64),
    /// Any other; once it is here, it stays.
    Wide(Box<Contribution>),
}

impl Sums {
    fn get(&self) -> Contribution {
        match self {
            Sums::Narrow(sum) => Contribution { sum: i128::from(*sum), raise: 0 },
            Sums::Wide(wide) => **wide,
        }
    }

    /// A slot has become another one.
    fn change(&mut self, before: &Slot, after: &Slot) {
        let mut all = self.get();
        all.replace(before, after);
        match (&mut *self, i64::try_from(all.sum)) {
            (Sums::Wide(wide), _) => **wide = all,
            (Sums::Narrow(narrow), Ok(sum)) if all.raise == 0 => *narrow = sum,
            (Sums::Narrow(_), _) => *self = Sums::Wide(Box::new(all)),
        }
    }
}

/// What merging a copy of a slot did to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MergedSlot {
    pub(crate) before: Slot,
    pub(crate) after: Slot,
    /// Whether the slot is new or its version grew.
    pub(crate) is_newer: bool,
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

    pub(crate) fn value(&self) -> Value {
        Value(self.sums.get().value())
    }

    /// Ours comes first, if there is one.
    pub(crate) fn slots(&self) -> &[HeldSlot] {
        self.slots.all()
    }

    pub(crate) fn slot_of(&self, origin: OriginIndex) -> Option<&HeldSlot> {
        self.slots.of(origin)
    }

    /// What our slot becomes by adding `by`.
    ///
    /// # Errors
    /// If the value seen here would leave i64, or a number of our slot u64.
    pub(crate) fn added(&self, by: i64) -> Result<Slot, Refusal> {
        let value = self.value().0 + i128::from(by);
        // A value that merging took out of range may be led back, not further away.
        let leaves = i64::try_from(value).is_err()
            && (by.is_negative() == value.is_negative() || !self.value().is_out_of_range());
        if leaves {
            return Err(self.overflow());
        }
        self.our_slot().added(by).ok_or_else(|| self.overflow())
    }

    /// Adds to a counter that our open version has changed already and that has only ever counted
    /// up here: what nearly all increments of a busy counter are. `None`, and nothing has changed,
    /// if it is not that simple.
    pub(crate) fn add_again(&mut self, by: u64, open: Version) -> Option<Value> {
        let held = self.slots.ours_mut()?;
        let Sums::Narrow(sum) = &mut self.sums else { return None };
        if held.version != open {
            return None;
        }
        let grown = sum.checked_add_unsigned(by)?;
        held.count_up(by)?;
        *sum = grown;
        Some(Value(i128::from(grown)))
    }

    /// What our slot becomes by raising the value to `to`; `None` if it is there already.
    ///
    /// # Errors
    /// If the lift does not fit a slot's number.
    pub(crate) fn raised(&self, to: i64) -> Result<Option<Slot>, Refusal> {
        if self.value().0 >= i128::from(to) {
            return Ok(None);
        }
        // Above the largest raise known, since the value is the sum plus that.
        let lift =
            u64::try_from(i128::from(to) - self.sums.get().sum).map_err(|_| self.overflow())?;
        Ok(Some(self.our_slot().lifted(lift)))
    }

    fn overflow(&self) -> Refusal {
        Refusal::Overflow { found: self.value() }
    }

    fn our_slot(&self) -> Slot {
        self.slots.ours().map_or(Slot::default(), HeldSlot::slot)
    }

    /// Merges a copy of `origin`'s slot and lifts its version to at least `version`, whether or
    /// not a number changed (rule `version-never-too-low`).
    pub(crate) fn merge(
        &mut self,
        origin: OriginIndex,
        slot: &Slot,
        version: Version,
    ) -> MergedSlot {
        let (held, is_new) = self.slots.of_or_new(origin);
        let is_newer = is_new || held.version < version;
        held.version = held.version.max(version);
        let before = held.slot();
        let mut after = before;
        after.merge(slot);
        if after != before {
            held.set(&after);
            self.sums.change(&before, &after);
        }
        MergedSlot { before, after, is_newer }
    }

    /// Adds a copy of a slot's numbers instead of taking the larger ones: the bug that the
    /// simulator must find.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn merge_by_adding(&self, origin: OriginIndex, slot: &Slot) -> Slot {
        use crate::slot::Numbers;
        let held = self.slot_of(origin).map_or(Slot::default(), HeldSlot::slot);
        let (held, told) = (held.numbers(), slot.numbers());
        Slot::from(Numbers { plus: held.plus.saturating_add(told.plus), ..told })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slot::Numbers;

    fn counter(slots: &[Slot]) -> Counter {
        let mut counter = Counter::new(0);
        for (index, slot) in slots.iter().enumerate() {
            counter.merge(u32::try_from(index).unwrap(), slot, 1);
        }
        counter
    }

    fn apply(counter: &mut Counter, slot: &Slot) {
        counter.merge(OURS, slot, 1);
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
        let slot = counter.raised(17).unwrap().unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(17));
        assert_eq!(counter.raised(17), Ok(None));
        assert_eq!(counter.raised(3), Ok(None));
        let slot = counter.raised(20).unwrap().unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(20));
    }

    #[test]
    fn a_negative_counter_can_be_raised_over_its_whole_range() {
        let mut counter = counter(&[Slot::from(Numbers { plus: 0, minus: 1 << 63, raise: 0 })]);
        assert_eq!(counter.value(), Value(i128::from(i64::MIN)));
        let slot = counter.raised(i64::MAX).unwrap().unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(i128::from(i64::MAX)));
    }

    #[test]
    fn an_operation_that_would_leave_the_range_is_refused() {
        let mut counter =
            counter(&[Slot::from(Numbers { plus: i64::MAX as u64, minus: 0, raise: 0 })]);
        assert_eq!(counter.added(1), Err(counter.overflow()));
        assert_eq!(counter.added(0).unwrap().numbers().plus, i64::MAX as u64);
        let slot = counter.added(i64::MIN).unwrap();
        apply(&mut counter, &slot);
        assert_eq!(counter.value(), Value(-1));
        assert_eq!(counter.added(i64::MIN), Err(counter.overflow()));
    }

    #[test]
    fn a_value_that_merging_took_out_of_range_can_only_be_led_back() {
        let big = Slot::from(Numbers { plus: i64::MAX as u64, minus: 0, raise: 0 });
        let counter = counter(&[Slot::default(), big, big]);
        assert!(counter.value().is_out_of_range());
        assert_eq!(counter.value().clamped(), i64::MAX);
        assert_eq!(counter.added(1), Err(counter.overflow()));
        assert_eq!(counter.added(-1).unwrap().numbers().minus, 1);
    }

    #[test]
    fn a_slot_number_never_wraps() {
        let counter = counter(&[Slot::from(Numbers { plus: u64::MAX, minus: u64::MAX, raise: 0 })]);
        assert_eq!(counter.value(), Value(0));
        assert_eq!(counter.added(1), Err(counter.overflow()));
        assert_eq!(counter.added(-1), Err(counter.overflow()));
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
        counter.merge(1, &Slot::from(Numbers { plus, minus: 0, raise: 0 }), 1);
        counter.merge(2, &Slot::from(Numbers { plus, minus: 0, raise: 0 }), 1);
        assert_eq!(counter.value(), Value(2 * i128::from(u64::MAX)));
        counter.merge(3, &Slot::from(Numbers { plus: 0, minus, raise: 0 }), 1);
        counter.merge(1, &Slot::from(Numbers { plus, minus, raise: 0 }), 2);
        assert_eq!(counter.value(), Value(0));
        counter.merge(2, &Slot::from(Numbers { plus, minus, raise: 0 }), 2);
        assert_eq!(counter.value(), Value(-i128::from(u64::MAX)));
    }

    /// Numbers of every size, as often at the edges as between.
    fn number() -> impl Strategy<Value = u64> {
        let edge = i64::MAX as u64;
        prop_oneof![0..4_u64, edge - 2..edge + 3, u64::MAX - 2..=u64::MAX, any::<u64>()]
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
                let before = slots[origin as usize];
                slots[origin as usize].merge(&slot);
                let merged = counter.merge(origin, &slot, 1);
                prop_assert_eq!((merged.before, merged.after), (before, slots[origin as usize]));
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

        #[test]
        fn the_short_way_to_add_ends_where_the_long_one_does(
            merges in prop::collection::vec((0..2_u32, number(), 0..2_u64, 0..2_u64), 0..4),
            version in 0..3_u64,
            by in number().prop_filter("what add allows", |by| (1..=i64::MAX as u64).contains(by)),
        ) {
            let made = || {
                let mut counter = Counter::new(0);
                for (origin, plus, minus, raise) in &merges {
                    let slot = Slot::from(Numbers { plus: *plus, minus: *minus, raise: *raise });
                    counter.merge(*origin, &slot, 2);
                }
                counter
            };
            let (mut short, mut long) = (made(), made());
            let Some(value) = short.add_again(by, version) else {
                prop_assert_eq!(format!("{short:?}"), format!("{long:?}"), "nothing has changed");
                return Ok(());
            };
            let slot = long.added(by as i64).expect("the short way has found room");
            long.merge(OURS, &slot, version);
            prop_assert_eq!(value, long.value());
            prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
        }
    }
}
