//! What is written to a directory in memory, and found in it. How a directory behaves that
//! loses what was not synced, the simulator's tests of this room try.

mod age;
mod bounds;
mod clocks;
mod damage;
mod kept;
mod memory;
mod rot;

pub(super) use memory::Memory;

use super::files::Files;
use super::journal::Journal;
use super::read::{ReadError, Reading};
use super::record::Start;
use super::snapshot::{SnapshotWriter, Walk};
use super::state::Recovered;
use crate::counters::Counters;
use crate::delta::{Change, Delta};
use crate::identity::{NodeId, OriginId, Version};
use crate::slot::{Numbers, Slot};

pub(super) const NODE: NodeId = NodeId(7);

pub(super) fn empty() -> Recovered {
    Recovered::new(OriginId(u64::MAX), 1)
}

/// Starts on what is there, under an origin.
pub(super) fn start(files: &mut Memory, origin: u64) -> (Journal, Recovered) {
    let mut state = Recovered::new(OriginId(origin), 1);
    let next = |found: &Recovered| found.next_start(NODE, origin);
    let (journal, ..) = super::open(files, &mut state, next).expect("it is sound");
    (journal, state)
}

/// What a start would find.
pub(super) fn look(files: &Memory) -> Result<(Recovered, Reading), ReadError> {
    let mut state = empty();
    let reading = super::check(files, &mut state)?;
    Ok((state, reading))
}

/// Makes a snapshot of a table, in steps of so many bytes, and of a start that has its number.
pub(super) fn snapshot(
    files: &mut Memory,
    journal: &mut Journal,
    counters: &Counters,
    step_bytes: usize,
) {
    let number = journal.rotate(files).unwrap();
    let last = Start { node: NODE, boot: number, origin: counters.our_origin() };
    let mut walk = Walk::new(
        counters,
        Some(&last),
        std::iter::empty(),
        std::iter::empty(),
        std::iter::empty(),
    );
    let mut writer = SnapshotWriter::begin(files, NODE, number).unwrap();
    while !walk.is_over() {
        writer.append(files, walk.step(counters, step_bytes)).unwrap();
    }
    writer.publish(files).unwrap();
}

/// Everything that another origin did in (`after`, `upto`], each number once.
pub(super) fn delta<'a>(
    origin: u64,
    range: (Version, Version),
    entries: &[(&'a str, u64)],
) -> Delta<'a> {
    let entry = |&(name, plus): &(&'a str, u64)| {
        Change::slot(name, Slot::from(Numbers { plus, ..Numbers::default() }))
    };
    Delta {
        origin: OriginId(origin),
        after: range.0,
        upto: range.1,
        changes: entries.iter().map(entry).collect(),
    }
}

/// A slot: whose, as of which version, and its numbers.
pub(super) type Held = (String, OriginId, Version, Slot);

/// Every slot, in order.
pub(super) fn slots(counters: &Counters) -> Vec<Held> {
    let mut slots: Vec<_> = counters
        .iter()
        .map(|view| (view.name.to_owned(), view.origin, view.version, view.slot))
        .collect();
    slots.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    slots
}
