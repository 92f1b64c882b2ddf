//! A simulator that finds nothing proves nothing: bugs are planted, and it must find each.

use std::ops::Range;
use std::time::Duration;

use quipu_core::node;
use quipu_core::time::Time;
use quipu_sim::bug::{BUGS, Bug};
use quipu_sim::faults::{Fault, FaultKind};
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::run::run;
use quipu_sim::shrink::shrink;
use quipu_sim::trace::Trace;
use quipu_sim::violation::Violation;

/// How many seeds may pass before a bug is found.
const SEEDS_MAX: u64 = 40;

fn plan(seed: u64, bug: Option<Bug>) -> Plan {
    Plan::draw(seed, &Bounds { bug, ..Bounds::default() })
}

/// The first seed that finds the bug, and what it finds. Without the bug the same seed passes.
fn caught(bug: Bug) -> (u64, Violation) {
    caught_within(bug, 0..SEEDS_MAX, plan)
}

fn caught_within(
    bug: Bug,
    seeds: Range<u64>,
    plan: impl Fn(u64, Option<Bug>) -> Plan,
) -> (u64, Violation) {
    for seed in seeds.clone() {
        if let Err((_, violation)) = run(&plan(seed, Some(bug)), &mut Trace::hashed()).verdict {
            let sound = run(&plan(seed, None), &mut Trace::hashed()).verdict;
            assert!(sound.is_ok(), "seed {seed} fails without {bug:?}, too: {sound:?}");
            return (seed, *violation);
        }
    }
    panic!("none of the seeds {seeds:?} found {bug:?}");
}

/// Rule 6's trace, again and again: what a node pushes is lost with its link to the second, the
/// third is cut off, the next push reaches the second alone, and the node is gone, and its counts
/// with it.
fn half_told(seed: u64, bug: Option<Bug>) -> Plan {
    let bounds = Bounds { bug, in_memory: true, nodes: 3..=3, ..Bounds::default() };
    let mut plan = Plan::draw(seed, &bounds);
    plan.weather.delay_micros_max = 30_000;
    plan.starts = vec![Time::ZERO; plan.hosts];
    let fault = |at: u64, for_ms: u64, kind| {
        let at = Time::from_micros(at * 1_000);
        Fault { at, until: Some(at + Duration::from_millis(for_ms)), kind }
    };
    plan.faults.clear();
    for round in 0..8 {
        let (at, a) = (3_000 + 2_000 * round, usize::try_from(round).unwrap_or(0) % 3);
        let (b, c) = ((a + 1) % 3, (a + 2) % 3);
        plan.faults.push(fault(at - 40, 1_100, FaultKind::Cut(a, c)));
        plan.faults.push(fault(at, 0, FaultKind::Break(a, b)));
        // Sooner or later after the break: before the second has been sent what it lacks.
        plan.faults.push(fault(at + 100 * (round + 1), 200, FaultKind::Kill(a)));
    }
    plan
}

#[test]
fn adding_instead_of_taking_the_maximum_is_caught_as_counting_twice() {
    let (seed, violation) = caught(Bug::Core(node::Bug::AddOnMerge));
    assert!(matches!(violation, Violation::Invented { .. }), "seed {seed}: {violation}");
}

#[test]
fn a_digest_that_advances_over_a_gap_is_caught_as_an_empty_claim() {
    let (seed, violation) = caught(Bug::Core(node::Bug::DigestOverGap));
    assert!(matches!(violation, Violation::EmptyClaim { .. }), "seed {seed}: {violation}");
}

#[test]
fn fingerprints_that_are_ignored_are_caught_as_counts_that_stay_apart() {
    let bug = Bug::Core(node::Bug::FingerprintsIgnored);
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, half_told);
    assert!(matches!(violation, Violation::Apart { .. }), "seed {seed}: {violation}");
}

#[test]
fn answers_before_the_sync_are_caught_as_acknowledged_increments_that_a_start_does_not_find() {
    let (seed, violation) = caught(Bug::AnsweredBeforeSync);
    let is_loss = matches!(
        violation,
        Violation::Miscounted { .. } | Violation::WentDown { .. } | Violation::Lost { .. }
    );
    assert!(is_loss, "seed {seed}: {violation}");
}

#[test]
fn pushes_before_the_sync_are_caught_as_counts_that_their_origin_had_not_synced() {
    let (seed, violation) = caught(Bug::PushedBeforeSync);
    assert!(matches!(violation, Violation::Invented { .. }), "seed {seed}: {violation}");
}

#[test]
fn an_origin_that_is_used_again_is_caught() {
    // What is found depends on who notices first that one version of it names two states.
    let (seed, violation) = caught(Bug::Core(node::Bug::OriginReused));
    let is_about_counts = !matches!(violation, Violation::Lists { .. } | Violation::Panicked(_));
    assert!(is_about_counts, "seed {seed}: {violation}");
}

#[test]
fn a_snapshot_that_is_valid_before_its_journal_is_synced_is_caught_as_a_state_that_never_was() {
    let (seed, violation) = caught(Bug::PublishedEarly);
    assert!(matches!(violation, Violation::Mixed { .. }), "seed {seed}: {violation}");
}

#[test]
fn segments_that_go_before_their_snapshot_is_synced_are_caught_as_missing() {
    let (seed, violation) = caught(Bug::Core(node::Bug::SegmentsGoFirst));
    let is_gone = matches!(
        violation,
        Violation::Damaged { .. } | Violation::Lost { .. } | Violation::Miscounted { .. }
    );
    assert!(is_gone, "seed {seed}: {violation}");
}

#[test]
fn a_recovered_tail_that_is_shown_before_it_is_synced_is_caught_as_lost() {
    let (seed, violation) = caught(Bug::Core(node::Bug::TailNotSynced));
    assert!(matches!(violation, Violation::Lost { .. }), "seed {seed}: {violation}");
}

#[test]
fn every_bug_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = BUGS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), BUGS.len());
}

#[test]
fn a_failing_plan_is_made_small_and_still_fails_in_the_same_way() {
    let plan = plan(0, Some(Bug::Core(node::Bug::AddOnMerge)));
    let whole = plan.requests.len() + plan.faults.len();
    let (at, violation) =
        run(&plan, &mut Trace::hashed()).verdict.expect_err("the bug shows in every seed");
    let shrunk = shrink(plan, at, violation);
    let left = shrunk.plan.requests.len() + shrunk.plan.faults.len();
    assert!(left < 10 && left < whole, "{left} of {whole} are left");
    assert!(matches!(*shrunk.violation, Violation::Invented { .. }), "{}", shrunk.violation);
}
