//! Listing counters in the order of their names, against the standard library's ordered map.
//!
//! Whatever names there are, in whatever order they are added and listed, and however the two take
//! turns, a listing shows what a `BTreeMap` of the same names shows. A failure prints its seed and
//! keeps it in a file beside this one.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use quipu_core::effect::Effect;
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::input::Input;
use quipu_core::name::CounterName;
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::operation::{Op, Request};
use quipu_core::outbox::{Effects, Outbox, Released};
use quipu_core::query::{Answer, List, PAGE_ROWS_MAX, Page, Question};
use quipu_core::time::Time;

/// More steps than any listing here can need.
const STEPS_MAX: usize = 1000;

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<CounterName>),
    List { prefix: Option<CounterName>, after: Option<CounterName>, limit: usize },
}

/// Short names of few letters, so that many share a beginning, among them the ends of what UTF-8
/// and a name allow.
fn name() -> impl Strategy<Value = CounterName> {
    let letter = prop::sample::select(vec![' ', '/', 'a', 'b', '~', 'ä', '\u{7ff}', '\u{10ffff}']);
    prop::collection::vec(letter, 1..5)
        .prop_map(|letters| CounterName::new(String::from_iter(letters)).expect("a name"))
}

fn step() -> impl Strategy<Value = Step> {
    let list = (prop::option::of(name()), prop::option::of(name()), 0..6usize);
    prop_oneof![
        2 => prop::collection::vec(name(), 1..40).prop_map(Step::Add),
        3 => list.prop_map(|(prefix, after, limit)| Step::List { prefix, after, limit }),
    ]
}

fn node() -> Node {
    let config = Config {
        node: NodeId(1),
        origin: OriginId(1),
        address: Address::parse("10.0.0.1:8088", 1).expect("an address"),
        boot: 1,
        cluster: "listing".to_owned(),
        secret: None,
        seeds: Vec::new(),
        discovery: false,
        is_kept: true,
        settles: true,
        removes_after: RemovesAfter::default(),
        chance: [1; 32],
    };
    Node::new(config, Time::ZERO)
}

/// Closes a batch on a disk that is safe at once: what leaves.
fn close(node: &mut Node, effects: &mut Effects) -> Vec<Effect> {
    let mut outbox = Outbox::default();
    let batch = node.close_batch(Time::ZERO, effects);
    let mut left = std::mem::take(&mut effects.at_once);
    outbox.close(batch, effects);
    outbox.safe(batch);
    while let Some(Released { effects: after, batch }) = outbox.release() {
        left.extend(after);
        node.handle(Time::ZERO, Input::Synced { batch }, effects);
    }
    left
}

/// Hands in one input and does what is due until the answer is there.
fn answer(node: &mut Node, input: Input) -> Option<Answer> {
    let mut effects = Effects::default();
    node.handle(Time::ZERO, input, &mut effects);
    for _ in 0..STEPS_MAX {
        for effect in close(node, &mut effects) {
            match effect {
                Effect::Answer { answer, .. } => return Some(answer),
                Effect::Reply { .. } => return None,
                _ => {}
            }
        }
        assert_eq!(node.next_deadline(), Time::ZERO, "work waits and no time is due for it");
        node.handle(Time::ZERO, Input::Tick, &mut effects);
    }
    panic!("no answer in {STEPS_MAX} steps")
}

fn list(
    node: &mut Node,
    prefix: Option<CounterName>,
    after: Option<CounterName>,
    limit: usize,
) -> (Vec<(CounterName, i128)>, bool) {
    let query = List { prefix, after, limit }.into();
    let answer = answer(node, Input::Query { token: 1, query }).expect("an answer");
    let Page { rows, more } = List::read(answer).expect("a page").expect("few list");
    (rows.into_iter().map(|(name, value)| (name, value.0)).collect(), more)
}

fn add(node: &mut Node, names: &[CounterName]) {
    let ops: Vec<Op> = names.iter().map(|name| Op::Add { name: name.clone(), by: 1 }).collect();
    assert_eq!(answer(node, Input::Request { token: 1, request: Request::from(ops) }), None);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Default::default()
    })]

    #[test]
    fn a_listing_shows_what_an_ordered_map_shows(steps in prop::collection::vec(step(), 1..60)) {
        let mut node = node();
        let mut map: BTreeMap<CounterName, i128> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add(names) => {
                    add(&mut node, &names);
                    for name in names {
                        *map.entry(name).or_default() += 1;
                    }
                }
                Step::List { prefix, after, limit } => {
                    let from = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
                    let begins = prefix.as_ref().map_or("", |prefix| prefix.as_str());
                    let mut expected: Vec<_> = map
                        .range((from, Bound::Unbounded))
                        .filter(|(name, _)| name.as_str().starts_with(begins))
                        .map(|(name, value)| (name.clone(), *value))
                        .collect();
                    let limit = limit.max(1);
                    let more = expected.len() > limit;
                    expected.truncate(limit);
                    prop_assert_eq!(list(&mut node, prefix, after, limit), (expected, more));
                }
            }
        }
    }
}

#[test]
fn a_page_is_no_larger_than_the_bound_whatever_is_asked_for() {
    let mut node = node();
    let names: Vec<CounterName> = (0..PAGE_ROWS_MAX + 1)
        .map(|number| CounterName::new(format!("{number:04}")).expect("a name"))
        .collect();
    add(&mut node, &names);
    let (rows, more) = list(&mut node, None, None, usize::MAX);
    assert_eq!((rows.len(), more), (PAGE_ROWS_MAX, true));
    let last = rows.last().map(|(name, _)| name.clone());
    assert_eq!(
        list(&mut node, None, last, usize::MAX),
        (vec![(names[PAGE_ROWS_MAX].clone(), 1)], false)
    );
}

#[test]
fn increments_are_answered_while_a_listing_waits_for_its_order() {
    let mut node = node();
    let name = |number: u32| CounterName::new(number.to_string()).expect("a name");
    let names: Vec<CounterName> = (0..10_000).map(name).collect();
    add(&mut node, &names);
    let mut effects = Effects::default();
    let query = List { prefix: None, after: None, limit: 1 }.into();
    node.handle(Time::ZERO, Input::Query { token: 7, query }, &mut effects);
    let mut told = VecDeque::new();
    for token in 100..200 {
        let ops = vec![Op::Add { name: CounterName::DEFAULT, by: 1 }];
        node.handle(
            Time::ZERO,
            Input::Request { token, request: Request::from(ops) },
            &mut effects,
        );
        told.extend(close(&mut node, &mut effects).into_iter().filter_map(|effect| match effect {
            Effect::Reply { token, .. } | Effect::Answer { token, .. } => Some(token),
            _ => None,
        }));
    }
    let page = told.iter().position(|token| *token == 7).expect("the page is told at last");
    assert!(page > 5, "ten thousand names are more than one step: {told:?}");
    told.remove(page);
    assert!(told.into_iter().eq(100..200), "each increment in its own batch");
}
