//! Snapshots: the membership record and the whole table, so that older segments may go.
//!
//! A snapshot begins with a cut: the journal goes on in a new segment, and at the same point of
//! the batch order the digest is taken down. Then the table is walked in bounded steps while the
//! node serves. What changes meanwhile is read in whichever state the walk finds it; that does no
//! harm, since the journal behind the cut holds it as well, and merging it again changes nothing.
//! But it must be *in* that journal: so a snapshot is published only when the journal is synced
//! past the last batch that the walk can have seen (rule `cut-at-the-beginning`).
//!
//! What a snapshot replaces is removed, so it is read as a start will read it before it takes its
//! name. A snapshot that is given up costs some disk; one that cannot be read costs every count.
//!
//! Rejected: copying the table at the cut. It would take its memory twice, or stall the node.

use std::io;

use super::files::{self, Files, Survey};
use super::frame::{self, FileKind, HEAD_BYTES, Head};
use super::read;
use super::record::{
    self, COUNTERS, COUNTERS_BYTES_MAX, ENDING_ROWS_MAX, ENDINGS, ORIGIN_ROWS_MAX, OriginRow,
    SLOT_ROWS_MAX, SlotRow, Start,
};
use crate::absence::AbsenceEntry;
use crate::counters::Counters;
use crate::counters::slots::HeldSlot;
use crate::identity::{Identity, NodeId};
use crate::membership::MembershipRecord;
use crate::settlement::Entry;

/// Counters that one step walks past at most, whatever they take: a step must not be felt.
const STEP_COUNTERS_MAX: usize = 4096;

/// After so many bytes a snapshot is synced in between: the disk then never has so much to write
/// at once that the journal's own syncs would wait for it.
const SYNC_EVERY_BYTES: u64 = 8 << 20;

/// A walk over the table under way.
#[derive(Debug)]
pub struct Walk {
    /// The first records.
    members: Vec<u8>,
    /// Up to which version everything was here at the cut, by place of the origin.
    rows: Vec<OriginRow>,
    origins_told: usize,
    origins_told_again: usize,
    /// The counter that is next, and how many of its slots are told already.
    at: usize,
    slots_told: usize,
    /// What is told already of what was said about that counter's end.
    endings_told: usize,
    end: usize,
    /// See [`Counters::losses`].
    losses: u64,
    are_counters_told: bool,
    is_over: bool,
}

impl Walk {
    /// Begins at the cut.
    pub(crate) fn new<'a>(
        counters: &Counters,
        start: Option<&Start>,
        memberships: impl Iterator<Item = MembershipRecord>,
        peers: impl Iterator<Item = &'a Identity>,
        settlements: impl Iterator<Item = Entry>,
    ) -> Self {
        let mut members = Vec::new();
        if let Some(start) = start {
            record::append_start(&mut members, start);
        }
        for membership in memberships {
            record::append_membership(&mut members, &membership);
        }
        for peer in peers {
            record::append_peer(&mut members, peer);
        }
        for entry in settlements {
            record::append_settlement(&mut members, &entry);
        }
        Walk {
            members,
            rows: counters.versions_from(0).map(OriginRow::from).collect(),
            origins_told: 0,
            origins_told_again: 0,
            at: 0,
            slots_told: 0,
            endings_told: 0,
            end: counters.places_end(),
            losses: counters.losses(),
            are_counters_told: false,
            is_over: false,
        }
    }

    /// The same with what was said of members that are away.
    pub(crate) fn with_absences(mut self, entries: impl Iterator<Item = AbsenceEntry>) -> Self {
        entries.for_each(|entry| record::append_absence(&mut self.members, &entry));
        self
    }

    /// Whether the last step was the last.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next records, of some `bytes` together.
    pub(crate) fn step(&mut self, counters: &Counters, bytes: usize) -> Vec<u8> {
        let mut records = std::mem::take(&mut self.members);
        if self.are_counters_told {
            self.tell_origins_again(&mut records, bytes);
            return records;
        }
        // Origins that came after the cut are told without a claim: what they did is in the journal
        // behind it.
        let come_since = counters.versions_from(self.rows.len());
        self.rows.extend(come_since.map(|(origin, _)| OriginRow { origin, version: 0 }));
        append_rows(&self.rows, &mut self.origins_told, &mut records, bytes);
        // A slot names its origin by its place among those that stand before it.
        if self.origins_told == self.rows.len() {
            self.tell_counters(counters, &mut records, bytes);
        }
        records
    }

    /// Without the origins nobody can tell whose the slots are: should bytes of the first telling go
    /// bad, a repair takes them from the second one. Readers of any release number them on, and meet
    /// no slot that has such a number.
    fn tell_origins_again(&mut self, records: &mut Vec<u8>, bytes: usize) {
        append_rows(&self.rows, &mut self.origins_told_again, records, bytes);
        self.is_over = self.origins_told_again == self.rows.len();
    }

    fn tell_counters(&mut self, counters: &Counters, records: &mut Vec<u8>, bytes: usize) {
        if std::mem::replace(&mut self.losses, counters.losses()) != counters.losses() {
            // A settlement has taken slots of rows: the one that is half told is told anew.
            (self.slots_told, self.endings_told) = (0, 0);
        }
        let start = frame::open(records, COUNTERS);
        let payload = records.len();
        let mut endings = Vec::new();
        let stop = self.end.min(self.at + STEP_COUNTERS_MAX);
        while self.at < stop
            // One at least, however little was asked for: a walk must end.
            && records.len() - payload + endings.len() < bytes.clamp(1, COUNTERS_BYTES_MAX)
            && let Some((at, name, slots)) = counters.slots_from(self.at)
        {
            // Places between are vacant, and none of them was told half.
            self.at = at;
            if at >= self.end {
                break;
            }
            // Slots that come meanwhile stand behind those that are told, but for our own, which
            // sends the first one there. It is in the journal behind the cut.
            let rest = slots.from(self.slots_told);
            let some = rest.upto(SLOT_ROWS_MAX);
            // Of a counter of which nothing is held, nothing is told.
            if !some.is_empty() {
                record::append_counter(records, name, some.iter().map(row));
            }
            self.slots_told += some.len();
            if some.len() == rest.len() && self.tell_endings(counters, name, &mut endings) {
                self.at += 1;
                self.slots_told = 0;
            }
        }
        frame::close(records, start);
        if !endings.is_empty() {
            let start = frame::open(records, ENDINGS);
            records.append(&mut endings);
            frame::close(records, start);
        }
        self.are_counters_told = self.at >= self.end || counters.slots_from(self.at).is_none();
    }

    /// Tells what was said about the end of the counter that is next, some of it at a time; whether
    /// that was the rest. None is passed over when others come in between.
    fn tell_endings(&mut self, counters: &Counters, name: &str, endings: &mut Vec<u8>) -> bool {
        #[cfg(feature = "planted-bugs")]
        if counters.bug == Some(crate::bug::Bug::SnapshotForgetsEndings) {
            return true;
        }
        let Some(ended) = counters.ended_at(self.at) else { return true };
        let mut rest = ended.endings().skip(self.endings_told);
        let some: Vec<_> = rest.by_ref().take(ENDING_ROWS_MAX).collect();
        let is_all = rest.next().is_none();
        record::append_endings(endings, name, &some);
        self.endings_told = if is_all { 0 } else { self.endings_told + some.len() };
        is_all
    }
}

/// Appends rows from a place on, of some `bytes` together.
fn append_rows(rows: &[OriginRow], from: &mut usize, records: &mut Vec<u8>, bytes: usize) {
    let start = records.len();
    for rows in rows[*from..].chunks(ORIGIN_ROWS_MAX) {
        record::append_origins(records, rows);
        *from += rows.len();
        if records.len() - start >= bytes {
            return;
        }
    }
}

fn row(held: HeldSlot) -> SlotRow {
    SlotRow::new(held.origin, held.version, held.slot())
}

/// A snapshot on its way to the disk.
#[derive(Debug)]
pub struct SnapshotWriter {
    number: u64,
    unfinished: String,
    position: u64,
    synced: u64,
    records: u64,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::bug::Bug>,
}

impl SnapshotWriter {
    /// Begins a snapshot of all that is before segment `number`.
    ///
    /// # Errors
    /// As the system reports them; so for all of these. The unfinished file is left, and removed
    /// at the next start.
    pub fn begin(files: &mut impl Files, node: NodeId, number: u64) -> io::Result<Self> {
        let unfinished = files::unfinished(&files::snapshot(number));
        files.create(&unfinished)?;
        let head = Head { node, number, base: 0 };
        files.append(&unfinished, &head.write(FileKind::Snapshot))?;
        Ok(SnapshotWriter {
            number,
            unfinished,
            position: 0,
            synced: 0,
            records: 0,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        })
    }

    /// The same with a bug.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn planted(self, bug: Option<crate::bug::Bug>) -> Self {
        SnapshotWriter { bug, ..self }
    }

    /// Appends what a step of a [`Walk`] has yielded.
    ///
    /// # Errors
    /// See [`SnapshotWriter::begin`].
    pub fn append(&mut self, files: &mut impl Files, mut records: Vec<u8>) -> io::Result<()> {
        frame::seal(&mut records, self.position, 0)?;
        files.append(&self.unfinished, &records)?;
        self.records += frame::count(&records);
        self.position += records.len() as u64;
        if self.position - self.synced >= SYNC_EVERY_BYTES {
            files.sync(&self.unfinished)?;
            self.synced = self.position;
        }
        Ok(())
    }

    /// Ends the file, reads it as a start would, makes it the snapshot, and removes what it
    /// replaces; tells how long it is.
    ///
    /// The journal must be synced past the last batch that the walk can have seen.
    ///
    /// # Errors
    /// As the system reports them, and if a start could not read the file: then all that it would
    /// have replaced is still there. A file that did not become the snapshot is removed, since the
    /// disk may be full because of it.
    pub fn publish(mut self, files: &mut impl Files) -> io::Result<u64> {
        if let Err(error) = self.end(files) {
            // Should this fail too, the next start removes it.
            let _ = files.remove(&self.unfinished);
            return Err(error);
        }
        files.sync_directory()?;
        self.remove_older(files)?;
        Ok(HEAD_BYTES as u64 + self.position)
    }

    /// Removes what the snapshot replaces.
    fn remove_older(&self, files: &mut impl Files) -> io::Result<()> {
        let survey = Survey::of(files)?;
        for number in survey.segments.into_iter().filter(|number| *number < self.number) {
            files.remove(&files::segment(number))?;
        }
        for number in survey.snapshots.into_iter().filter(|number| *number < self.number) {
            files.remove(&files::snapshot(number))?;
        }
        files.sync_directory()
    }

    fn end(&mut self, files: &mut impl Files) -> io::Result<()> {
        let mut end = Vec::new();
        record::append_end(&mut end, self.records);
        self.append(files, end)?;
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::SegmentsGoFirst) {
            self.remove_older(files)?;
        }
        files.sync(&self.unfinished)?;
        read::try_snapshot(files, &self.unfinished, self.number).map_err(|error| {
            io::Error::other(format!("a start could not read the new snapshot: {error}"))
        })?;
        files.rename(&self.unfinished, &files::snapshot(self.number))
    }

    /// Removes what was written so far.
    ///
    /// # Errors
    /// See [`SnapshotWriter::begin`].
    pub fn abandon(self, files: &mut impl Files) -> io::Result<()> {
        files.remove(&self.unfinished)
    }
}
