//! The table as a whole: what it claims, counts, and has room for.

use super::*;
use crate::counters::local::OPEN_BYTES_MAX;
use crate::delta::CHANGE_BYTES_MAX;
use crate::slot::Numbers;

const OTHER: OriginId = OriginId(2);

fn counters() -> Counters {
    Counters::new(OriginId(1), 0)
}

fn delta<'a>(
    origin: OriginId,
    (after, upto): (Version, Version),
    changes: &[(&'a str, Slot)],
) -> Delta<'a> {
    let changes = changes.iter().map(|(name, slot)| Change::slot(name, *slot)).collect();
    Delta { origin, after, upto, changes }
}

fn plus(plus: u64) -> Slot {
    Slot::from(Numbers { plus, ..Numbers::default() })
}

#[test]
fn what_an_origin_has_counted_is_the_sum_of_all_that_it_added_and_subtracted() {
    let mut counters = counters();
    counters.add("x", 5).unwrap();
    counters.add("x", 2).unwrap();
    counters.add("y", -3).unwrap();
    let slots = [("x", Slot::from(Numbers { plus: 4, minus: 1, raise: 9 })), ("z", plus(10))];
    counters.merge(&delta(OTHER, (0, 1), &slots)).unwrap();
    counters.merge(&delta(OTHER, (1, 2), &[("z", plus(11))])).unwrap();
    assert_eq!((counters.counted(OriginId(1)), counters.counted(OTHER)), (10, 16));
    assert_eq!(counters.counted(OriginId(3)), 0);
}

#[test]
fn a_claim_that_comes_behind_its_slots_is_news_and_changes_the_digest() {
    let (mut counters, mut at_once) = (self::counters(), self::counters());
    let slots = [("x", plus(1))];
    // As the parts of a catch-up come, of which the last one claims.
    assert!(counters.merge(&delta(OTHER, (2, 2), &slots)).unwrap().news);
    counters.settle_rows();
    let merged = counters.merge(&delta(OTHER, (0, 2), &[])).unwrap();
    assert!(merged.news, "a restart would not find the claim");
    at_once.merge(&delta(OTHER, (0, 2), &slots)).unwrap();
    counters.settle_rows();
    at_once.settle_rows();
    assert_eq!(counters.hash_without(&[]), at_once.hash_without(&[]));
}

#[test]
fn an_origin_of_which_nothing_is_known_is_in_no_hash() {
    let mut counters = counters();
    counters.merge(&delta(OTHER, (0, 1), &[])).unwrap();
    counters.settle_rows();
    assert_ne!(counters.hash_without(&[]), 0);
    counters.take_back(OTHER);
    counters.settle_rows();
    assert_eq!(counters.hash_without(&[]), 0);
}

#[test]
fn what_claims_nothing_takes_no_place_among_what_came_beyond_a_gap() {
    let mut counters = counters();
    counters.merge(&delta(OTHER, (100, 101), &[])).unwrap();
    for version in 0..40 {
        let version = 10 + 2 * version;
        counters.merge(&delta(OTHER, (version, version), &[("x", plus(version))])).unwrap();
    }
    counters.merge(&delta(OTHER, (0, 100), &[])).unwrap();
    assert_eq!(counters.known(OTHER).version, 101);
}

#[test]
fn ranges_that_touch_take_one_place() {
    let mut counters = counters();
    counters.merge(&delta(OTHER, (500, 501), &[])).unwrap();
    (1..100).for_each(|version| {
        counters.merge(&delta(OTHER, (version, version + 1), &[])).unwrap();
    });
    counters.merge(&delta(OTHER, (0, 1), &[])).unwrap();
    assert_eq!(counters.known(OTHER).version, 100);
    counters.merge(&delta(OTHER, (100, 500), &[])).unwrap();
    assert_eq!(counters.known(OTHER).version, 501, "none was dropped for another");
}

#[test]
fn others_origins_are_bounded_and_those_of_linked_writers_have_some_room_beyond() {
    let mut counters = counters();
    counters.bound(Bounds { origins: 3, ..Bounds::default() });
    let mut taken = |n| counters.merge(&delta(OriginId(n), (0, 1), &[("x", plus(1))])).is_ok();
    assert_eq!([10, 11, 12, 10].map(&mut taken), [true, true, false, true]);
    counters.meet_writer(OriginId(13));
    assert!(counters.index_of(OriginId(13)).is_some());
    let most = 3 + PEERS_ORIGINS_MAX as usize;
    (0..2 * u64::from(PEERS_ORIGINS_MAX)).for_each(|n| counters.meet_writer(OriginId(1000 + n)));
    assert_eq!(counters.origins(), most);
}

#[test]
fn a_slot_takes_room_once_and_the_first_one_of_a_counter_with_its_name() {
    let mut counters = counters();
    counters.make_room(Room { names: 10_000, slots: 10_000 });
    let left = |counters: &Counters| counters.room().slots;
    counters.add("x", 1).unwrap();
    let with_name = left(&counters);
    counters.close();
    counters.add("x", -1).unwrap();
    assert_eq!(left(&counters), with_name, "it has its slot");
    counters.merge(&delta(OTHER, (0, 1), &[("x", plus(1))])).unwrap();
    let with_another = left(&counters);
    assert!(with_another < with_name);
    counters.merge(&delta(OTHER, (1, 2), &[("x", plus(2))])).unwrap();
    assert_eq!(left(&counters), with_another);
    counters.merge(&delta(OTHER, (2, 3), &[("y", plus(1))])).unwrap();
    let with_y = left(&counters);
    counters.add("y", 1).unwrap();
    assert_eq!(with_y - left(&counters), with_name - with_another, "a slot beside another's");
}

#[test]
fn a_batch_is_full_when_its_entries_may_take_a_quarter_of_a_frame() {
    let mut counters = counters();
    let mut changes = 0;
    while !counters.is_open_batch_full() {
        assert_eq!(counters.is_open_batch_empty(), changes == 0);
        counters.add(&format!("{changes:0>200}"), 1).unwrap();
        changes += 1;
    }
    assert_eq!(changes, OPEN_BYTES_MAX.div_ceil(200 + CHANGE_BYTES_MAX));
    assert!(counters.close().is_some() && counters.is_open_batch_empty());
}
