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
    let mut counter = counter(&[Slot::from(Numbers { plus: i64::MAX as u64, minus: 0, raise: 0 })]);
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
    assert_eq!(size_of::<Counter>(), 32);
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
        for held in counter.slots().iter() {
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
