//! Rules `synced-position-in-every-record`, `sync-the-tail-before-showing-it`, `fresh-origin` and
//! `failed-sync-ends-the-node`.

use quipu_core::identity::OriginId;
use quipu_core::storage::files::Files;

use crate::machine::{Machine, damage, look, refused};

/// The position of a byte in the segment's file: behind its head of 64 bytes.
const HEAD: usize = 64;

fn flip(machine: &mut Machine, at: usize) {
    let segment = machine.segment();
    let mut bytes = machine.files.contents(&segment).expect("the segment is there").to_vec();
    bytes[at] ^= 0x40;
    machine.files.put(&segment, bytes);
}

fn end(machine: &Machine) -> usize {
    HEAD + usize::try_from(machine.journal.position()).expect("a short journal")
}

/// Rule `synced-position-in-every-record`.
///
/// `x is synced; y and z are appended; the power is cut; of the two only z's sector survives`: an
/// honest power cut has left a damaged record before a sound one.
#[test]
fn a_damaged_record_before_a_sound_one_is_a_torn_tail_if_neither_was_synced() {
    let mut machine = Machine::new();
    machine.add("x", 1);
    machine.sync();
    let torn_at = end(&machine);
    machine.add("y", 1);
    machine.add("z", 1);
    flip(&mut machine, torn_at + 20);
    let segment = machine.segment();
    let machine = machine.restart().expect("a torn tail is no damage");
    let torn = machine.reading.torn.as_ref().expect("a tail was cut");
    assert_eq!((&torn.file, torn.offset), (&segment, torn_at as u64));
    assert_eq!((machine.value("x"), machine.value("y"), machine.value("z")), (1, 0, 0));
}

/// Rule `synced-position-in-every-record`.
///
/// `x is synced; y is appended, and knows that x is; x's bytes go bad.` The disk has lost what it
/// had promised to keep: to cut there would lose x without a word.
#[test]
fn a_damaged_record_that_a_later_one_knows_to_be_synced_stops_the_start() {
    let mut machine = Machine::new();
    let x_at = end(&machine);
    machine.add("x", 1);
    machine.sync();
    machine.add("y", 1);
    flip(&mut machine, x_at + 20);
    let segment = machine.segment();
    let error = machine.restart().err().expect("damage stops the start");
    assert_eq!(damage(&error), (&*segment, x_at as u64));
    assert!(error.to_string().starts_with(&format!("damaged at byte {x_at} of {segment}: ")));
}

/// Rule `synced-position-in-every-record`.
///
/// `x is synced; the journal comes to rest and says so; x's bytes go bad.` Nothing was counted
/// behind x that could have told.
#[test]
fn a_journal_that_came_to_rest_knows_that_its_last_record_is_synced() {
    let mut machine = Machine::new();
    let x_at = end(&machine);
    machine.add("x", 1);
    machine.journal.mark(&mut machine.files).expect("a sound disk");
    flip(&mut machine, x_at + 20);
    let error = machine.restart().err().expect("damage stops the start");
    assert_eq!(damage(&error).1, x_at as u64);
}

/// Rule `sync-the-tail-before-showing-it`.
///
/// `x is appended; kill -9; the restarted node finds it in the page cache and shows it; the power
/// is cut.` It took x back.
#[test]
fn what_a_start_has_found_survives_the_next_power_cut() {
    let mut machine = Machine::new();
    machine.add("x", 1);
    let machine = machine.restart().expect("sound");
    assert!(machine.reading.unsynced_bytes > 0, "the tail was not known to be synced");
    assert_eq!(machine.value("x"), 1);
    let machine = machine.restart_after_the_worst_power_cut().expect("sound");
    assert_eq!(machine.value("x"), 1);
}

/// Rule `sync-the-tail-before-showing-it`.
///
/// A sync that failed has cleaned the pages: they are seen, and a later sync of the file does not
/// keep them. So what is found is written again, into another file.
#[test]
fn what_a_start_finds_behind_a_failed_sync_survives_as_well() {
    let mut machine = Machine::new();
    machine.add("x", 1);
    machine.files.fail_next_sync(true);
    refused(machine.journal.sync(&mut machine.files));
    let machine = machine.restart().expect("sound");
    let shown = machine.value("x");
    let machine = machine.restart_after_the_worst_power_cut().expect("sound");
    assert_eq!((shown, machine.value("x")), (1, 1));
}

/// Rule `sync-the-tail-before-showing-it`.
///
/// A start may itself be cut short at any of its steps, again and again.
#[test]
fn a_start_that_is_cut_short_anywhere_loses_nothing_that_was_safe_or_shown() {
    for seed in 0..300 {
        let mut machine = Machine::new();
        machine.add("x", 1);
        machine.sync();
        machine.add("x", 1);
        let mut files = machine.files;
        for starts in 2..5 {
            files.restart();
            files.set_fuse(Some(1 + seed % 9));
            match Machine::start(files.clone(), starts) {
                Ok(started) => assert!(started.value("x") >= 1, "seed {seed}"),
                Err(error) => assert!(error.to_string().contains("the power"), "{seed}: {error}"),
            }
            // The same operations on the directory that loses power in their midst.
            let mut state = quipu_core::storage::state::Recovered::new(OriginId(starts), 1);
            let _ = quipu_core::storage::open(&mut files, &mut state, |found| {
                found.next_start(quipu_core::identity::NodeId(7), starts)
            });
            files.lose_power(&mut quipu_sim::chance::Chance::new(
                seed * 7 + starts,
                quipu_sim::chance::Purpose::Crashes,
            ));
        }
        let machine = Machine::start(files, 9).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!((1..=2).contains(&machine.value("x")), "seed {seed}: {}", machine.value("x"));
    }
}

/// Rule `fresh-origin`.
///
/// A restored backup forgets versions that peers hold: under the old origin they would be used
/// again for other changes, and lost.
#[test]
fn every_start_counts_under_a_fresh_origin_and_keeps_what_the_old_ones_counted() {
    let mut machine = Machine::new();
    machine.add("x", 1);
    machine.sync();
    let backup = machine.files.copy();
    machine.add("x", 10);
    machine.sync();
    let mut restored = Machine::start(backup, 2).expect("a copy is sound");
    restored.add("x", 100);
    let shares: Vec<(OriginId, u64, u64)> = restored
        .node
        .counters()
        .slots_of("x")
        .map(|view| (view.origin, view.version, view.slot.numbers().plus))
        .collect();
    assert_eq!(shares.len(), 2, "{shares:?}");
    assert!(shares.contains(&(OriginId(1), 1, 1)) && shares.contains(&(OriginId(2), 1, 100)));
    let restored = restored.restart().expect("sound");
    assert_eq!(restored.value("x"), 101);
    assert_eq!(restored.node.status(quipu_core::time::Time::ZERO).identity.boot, 3);
}

/// Rule `failed-sync-ends-the-node`.
#[test]
fn after_a_failed_sync_nothing_is_appended_or_synced_any_more() {
    let mut machine = Machine::new();
    machine.add("x", 1);
    machine.files.fail_next_sync(true);
    refused(machine.journal.sync(&mut machine.files));
    // The directory panics when a file is used again after its sync has failed.
    let mut records = machine.batch("x", 1);
    let again = refused(machine.journal.append(&mut machine.files, &mut records));
    assert_eq!(again, "an earlier write to the journal failed");
    assert_eq!(refused(machine.journal.sync(&mut machine.files)), again);
    assert_eq!(refused(machine.journal.rotate(&mut machine.files).map(|_| ())), again);
    assert_eq!(refused(machine.journal.mark(&mut machine.files)), again);
}

/// Rule `failed-sync-ends-the-node`.
#[test]
fn a_full_disk_stops_the_journal_and_what_was_safe_is_found_when_there_is_room() {
    let mut machine = Machine::new();
    machine.add("x", 1);
    machine.sync();
    machine.files.set_full(true);
    let mut records = machine.batch("y", 1);
    machine.journal.append(&mut machine.files, &mut records).expect_err("no room");
    machine.files.set_full(false);
    // There is room again, but half a record may stand there.
    refused(machine.journal.append(&mut machine.files, &mut records));
    machine.files.set_full(true);
    let mut files = machine.files;
    let error = Machine::start(files.clone(), 2).err().expect("no room to begin a segment");
    assert!(error.to_string().contains("no storage space"), "{error}");
    files.set_full(false);
    let machine = Machine::start(files, 3).expect("sound");
    assert_eq!(machine.value("x"), 1);
}

#[test]
fn a_directory_of_a_running_node_copied_file_by_file_loads_or_is_refused_and_never_lies() {
    let mut machine = Machine::new();
    for round in 0..40 {
        // The copy of a file is made now, and that of the next one later.
        let mut copy = quipu_sim::directory::Directory::new(1);
        for name in machine.files.list().expect("a directory") {
            machine.add("x", 1);
            if let Some(bytes) = machine.files.contents(&name) {
                copy.put(&name, bytes.to_vec());
            }
        }
        if round % 3 == 0 {
            machine.journal.rotate(&mut machine.files).expect("a sound disk");
        }
        match look(&copy) {
            Ok((state, _)) => {
                let found = state.counters().value("x").0;
                assert!(found <= machine.value("x"), "round {round}: {found}");
            }
            Err(error) => assert!(!damage(&error).0.is_empty()),
        }
    }
}
