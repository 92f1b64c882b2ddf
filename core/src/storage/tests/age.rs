//! A directory that was written for ten years: what starts, snapshots and repairs read and write is
//! in proportion to what there is, counted in bytes.

use std::cell::Cell;
use std::io;

use super::super::files::Files;
use super::super::repair;
use super::*;
use crate::identity::Address;
use crate::membership::{Key, MembershipRecord};
use crate::peers::registry::Registry;

/// Starts of nodes, each of which has counted on one counter; other counters, of three slots each.
const STARTS: u64 = 20_000;
const COUNTERS: u64 = 5_000;
const REMOVALS: u64 = 1_000;

/// What a start takes at most of a snapshot: a number of an origin below 2^21, a version, the plus of
/// the numbers below, and two zeros.
const SLOT_BYTES: u64 = 3 + 1 + 2 + 2;
/// An origin and a version, told twice.
const ORIGIN_BYTES: u64 = 2 * (10 + 1);
/// A record with its frame.
const RECORD_BYTES: u64 = 50;

/// Files in memory, and how much was read and written.
#[derive(Clone, Debug, Default)]
struct Counting {
    files: Memory,
    read: Cell<u64>,
    written: u64,
}

impl Counting {
    fn of(files: &Memory) -> Self {
        Counting { files: files.clone(), ..Counting::default() }
    }

    /// Of all files together.
    fn len(&self) -> u64 {
        self.files.0.values().map(|bytes| bytes.len() as u64).sum()
    }
}

impl Files for Counting {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn read(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let read = self.files.read(name, offset, into)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.files.create(name)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.files.append(name, bytes)
    }

    fn reserve(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.files.reserve(name, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.files.sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.files.sync_directory()
    }
}

fn origin(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn table() -> Counters {
    let mut counters = Counters::new(OriginId(1), 1);
    let names: Vec<String> = (0..COUNTERS).map(|n| format!("counter-{n:012}")).collect();
    for n in 0..STARTS {
        let is_counted = |at: &u64| (0..3).any(|slot| (at * 4 + slot) % STARTS == n);
        let around = (n / 4).saturating_sub(1)..(n / 4 + 1).min(COUNTERS);
        let others = around.filter(is_counted).map(|at| (names[at as usize].as_str(), 9_000));
        let entries: Vec<_> = std::iter::once(("x", 10_000)).chain(others).collect();
        counters.merge(&delta(origin(n), (0, 99), &entries)).unwrap();
    }
    counters
}

fn records() -> Vec<MembershipRecord> {
    let keys = (0..REMOVALS).flat_map(|n| {
        let address = Address::parse(&format!("10.1.{}.{}:1", n / 256, n % 256), 1).unwrap();
        [Key::Node(NodeId(n)), Key::Address(address)]
    });
    keys.map(|key| MembershipRecord { key, removed: 1_700_000_000_000, registered: 0 }).collect()
}

fn snapshot_of(files: &mut Counting, journal: &mut Journal, state: &Recovered) {
    let number = journal.rotate(files).unwrap();
    let mut walk = Walk::new(
        &state.counters,
        None,
        state.registry.records(),
        std::iter::empty(),
        std::iter::empty(),
    );
    let mut writer = SnapshotWriter::begin(files, NODE, number).unwrap();
    while !walk.is_over() {
        writer.append(files, walk.step(&state.counters, 128 << 10)).unwrap();
    }
    writer.publish(files).unwrap();
}

/// The directory, and what it must be read as.
fn directory() -> (Counting, Recovered) {
    let mut registry = Registry::default();
    records().iter().for_each(|record| assert!(registry.merge(record)));
    let kept = Recovered::holding(table()).with_registry(registry);
    let mut files = Counting::default();
    let mut none = empty();
    let (mut journal, ..) =
        super::super::open(&mut files, &mut none, |found| found.next_start(NODE, 1)).unwrap();
    snapshot_of(&mut files, &mut journal, &kept);
    (Counting::of(&files.files), kept)
}

#[track_caller]
fn must_hold_all(found: &Recovered, kept: &Recovered) {
    assert_eq!(slots(&found.counters), slots(&kept.counters));
    assert!(found.registry.records().eq(kept.registry.records()));
}

#[test]
fn a_start_reads_an_old_directory_once_and_a_snapshot_writes_and_reads_it_once() {
    let (mut files, kept) = directory();
    let before = files.len();
    let slots = STARTS + 3 * COUNTERS;
    let most = slots * SLOT_BYTES
        + STARTS * ORIGIN_BYTES
        + COUNTERS * (20 + 2)
        + 2 * REMOVALS * RECORD_BYTES
        + 2_000;
    assert!(before <= most, "{before} bytes for {slots} slots, at most {most}");

    let mut state = Recovered::new(OriginId(2), 1);
    let next = |found: &Recovered| found.next_start(NODE, 2);
    let (mut journal, ..) = super::super::open(&mut files, &mut state, next).expect("it is sound");
    must_hold_all(&state, &kept);
    let (read, written) = (files.read.take(), std::mem::take(&mut files.written));
    assert!(read <= before + 1_000, "{read} bytes read of {before}");
    assert!(written < 1_000, "{written} bytes written");

    snapshot_of(&mut files, &mut journal, &state);
    let (read, written) = (files.read.take(), files.written);
    assert!(written <= most && read <= written, "{read} bytes read, {written} written");
}

/// `a segment's head goes bad; or a byte in the midst of the snapshot.`
#[test]
fn a_repair_reads_an_old_directory_a_few_times_and_writes_it_once() {
    let (files, kept) = directory();
    for (ending, keeps_all) in [(".segment", true), (".snapshot", false)] {
        let mut files = files.clone();
        let file = files.files.0.iter_mut().rfind(|(name, _)| name.ends_with(ending));
        let (name, bytes) = file.expect("there is one of each kind");
        let (name, at) = (name.clone(), if keeps_all { 20 } else { bytes.len() / 2 });
        bytes[at] ^= 1;
        let (before, damaged) = (files.len(), bytes_of(&files, &name));
        let done = repair::repair(&mut files, empty).unwrap().expect("it was damaged");
        assert_eq!(done.damaged.len(), 1);
        // To find out, to take what there is, to keep the damaged file aside, to try the new one.
        let (read, written) = (files.read.get(), files.written);
        assert!(read <= 4 * before + 10_000, "{ending}: {read} bytes read of {before}");
        assert!(written <= before + damaged + 10_000, "{ending}: {written} bytes written");
        let mut state = empty();
        super::super::check(&files, &mut state).expect("it is mended");
        if keeps_all {
            must_hold_all(&state, &kept);
        } else {
            let (found, all) = (slots(&state.counters).len(), slots(&kept.counters).len());
            // One record is lost, of half a megabyte at most.
            assert!(found > all / 5 && found < all, "{found} slots of {all}");
        }
    }
}

fn bytes_of(files: &Counting, name: &str) -> u64 {
    files.files.0[name].len() as u64
}
