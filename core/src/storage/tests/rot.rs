//! Bytes that go bad wherever chance will have it.

use super::super::frame::{self, FileKind, HEAD_BYTES, Head};
use super::super::journal::Limits;
use super::super::record::{self, Record};
use super::damage::*;
use super::*;

/// A generator of numbers (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// OOPSLA 2014), so that each case is the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % bound as u64).unwrap()
    }
}
use std::ops::Range;

/// Segments in which a batch is one record or three, with or without a sync before the next one.
fn drawn(chance: &mut Chance) -> (Memory, u64) {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    journal.limit(Limits { reserve_bytes: 0, ..Limits::default() });
    let mut batches = 0;
    for _ in 0..5 + chance.below(30) {
        match chance.below(12) {
            0 => {
                journal.rotate(&mut files).unwrap();
            }
            1 => {
                let (state, _) = look(&files).expect("sound");
                let step_bytes = 1 + chance.below(200);
                snapshot(&mut files, &mut journal, state.counters(), step_bytes);
            }
            2 => {
                (journal, _) = start(&mut files, 1000 + batches);
                journal.limit(Limits { reserve_bytes: 0, ..Limits::default() });
            }
            _ => {
                let mut records = Vec::new();
                let (name, range) = (name(batches), (batches, batches + 1));
                if chance.below(3) == 0 {
                    let unclaimed = (batches + 1, batches + 1);
                    for part in ["a", "b"] {
                        let name = format!("{name}{part}");
                        record::append_delta(
                            &mut records,
                            &delta(WRITER, unclaimed, &[(&name, 1)]),
                        );
                    }
                }
                record::append_delta(&mut records, &delta(WRITER, range, &[(&name, 1)]));
                journal.append(&mut files, &mut records).unwrap();
                batches += 1;
            }
        }
        if chance.below(2) == 0 {
            journal.sync(&mut files).unwrap();
        }
    }
    journal.mark(&mut files).unwrap();
    (files, batches)
}

fn kind(file: &str) -> FileKind {
    if file.ends_with(".snapshot") { FileKind::Snapshot } else { FileKind::Segment }
}

/// Some stretches of some files go bad.
fn hit(chance: &mut Chance, files: &mut Memory) {
    let names: Vec<String> = files.0.keys().cloned().collect();
    for _ in 0..1 + chance.below(6) {
        let bytes = files.0.get_mut(&names[chance.below(names.len())]).expect("it is there");
        let reach = if chance.below(3) == 0 { HEAD_BYTES } else { bytes.len() };
        let (at, value) = (chance.below(reach), chance.below(256));
        let length = (1 + chance.below(80)).min(bytes.len() - at);
        bytes[at..at + length].fill(u8::try_from(value).unwrap());
    }
}

/// The names that sound records of segments tell of whose places something tells: that is a sound
/// head, or two records one after the other.
fn told(files: &Memory, before: &Memory) -> Vec<String> {
    let mut names = Vec::new();
    for (file, bytes) in before.0.iter().filter(|(file, _)| kind(file) == FileKind::Segment) {
        let (head, now) = (Head::read(bytes, FileKind::Segment).unwrap(), &files.0[file]);
        let is_sound = |range: &Range<usize>| now[range.clone()] == bytes[range.clone()];
        let all = records(bytes);
        let are_sound = |two: &[Range<usize>]| two.iter().all(is_sound);
        if now[..HEAD_BYTES] != bytes[..HEAD_BYTES] && !all.windows(2).any(are_sound) {
            continue;
        }
        for range in all.into_iter().filter(is_sound) {
            let position = head.base + (range.start - HEAD_BYTES) as u64;
            let framed = frame::read(&now[range], position, FileKind::Segment).unwrap();
            let framed = framed.expect("it is sound");
            if let Ok(Record::Delta(delta)) = record::read(framed.kind, framed.payload) {
                names.extend(delta.changes.iter().map(|change| change.name().to_owned()));
            }
        }
    }
    names
}

#[test]
fn however_much_goes_bad_every_sound_record_is_kept_and_no_claim_is_false() {
    let (mut whole, mut lost, mut heads) = (0, 0, 0);
    for seed in 0..400 {
        let mut chance = Chance(seed);
        let (before, batches) = drawn(&mut chance);
        let (truth, _) = look(&before).expect("sound");
        let mut files = before.clone();
        hit(&mut chance, &mut files);
        if look(&files).is_ok() {
            continue;
        }
        let has_head = |file: &String| Head::read(&files.0[file], kind(file)).is_ok();
        heads += u32::from(!files.0.keys().all(has_head));
        let must_stay = told(&files, &before);
        let (_, state) = repaired(&mut files);
        let value = |name: &str| state.counters().value(name).0;
        for name in must_stay {
            assert_eq!(value(&name), 1, "seed {seed}: a sound record told of {name}");
        }
        for (name, _, _, slot) in slots(state.counters()) {
            let is_true = slot.numbers().plus == 1 && truth.counters().value(&name).0 == 1;
            assert!(is_true, "seed {seed}: {name} has {slot:?}");
        }
        let claimed = known(&state);
        assert!(claimed <= batches, "seed {seed}: {claimed} of {batches}");
        for (name, _, version, _) in slots(truth.counters()) {
            assert!(version > claimed || value(&name) == 1, "seed {seed}: {name} is claimed");
        }
        let is_whole = state.counters().known(OriginId(WRITER)).version == batches;
        (whole, lost) = (whole + u32::from(is_whole), lost + u32::from(!is_whole));
    }
    assert!(whole > 20 && lost > 100 && heads > 100, "{whole} {lost} {heads}");
}
