//! When a node settles of its own accord.

use super::*;
use crate::input::Input;
use crate::node::tests::{One, name};
use crate::node::{SETTLE_EVERY, SLOTS_WORTH};
use crate::operation::Op;
use crate::update::Update;

fn adds(names: std::ops::Range<u64>) -> Vec<Op> {
    let add = |n: u64| Op::Add { name: name(&format!("c{n}")), by: 1 };
    names.map(add).collect()
}

impl One {
    /// Time goes by, and all is done when it is due.
    fn lives_until(&mut self, end: Time) {
        while self.node.next_deadline() <= end {
            self.now = self.node.next_deadline().max(self.now);
            self.is_told(Input::Tick);
        }
        self.now = end;
    }

    /// A node whose former origin has written so many slots.
    fn with_closed_slots(slots: u64) -> (Self, Time) {
        let mut one = One::new(true);
        one.asks(adds(0..slots));
        one.node.settlements.asked = 1;
        one.node.settlements.has_news = true;
        one.lives_until(one.now + Duration::from_secs(5));
        let closed = one.now;
        assert_eq!((one.folds(), one.closed_slots()), (1, slots));
        (one, closed)
    }

    fn folds(&self) -> u64 {
        self.node.status(self.now).settlement.settled
    }

    fn closed_slots(&self) -> u64 {
        let view = self.node.view();
        let by = |closed: &Prefix| u64::from(self.node.counters.slots_by(closed.origin));
        view.foldable()
            .iter()
            .filter(|closed| !view.counters.families().holds(closed.origin))
            .map(by)
            .sum()
    }
}

#[test]
fn a_tenth_of_the_slots_is_folded_ten_minutes_after_the_settlement_before() {
    let (mut one, closed) = One::with_closed_slots(SLOTS_WORTH);
    // A tenth of all, and not one less.
    let first = one.node.counters.our_origin();
    one.asks(adds(SLOTS_WORTH..10 * SLOTS_WORTH));
    assert_eq!(one.node.counters.all_slots(), 10 * SLOTS_WORTH);
    one.lives_until(closed + (SETTLE_EVERY - Duration::from_secs(6)));
    assert_eq!((one.folds(), one.node.counters.our_origin()), (1, first));
    one.lives_until(closed + SETTLE_EVERY + Duration::from_secs(15));
    assert_eq!(one.folds(), 2);
    assert_ne!(one.node.counters.our_origin(), first);
}

#[test]
fn less_than_a_tenth_of_the_slots_is_left_where_it_is() {
    let (mut one, closed) = One::with_closed_slots(SLOTS_WORTH);
    one.asks(adds(SLOTS_WORTH..10 * SLOTS_WORTH + 1));
    one.lives_until(closed + 2 * SETTLE_EVERY);
    assert_eq!((one.folds(), one.closed_slots()), (1, SLOTS_WORTH));
}

#[test]
fn a_few_slots_are_left_where_they_are() {
    let (mut one, closed) = One::with_closed_slots(SLOTS_WORTH - 1);
    one.lives_until(closed + 2 * SETTLE_EVERY);
    assert_eq!((one.folds(), one.closed_slots()), (1, SLOTS_WORTH - 1));
}

#[test]
fn a_fold_that_lets_go_of_a_tenth_of_the_slots_is_worth_a_snapshot_and_no_other() {
    let (mut one, _) = One::with_closed_slots(SLOTS_WORTH);
    one.asks(adds(0..SLOTS_WORTH / 10));
    one.node.settlements.asked = 2;
    one.node.settlements.has_news = true;
    one.lives_until(one.now + Duration::from_secs(10));
    assert_eq!((one.folds(), one.node.counters.all_slots()), (3, SLOTS_WORTH));
    assert!(!one.node.has_shrunk(), "a tenth of 1,000 names had two slots: 1,100 are 1,000 now");

    one.asks(adds(0..SLOTS_WORTH / 8));
    one.node.settlements.asked = 2;
    one.node.settlements.has_news = true;
    one.lives_until(one.now + Duration::from_secs(10));
    assert_eq!((one.folds(), one.node.counters.all_slots()), (5, SLOTS_WORTH));
    assert!(one.node.has_shrunk());
    let _walk = one.node.begin_snapshot();
    assert!(!one.node.has_shrunk());
}

impl One {
    /// It settles, so many times, if it may.
    fn settles(&mut self, rounds: u32) {
        self.node.settlements.asked = rounds;
        self.node.settlements.has_news = true;
        self.lives_until(self.now + Duration::from_secs(6) * rounds);
    }
}

/// `One start after the other adds 2^63 to a counter and takes it away.` No settled slot holds what all three
/// have added. Where some of it is on one side only, it was cut off.
#[test]
fn a_counter_that_no_slot_holds_is_folded_by_no_settlement() {
    let mut one = One::new(true);
    for _ in 0..3 {
        for by in [i64::MAX, -i64::MAX] {
            one.asks(vec![Op::Add { name: name("large"), by }]);
        }
        one.settles(1);
    }
    let folded = one.folds();
    one.asks(vec![Op::Add { name: name("large"), by: 5 }]);
    one.settles(2);
    assert_eq!(one.folds(), folded, "2^64 - 2 are settled, and 2^63 - 1 closed");
    let value = |one: &mut One| one.asks(vec![Op::Get { name: name("large") }]).0;
    assert_eq!(value(&mut one)[0].as_ref().map(|outcome| outcome.value.0), Ok(5));

    let gone = Box::new(Update::Delete);
    one.asks(vec![Op::Update { name: name("large"), update: gone }]);
    one.settles(2);
    assert_eq!(one.folds(), folded + 2);
    assert_eq!(value(&mut one)[0].as_ref().map(|outcome| outcome.value.0), Ok(0));
}
