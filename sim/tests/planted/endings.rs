//! Bugs in how counters end, each in a plan of its own kind.

use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use quipu_core::time::Time;
use quipu_core::update::{Expiry, Update};
use quipu_sim::bug::Bug;
use quipu_sim::chance::{Chance, Purpose};
use quipu_sim::disk::Fsync;
use quipu_sim::endings::Fault as EndingFault;
use quipu_sim::endings::workload::{self, ENDING, delete};
use quipu_sim::faults::{Fault, FaultKind};
use quipu_sim::plan::Plan;
use quipu_sim::violation::Violation;
use quipu_sim::workload::ClientRequest;
use quipu_sim::world::EPOCH_MILLIS;

use crate::catching::{SEEDS_MAX, caught_within, half_told, kills, plan, share, slow_disks};

fn counter(name: &str) -> CounterName {
    CounterName::new(name.as_bytes().to_vec()).expect("a counter's name")
}

fn ms(at: u64) -> Time {
    Time::from_micros(at * 1_000)
}

fn add(name: &str, by: i64) -> Op {
    Op::Add { name: counter(name), by }
}

fn expire(name: &str, ms: u64) -> Op {
    let update = Update::Expire { expiry: Expiry::After(ms), only: None };
    Op::Update { name: counter(name), update: Box::new(update) }
}

/// Nothing but counters that end, several times over, on sound disks.
fn endings(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = plan(seed, bug);
    plan.usage.in_memory = false;
    plan.usage.fsync = Fsync::Always;
    plan.faults.clear();
    plan.requests.clear();
    let mut chance = Chance::new(seed, Purpose::Endings);
    for _ in 0..6 {
        let more = workload::draw(plan.hosts, plan.calm_at, EPOCH_MILLIS, &mut chance);
        plan.requests.extend(more);
    }
    plan.requests.sort_by_key(|request| request.at);
    plan
}

/// What the bug is caught as, and by how many of the seeds.
fn caught_as(
    bug: Bug,
    least: usize,
    plan: impl Fn(u64, Option<Bug>) -> Plan,
    is_it: impl Fn(&Violation) -> bool,
) {
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, &plan);
    assert!(is_it(&violation), "seed {seed}: {violation}");
    let caught = share(bug, &plan);
    println!("{bug:?}: {caught} of {SEEDS_MAX} seeds, the first as: {violation}");
    assert!(caught >= least, "only {caught} of {SEEDS_MAX} seeds find {bug:?}");
}

fn is_fault(violation: &Violation, is_it: impl Fn(&EndingFault) -> bool) -> bool {
    matches!(violation, Violation::Ending { fault, .. } if is_it(fault))
}

/// Rule `cover`'s trace, again and again: A's additions reach B and not C, B resets, and C hears of that
/// first.
fn covers_come_first(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = endings(seed, bug);
    plan.requests.clear();
    plan.starts.fill(Time::ZERO);
    for round in 0..8_u64 {
        let at = 3_000 + 2_000 * round;
        let host = |n: u64| usize::try_from(round + n).unwrap_or(0) % plan.hosts;
        let (a, b, c) = (host(0), host(1), host(2));
        let cut = FaultKind::Cut(a, c);
        plan.faults.push(Fault { at: ms(at), until: Some(ms(at + 400)), kind: cut });
        let name = ENDING[usize::try_from(round).unwrap_or(0) % ENDING.len()];
        for (after, host, op) in [
            (20, a, add(name, 5)),
            (220, b, delete(&counter(name))),
            (330, c, add(name, 2)),
            (335, c, Op::Get { name: counter(name) }),
        ] {
            plan.requests.push(ClientRequest { at: ms(at + after), host, ops: vec![op] });
        }
    }
    plan
}

#[test]
fn a_cover_that_takes_more_than_there_is_is_caught_as_what_is_not_left() {
    caught_as(Bug::CoverBelowZero, 20, covers_come_first, |violation| {
        let is_left = matches!(violation, Violation::NotTheSum { .. });
        let is_less = |fault: &_| {
            matches!(fault, EndingFault::NotWhatIsLeft { .. } | EndingFault::Reply { .. })
        };
        is_left || is_fault(violation, is_less)
    });
}

#[test]
fn a_reset_that_spares_its_own_slot_is_caught_by_its_reply() {
    caught_as(Bug::ResetSparesOwn, 30, endings, |violation| {
        is_fault(violation, |fault| {
            matches!(fault, EndingFault::Reply { .. } | EndingFault::Own { .. })
        })
    });
}

#[test]
fn a_reset_that_spares_lifetimes_is_caught_as_less_than_was_asked_for() {
    caught_as(Bug::ResetSparesLifetimes, 30, endings, |violation| {
        is_fault(violation, |fault| {
            matches!(fault, EndingFault::Reply { .. } | EndingFault::Own { .. })
        })
    });
}

/// Snapshots are many, and each machine is killed in turn.
fn snapshots(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = endings(seed, bug);
    plan.usage.snapshot_every_bytes = 1 << 10;
    plan.usage.limits.segment_bytes_max = 1 << 10;
    plan.faults = kills(&plan, FaultKind::Kill);
    plan
}

#[test]
fn a_snapshot_without_endings_is_caught_by_what_a_start_finds() {
    caught_as(Bug::SnapshotForgetsEndings, 30, snapshots, |violation| {
        is_fault(violation, |fault| {
            matches!(fault, EndingFault::Mixed { .. } | EndingFault::Missing { .. })
        })
    });
}

/// One machine after the other is cut off, and must catch up.
fn cut_off(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = endings(seed, bug);
    plan.faults = kills(&plan, FaultKind::PowerCut);
    plan
}

#[test]
fn a_catch_up_without_endings_is_caught_as_an_empty_claim() {
    caught_as(Bug::ScanForgetsEndings, 30, cut_off, |violation| {
        is_fault(violation, |fault| matches!(fault, EndingFault::Missing { .. }))
    });
}

/// Lifetimes that only one of two nodes was told of, by a third that is gone.
fn half_told_lifetimes(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = half_told(seed, bug, &ENDING.map(|name| expire(name, 3_600_000)));
    plan.wall_skew_millis = 50;
    for (host, name) in (0..plan.hosts).zip(ENDING) {
        plan.requests.push(ClientRequest { at: ms(2_000), host, ops: vec![add(name, 5)] });
    }
    plan.requests.sort_by_key(|request| request.at);
    plan
}

#[test]
fn endings_in_no_fingerprint_are_caught_as_tables_that_stay_apart() {
    caught_as(Bug::EndingsNotHashed, 10, half_told_lifetimes, |violation| {
        matches!(violation, Violation::Apart { .. })
    });
}

/// Counters live for a second or so, and are read meanwhile.
fn short_lives(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = endings(seed, bug);
    plan.wall_skew_millis = 50;
    plan.requests.clear();
    for round in 0..40_u64 {
        let host = usize::try_from(round).unwrap_or(0) % plan.hosts;
        let name = ENDING[usize::try_from(round).unwrap_or(0) % ENDING.len()];
        let at = 2_000 + 400 * round;
        let ops = vec![add(name, 1), expire(name, 300 + 200 * (round % 5))];
        plan.requests.push(ClientRequest { at: ms(at), host, ops });
        for later in [500, 1_400] {
            let ops = vec![Op::Get { name: counter(name) }];
            plan.requests.push(ClientRequest { at: ms(at + later), host, ops });
        }
    }
    plan.requests.sort_by_key(|request| request.at);
    plan
}

#[test]
fn an_expiry_that_is_judged_when_it_comes_is_caught_by_what_readers_see() {
    caught_as(Bug::ExpiryJudgedEarly, 30, short_lives, |violation| {
        is_fault(violation, |fault| {
            matches!(fault, EndingFault::Reply { .. } | EndingFault::NotWhatIsLeft { .. })
        })
    });
}

/// Every sync takes long, so that many batches are written as one; and each machine is killed in turn.
fn slow_endings(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = slow_disks(Fsync::Always, seed, bug);
    plan.requests = endings(seed, bug).requests;
    plan.faults.extend(kills(&plan, FaultKind::Kill));
    plan.faults.sort_by_key(|fault| fault.at);
    plan
}

#[test]
fn a_journal_that_forgets_endings_is_caught_by_what_a_start_finds() {
    caught_as(Bug::JournalForgetsEndings, 20, slow_endings, |violation| {
        is_fault(violation, |fault| {
            matches!(fault, EndingFault::Mixed { .. } | EndingFault::Missing { .. })
        })
    });
}
