//! Whatever is cut off or flips in a data directory: a start finds what was written up to some
//! record, or is refused with the file and the place. It never finds a wrong value, and never cuts
//! without a word what it can know to have been synced.

use quipu_sim::chance::{Chance, Purpose};
use quipu_sim::directory::Directory;

use crate::machine::{Machine, damage, look};

const HEAD: u64 = 64;

/// One record, and what was known when it was written.
#[derive(Clone, Debug)]
struct Written {
    segment: u64,
    /// Where it is in its file.
    from: u64,
    to: u64,
    /// Up to where its segment was known to be synced, in the file's bytes.
    synced: u64,
    /// The counter behind it.
    value: i128,
}

/// A journal of one to three segments in which each record but the starts and marks adds one.
fn written(seed: u64) -> (Machine, Vec<Written>) {
    let mut chance = Chance::new(seed, Purpose::Workload);
    let mut machine = Machine::new();
    let (mut base, mut synced) = (0, machine.journal.position());
    let mut records =
        vec![Written { segment: 1, from: HEAD, to: HEAD + synced, synced: HEAD, value: 0 }];
    for _ in 0..chance.between(4, 14) {
        let before = machine.journal.position();
        let mut is_mark = false;
        match chance.below(10) {
            0..6 => machine.add("x", 1),
            6..8 => {
                machine.sync();
                synced = before;
                continue;
            }
            8 => {
                machine.journal.mark(&mut machine.files).expect("a sound disk");
                // What stands before a mark was synced when the mark was written.
                synced = before;
                is_mark = true;
            }
            _ => {
                machine.journal.rotate(&mut machine.files).expect("a sound disk");
                (base, synced) = (before, before);
                continue;
            }
        }
        let after = machine.journal.position();
        if after == before {
            continue;
        }
        let at = |position: u64| HEAD + position.max(base) - base;
        records.push(Written {
            segment: machine.journal.number(),
            from: at(before),
            to: at(after),
            synced: at(synced),
            value: machine.value("x"),
        });
        if is_mark {
            synced = after;
        }
    }
    (machine, records)
}

fn file_of(segment: u64) -> String {
    format!("{segment:08}.segment")
}

/// The value behind the last record that ends by `length` in the last segment.
fn value_up_to(records: &[Written], last: u64, length: u64) -> i128 {
    records
        .iter()
        .filter(|record| record.segment < last || record.to <= length)
        .map(|record| record.value)
        .max()
        .unwrap_or(0)
}

#[test]
fn a_last_segment_that_ends_anywhere_is_found_up_to_its_last_whole_record() {
    for seed in 0..20 {
        let (machine, records) = written(seed);
        let last = machine.journal.number();
        let file = file_of(last);
        let bytes = machine.files.contents(&file).expect("it is there").to_vec();
        let ends_at = records.iter().filter(|r| r.segment == last).map(|r| r.to).max();
        let ends_at = usize::try_from(ends_at.unwrap_or(HEAD)).expect("a short file");
        for length in 0..=ends_at {
            let mut files = machine.files.clone();
            files.put(&file, bytes[..length].to_vec());
            match look(&files) {
                Ok((state, reading)) => {
                    let expected = value_up_to(&records, last, length as u64);
                    let found = state.counters().value("x").0;
                    assert_eq!(found, expected, "seed {seed}, {length} bytes");
                    let is_whole = length as u64 == HEAD
                        || records.iter().any(|r| r.segment == last && r.to == length as u64);
                    assert_eq!(reading.torn.is_none(), is_whole, "seed {seed}, {length} bytes");
                }
                Err(error) => {
                    assert!((length as u64) < HEAD, "seed {seed}, {length} bytes: {error}");
                    assert_eq!(damage(&error), (&*file, 0));
                }
            }
        }
    }
}

#[test]
fn a_bit_that_flips_anywhere_is_found_out_or_harms_nothing() {
    let (mut refused, mut cut, mut harmless) = (0, 0, 0);
    for seed in 0..5 {
        let (machine, records) = written(seed);
        let last = machine.journal.number();
        let whole = machine.value("x");
        for segment in 1..=last {
            let file = file_of(segment);
            let bytes = machine.files.contents(&file).expect("it is there").to_vec();
            let here: Vec<&Written> = records.iter().filter(|r| r.segment == segment).collect();
            let end = usize::try_from(here.last().map_or(HEAD, |r| r.to)).expect("short");
            for bit in 0..(end + 40).min(bytes.len()) * 8 {
                let context = format!("seed {seed}, bit {bit} of {file}");
                let at = bit / 8;
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (bit % 8);
                let mut files = machine.files.clone();
                files.put(&file, flipped);
                let hit = here.iter().find(|r| (r.from..r.to).contains(&(at as u64)));
                let must_refuse = (at as u64) < HEAD
                    || hit.is_some_and(|hit| {
                        segment < last
                            || here.iter().any(|r| r.from > hit.from && r.synced > hit.from)
                    });
                match look(&files) {
                    Err(error) => {
                        let from = hit.map_or(0, |hit| hit.from);
                        assert_eq!(damage(&error), (&*file, from), "{context}");
                        assert!(must_refuse, "{context}: {error}");
                        refused += 1;
                    }
                    Ok((state, reading)) => {
                        assert!(!must_refuse, "{context}: not noticed");
                        let found = state.counters().value("x").0;
                        match hit {
                            Some(hit) => {
                                let torn = reading.torn.expect("it was cut");
                                assert_eq!(
                                    (&*torn.file, torn.offset),
                                    (&*file, hit.from),
                                    "{context}"
                                );
                                let left = value_up_to(&records, last, hit.from);
                                assert_eq!(found, left, "{context}");
                                cut += 1;
                            }
                            None => {
                                assert_eq!(found, whole, "{context}");
                                harmless += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(refused > 500 && cut > 500 && harmless > 500, "{refused} {cut} {harmless}");
}

#[test]
fn a_power_cut_is_never_taken_for_damage_and_never_takes_what_was_synced() {
    let mut lost = 0;
    for seed in 0..200 {
        let (mut machine, _) = written(seed);
        machine.sync();
        let safe = machine.value("x");
        let more = 1 + seed % 40;
        for _ in 0..more {
            machine.add("x", 1);
        }
        let most = machine.value("x");
        for cut in 0..10 {
            let mut files = machine.files.clone();
            files.lose_power(&mut Chance::new(seed * 100 + cut, Purpose::Crashes));
            let (state, _) = look(&files).unwrap_or_else(|e| panic!("seed {seed}, {cut}: {e}"));
            let found = state.counters().value("x").0;
            assert!((safe..=most).contains(&found), "seed {seed}, {cut}: {found}");
            lost += u32::from(found < most);
        }
    }
    assert!(lost > 500, "hardly anything was ever lost: {lost}");
}

#[test]
fn a_bit_that_flips_in_a_snapshot_is_found_out() {
    let mut machine = Machine::new();
    machine.add("x", 1);
    machine.add("y", 2);
    let number = machine.journal.rotate(&mut machine.files).expect("a sound disk");
    let mut walk = machine.node.begin_snapshot();
    let node = machine.journal.node();
    let mut writer =
        quipu_core::storage::snapshot::SnapshotWriter::begin(&mut machine.files, node, number)
            .expect("a sound disk");
    while !walk.is_over() {
        let records = machine.node.snapshot_step(&mut walk, 64);
        writer.append(&mut machine.files, records).expect("a sound disk");
    }
    writer.publish(&mut machine.files).expect("a sound disk");
    let file = format!("{number:08}.snapshot");
    let bytes = machine.files.contents(&file).expect("it is there").to_vec();
    let try_with = |bytes: Vec<u8>| {
        let mut files: Directory = machine.files.clone();
        files.put(&file, bytes);
        look(&files)
    };
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = try_with(flipped).expect_err("a bit was flipped");
        assert_eq!(damage(&error).0, file, "bit {bit}");
    }
    for length in 0..bytes.len() {
        let error = try_with(bytes[..length].to_vec()).expect_err("it is cut short");
        assert_eq!(damage(&error).0, file, "{length} bytes");
    }
}
