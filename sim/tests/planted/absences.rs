//! Bugs in how members are removed for absence: each leaves out a rule, and is caught in clusters that
//! are split for long.

use quipu_sim::absences::Fault;
use quipu_sim::bug::Bug;
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::violation::Violation;

use crate::catching::{SEEDS_MAX, caught_within};

fn split(seed: u64, bug: Option<Bug>) -> Plan {
    Plan::draw(seed, &Bounds { bug, ..Bounds::absent() })
}

fn caught(bug: Bug) -> Violation {
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, split);
    println!("{bug:?}: seed {seed}, as: {violation}");
    violation
}

#[test]
fn a_majority_of_those_that_are_up_is_caught_as_none_of_all() {
    let violation = caught(Bug::MajorityOfThoseUp);
    let is_it = matches!(
        violation,
        Violation::Absence { fault: Fault::NoMajority { .. } | Fault::TwoAtATerm { .. }, .. }
    );
    assert!(is_it, "{violation}");
}

#[test]
fn a_stance_that_a_crash_forgets_is_caught_by_what_others_were_told() {
    let violation = caught(Bug::StancesForgotten);
    let is_it = matches!(violation, Violation::Absence { fault: Fault::Forgotten { .. }, .. });
    assert!(is_it, "{violation}");
}

#[test]
fn who_is_not_taken_back_is_caught_as_missing_from_the_lists() {
    let violation = caught(Bug::AbsenteesStayOut);
    assert!(matches!(violation, Violation::Lists { .. } | Violation::Apart { .. }), "{violation}");
}
