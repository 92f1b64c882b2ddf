//! What is written can be read, however much of it there is: each kind of record is tried with ten
//! times what one of them holds.

use super::super::frame::{self, FileKind, HEAD_BYTES, Head, RECORD_BYTES_MAX};
use super::super::record::{self, COUNTERS, ORIGIN_ROWS_MAX, Record, SLOT_ROWS_MAX, SlotRow};
use super::super::records::Records;
use super::super::{files, repair};
use super::*;
use crate::counters::{MergeError, ORIGINS_MAX};
use crate::identity::{Address, BOOT_MAX, EPOCH_MAX, Identity};
use crate::membership::{Key, MembershipRecord, RECORD_EPOCH_MAX};
use crate::name::NAME_BYTES_MAX;
use crate::peers::registry::ADDRESSES_MAX;

/// A number of as many bytes as any, another one for each `n`.
fn long(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63
}

fn long_names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:0width$}", width = NAME_BYTES_MAX)).collect()
}

/// The lengths of the records that stand one after the other, in bytes.
fn lengths(records: &[u8]) -> Vec<usize> {
    let (mut lengths, mut rest) = (Vec::new(), records);
    while let Some(length) = frame::length(rest) {
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

/// The longest record in any file, in bytes.
fn longest(files: &Memory) -> usize {
    files.0.values().flat_map(|bytes| lengths(&bytes[HEAD_BYTES..])).max().unwrap_or(0)
}

/// More starts of nodes have counted on one counter than ten records could hold the slots of.
#[test]
fn a_counter_of_ten_records_outlives_snapshot_check_repair_and_restart() {
    let starts = 10 * RECORD_BYTES_MAX as u64 / 44;
    let mut counters = Counters::new(OriginId(1), 1);
    for n in 0..starts {
        let numbers = Slot::from(Numbers { plus: long(n), minus: long(n), raise: long(n) });
        let changes = vec![Change::slot("x", numbers)];
        let delta = Delta { origin: OriginId(long(n)), after: 0, upto: long(n), changes };
        counters.merge(&delta).unwrap();
    }
    counters.add("x", -5).unwrap();
    counters.close();
    let holds_all = |found: &Recovered| {
        let found = found.counters();
        let is_known = |(origin, known)| found.known(origin) == known;
        found.value("x") == counters.value("x") && counters.digest().all(is_known)
    };

    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    snapshot(&mut files, &mut journal, &counters, 128 << 10);
    assert!(files.0.values().map(Vec::len).max() > Some(10 * RECORD_BYTES_MAX));
    assert!(longest(&files) <= RECORD_BYTES_MAX);
    assert!(holds_all(&look(&files).expect("sound").0));

    // The segment behind it goes bad: a repair writes the whole snapshot anew.
    let segment = files::segment(journal.number());
    files.0.get_mut(&segment).unwrap()[20] ^= 1;
    assert!(repair::repair(&mut files, empty).unwrap().is_some());
    assert!(longest(&files) <= RECORD_BYTES_MAX);
    assert!(holds_all(&start(&mut files, 2).1));
}

#[test]
fn slots_of_every_number_around_what_follows_one_name_come_back() {
    let mut counters = Counters::new(OriginId(1), 1);
    let some = SLOT_ROWS_MAX as u64;
    let numbers = [0, 1, some - 1, some, some + 1, 2 * some, 2 * some + 1];
    let names: Vec<String> = numbers.iter().map(u64::to_string).collect();
    for origin in 0..2 * some + 1 {
        let has_it = |(_, number): &(&String, &u64)| origin < **number;
        let entries: Vec<_> = names
            .iter()
            .zip(&numbers)
            .filter(has_it)
            .map(|(name, _)| (&**name, long(origin)))
            .collect();
        counters.merge(&delta(long(origin), (0, long(0)), &entries)).unwrap();
    }
    for step_bytes in [1, 100_000, usize::MAX] {
        let mut files = Memory::default();
        let (mut journal, _) = start(&mut files, 1);
        snapshot(&mut files, &mut journal, &counters, step_bytes);
        assert!(longest(&files) <= RECORD_BYTES_MAX);
        let (found, _) = look(&files).expect("sound");
        assert_eq!(slots(found.counters()), slots(&counters), "steps of {step_bytes} bytes");
    }
}

/// `the walk has told half of x's slots; x gets a slot of an origin that nobody knew, and then our
/// own, which goes first.` Told by place, the one that made room for ours would be passed over.
#[test]
fn slots_that_come_while_their_counter_is_told_hide_none_of_those_that_were_there() {
    let mut counters = Counters::new(OriginId(1), 1);
    let before = 3 * SLOT_ROWS_MAX as u64;
    for origin in 0..before {
        counters.merge(&delta(long(origin), (0, 1), &[("x", 1)])).unwrap();
    }
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let number = journal.rotate(&mut files).unwrap();
    let mut walk =
        Walk::new(&counters, None, std::iter::empty(), std::iter::empty(), std::iter::empty());
    let mut writer = SnapshotWriter::begin(&mut files, NODE, number).unwrap();
    let mut steps = 0;
    while !walk.is_over() {
        writer.append(&mut files, walk.step(&counters, 1)).unwrap();
        steps += 1;
        if steps == 2 {
            counters.merge(&delta(long(before), (0, 1), &[("x", 1)])).unwrap();
            counters.add("x", 1).unwrap();
        }
    }
    assert!(steps > 3, "{steps}");
    writer.publish(&mut files).unwrap();
    let (found, _) = look(&files).expect("sound");
    let found = slots(found.counters());
    let missing = slots(&counters).into_iter().filter(|slot| {
        found.binary_search_by(|held| (&held.0, held.1).cmp(&(&slot.0, slot.1))).is_err()
    });
    let missing: Vec<OriginId> = missing.map(|slot| slot.1).collect();
    assert_eq!(missing, [OriginId(1)], "our own is in the journal behind the cut");
}

#[test]
fn ten_times_the_origins_of_a_record_are_told_in_steps_before_the_first_slot() {
    let mut counters = Counters::new(OriginId(1), 1);
    for n in 0..10 * ORIGIN_ROWS_MAX as u64 {
        counters.merge(&delta(long(n), (0, long(n) - 1), &[("x", 1)])).unwrap();
    }
    let mut walk =
        Walk::new(&counters, None, std::iter::empty(), std::iter::empty(), std::iter::empty());
    let mut longest_step = 0;
    while !walk.is_over() {
        longest_step = longest_step.max(walk.step(&counters, 1).len());
    }
    assert!(longest_step < RECORD_BYTES_MAX, "{longest_step}");
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    snapshot(&mut files, &mut journal, &counters, 128 << 10);
    assert!(longest(&files) <= RECORD_BYTES_MAX);
    let (found, _) = look(&files).expect("sound");
    assert!(counters.digest().all(|(origin, known)| found.counters().known(origin) == known));
}

/// `a node knows as many origins as it takes; it is restarted, counts under a new one, and is
/// restarted again.` It refused to start: there was no place for its own.
#[test]
fn a_node_that_knows_all_origins_that_it_takes_starts_and_counts_and_takes_no_other() {
    let mut counters = Counters::new(OriginId(1), 1);
    counters.add("x", 1).unwrap();
    counters.close();
    for n in 0..u64::from(ORIGINS_MAX) - 1 {
        counters.restore_origin(OriginId(long(n)), 1).expect("there is room");
    }
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    snapshot(&mut files, &mut journal, &counters, 1 << 20);
    drop(counters);
    for starts in 2..5 {
        let (mut journal, state) = start(&mut files, starts);
        let mut counters = state.counters;
        assert_eq!(counters.value("x").0, i128::from(starts) - 1);
        let stranger = delta(99, (0, 1), &[("x", 100)]);
        assert_eq!(counters.merge(&stranger), Err(MergeError::Full { news: false }));
        counters.merge(&delta(long(0), (1, 2), &[("y", 1)])).expect("it is known");
        counters.add("x", 1).unwrap();
        let mut records = Records::default();
        records.add_own(&counters.close().expect("it changed something"), &counters);
        journal.append(&mut files, &mut records.take()).unwrap();
        // A snapshot that names more of them than others may bring is read back as any.
        if starts == 3 {
            snapshot(&mut files, &mut journal, &counters, 1 << 20);
        }
    }
    assert_eq!(look(&files).expect("sound").0.counters().value("x").0, 4);
}

/// The ranges of deltas, and how many entries each has.
fn ranges(mut bytes: Vec<u8>) -> Vec<(Version, Version, usize)> {
    frame::seal(&mut bytes, 0, 0).expect("none is too long");
    let (mut ranges, mut at) = (Vec::new(), 0);
    while let Some(framed) = frame::read(&bytes[at..], at as u64, FileKind::Segment).unwrap() {
        match record::read(framed.kind, framed.payload).unwrap() {
            Record::Delta(delta) => ranges.push((delta.after, delta.upto, delta.changes.len())),
            other => panic!("expected a delta, found {other:?}"),
        }
        at += framed.bytes;
    }
    ranges
}

#[test]
fn a_delta_of_ten_records_claims_its_range_in_the_last_of_them_only() {
    let names = long_names(10 * RECORD_BYTES_MAX / NAME_BYTES_MAX);
    let entries: Vec<(&str, u64)> = names.iter().map(|name| (&**name, long(1))).collect();
    let whole = delta(9, (3, 5), &entries);
    let mut records = Vec::new();
    record::append_delta(&mut records, &whole);
    let mut ranges = ranges(records.clone());
    assert_eq!(ranges.iter().map(|range| range.2).sum::<usize>(), names.len());
    let last = ranges.pop().expect("there are some");
    assert_eq!((last.0, last.1), (3, 5));
    assert!(ranges.len() >= 10 && ranges.iter().all(|range| (range.0, range.1) == (5, 5)));

    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    journal.append(&mut files, &mut records).unwrap();
    journal
        .append(&mut files, &mut {
            let mut first = Vec::new();
            record::append_delta(&mut first, &delta(9, (0, 3), &[]));
            first
        })
        .unwrap();
    let (found, _) = look(&files).expect("sound");
    assert_eq!(found.counters().len(), names.len());
    assert_eq!(found.counters().known(OriginId(9)).version, 5);
}

#[test]
fn a_batch_of_our_own_of_ten_records_comes_back_whole() {
    let names = long_names(10 * RECORD_BYTES_MAX / NAME_BYTES_MAX);
    let mut files = Memory::default();
    let (mut journal, state) = start(&mut files, 1);
    let mut counters = state.counters;
    for name in &names {
        counters.add(name, i64::MAX).unwrap();
    }
    let mut records = Records::default();
    records.add_own(&counters.close().expect("it changed something"), &counters);
    journal.append(&mut files, &mut records.take()).unwrap();
    assert!(longest(&files) <= RECORD_BYTES_MAX);
    let (found, _) = look(&files).expect("sound");
    assert_eq!(slots(found.counters()), slots(&counters));
    assert_eq!(found.counters().known(OriginId(1)), counters.known(OriginId(1)));
}

#[test]
fn members_of_the_longest_addresses_come_back() {
    let address = |n: usize| {
        let text = format!("{n:0>253}:{}", 10_000 + n % 50_000);
        Address::try_from(text).expect("253 bytes of host are allowed")
    };
    let membership = |n: usize| MembershipRecord {
        key: Key::Address(address(n)),
        removed: RECORD_EPOCH_MAX,
        registered: RECORD_EPOCH_MAX,
    };
    let peer = |n: usize| Identity {
        node: NodeId(long(n as u64)),
        address: address(n),
        epoch: EPOCH_MAX,
        boot: BOOT_MAX,
        origin: OriginId(u64::MAX),
    };
    let (most_records, most_peers) = (ADDRESSES_MAX, crate::peers::DOWN_MAX);
    let memberships: Vec<MembershipRecord> = (0..2 * most_records).map(membership).collect();
    let peers: Vec<Identity> = (0..10 * most_peers).map(peer).collect();
    let counters = Counters::new(OriginId(1), 1);
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let number = journal.rotate(&mut files).unwrap();
    let mut walk =
        Walk::new(&counters, None, memberships.iter().cloned(), peers.iter(), std::iter::empty());
    let mut writer = SnapshotWriter::begin(&mut files, NODE, number).unwrap();
    while !walk.is_over() {
        writer.append(&mut files, walk.step(&counters, 1)).unwrap();
    }
    writer.publish(&mut files).unwrap();
    let (found, _) = look(&files).expect("sound");
    assert_eq!(found.registry.records().count(), most_records);
    assert!(found.peers.values().all(|found| peers[..most_peers].contains(found)));
    assert_eq!(found.peers.len(), most_peers);
}

/// One record with a sound frame, whatever it holds.
fn record_of(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    let start = frame::open(&mut record, kind);
    record.extend_from_slice(payload);
    frame::close(&mut record, start);
    record
}

fn counters_record(name: &str, slots: usize, origins: u32) -> Vec<u8> {
    let slot = Slot::from(Numbers { plus: 1, ..Numbers::default() });
    let row = |n: u32| SlotRow::new(n % origins, long(1), slot);
    let mut payload = Vec::new();
    let rows: Vec<SlotRow> = (0..u32::try_from(slots).unwrap()).map(row).collect();
    record::append_counter(&mut payload, name, rows.into_iter());
    record_of(COUNTERS, &payload)
}

/// However a snapshot came to be one that no start can read: while what it would replace is there,
/// nothing is lost.
#[test]
fn a_snapshot_that_a_start_could_not_read_replaces_nothing() {
    let bad_records: [(&str, Vec<u8>); 6] = [
        ("an origin that it does not name", counters_record("x", 1, 1)),
        ("a name that no counter has", counters_record("\n", 0, 1)),
        ("a kind that nobody knows", record_of(99, &[])),
        ("less than it says", record_of(COUNTERS, &[1, b'x', 3, 0])),
        ("more than it says", record_of(record::START, &[0; 40])),
        ("an end before the end", {
            let mut end = Vec::new();
            record::append_end(&mut end, 7);
            end
        }),
    ];
    for (what, bad) in bad_records {
        let mut files = Memory::default();
        let (mut journal, _) = start(&mut files, 1);
        let mut records = Vec::new();
        record::append_delta(&mut records, &delta(9, (0, 1), &[("x", 5)]));
        journal.append(&mut files, &mut records).unwrap();
        let number = journal.rotate(&mut files).unwrap();
        let before = files.clone();
        let mut writer = SnapshotWriter::begin(&mut files, NODE, number).unwrap();
        writer.append(&mut files, bad).unwrap();
        let error = writer.publish(&mut files).expect_err(what);
        assert!(
            error.to_string().starts_with("a start could not read the new snapshot: "),
            "{error}"
        );
        assert_eq!(files.0, before.0, "{what}");
        assert_eq!(look(&files).expect("sound").0.counters().value("x").0, 5);
    }
}

#[test]
fn a_snapshot_whose_bytes_went_bad_before_it_was_named_replaces_nothing() {
    let mut counters = Counters::new(OriginId(1), 1);
    counters.merge(&delta(9, (0, 1), &[("x", 5)])).unwrap();
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let number = journal.rotate(&mut files).unwrap();
    let mut walk =
        Walk::new(&counters, None, std::iter::empty(), std::iter::empty(), std::iter::empty());
    let mut writer = SnapshotWriter::begin(&mut files, NODE, number).unwrap();
    writer.append(&mut files, walk.step(&counters, 1)).unwrap();
    let unfinished = files::unfinished(&files::snapshot(number));
    *files.0.get_mut(&unfinished).unwrap().last_mut().unwrap() ^= 1;
    let error = writer.publish(&mut files).unwrap_err();
    assert!(error.to_string().contains("damaged at byte"), "{error}");
    assert_eq!(files.0.keys().collect::<Vec<_>>(), ["00000001.segment", "00000002.segment"]);
}

#[test]
fn a_record_too_long_to_be_read_is_not_written_and_stops_what_would_write_it() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let before = files.clone();
    let mut records = record_of(record::DELTA, &vec![0; RECORD_BYTES_MAX]);
    let error = journal.append(&mut files, &mut records).unwrap_err();
    assert!(error.to_string().ends_with(": nothing was written"), "{error}");
    assert_eq!(files.0, before.0);
    assert!(journal.sync(&mut files).is_err(), "what comes next would claim what is missing");

    let mut writer = SnapshotWriter::begin(&mut files, NODE, 2).unwrap();
    let error = writer.append(&mut files, records).unwrap_err();
    assert!(error.to_string().ends_with(": nothing was written"), "{error}");
}

/// Until slots were split, a counter was one record, which no start could read once it was longer
/// than 1 MiB. What such a release left is there to be read.
#[test]
fn a_snapshot_in_which_a_counter_is_one_record_however_long_is_read() {
    const ORIGINS: u32 = 100_000;
    let mut records = Vec::new();
    for first in (0..ORIGINS).step_by(ORIGIN_ROWS_MAX) {
        let last = ORIGINS.min(first + u32::try_from(ORIGIN_ROWS_MAX).unwrap());
        let row = |n: u32| record::OriginRow { origin: OriginId(long(n.into())), version: 1 };
        record::append_origins(&mut records, &(first..last).map(row).collect::<Vec<_>>());
    }
    records.extend(counters_record("x", ORIGINS as usize, ORIGINS));
    assert!(lengths(&records).into_iter().max() > Some(RECORD_BYTES_MAX));
    let count = lengths(&records).len() as u64;
    record::append_end(&mut records, count);
    // Checksums as that release made them: over the place, the length, and what follows.
    let mut at = 0;
    for length in lengths(&records) {
        let record = &mut records[at..at + length];
        let crc = crc32c::crc32c(&(at as u64).to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &record[..4]), &record[8..]);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
        at += length;
    }
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let number = journal.rotate(&mut files).unwrap();
    let head = Head { node: NODE, number, base: 0 };
    let bytes = [head.write(FileKind::Snapshot), records].concat();
    files.0.insert(files::snapshot(number), bytes);
    let (found, _) = look(&files).expect("sound");
    assert_eq!(found.counters().value("x").0, i128::from(ORIGINS));
    // And the next snapshot is one that every release reads.
    let (mut journal, state) = start(&mut files, 2);
    snapshot(&mut files, &mut journal, state.counters(), 128 << 10);
    assert!(longest(&files) <= RECORD_BYTES_MAX);
    assert_eq!(look(&files).expect("sound").0.counters().value("x").0, i128::from(ORIGINS));
}
