//! Bugs in how origins are settled: each leaves out a rule, and is caught while operators settle.

use quipu_sim::bug::Bug;
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::settlements::Fault;
use quipu_sim::violation::Violation;

use crate::catching::{SEEDS_MAX, caught_within};

fn settling(seed: u64, bug: Option<Bug>) -> Plan {
    Plan::draw(seed, &Bounds { settles: true, bug, ..Bounds::default() })
}

fn caught(bug: Bug) -> Violation {
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, settling);
    println!("{bug:?}: seed {seed}, as: {violation}");
    violation
}

fn is_fault(violation: &Violation, is_it: impl Fn(&Fault) -> bool) -> bool {
    matches!(violation, Violation::Settlement { fault, .. } if is_it(fault))
}

#[test]
fn a_fold_that_awaits_not_all_that_was_granted_is_caught_as_another_fold() {
    let violation = caught(Bug::FoldsEarly);
    assert!(is_fault(&violation, |fault| matches!(fault, Fault::NotTheFold { .. })), "{violation}");
}

#[test]
fn a_fold_that_spares_whole_covers_is_caught_as_another_fold() {
    let violation = caught(Bug::FoldSparesWholes);
    assert!(is_fault(&violation, |fault| matches!(fault, Fault::NotTheFold { .. })), "{violation}");
}

#[test]
fn a_grant_without_adoption_is_caught_by_what_was_covered_before_it() {
    let violation = caught(Bug::AdoptsNothing);
    assert!(is_fault(&violation, |fault| matches!(fault, Fault::NotAdopted { .. })), "{violation}");
}

#[test]
fn a_grant_that_closes_nothing_is_caught() {
    caught(Bug::GrantClosesNothing);
}

#[test]
fn what_is_taken_again_though_it_is_gone_is_caught_as_what_stays() {
    let violation = caught(Bug::TakesWhatIsGone);
    assert!(is_fault(&violation, |fault| matches!(fault, Fault::Stays { .. })), "{violation}");
}

#[test]
fn a_reset_that_names_no_settlement_is_caught_by_what_it_covers() {
    let violation = caught(Bug::ResetNamesNothing);
    assert!(matches!(violation, Violation::Ending { .. }), "{violation}");
}

#[test]
fn votes_that_a_crash_forgets_are_caught() {
    caught(Bug::VotesForgotten);
}
