//! Each start is later than the one before it, whatever the wall clock says between them (rule
//! `newer-incarnation-wins`): else peers would take the earlier life of a node for the present one.

use super::super::{self as storage, record, snapshot::Walk};
use super::*;

/// Starts on what is there at a time of the wall clock: the boot, and the journal.
fn start_at(files: &mut Memory, wall_clock_ms: u64) -> (u64, Journal, Recovered) {
    let mut state = empty();
    let next = |found: &Recovered| found.next_start(NodeId(8), wall_clock_ms);
    let (journal, start, _) = storage::open(files, &mut state, next).expect("it is sound");
    (start.boot, journal, state)
}

#[test]
fn boots_grow_over_starts_though_the_clock_goes_back_or_stands() {
    let mut files = Memory::default();
    let clocks = [5_000, 0, 4_999, 5_000, 5_000, 6_000, 1];
    let boots = clocks.map(|clock| start_at(&mut files, clock).0);
    assert_eq!(boots, [5_000, 5_001, 5_002, 5_003, 5_004, 6_000, 6_001]);
}

#[test]
fn a_boot_that_grew_while_the_node_ran_is_outlived_too_by_way_of_journal_and_snapshot() {
    let mut files = Memory::default();
    let (_, mut journal, state) = start_at(&mut files, 5_000);
    // As a node writes it that was told of a newer incarnation of its own.
    let told = Start { node: NodeId(8), boot: 9_000, origin: OriginId(1) };
    let mut records = Vec::new();
    record::append_start(&mut records, &told);
    journal.append(&mut files, &mut records).unwrap();
    journal.sync(&mut files).unwrap();
    assert_eq!(start_at(&mut files.clone(), 0).0, 9_001);

    let number = journal.rotate(&mut files).unwrap();
    let none = (std::iter::empty(), std::iter::empty());
    let mut walk = Walk::new(&state.counters, Some(&told), none.0, none.1, std::iter::empty());
    let mut writer = SnapshotWriter::begin(&mut files, NODE, number).unwrap();
    while !walk.is_over() {
        writer.append(&mut files, walk.step(&state.counters, 1 << 10)).unwrap();
    }
    writer.publish(&mut files).unwrap();
    assert_eq!(start_at(&mut files, 0).0, 9_001);
}
