//! The laws of raises: what two tables come to that raise a counter at once.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use quipu_core::counters::Counters;
use quipu_core::digest::Want;
use quipu_core::identity::OriginId;
use quipu_core::replication::scan::Scan;

fn laws(cases: u32) -> ProptestConfig {
    let beside = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(beside)), ..Default::default() }
}

/// Two tables that hold the same.
fn twins(adds: &[i64]) -> (Counters, Counters) {
    let (mut one, mut other) = (Counters::new(OriginId(1), 0), Counters::new(OriginId(2), 0));
    for by in adds {
        one.add("x", *by).unwrap();
    }
    exchange(&mut one, &mut other);
    (one, other)
}

fn exchange(one: &mut Counters, other: &mut Counters) {
    one.close();
    other.close();
    tell(one, other);
    tell(other, one);
}

fn tell(from: &Counters, to: &mut Counters) {
    let wants: Vec<Want> = from
        .digest()
        .filter(|(origin, _)| *origin != to.our_origin())
        .map(|(origin, _)| Want { origin, after: Some(to.known(origin).version) })
        .collect();
    let mut scan = Scan::new(from, &wants);
    for delta in scan.step(from, usize::MAX, usize::MAX).0 {
        to.merge(&delta).unwrap();
    }
}

proptest! {
    #![proptest_config(laws(512))]

    #[test]
    fn a_raise_brings_the_value_to_its_target_and_never_lowers_it(
        adds in prop::collection::vec(-50..50i64, 0..5),
        raises in prop::collection::vec(-100..100i64, 1..5),
    ) {
        let (mut one, _) = twins(&adds);
        for to in raises {
            let before = one.value("x").0;
            let after = one.raise("x", to).unwrap().0;
            prop_assert_eq!(after, before.max(i128::from(to)));
            prop_assert_eq!(after, one.value("x").0);
        }
    }

    #[test]
    fn raises_by_nodes_that_saw_the_same_do_not_add_up(
        adds in prop::collection::vec(-50..50i64, 0..5),
        first in -100..100i64,
        second in -100..100i64,
    ) {
        let (mut one, mut other) = twins(&adds);
        let before = one.value("x").0;
        one.raise("x", first).unwrap();
        other.raise("x", second).unwrap();
        exchange(&mut one, &mut other);
        let highest = before.max(first.into()).max(second.into());
        prop_assert_eq!((one.value("x").0, other.value("x").0), (highest, highest));
    }

    #[test]
    fn increments_that_the_raiser_had_not_seen_come_on_top(
        adds in prop::collection::vec(-50..50i64, 0..5),
        to in -100..100i64,
        unseen in prop::collection::vec(-20..20i64, 0..5),
    ) {
        let (mut one, mut other) = twins(&adds);
        let raised = one.raise("x", to).unwrap().0;
        for by in &unseen {
            other.add("x", *by).unwrap();
        }
        exchange(&mut one, &mut other);
        let expected = raised + i128::from(unseen.iter().sum::<i64>());
        prop_assert_eq!((one.value("x").0, other.value("x").0), (expected, expected));
    }

    #[test]
    fn a_value_is_at_least_what_any_raise_asked_for_while_nobody_subtracts(
        turns in prop::collection::vec((any::<bool>(), any::<bool>(), 0..60i64), 1..20),
    ) {
        let (mut one, mut other) = twins(&[]);
        let mut highest = 0;
        for (at_one, is_raise, number) in turns {
            let table = if at_one { &mut one } else { &mut other };
            if is_raise {
                table.raise("x", number).unwrap();
                highest = highest.max(i128::from(number));
            } else {
                table.add("x", number).unwrap();
            }
        }
        exchange(&mut one, &mut other);
        prop_assert!(one.value("x").0 >= highest);
        prop_assert_eq!(one.value("x"), other.value("x"));
    }
}
