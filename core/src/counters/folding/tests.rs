use proptest::prelude::*;

use super::*;
use crate::delta::{Change, Delta};

/// A settlement, its members, and an origin that was closed with a grant.
const Z: OriginId = OriginId(1_000);
const MEMBERS: [OriginId; 3] = [OriginId(11), OriginId(12), OriginId(13)];
const GRANTED: OriginId = OriginId(21);
/// A settlement that holds that one and what was closed with its grants.
const LATER: OriginId = OriginId(2_000);
/// One that has nothing to do with it.
const OTHER: OriginId = OriginId(31);

fn slot(numbers: (u64, u64, u64)) -> Slot {
    let (plus, minus, raise) = numbers;
    Slot::from(Numbers { plus, minus, raise })
}

fn cover(of: OriginId, numbers: (u64, u64, u64), stamp: u64) -> Ending {
    Ending::Cover { of, covered: Covered { numbers: slot(numbers).numbers(), stamp } }
}

fn lifetime(stamp: u64) -> Ending {
    Ending::Lifetime(Lifetime { stamp, until: Some(1 << 40) })
}

/// All that an origin has said of `x`.
type Said = (OriginId, (u64, u64, u64), Vec<Ending>);

fn bring(counters: &mut Counters, (origin, numbers, endings): &Said) {
    let mut changes = vec![Change::slot("x", slot(*numbers))];
    changes.extend(endings.iter().map(|ending| Change::Ending { name: "x", ending: *ending }));
    let delta = Delta { origin: *origin, after: 0, upto: 1, changes };
    counters.merge(&delta).expect("there is room");
}

fn table(seed: u64, said: &[Said]) -> Counters {
    let mut counters = Counters::new(OriginId(seed), seed);
    counters.families_mut().define(Z, MEMBERS.to_vec());
    said.iter().for_each(|said| bring(&mut counters, said));
    counters
}

fn until(counters: &Counters) -> Option<u64> {
    counters.read(&counters.lookup("x")).until.map(std::num::NonZeroU64::get)
}

fn fold(counters: &mut Counters) {
    counters.begin_fold(Z, &[GRANTED]);
    counters.end_chores();
}

fn folded(counters: &Counters) -> (Slot, Vec<Ending>) {
    let view = counters.slots_of("x").find(|view| view.origin == Z);
    let endings = counters.endings_of("x").filter(|view| view.origin == Z);
    (view.map_or(Slot::default(), |view| view.slot), endings.map(|view| view.ending).collect())
}

fn small() -> impl Strategy<Value = (u64, u64, u64)> {
    (0..5_u64, 0..5_u64, 0..5_u64)
}

fn said(origins: Vec<OriginId>) -> impl Strategy<Value = Vec<Said>> {
    let all: Vec<OriginId> = MEMBERS.into_iter().chain([GRANTED, OTHER]).collect();
    let ending = prop_oneof![
        3 => (prop::sample::select(all), small(), 0..4_u64)
            .prop_map(|(of, numbers, stamp)| cover(of, numbers, stamp)),
        1 => (1..4_u64).prop_map(lifetime),
    ];
    origins
        .into_iter()
        .map(|origin| (Just(origin), small(), prop::collection::vec(ending.clone(), 0..3)))
        .collect::<Vec<_>>()
}

proptest! {
    /// Rule `fold-what-was-granted`.
    #[test]
    fn a_row_is_folded_to_the_same_whatever_order_its_slots_came_in_and_whatever_else_is_there(
        said in said([&MEMBERS[..], &[GRANTED]].concat()),
        others in said(vec![OTHER]),
        turn in 0..4_usize,
    ) {
        let mut one = table(1, &said);
        let mut rotated = others.clone();
        rotated.extend(said.iter().cycle().skip(turn).take(said.len()).cloned());
        let mut other = table(2, &rotated);
        fold(&mut one);
        fold(&mut other);
        prop_assert_eq!(folded(&one), folded(&other));
        prop_assert_eq!(one.known(Z), other.known(Z));
    }

    /// Rule `fold-what-was-granted`: what readers see does not change where only closed origins have covered anything.
    #[test]
    fn a_fold_changes_no_value_and_leaves_no_slot_of_what_it_folds(
        said in said([&MEMBERS[..], &[GRANTED]].concat()),
    ) {
        let mut counters = table(1, &said);
        let (before, ends) = (counters.existing("x"), until(&counters));
        fold(&mut counters);
        prop_assert_eq!(counters.existing("x"), before);
        prop_assert_eq!(before.and(until(&counters)), before.and(ends));
        prop_assert!(counters.slots_of("x").all(|view| !MEMBERS.contains(&view.origin)));
        let live = usize::from(before.is_some());
        prop_assert_eq!(counters.len(), live);
    }
}

/// Rule `fold-what-was-granted`: `R, removed, deletes, and is registered again at A after the grants; A folds 0, B 3.`
#[test]
fn covers_of_others_than_those_who_were_closed_do_not_count() {
    let had = (MEMBERS[0], (3, 0, 0), Vec::new());
    let removed = (OTHER, (0, 0, 0), vec![cover(MEMBERS[0], (3, 0, 0), 0)]);
    let mut a = table(1, &[had.clone(), removed.clone()]);
    let mut b = table(2, &[had]);
    fold(&mut a);
    fold(&mut b);
    assert_eq!(folded(&a), folded(&b));
    assert_eq!(folded(&a).0, slot((3, 0, 0)));
}

/// Rule `gone-for-good`: `A has folded a row to nothing; B, not yet, sends what it was made of.`
#[test]
fn what_has_gone_is_taken_from_no_peer_any_more() {
    let had = (MEMBERS[0], (3, 0, 0), Vec::new());
    let deleted = (GRANTED, (0, 0, 0), vec![cover(MEMBERS[0], (3, 0, 0), 0)]);
    let mut counters = table(1, &[had.clone(), deleted]);
    fold(&mut counters);
    assert_eq!(counters.existing("x"), None);
    bring(&mut counters, &had);
    assert_eq!(counters.existing("x"), None);
    assert_eq!(counters.known(MEMBERS[0]), DigestEntry::default());
}

/// Rule `take-or-fold`: `J holds a's row, and the settlement comes.` It showed 6 for 3 until all rows had
/// come.
#[test]
fn a_row_of_a_settlement_that_is_taken_replaces_what_it_was_made_of() {
    let mut joiner = table(1, &[(MEMBERS[0], (3, 0, 0), Vec::new())]);
    let changes = vec![Change::slot("x", slot((3, 0, 0)))];
    let part = Delta { origin: Z, after: 1, upto: 1, changes };
    joiner.merge(&part).unwrap();
    assert_eq!(joiner.value("x").0, 3);
    assert!(joiner.is_unserved(MEMBERS[0]) && joiner.is_unserved(Z), "neither is whole here");
    bring(&mut joiner, &(MEMBERS[0], (3, 0, 0), Vec::new()));
    assert_eq!(joiner.value("x").0, 3, "the row is done");
}

/// Rule `take-or-fold`: `a counter was deleted before the settlement, which says nothing of it.` What the
/// joiner had of it stayed for ever.
#[test]
fn what_a_settlement_that_is_whole_says_nothing_of_goes_as_well() {
    let mut joiner = table(1, &[(MEMBERS[1], (5, 0, 0), Vec::new())]);
    joiner.merge(&Delta { origin: Z, after: 0, upto: 1, changes: Vec::new() }).unwrap();
    joiner.end_chores();
    assert_eq!(joiner.existing("x"), None);
    assert_eq!(joiner.origins(), 2, "ours and the settlement's");
}

/// Rule `take-or-fold`.
#[test]
fn who_folds_a_settlement_itself_takes_it_from_no_peer() {
    let mut voter = table(1, &[(MEMBERS[0], (3, 0, 0), Vec::new())]);
    voter.families_mut().stand(Z, Standing::Folds);
    bring(&mut voter, &(Z, (7, 0, 0), Vec::new()));
    assert_eq!(voter.value("x").0, 3);
}

/// Rule `whole`: a cover on a settlement covers its slot and its members', whichever are here.
#[test]
fn a_cover_on_a_settlement_covers_all_that_it_folds_before_and_after() {
    let had = (MEMBERS[0], (3, 0, 0), Vec::new());
    let reset = (OTHER, (2, 0, 0), vec![Ending::Whole(Z)]);
    let mut counters = table(1, &[reset, had]);
    assert_eq!(counters.value("x").0, 2);
    fold(&mut counters);
    assert_eq!((folded(&counters).0, counters.value("x").0), (slot((3, 0, 0)), 2));
}

/// Rule `yield-to-the-voters`.
#[test]
fn a_settlement_that_is_given_up_goes_and_its_members_may_come_again() {
    let had = (MEMBERS[0], (3, 0, 0), Vec::new());
    let mut counters = table(1, std::slice::from_ref(&had));
    bring(&mut counters, &(Z, (3, 0, 0), Vec::new()));
    counters.end_chores();
    assert_eq!(counters.value("x").0, 3);
    counters.give_up(Z);
    counters.end_chores();
    assert_eq!(counters.existing("x"), None);
    bring(&mut counters, &had);
    assert_eq!((counters.value("x").0, counters.known(MEMBERS[0]).version), (3, 1));
}

/// Rule `adoption`: `R deletes, everybody has it; R is removed; A and B settle.` The deleted count was
/// back.
#[test]
fn what_others_have_covered_of_a_settlement_is_adopted_also_what_comes_meanwhile() {
    let had = (MEMBERS[0], (3, 0, 0), Vec::new());
    let removed = (OTHER, (0, 0, 0), vec![cover(MEMBERS[0], (2, 0, 0), 0)]);
    let mut counters = table(1, &[had, removed]);
    counters.begin_adoption(Z);
    assert!(counters.adopt_step(ROWS_A_STEP));
    let more = Delta {
        origin: OTHER,
        after: 1,
        upto: 2,
        changes: vec![
            Change::slot("x", Slot::default()),
            Change::Ending { name: "x", ending: cover(MEMBERS[0], (3, 0, 0), 0) },
        ],
    };
    counters.merge(&more).unwrap();
    assert!(counters.adopt_step(ROWS_A_STEP));
    counters.end_adoption();
    let ours = counters.our_origin();
    let adopted = counters.endings_of("x").find(|view| view.origin == ours);
    assert_eq!(adopted.map(|view| view.ending), Some(cover(MEMBERS[0], (3, 0, 0), 0)));
}

/// Rule `grant-closes`.
#[test]
fn a_fresh_origin_counts_on_where_the_one_before_was_closed() {
    let mut counters = Counters::new(OriginId(1), 0);
    counters.add("x", 3).unwrap();
    let first = counters.close().unwrap();
    counters.take_fresh_origin(OriginId(2));
    assert_eq!(counters.add("x", 4).unwrap().0, 7);
    let second = counters.close().unwrap();
    assert_eq!((first.origin, second.origin), (OriginId(1), OriginId(2)));
    assert_eq!((second.version, counters.versions_before()), (1, 1));
    let slots: Vec<u64> = counters.slots_of("x").map(|view| view.slot.numbers().plus).collect();
    assert_eq!(slots, [4, 3], "ours comes first");
}

/// Rules `take-or-fold` and `yield-to-the-voters`: `J has taken some rows of a settlement from R, which alone
/// has folded it and is removed; it is dead.` What those rows were made of was claimed, and gone.
#[test]
fn what_was_taken_in_part_and_given_up_is_had_again_whole() {
    let had = (MEMBERS[0], (3, 0, 0), vec![cover(OTHER, (1, 0, 0), 0), lifetime(1)]);
    let mut joiner = table(1, std::slice::from_ref(&had));
    let whole = joiner.known(MEMBERS[0]);
    let changes = vec![Change::slot("x", slot((3, 0, 0)))];
    joiner.merge(&Delta { origin: Z, after: 1, upto: 1, changes }).unwrap();
    assert_eq!(joiner.known(MEMBERS[0]), DigestEntry::default(), "nothing of it is claimed");
    bring(&mut joiner, &had);
    assert_eq!(joiner.known(MEMBERS[0]).version, 0, "a row of it is not here");
    joiner.give_up(Z);
    assert_eq!(joiner.slots_by(Z), 0);
    joiner.end_chores();
    bring(&mut joiner, &had);
    assert_eq!((joiner.known(MEMBERS[0]), joiner.value("x").0), (whole, 3));
}

/// Rule `fold-what-was-granted`: `A gives a lifetime to a counter that B counts on, and A's origin is folded.`
/// The counter never ended: A's slot had nothing else in it.
#[test]
fn a_lifetime_outlasts_the_fold_of_an_origin_that_has_given_no_more() {
    let gave = (MEMBERS[0], (0, 0, 0), vec![lifetime(2)]);
    let counts = (OTHER, (5, 0, 0), Vec::new());
    let mut counters = table(1, &[gave, counts]);
    fold(&mut counters);
    assert_eq!((counters.value("x").0, until(&counters)), (5, Some(1 << 40)));
}

/// J has folded a settlement that leaves `y` and nothing of `x`, and takes of a later one the row of `y`.
fn told_of_a_later_one(joiner: &mut Counters, deleted: &Said) {
    bring(joiner, &(MEMBERS[0], (3, 0, 0), Vec::new()));
    let changes = vec![Change::slot("y", slot((4, 0, 0)))];
    joiner.merge(&Delta { origin: MEMBERS[0], after: 1, upto: 2, changes }).unwrap();
    bring(joiner, deleted);
    fold(joiner);
    assert_eq!((joiner.value("x").0, joiner.value("y").0), (0, 4));
    joiner.families_mut().define(LATER, vec![Z, GRANTED]);
    let changes = vec![Change::slot("y", slot((4, 0, 0)))];
    joiner.merge(&Delta { origin: LATER, after: 1, upto: 1, changes }).unwrap();
}

/// Rule `gone-for-good`: `J has folded a counter to nothing, and takes some rows of the settlement after it.`
/// A snapshot told that J had nothing of the first one, and the deleted counter came back to J's next
/// start (seed 190).
#[test]
fn what_has_gone_stays_gone_while_a_later_settlement_is_taken() {
    let deleted = (MEMBERS[1], (0, 0, 0), vec![cover(MEMBERS[0], (3, 0, 0), 0)]);
    let mut joiner = table(1, &[]);
    told_of_a_later_one(&mut joiner, &deleted);
    let told: Vec<(OriginId, u64)> = joiner.versions_from(0).collect();
    assert!(joiner.is_unserved(Z), "some of it is not here any more");

    let mut start = table(2, &[]);
    start.families_mut().define(LATER, vec![Z, GRANTED]);
    for (origin, version) in told {
        start.restore_origin(origin, version);
    }
    bring(&mut start, &(MEMBERS[0], (3, 0, 0), Vec::new()));
    assert_eq!((start.value("x").0, start.known(MEMBERS[0])), (0, DigestEntry::default()));
}

/// Rule `yield-to-the-voters`: the same J had folded the first one itself, and gives up the one after it.
/// J took the first one from no peer any more.
#[test]
fn what_was_folded_before_what_is_given_up_is_had_again_whole() {
    let deleted = (MEMBERS[1], (0, 0, 0), vec![cover(MEMBERS[0], (3, 0, 0), 0)]);
    let mut joiner = table(1, &[]);
    told_of_a_later_one(&mut joiner, &deleted);
    joiner.give_up(LATER);
    joiner.end_chores();
    assert_eq!(joiner.known(Z).version, 0, "a row of it is not here");
    let changes = vec![Change::slot("y", slot((4, 0, 0)))];
    joiner.merge(&Delta { origin: Z, after: 0, upto: 1, changes }).unwrap();
    assert_eq!((joiner.value("x").0, joiner.value("y").0), (0, 4));
    assert!(joiner.families().holds(Z) && joiner.is_untaken(MEMBERS[0]));
}
