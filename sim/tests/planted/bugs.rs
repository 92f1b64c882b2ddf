//! Bugs in how counters are counted, kept and told to peers.

use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use quipu_core::time::Time;
use quipu_sim::bug::{BUGS, Bug};
use quipu_sim::disk::Fsync;
use quipu_sim::endings::Fault as EndingFault;
use quipu_sim::faults::{Fault, FaultKind};
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::run::run;
use quipu_sim::shrink::shrink;
use quipu_sim::trace::Trace;
use quipu_sim::violation::Violation;
use quipu_sim::workload::ClientRequest;

use crate::catching::{self, SEEDS_MAX, caught_within, kills, plan, share, slow_disks};

/// The first seed that finds the bug, and what it finds. Without the bug the same seed passes.
fn caught(bug: Bug) -> (u64, Violation) {
    caught_within(bug, 0..SEEDS_MAX, plan)
}

fn half_told(seed: u64, bug: Option<Bug>) -> Plan {
    let add = |name: &str| {
        let name = CounterName::new(name.as_bytes().to_vec()).expect("a counter's name");
        Op::Add { name, by: 1 }
    };
    catching::half_told(seed, bug, &["half/a", "half/b", "half/c"].map(add))
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

/// Nodes that keep nothing start again and again, what they lack comes in many small chunks, and
/// all others count meanwhile.
fn counting_in_catch_ups(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = plan(seed, bug);
    plan.usage.in_memory = true;
    plan.limits.part_bytes = 100;
    plan.faults = kills(&plan, FaultKind::Kill);
    let name = |n: u64| CounterName::new(format!("many/{n}").into_bytes());
    let request = |n: u64| ClientRequest {
        at: Time::from_micros(1_000_000 + 5_000 * n),
        host: usize::try_from(n).unwrap_or(0) % plan.hosts,
        ops: vec![Op::Add { name: name(n * 7 % 60).expect("a counter's name"), by: 1 }],
    };
    plan.requests = (0..3_000).map(request).filter(|request| request.at < plan.calm_at).collect();
    plan
}

#[test]
fn a_catch_up_that_claims_what_is_there_at_its_end_is_caught_as_an_empty_claim() {
    let bug = Bug::ClaimsTheEnd;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, counting_in_catch_ups);
    // The first to notice may be a start, which does not find what its disk claims.
    let is_empty = matches!(violation, Violation::EmptyClaim { .. } | Violation::Lost { .. });
    assert!(is_empty, "seed {seed}: {violation}");
    let caught = share(bug, counting_in_catch_ups);
    assert!(caught >= 3, "only {caught} of {SEEDS_MAX} seeds write during a catch-up");
}

#[test]
fn fingerprints_that_are_ignored_are_caught_as_counts_that_stay_apart() {
    let bug = Bug::FingerprintsIgnored;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, half_told);
    assert!(matches!(violation, Violation::Apart { .. }), "seed {seed}: {violation}");
    // A plan that provokes the trace by luck alone would stop doing so unnoticed.
    let caught = share(bug, half_told);
    assert!(caught >= 6, "only {caught} of {SEEDS_MAX} seeds tell half");
}

#[test]
fn answers_before_the_sync_are_caught_as_acknowledged_increments_that_a_start_does_not_find() {
    let (seed, violation) = caught(Bug::AnsweredBeforeSync);
    // Where no reader asks in between, the first to notice is the comparison at the end: of what an
    // origin acknowledged, less is there.
    let is_loss = matches!(
        violation,
        Violation::Miscounted { .. }
            | Violation::WentDown { .. }
            | Violation::Lost { .. }
            | Violation::Ending { fault: EndingFault::Forgotten { .. }, .. }
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
    let (seed, violation) = caught(Bug::OriginReused);
    let is_about_counts = !matches!(violation, Violation::Lists { .. } | Violation::Panicked(_));
    assert!(is_about_counts, "seed {seed}: {violation}");
}

#[test]
fn a_snapshot_that_is_valid_before_its_journal_is_synced_is_caught_as_a_state_that_never_was() {
    let bug = Bug::PublishedEarly;
    for fsync in [Fsync::Always, Fsync::Every] {
        let plan = |seed, bug| slow_disks(fsync, seed, bug);
        let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, plan);
        assert!(matches!(violation, Violation::Mixed { .. }), "seed {seed}: {violation}");
        let caught = share(bug, plan);
        assert!(caught >= 3, "only {caught} of {SEEDS_MAX} seeds publish early, {fsync:?}");
    }
}

#[test]
fn a_link_that_drops_a_frame_and_stands_is_caught() {
    let (seed, violation) = caught(Bug::LinkDropsFrames);
    assert!(matches!(violation, Violation::FrameLost { .. }), "seed {seed}: {violation}");
    let caught = share(Bug::LinkDropsFrames, plan);
    assert!(caught >= 3, "only {caught} of {SEEDS_MAX} seeds fill a link");
}

/// Tables of a few counters, all disks sound, and starts again and again.
fn full_tables(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = plan(seed, bug);
    plan.usage.in_memory = false;
    plan.usage.fsync = Fsync::Always;
    plan.table.counters = 4;
    plan.faults = kills(&plan, FaultKind::Kill);
    plan
}

#[test]
fn a_full_table_that_claims_what_it_did_not_take_is_caught_as_an_empty_claim() {
    let bug = Bug::FullClaims;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, full_tables);
    assert!(matches!(violation, Violation::EmptyClaim { .. }), "seed {seed}: {violation}");
    let caught = share(bug, full_tables);
    assert!(caught >= 3, "only {caught} of {SEEDS_MAX} seeds fill a table");
}

#[test]
fn a_full_table_that_does_not_keep_what_it_took_is_caught_as_a_loss() {
    let bug = Bug::FullForgets;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, full_tables);
    let is_loss = matches!(violation, Violation::Lost { .. } | Violation::WentDown { .. });
    assert!(is_loss, "seed {seed}: {violation}");
    let caught = share(bug, full_tables);
    assert!(caught >= 3, "only {caught} of {SEEDS_MAX} seeds fill a table");
}

/// What others tell is written in many records, which power cuts tear, again and again.
fn torn_records(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = plan(seed, bug);
    plan.usage.in_memory = false;
    plan.usage.fsync = Fsync::Always;
    plan.limits.record_bytes = 60;
    let operations = 1 + seed % 7;
    plan.faults = kills(&plan, |host| FaultKind::CutInWrite(host, operations));
    // Deltas longer than what a disk writes whole or not at all.
    for request in &mut plan.requests {
        let name = |n: u64| CounterName::new(format!("many/{n:0>40}").into_bytes());
        let ops = (0..20).map(|n| Op::Add { name: name(n).expect("a counter's name"), by: 1 });
        request.ops = ops.collect();
    }
    plan
}

#[test]
fn records_of_a_cut_delta_that_claim_it_all_are_caught_as_an_empty_claim() {
    let bug = Bug::RecordsClaimAll;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, torn_records);
    assert!(matches!(violation, Violation::EmptyClaim { .. }), "seed {seed}: {violation}");
    let caught = share(bug, torn_records);
    assert!(caught >= 3, "only {caught} of {SEEDS_MAX} seeds tear a delta");
}

/// Bits flip on one disk after the other, and what does not start is repaired.
fn rotten_disks(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = plan(seed, bug);
    plan.usage.in_memory = false;
    plan.usage.fsync = Fsync::Always;
    plan.faults = kills(&plan, FaultKind::BitRot);
    plan
}

#[test]
fn a_repair_that_believes_what_stands_behind_the_damage_is_caught_as_an_empty_claim() {
    let bug = Bug::RepairClaims;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, rotten_disks);
    assert!(matches!(violation, Violation::EmptyClaim { .. }), "seed {seed}: {violation}");
    let caught = share(bug, rotten_disks);
    assert!(caught >= 3, "only {caught} of {SEEDS_MAX} seeds repair");
}

#[test]
fn segments_that_go_before_their_snapshot_is_synced_are_caught_as_missing() {
    let (seed, violation) = caught(Bug::SegmentsGoFirst);
    let is_gone = matches!(
        violation,
        Violation::Damaged { .. } | Violation::Lost { .. } | Violation::Miscounted { .. }
    );
    assert!(is_gone, "seed {seed}: {violation}");
}

#[test]
fn a_recovered_tail_that_is_shown_before_it_is_synced_is_caught_as_lost() {
    let (seed, violation) = caught(Bug::TailNotSynced);
    let is_lost = matches!(violation, Violation::Lost { .. } | Violation::StartForgotten { .. });
    assert!(is_lost, "seed {seed}: {violation}");
}

#[test]
fn links_that_outlive_a_removal_are_caught() {
    let (seed, violation) = caught(Bug::LinksOutliveRemoval);
    assert!(matches!(violation, Violation::LinkOutlived { .. }), "seed {seed}: {violation}");
}

#[test]
fn a_start_that_forgets_removals_is_caught() {
    let (seed, violation) = caught(Bug::RemovalsForgotten);
    // A node that does not know any more that it was registered again is outranked by those who do,
    // and takes a fresh id.
    let is_forgotten =
        matches!(violation, Violation::MembershipLost { .. } | Violation::IdentityLost { .. });
    assert!(is_forgotten, "seed {seed}: {violation}");
}

#[test]
fn a_start_that_follows_the_wall_clock_back_is_caught() {
    let (seed, violation) = caught(Bug::BootFollowsClock);
    assert!(matches!(violation, Violation::BootWentBack { .. }), "seed {seed}: {violation}");
}

#[test]
fn a_start_under_another_id_than_the_disks_is_caught() {
    let (seed, violation) = caught(Bug::IdNotKept);
    assert!(matches!(violation, Violation::IdentityLost { .. }), "seed {seed}: {violation}");
}

#[test]
fn a_reply_that_holds_its_increment_twice_is_caught() {
    let (seed, violation) = caught(Bug::RepliesTwice);
    assert!(matches!(violation, Violation::NotTheSum { .. }), "seed {seed}: {violation}");
}

#[test]
fn a_raise_that_does_not_wait_for_what_the_node_lacks_is_caught() {
    let (seed, violation) = caught(Bug::RaisesBehind);
    assert!(matches!(violation, Violation::RaisedBehind { .. }), "seed {seed}: {violation}");
}

#[test]
fn answers_that_are_not_so_are_caught() {
    use quipu_sim::bug::Bug::{PageIsShort, ScanSkips, WaitCountsLinks, WaitEndsAll};
    for bug in [WaitCountsLinks, ScanSkips, PageIsShort, WaitEndsAll] {
        let (seed, violation) = caught(bug);
        assert!(matches!(violation, Violation::WrongAnswer { .. }), "seed {seed}: {violation}");
    }
}

/// A stranger speaks to every node of a cluster with a secret, and nothing else goes wrong.
fn with_strangers(seed: u64, bug: Option<Bug>) -> Plan {
    let mut plan = plan(seed, bug);
    plan.has_secret = true;
    let stranger = |host| {
        let (at, until) = (Time::from_micros(2_000_000), Some(plan.calm_at));
        Fault { at, until, kind: FaultKind::Stranger(host) }
    };
    plan.faults = (0..plan.hosts).map(stranger).collect();
    plan
}

#[test]
fn strangers_that_are_heard_are_caught() {
    let bug = Bug::MacIgnored;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, with_strangers);
    let is_theirs = matches!(
        violation,
        Violation::MembershipInvented { .. }
            | Violation::StrangeDial { .. }
            | Violation::IdentityLost { .. }
    );
    assert!(is_theirs, "seed {seed}: {violation}");
}

/// Two removals where there is room for one.
fn one_removal_too_many(seed: u64, bug: Option<Bug>) -> Plan {
    let bounds = Bounds { bug, nodes: 4..=4, ..Bounds::default() };
    let mut plan = Plan::draw(seed, &bounds);
    plan.limits.removals = 1;
    plan.starts.fill(Time::ZERO);
    let seconds = |seconds: u64| Time::from_micros(seconds * 1_000_000);
    plan.faults = vec![
        Fault { at: seconds(5), until: Some(seconds(7)), kind: FaultKind::Remove(1, 0) },
        Fault { at: seconds(9), until: None, kind: FaultKind::Remove(2, 0) },
    ];
    plan
}

#[test]
fn a_removal_without_room_that_is_acknowledged_is_caught() {
    let bug = Bug::RemovalBeyondRoom;
    let (seed, violation) = caught_within(bug, 0..SEEDS_MAX, one_removal_too_many);
    assert!(matches!(violation, Violation::RemovalIgnored { .. }), "seed {seed}: {violation}");
}

#[test]
fn every_bug_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = BUGS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), BUGS.len());
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
