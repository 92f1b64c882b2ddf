//! What a repair keeps: every record that is sound, wherever the damage is and however much of it
//! there is, and every claim that nothing lost could have been part of.

use std::ops::Range;

use super::super::files;
use super::super::frame::{self, FileKind, HEAD_BYTES, Head};
use super::super::read::Fault;
use super::super::record::{self, ORIGIN_ROWS_MAX, OriginRow, SlotRow};
use super::super::repair::{Repair, repair};
use super::*;
use crate::identity::{Address, Identity};
use crate::slot::{Numbers, Slot};

/// Whose batches most of these tests write: each counts one on a counter of its own.
pub(super) const WRITER: u64 = 9;

pub(super) fn name(batch: u64) -> String {
    format!("n{batch}")
}

/// Appends the writer's batches (`after`, `upto`], each with its own sync.
fn write(files: &mut Memory, journal: &mut Journal, after: Version, upto: Version) {
    for batch in after..upto {
        let mut records = Vec::new();
        record::append_delta(
            &mut records,
            &delta(WRITER, (batch, batch + 1), &[(&name(batch), 1)]),
        );
        journal.append(files, &mut records).unwrap();
        journal.sync(files).unwrap();
    }
}

/// A journal of segments of `a_segment` batches each; the first `in_snapshot` of them are in a
/// snapshot. It has come to rest.
fn written(segments: u64, a_segment: u64, in_snapshot: u64) -> Memory {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    for segment in 0..segments {
        if segment > 0 {
            if segment == in_snapshot {
                let (state, _) = look(&files).expect("sound");
                snapshot(&mut files, &mut journal, state.counters(), 1000);
            } else {
                journal.rotate(&mut files).unwrap();
            }
        }
        write(&mut files, &mut journal, segment * a_segment, (segment + 1) * a_segment);
    }
    journal.mark(&mut files).unwrap();
    files
}

fn segments(files: &Memory) -> Vec<String> {
    files.0.keys().filter(|name| name.ends_with(".segment")).cloned().collect()
}

fn flip(files: &mut Memory, name: &str, at: usize) {
    files.0.get_mut(name).expect("it is there")[at] ^= 0x10;
}

/// Where each record of a file stands in it.
pub(super) fn records(file: &[u8]) -> Vec<Range<usize>> {
    let (mut records, mut at) = (Vec::new(), HEAD_BYTES);
    while let Some(length) = frame::length(&file[at..]) {
        records.push(at..at + length);
        at += length;
    }
    records
}

/// Repairs, and tells what was done and what a start then finds.
pub(super) fn repaired(files: &mut Memory) -> (Repair, Recovered) {
    assert!(look(files).is_err(), "a start refuses what is damaged");
    let done = repair(files, empty).expect("it can be repaired").expect("it was damaged");
    let (state, reading) = look(files).expect("it is sound now");
    assert!(reading.torn.is_none() && reading.useless.is_empty());
    (done, state)
}

/// How many of the writer's first batches are there.
fn kept(state: &Recovered, batches: u64) -> u64 {
    (0..batches).filter(|batch| state.counters().value(&name(*batch)).0 == 1).count() as u64
}

pub(super) fn known(state: &Recovered) -> Version {
    state.counters().known(OriginId(WRITER)).version
}

fn damaged(done: &Repair) -> Vec<(&str, u64)> {
    done.damaged.iter().map(|damaged| (&*damaged.file, damaged.offset)).collect()
}

#[test]
fn what_stands_before_the_damage_behind_a_sound_snapshot_keeps_its_claims() {
    let mut files = written(2, 100, 1);
    let last = segments(&files).pop().expect("there is one");
    let hit = records(&files.0[&last])[90].start + 30;
    flip(&mut files, &last, hit);
    let (done, state) = repaired(&mut files);
    // The last segment holds the batches 100 to 199, each in a record.
    assert_eq!((kept(&state, 200), known(&state)), (199, 190));
    assert_eq!(damaged(&done), [(&*last, hit as u64 - 30)]);
    assert_eq!(done.complete_up_to, [(OriginId(WRITER), 190)]);
    assert_eq!(done.damaged[0].kept_as.as_deref(), Some(&*format!("{last}.damaged")));
}

#[test]
fn a_segment_whose_head_alone_is_damaged_has_lost_nothing() {
    for (count, in_snapshot) in [(1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (4, 2)] {
        for hit in 0..count - in_snapshot {
            let mut files = written(count, 100, in_snapshot);
            let file = segments(&files)[hit as usize].clone();
            flip(&mut files, &file, 20);
            let (done, state) = repaired(&mut files);
            let context = format!("{hit} of {count} segments, {in_snapshot} in the snapshot");
            assert_eq!(kept(&state, count * 100), count * 100, "{context}");
            assert_eq!(known(&state), count * 100, "{context}");
            assert_eq!(damaged(&done), [(&*file, 0)], "{context}");
            assert_eq!(done.salvaged_records, 0, "{context}");
        }
    }
}

#[test]
fn heads_that_are_damaged_all_at_once_have_lost_nothing() {
    for in_snapshot in [0, 2] {
        let mut files = written(5, 200, in_snapshot);
        let all: Vec<String> = files.0.keys().cloned().collect();
        for file in &all {
            files.0.get_mut(file).unwrap()[..HEAD_BYTES].fill(0xee);
        }
        let (done, state) = repaired(&mut files);
        assert_eq!((kept(&state, 1000), known(&state)), (1000, 1000));
        assert_eq!(done.damaged.len(), all.len());
        assert_eq!(done.salvaged_records, 0);
    }
}

#[test]
fn of_a_segment_that_has_lost_its_head_and_its_first_records_the_others_are_kept() {
    for fill in [0, 0xee] {
        let mut files = written(3, 100, 0);
        let file = segments(&files)[1].clone();
        let lost = records(&files.0[&file])[10].start;
        files.0.get_mut(&file).unwrap()[..lost].fill(fill);
        let (_, state) = repaired(&mut files);
        assert_eq!((kept(&state, 300), known(&state)), (290, 100), "filled with {fill}");
    }
}

/// `a start finds a torn tail, and goes on in a new segment; later another one goes bad.` What is
/// cut off is no damage, and what stands behind it has lost nothing.
#[test]
fn a_tail_that_a_start_has_cut_off_is_no_damage() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    write(&mut files, &mut journal, 0, 10);
    let torn = segments(&files).pop().expect("there is one");
    files.0.get_mut(&torn).unwrap().extend_from_slice(&[0xee; 40]);
    let (mut journal, _) = start(&mut files, 2);
    write(&mut files, &mut journal, 10, 20);
    journal.rotate(&mut files).unwrap();
    write(&mut files, &mut journal, 20, 30);
    journal.mark(&mut files).unwrap();
    let last = segments(&files).pop().expect("there is one");
    let hit = records(&files.0[&last])[5].start;
    flip(&mut files, &last, hit + 20);
    let (done, state) = repaired(&mut files);
    assert_eq!(damaged(&done), [(&*last, hit as u64)]);
    assert_eq!((kept(&state, 30), known(&state)), (29, 25));
}

#[test]
fn a_torn_tail_beside_damage_is_cut_off_and_not_called_damage() {
    let mut files = written(2, 10, 0);
    let [first, last] = &segments(&files)[..] else { panic!("two") };
    let (first, last) = (first.clone(), last.clone());
    flip(&mut files, &first, 20);
    files.0.get_mut(&last).unwrap().extend_from_slice(&[0xee; 40]);
    let (done, state) = repaired(&mut files);
    assert_eq!(damaged(&done), [(&*first, 0)]);
    assert_eq!((kept(&state, 20), known(&state)), (20, 20));
}

/// Where nothing was written there are zeros; but behind these something was.
#[test]
fn behind_zeros_in_the_middle_of_a_segment_sound_records_are_kept() {
    for hit in [0, 1] {
        let mut files = written(2, 20, 0);
        let file = segments(&files)[hit].clone();
        let all = records(&files.0[&file]);
        // The first record of the first segment is its start.
        let lost = all[5 + 1 - hit].start..all[7 + 1 - hit].start;
        files.0.get_mut(&file).unwrap()[lost.clone()].fill(0);
        let (done, state) = repaired(&mut files);
        assert_eq!((kept(&state, 40), known(&state)), (38, 5 + 20 * hit as u64), "segment {hit}");
        assert_eq!(damaged(&done), [(&*file, lost.start as u64)]);
        assert_eq!(done.damaged[0].fault, Fault::Short);
    }
}

#[test]
fn what_stands_behind_a_segment_that_is_missing_is_kept_and_claims_nothing() {
    for (lost, in_snapshot, expected) in [(0, 0, 0), (1, 0, 10), (2, 0, 20), (0, 1, 10), (1, 1, 20)]
    {
        let mut files = written(4, 10, in_snapshot);
        let file = segments(&files)[lost].clone();
        files.0.remove(&file);
        let (done, state) = repaired(&mut files);
        assert_eq!((kept(&state, 40), known(&state)), (30, expected), "{file}");
        assert_eq!(damaged(&done), [(&*file, 0)]);
        assert_eq!((&done.damaged[0].fault, &done.damaged[0].kept_as), (&Fault::Missing, &None));
    }
}

#[test]
fn a_snapshot_without_the_segment_behind_it_is_kept_and_so_is_a_number_far_ahead() {
    let mut files = written(2, 10, 1);
    let last = segments(&files).pop().expect("there is one");
    let bytes = files.0.remove(&last).expect("it is there");
    let (done, state) = repaired(&mut files);
    assert_eq!((kept(&state, 20), known(&state)), (10, 10));
    assert_eq!(damaged(&done), [(&*last, 0)]);
    // Whoever put it there: all numbers up to it cannot be looked for.
    files.0.insert("9999999999999999.segment".into(), bytes);
    let (done, state) = repaired(&mut files);
    assert_eq!((kept(&state, 20), known(&state)), (20, 10));
    assert_eq!(done.damaged.len(), 2, "{done:?}");
}

#[test]
fn a_segment_under_the_name_of_another_one_is_kept_and_claims_nothing() {
    let mut files = written(3, 10, 0);
    let all = segments(&files);
    let copy = files.0[&all[0]].clone();
    files.0.insert(all[1].clone(), copy);
    let (done, state) = repaired(&mut files);
    assert_eq!((kept(&state, 30), known(&state)), (20, 10));
    assert_eq!(done.damaged[0].fault, Fault::Number { expected: 2, found: 1 });
    assert_eq!(damaged(&done), [(&*all[1], 0)]);
}

/// `of two records of origins the first is lost.` The origins of the second would be taken for
/// those of the first, and what the ones have counted for what the others have. All are told again
/// at the end; what both tellings have lost, nobody can tell the slots of.
#[test]
fn no_slot_of_a_damaged_snapshot_is_taken_for_another_origins() {
    let mut counters = Counters::new(OriginId(1), 1);
    let origins = ORIGIN_ROWS_MAX as u64 + 100;
    for origin in 2..=origins {
        counters.merge(&delta(origin, (0, 1), &[("x", origin)])).unwrap();
    }
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    snapshot(&mut files, &mut journal, &counters, 1 << 20);
    let file = files::snapshot(journal.number());
    // A start, two of origins, one of counters, two of origins again, the end.
    let all = records(&files.0[&file]);
    assert_eq!(all.len(), 7);
    let (every, first) = (origins as usize - 1, ORIGIN_ROWS_MAX - 1);
    for (hits, expected) in [
        (&[0][..], every),
        (&[1], every),
        (&[2], every),
        (&[0, 1, 2], every),
        (&[3], 0),
        (&[4], every),
        (&[5], every),
        (&[4, 5, 6], every),
        (&[1, 4], 0),
        (&[2, 4], first),
        (&[2, 5], first),
        (&[2, 6], first),
        (&[0, 4], every),
    ] {
        let mut files = files.clone();
        for hit in hits {
            flip(&mut files, &file, all[*hit].start + 17);
        }
        let (_, state) = repaired(&mut files);
        let found = slots(state.counters());
        assert!(
            found.iter().all(|(_, origin, _, slot)| slot.numbers().plus == origin.0),
            "{hits:?}"
        );
        assert_eq!(found.len(), expected, "{hits:?}");
        assert!(state.counters().digest().all(|(_, known)| known.version == 0), "{hits:?}");
    }
}

/// Until origins were told twice, all hung on one telling. A hole before the members, or none that
/// could have hidden origins, does not matter.
#[test]
fn of_a_snapshot_of_an_earlier_release_slots_are_kept_that_are_known_whose_they_are() {
    let peer = |n: u64| Identity {
        node: NodeId(n << 40),
        address: Address::try_from(format!("10.0.0.{n}:8088")).unwrap(),
        epoch: 0,
        boot: 1,
        origin: OriginId(n << 40),
    };
    let row = |origin| OriginRow { origin: OriginId(origin), version: 1 };
    let counters = |name: &str, origin: u32| {
        let slot = Slot::from(Numbers { plus: 1, ..Numbers::default() });
        let slot = SlotRow::new(origin, 1, slot);
        let mut record = Vec::new();
        let start = frame::open(&mut record, record::COUNTERS);
        record::append_counter(&mut record, name, [slot].into_iter());
        frame::close(&mut record, start);
        record
    };
    let mut parts: Vec<Vec<u8>> = vec![Vec::new(); 4];
    record::append_start(
        &mut parts[0],
        &Start { node: NODE, boot: 9 << 40, origin: OriginId(1 << 60) },
    );
    record::append_peer(&mut parts[1], &peer(1));
    record::append_peer(&mut parts[2], &peer(2));
    record::append_origins(&mut parts[3], &[row(1 << 60), row(2 << 60)]);
    parts.push(counters("a", 0));
    parts.push(counters("b", 1));
    parts.push({
        let mut later = Vec::new();
        record::append_origins(&mut later, &[row(3 << 60)]);
        later
    });
    parts.push(counters("c", 2));
    let count = parts.len() as u64;
    parts.push({
        let mut end = Vec::new();
        record::append_end(&mut end, count);
        end
    });
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let number = journal.rotate(&mut files).unwrap();
    let mut body = parts.concat();
    frame::seal(&mut body, 0, 0).unwrap();
    let head = Head { node: NODE, number, base: 0 };
    let file = files::snapshot(number);
    files.0.insert(file.clone(), [head.write(FileKind::Snapshot), body].concat());
    look(&files).expect("sound");
    let all = records(&files.0[&file]);
    for (hit, expected) in [
        (0, "abc"),
        (1, "abc"),
        // What has gone before the origins may have named others.
        (2, ""),
        (3, ""),
        // It may have been one of origins itself.
        (4, "b"),
        (5, "a"),
        (6, "ab"),
        (7, "ab"),
        (8, "abc"),
    ] {
        let mut files = files.clone();
        flip(&mut files, &file, all[hit].start + 17);
        let (_, state) = repaired(&mut files);
        let found: String = slots(state.counters()).iter().map(|slot| &*slot.0).collect();
        assert_eq!(found, expected, "record {hit}");
    }
}

/// `a snapshot has taken its name; the power is cut before what it replaces is gone; it goes bad.`
#[test]
fn what_a_damaged_snapshot_replaces_is_kept_if_it_is_there_still() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let mut replaced = Memory::default();
    for round in 0..3 {
        write(&mut files, &mut journal, 10 * round, 10 * round + 10);
        if round == 1 {
            (journal, _) = start(&mut files, 2);
        }
        let (state, _) = look(&files).expect("sound");
        replaced.0.extend(files.0.clone());
        snapshot(&mut files, &mut journal, state.counters(), 1000);
    }
    journal.mark(&mut files).unwrap();
    let newest = files::snapshot(journal.number());
    for (name, bytes) in replaced.0 {
        files.0.entry(name).or_insert(bytes);
    }
    assert_eq!(files.0.keys().filter(|name| name.ends_with(".snapshot")).count(), 3);
    let damaged_at = records(&files.0[&newest])[1].start;
    files.0.get_mut(&newest).unwrap()[damaged_at..].fill(0xee);
    let (done, state) = repaired(&mut files);
    assert_eq!((kept(&state, 30), known(&state)), (30, 0));
    assert_eq!(damaged(&done), [(&*newest, damaged_at as u64)]);
    let last = state.last_start().expect("it is known");
    assert_eq!(files::snapshot(last.boot), newest, "not an older one");
    assert_eq!(files.0.keys().filter(|name| !name.ends_with(".damaged")).count(), 2);
}

/// Its checksum is right, so it is as it was written; but no start can read it.
#[test]
fn a_record_that_cannot_be_read_is_left_out_and_what_stands_behind_it_is_kept() {
    for bad in [
        (record::PEER, &[1, 2, 3][..]),
        (record::DELTA, &[9, 0, 1, 1, 1, b'\n', 1, 0, 0]),
        (record::COUNTERS, &[1, b'x', 1, 5, 1, 1, 0, 0]),
    ] {
        let mut files = written(1, 10, 0);
        let (mut journal, _) = start(&mut files, 2);
        let at = HEAD_BYTES as u64 + 17 + 30;
        let mut records = Vec::new();
        let start = frame::open(&mut records, bad.0);
        records.extend_from_slice(bad.1);
        frame::close(&mut records, start);
        journal.append(&mut files, &mut records).unwrap();
        write(&mut files, &mut journal, 10, 20);
        journal.mark(&mut files).unwrap();
        let (done, state) = repaired(&mut files);
        assert_eq!((kept(&state, 20), known(&state)), (20, 10), "kind {}", bad.0);
        assert_eq!(done.damaged.len(), 1);
        assert!(
            matches!(done.damaged[0].fault, Fault::Payload(_))
                && done.damaged[0].offset <= at + 100
        );
    }
}

#[test]
fn what_a_later_release_wrote_is_not_repaired_wherever_it_stands() {
    let later = |files: &mut Memory, journal: &mut Journal| {
        let mut records = Vec::new();
        let start = frame::open(&mut records, record::ABSENCE + 1);
        frame::close(&mut records, start);
        journal.append(files, &mut records).unwrap();
    };
    let of_later_format = |files: &mut Memory| {
        let last = segments(files).pop().expect("there is one");
        let bytes = files.0.get_mut(&last).unwrap();
        let later = frame::tests::of_format(&bytes[..HEAD_BYTES], 2);
        bytes[..HEAD_BYTES].copy_from_slice(&later);
    };
    for case in 0..3 {
        let mut files = Memory::default();
        let (mut journal, _) = start(&mut files, 1);
        write(&mut files, &mut journal, 0, 10);
        let first = segments(&files).pop().expect("there is one");
        let hit = records(&files.0[&first])[5].start + 20;
        match case {
            // Behind the damage in its segment, in the next one, and as the next one's head.
            0 => later(&mut files, &mut journal),
            1 => {
                journal.rotate(&mut files).unwrap();
                later(&mut files, &mut journal);
            }
            _ => {
                journal.rotate(&mut files).unwrap();
                of_later_format(&mut files);
            }
        }
        if case != 2 {
            journal.mark(&mut files).unwrap();
        }
        flip(&mut files, &first, hit);
        let before = files.clone();
        let error = repair(&mut files, empty).expect_err("it would be lost").to_string();
        assert!(error.contains("upgrade quipu"), "case {case}: {error}");
        assert_eq!(files.0, before.0);
    }
}

#[test]
fn a_node_whose_starts_are_all_lost_keeps_its_id() {
    let mut files = written(2, 10, 1);
    let file = files.0.keys().find(|name| name.ends_with(".snapshot")).cloned().unwrap();
    let all = records(&files.0[&file]);
    flip(&mut files, &file, all[0].start + 20);
    let (_, state) = repaired(&mut files);
    let next = state.next_start(NodeId(99), 5000);
    assert_eq!((next.node, next.boot), (NODE, 5000));
    assert_eq!(kept(&state, 20), 20);
}

#[test]
fn a_directory_that_is_sound_is_not_changed() {
    let mut files = written(3, 10, 1);
    let before = files.clone();
    assert_eq!(repair(&mut files, empty).unwrap(), None);
    assert_eq!(files.0, before.0);
}
