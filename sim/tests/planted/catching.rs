//! How bugs are planted and looked for, and plans that several of them need.

use std::ops::Range;
use std::time::Duration;

use quipu_core::operation::Op;
use quipu_core::time::Time;
use quipu_sim::bug::Bug;
use quipu_sim::disk::Fsync;
use quipu_sim::faults::{Fault, FaultKind};
use quipu_sim::host::HostId;
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::run::run;
use quipu_sim::trace::Trace;
use quipu_sim::violation::Violation;
use quipu_sim::workload::ClientRequest;

/// How many seeds may pass before a bug is found.
pub(crate) const SEEDS_MAX: u64 = 40;

pub(crate) fn plan(seed: u64, bug: Option<Bug>) -> Plan {
    Plan::draw(seed, &Bounds { bug, ..Bounds::default() })
}

/// The first of these seeds that finds the bug, and what it finds. Without the bug it passes.
pub(crate) fn caught_within(
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

/// Of 40 seeds, how many find the bug: one that chance alone finds would be lost unnoticed.
pub(crate) fn share(bug: Bug, plan: impl Fn(u64, Option<Bug>) -> Plan) -> usize {
    let is_caught =
        |seed: &u64| run(&plan(*seed, Some(bug)), &mut Trace::hashed()).verdict.is_err();
    (0..SEEDS_MAX).filter(is_caught).count()
}

/// Rule `equal-versions-compare-fingerprints`'s trace, again and again: what a node pushes is lost
/// with its link to the second, the third is cut off, the next push reaches the second alone, and
/// the node is gone, and its counts with it.
pub(crate) fn half_told(seed: u64, bug: Option<Bug>, ops: &[Op]) -> Plan {
    let bounds = Bounds { bug, in_memory: true, nodes: 3..=3, ..Bounds::default() };
    let mut plan = Plan::draw(seed, &bounds);
    plan.weather.delay_micros_min = 10_000;
    plan.weather.delay_micros_max = 30_000;
    plan.weather.link_bytes_per_second = 100_000_000;
    plan.starts = vec![Time::ZERO; plan.hosts];
    plan.faults.clear();
    plan.requests.clear();
    let ms = |at: u64| Time::from_micros(at * 1_000);
    for round in 0..8 {
        let (at, a) = (3_000 + 2_000 * round, usize::try_from(round).unwrap_or(0) % 3);
        let (b, c) = ((a + 1) % 3, (a + 2) % 3);
        let mut fault = |from: u64, to: u64, kind| {
            plan.faults.push(Fault { at: ms(from), until: Some(ms(to)), kind });
        };
        fault(at - 40, at + 1_060, FaultKind::Cut(a, c));
        fault(at, at, FaultKind::Break(a, b));
        // A link stands again a tenth of a second and a handshake after the break, and what the
        // second lacks is there three ways later: each round ends at another moment of these.
        let dies_at = at + 160 + 20 * round;
        fault(dies_at, dies_at + 200, FaultKind::Kill(a));
        // Something is on its way at every moment, and each time something else: a counter that
        // is pushed again brings what was lost of it.
        for (at, op) in (at - 10..dies_at).step_by(2).zip(ops.iter().cycle()) {
            plan.requests.push(ClientRequest { at: ms(at), host: a, ops: vec![op.clone()] });
        }
    }
    plan.faults.sort_by_key(|fault| fault.at);
    plan
}

/// Every sync takes long, and snapshots are many: so a batch that is not on the disk yet is in most
/// of them.
pub(crate) fn slow_disks(fsync: Fsync, seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = plan(seed, bug);
    plan.usage.in_memory = false;
    plan.usage.fsync = fsync;
    plan.usage.snapshot_every_bytes = 1 << 10;
    plan.usage.limits.segment_bytes_max = 1 << 20;
    plan.usage.limits.reserve_bytes = 1 << 10;
    let slow = |host| {
        let (at, until) = (Time::ZERO, Some(plan.calm_at));
        Fault { at, until, kind: FaultKind::SlowDisk(host) }
    };
    plan.faults = (0..plan.hosts).map(slow).collect();
    // So much is counted that nearly every walk sees something that no sync covers yet: the next
    // one comes within a second.
    let again = |round: u64| {
        let later = Duration::from_millis(37 * round);
        plan.requests
            .iter()
            .map(move |request| ClientRequest { at: request.at + later, ..request.clone() })
    };
    plan.requests = (0..8).flat_map(again).filter(|request| request.at < plan.calm_at).collect();
    plan.requests.sort_by_key(|request| request.at);
    plan
}

/// Each machine is struck in turn, one every 700 ms.
pub(crate) fn kills(plan: &Plan, kind: impl Fn(HostId) -> FaultKind) -> Vec<Fault> {
    let fault = |round: u64| {
        let at = Time::from_micros(2_000_000 + 700_000 * round);
        let host = usize::try_from(round).unwrap_or(0) % plan.hosts;
        Fault { at, until: Some(at + Duration::from_millis(400)), kind: kind(host) }
    };
    (0..25).map(fault).collect()
}
