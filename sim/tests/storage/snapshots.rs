//! Rules `snapshot-keeps-slot-versions` and `cut-at-the-beginning`.

use quipu_core::storage::files::Files;
use quipu_core::storage::snapshot::{SnapshotWriter, Walk};
use quipu_sim::chance::{Chance, Purpose};

use crate::machine::{Machine, digest, look, slots};

/// So little that every counter is a step of its own.
const STEP_BYTES: usize = 1;

/// The journal goes on in a new segment, and the walk begins at the same point.
fn cut(machine: &mut Machine) -> (Walk, SnapshotWriter) {
    let number = machine.journal.rotate(&mut machine.files).expect("a sound disk");
    let node = machine.journal.node();
    let writer = SnapshotWriter::begin(&mut machine.files, node, number).expect("a sound disk");
    (machine.node.begin_snapshot(), writer)
}

fn step(machine: &mut Machine, walk: &mut Walk, writer: &mut SnapshotWriter) {
    let records = machine.node.snapshot_step(walk, STEP_BYTES);
    writer.append(&mut machine.files, records).expect("a sound disk");
}

fn finish(machine: &mut Machine, mut walk: Walk, mut writer: SnapshotWriter) {
    while !walk.is_over() {
        step(machine, &mut walk, &mut writer);
    }
    machine.sync();
    writer.publish(&mut machine.files).expect("a sound disk");
}

/// Some counters, of two starts, all synced.
fn filled() -> Machine {
    let mut machine = Machine::new();
    for (counter, by) in [("x", 1), ("y", 2), ("z", -3)] {
        machine.add(counter, by);
    }
    let mut machine = machine.restart().expect("sound");
    for (counter, by) in [("x", 10), ("z", 20)] {
        machine.add(counter, by);
    }
    machine.sync();
    machine
}

fn names(machine: &Machine) -> Vec<String> {
    machine.files.list().expect("a directory")
}

/// Rule `snapshot-keeps-slot-versions`.
#[test]
fn a_snapshot_brings_back_every_slot_with_its_own_version_and_the_digest() {
    let mut machine = filled();
    let (walk, writer) = cut(&mut machine);
    finish(&mut machine, walk, writer);
    assert_eq!(names(&machine), ["00000003.segment", "00000003.snapshot"]);
    let (state, reading) = look(&machine.files).expect("sound");
    assert_eq!(reading.files.len(), 2);
    assert_eq!(slots(state.counters()), slots(machine.node.counters()));
    assert_eq!(digest(state.counters()), digest(machine.node.counters()));
}

/// Rule `snapshot-keeps-slot-versions`.
///
/// `the cut is at v2; the walk passes x; y changes in v3; the walk reads y as of v3.` Of the
/// snapshot alone the digest says v2, and y's slot says v3: as version 0 it would be missing from
/// what is relayed once v3 is claimed.
#[test]
fn a_slot_beyond_the_digest_keeps_its_version_and_the_digest_is_as_of_the_cut() {
    let mut machine = filled();
    let ours = machine.node.counters().our_origin();
    let (mut walk, mut writer) = cut(&mut machine);
    step(&mut machine, &mut walk, &mut writer);
    machine.add("y", 5);
    finish(&mut machine, walk, writer);
    // Without what the journal holds behind the cut.
    let head = machine.files.contents("00000003.segment").expect("it is there")[..64].to_vec();
    machine.files.put("00000003.segment", head);
    let (state, _) = look(&machine.files).expect("sound");
    assert_eq!(state.counters().known(ours).version, 2);
    let y = state.counters().slots_of("y").find(|view| view.origin == ours);
    assert_eq!(y.map(|view| (view.version, view.slot.numbers().plus)), Some((3, 5)));
}

/// Rule `cut-at-the-beginning`.
///
/// `the cut is at the beginning; x is counted again behind the walk, z before it.` A cut at the
/// end of the walk would lose x's increment.
#[test]
fn what_is_counted_while_the_walk_goes_on_is_in_the_journal_behind_the_cut() {
    let mut machine = filled();
    let (mut walk, mut writer) = cut(&mut machine);
    step(&mut machine, &mut walk, &mut writer);
    machine.add("x", 100);
    machine.add("z", 100);
    machine.add("new", 100);
    finish(&mut machine, walk, writer);
    let (before, expected) = (slots(machine.node.counters()), digest(machine.node.counters()));
    let machine = machine.restart_after_the_worst_power_cut().expect("sound");
    let after = slots(machine.node.counters());
    assert_eq!(after, before);
    assert_eq!(digest(machine.node.counters()), expected);
}

/// Rule `cut-at-the-beginning`.
///
/// `the walk reads x as of v3; v3's sync has not ended; the snapshot takes its name; the power is
/// cut.` It held what no journal held, and what no peer ever learned. With the sync before the
/// name, whatever a power cut between any two operations leaves is one state, and not an older one
/// than was safe.
#[test]
fn a_power_cut_at_any_step_of_a_publication_leaves_one_state_that_was() {
    let mut machine = filled();
    let (mut walk, mut writer) = cut(&mut machine);
    step(&mut machine, &mut walk, &mut writer);
    let safe = machine.node.counters().our_version();
    machine.add("y", 5);
    machine.add("z", 5);
    machine.files.set_crash_images(true);
    finish(&mut machine, walk, writer);
    let ours = machine.node.counters().our_origin();
    let crash_images = machine.files.take_crash_images();
    assert!(crash_images.len() >= 5, "a rename, two removals, two syncs: {}", crash_images.len());
    for (at, image) in crash_images.iter().enumerate() {
        for seed in 0..100 {
            let mut left = image.clone();
            left.lose_power(&mut Chance::new(seed, Purpose::Crashes));
            let (state, _) = look(&left).unwrap_or_else(|e| panic!("step {at}, seed {seed}: {e}"));
            let found = state.counters();
            let version = found.known(ours).version;
            assert!(version >= safe, "step {at}, seed {seed}: version {version}");
            let slot = |name| {
                found
                    .slots_of(name)
                    .find(|view| view.origin == ours)
                    .map_or(0, |v| v.slot.numbers().plus)
            };
            let at_version = |changes: &[(u64, u64)]| {
                changes.iter().filter(|(v, _)| *v <= version).map(|(_, by)| by).sum::<u64>()
            };
            let context = format!("step {at}, seed {seed}, version {version}");
            assert_eq!(slot("x"), at_version(&[(1, 10)]), "{context}");
            assert_eq!(slot("y"), at_version(&[(3, 5)]), "{context}");
            assert_eq!(slot("z"), at_version(&[(2, 20), (4, 5)]), "{context}");
        }
    }
}

/// Rule `cut-at-the-beginning`.
#[test]
fn a_snapshot_that_was_cut_short_is_ignored_and_removed() {
    let mut machine = filled();
    let (mut walk, mut writer) = cut(&mut machine);
    step(&mut machine, &mut walk, &mut writer);
    let before = slots(machine.node.counters());
    assert!(names(&machine).contains(&"00000003.snapshot.unfinished".to_owned()));
    let machine = machine.restart().expect("sound");
    assert_eq!(slots(machine.node.counters()), before);
    let left = names(&machine);
    assert_eq!(
        left,
        ["00000001.segment", "00000002.segment", "00000003.segment", "00000004.segment"]
    );
}

/// Rule `cut-at-the-beginning`.
#[test]
fn a_publication_leaves_nothing_that_it_replaces() {
    let mut machine = filled();
    for round in 0..5 {
        let (walk, writer) = cut(&mut machine);
        machine.add("x", 1);
        finish(&mut machine, walk, writer);
        let number = machine.journal.number();
        let expected = [format!("{number:08}.segment"), format!("{number:08}.snapshot")];
        assert_eq!(names(&machine), expected, "round {round}");
    }
    assert_eq!(machine.value("x"), 16);
    assert_eq!(machine.restart_after_the_worst_power_cut().expect("sound").value("x"), 16);
}
