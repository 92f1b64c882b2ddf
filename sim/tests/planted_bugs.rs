//! A simulator that finds nothing proves nothing: bugs are planted, and it must find each.

use quipu_core::node::Bug;
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
    for seed in 0..SEEDS_MAX {
        if let Err((_, violation)) = run(&plan(seed, Some(bug)), &mut Trace::hashed()).verdict {
            let sound = run(&plan(seed, None), &mut Trace::hashed()).verdict;
            assert!(sound.is_ok(), "seed {seed} fails without {bug:?}, too: {sound:?}");
            return (seed, *violation);
        }
    }
    panic!("none of {SEEDS_MAX} seeds found {bug:?}");
}

#[test]
fn adding_instead_of_taking_the_maximum_is_caught_as_counting_twice() {
    let (seed, violation) = caught(Bug::AddOnMerge);
    assert!(matches!(violation, Violation::Invented { .. }), "seed {seed}: {violation}");
}

#[test]
fn a_digest_that_advances_over_a_gap_is_caught_as_an_empty_claim() {
    let (seed, violation) = caught(Bug::DigestOverGap);
    assert!(matches!(violation, Violation::EmptyClaim { .. }), "seed {seed}: {violation}");
}

#[test]
fn fingerprints_that_are_ignored_are_caught_as_counts_that_stay_apart() {
    let (seed, violation) = caught(Bug::FingerprintsIgnored);
    assert!(matches!(violation, Violation::Apart { .. }), "seed {seed}: {violation}");
}

#[test]
fn a_failing_plan_is_made_small_and_still_fails_in_the_same_way() {
    let plan = plan(0, Some(Bug::AddOnMerge));
    let whole = plan.requests.len() + plan.faults.len();
    let (at, violation) =
        run(&plan, &mut Trace::hashed()).verdict.expect_err("the bug shows in every seed");
    let shrunk = shrink(plan, at, violation);
    let left = shrunk.plan.requests.len() + shrunk.plan.faults.len();
    assert!(left < 10 && left < whole, "{left} of {whole} are left");
    assert!(matches!(*shrunk.violation, Violation::Invented { .. }), "{}", shrunk.violation);
}
