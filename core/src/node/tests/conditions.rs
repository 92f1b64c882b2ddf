//! Requests that are carried out as a whole while counters are as they were seen, or not at all.

use super::*;
use crate::condition::{Condition, Holds};
use crate::node::SETTLING;
use crate::query::{Look, Sight};
use crate::room::Room;
use crate::update::{Expiry, Update};

impl One {
    fn settled() -> Self {
        let mut one = One::new(true);
        one.now = one.now + SETTLING;
        one.is_told(Input::WallClock(1_000_000));
        one
    }

    fn sees(&self, counter: &str) -> Sight {
        self.node.look(&Look { names: vec![name(counter)] }).sights[0]
    }

    fn asks_if(&mut self, only_if: Vec<Condition>, ops: Vec<Op>) -> Results {
        self.is_told(Input::Request { token: 8, request: Request { ops, only_if } });
        let reply = self.effects.after_sync.drain(..).find_map(|effect| match effect {
            Effect::Reply { results, .. } => Some(results),
            _ => None,
        });
        reply.expect("it was answered")
    }
}

fn unchanged(counter: &str, sight: Sight) -> Condition {
    Condition { name: name(counter), holds: Holds::Unchanged(sight.stamp) }
}

fn update(counter: &str, update: Update) -> Op {
    Op::Update { name: name(counter), update: Box::new(update) }
}

#[test]
fn a_request_is_carried_out_while_what_it_saw_is_so_and_not_once_it_is_not() {
    let mut one = One::settled();
    one.asks(vec![add("x", 5)]);
    let seen = one.sees("x");
    assert_eq!(seen.value.map(|value| value.0), Some(5));
    assert_eq!(one.asks_if(vec![unchanged("x", seen)], vec![add("y", 1)]).len(), 1);
    one.asks(vec![add("x", 1), add("x", -1)]);
    let refused = one.asks_if(vec![unchanged("x", seen)], vec![add("y", 1), add("x", 1)]);
    assert_eq!(refused, [Err(Refusal::Changed)], "it is 5 again, and has changed");
    assert_eq!(one.asks(vec![get("y")]).0[0].unwrap().value.0, 1);
}

#[test]
fn conditions_alone_are_answered() {
    let mut one = One::settled();
    let seen = one.sees("x");
    assert_eq!(one.asks_if(vec![unchanged("x", seen)], vec![]), []);
    one.asks(vec![add("x", 1)]);
    assert_eq!(one.asks_if(vec![unchanged("x", seen)], vec![]), [Err(Refusal::Changed)]);
}

#[test]
fn what_must_be_missing_is_missing_for_all_or_nothing_is_done() {
    let mut one = One::settled();
    let missing = |counter| Condition { name: name(counter), holds: Holds::Missing };
    let both = || vec![missing("x"), missing("y")];
    one.asks(vec![add("y", 0)]);
    assert_eq!(one.asks_if(both(), vec![add("x", 1), add("y", 1)]), [Err(Refusal::Changed)]);
    assert!(one.sees("x").value.is_none());
    one.asks(vec![update("y", Update::Delete)]);
    assert_eq!(one.asks_if(both(), vec![add("x", 1), add("y", 1)]).len(), 2);
}

#[test]
fn a_counter_whose_time_is_over_is_not_as_it_was_seen() {
    let mut one = One::settled();
    let set = Update::Set { to: 5, only: None, expiry: Expiry::At(1_000_500) };
    one.asks(vec![update("x", set)]);
    let seen = one.sees("x");
    one.is_told(Input::WallClock(1_000_500));
    let refused = one.asks_if(vec![unchanged("x", seen)], vec![add("x", 1)]);
    assert_eq!(refused, [Err(Refusal::Changed)]);
}

#[test]
fn where_there_is_no_room_for_all_nothing_is_done() {
    let mut one = One::settled();
    let missing = |counter| Condition { name: name(counter), holds: Holds::Missing };
    // For one name, and not for two.
    let names = Room::of_name(b"x") * 3 / 2;
    one.is_told(Input::Room(Room { names, slots: u64::MAX }));
    let refused = one.asks_if(vec![missing("x")], vec![add("x", 1), add("y", 1)]);
    assert_eq!(refused, [Err(Refusal::OutOfMemory)]);
    assert!(one.sees("x").value.is_none());
    assert_eq!(one.asks_if(vec![missing("x")], vec![add("x", 1), add("x", 1)]).len(), 2);
}

#[test]
fn a_node_that_is_behind_does_no_part_of_a_request_that_would_end_a_counter() {
    let mut one = One::new(true);
    one.node.limit(Limits { raises: 0, ..Limits::default() });
    let seen = one.sees("x");
    let set = Update::Set { to: 5, only: None, expiry: Expiry::Never };
    let refused = one.asks_if(vec![unchanged("x", seen)], vec![add("y", 1), update("x", set)]);
    assert!(matches!(refused[..], [Err(Refusal::Behind(_))]), "{refused:?}");
    assert!(one.sees("y").value.is_none());
}
