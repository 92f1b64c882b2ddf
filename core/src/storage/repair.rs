//! Making a damaged data directory usable again, with as much of it as is sound.
//!
//! What stands before the damage is taken as it is. Of what stands behind it every sound record is
//! merged as well, since its numbers are true whatever was lost before it; but it may claim nothing:
//! a range whose beginning lies in the lost bytes is not known to be whole. So the digest stays
//! where the damage is, and what is missing comes back from peers by the ordinary exchange. All of
//! that becomes a new snapshot, with a new segment behind it, and the damaged file is kept aside.
//!
//! A file whose head alone is damaged has lost nothing: a segment's records tell where they stand
//! (`place`). Where a snapshot is damaged, what it replaces is merged too, if it is there still.
//!
//! Rejected: cutting the journal at the damage and dropping what is behind. It is simpler, and loses
//! increments that are still there to be read.

use std::io;

use super::files::{self, Files, Survey};
use super::frame::{BadHead, BadRecord, FileKind, Framed, Head};
use super::journal::{Journal, offset};
use super::place;
use super::read::{self, Fault, ReadError, RecordVisitor, Trial, Walked};
use super::record::{self, BadPayload, Record, START_BYTES_MAX};
use super::snapshot::{SnapshotWriter, Walk};
use super::state::Recovered;
use crate::identity::{NodeId, OriginId, Version};

/// How much a snapshot's part takes, in bytes.
const PART_BYTES: usize = 256 << 10;

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// What was damaged, and under which name the file is kept.
    pub damaged: Vec<Damaged>,
    /// Sound records before the first damage: taken as they are.
    pub trusted_records: u64,
    /// Sound records behind it: merged, without the claim that nothing is missing between them.
    pub salvaged_records: u64,
    /// Up to which version everything is here that these origins did; anything later that stood in
    /// the damaged bytes has to come back from peers.
    pub complete_up_to: Vec<(OriginId, Version)>,
}

/// A file that was not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Its name.
    pub file: String,
    /// Where the damage begins, in bytes.
    pub offset: u64,
    /// What was found there.
    pub fault: Fault,
    /// What the file is called now; `None` if it is missing.
    pub kept_as: Option<String>,
}

/// Repairs a directory; `None` if nothing is damaged, and then nothing is changed. A torn tail is
/// no damage: every start cuts it off.
///
/// # Errors
/// When the system fails, or when a later release wrote what is there: that is not damage, and
/// repairing it would lose it. So it would if more is there than a node can hold.
pub fn repair(
    files: &mut impl Files,
    empty: impl Fn() -> Recovered,
) -> Result<Option<Repair>, ReadError> {
    match read::read(files, &mut empty()) {
        Ok(_) => return Ok(None),
        Err(ReadError::Damaged { fault, .. }) if !is_final(&fault) => {}
        Err(error) => return Err(error),
    }
    let survey = Survey::of(files)?;
    let mut salvage = Salvage::new(empty());
    let first = match survey.snapshots.split_last() {
        Some((&newest, older)) => {
            salvage.newest_snapshot(files, newest, older, &survey.segments)?;
            newest
        }
        None => {
            salvage.position = Some(0);
            1
        }
    };
    let numbers = survey.segments.into_iter().filter(|number| *number >= first);
    let mut segments = numbers.map(|number| Segment::read(files, number)).peekable();
    let mut next = first;
    while let Some(segment) = segments.next().transpose()? {
        if segment.number > next {
            salvage.lost(&files::segment(next), 0, Fault::Missing);
        }
        next = segment.number + 1;
        let behind = segments.peek().and_then(|behind| behind.as_ref().ok());
        salvage.segment(&segment, behind)?;
    }
    drop(segments);
    if next == first {
        // A snapshot took its name only when the segment behind it was there.
        salvage.lost(&files::segment(first), 0, Fault::Missing);
        next += 1;
    }
    write(files, salvage, next).map(Some).map_err(ReadError::Io)
}

/// Whether a repair would make it worse.
fn is_final(fault: &Fault) -> bool {
    match fault {
        Fault::Head(BadHead::Later(_)) => true,
        Fault::Payload(bad) => is_final_payload(bad),
        _ => false,
    }
}

fn is_final_payload(bad: &BadPayload) -> bool {
    matches!(bad, BadPayload::Kind(_) | BadPayload::Full)
}

/// A segment before its records are looked at.
#[derive(Debug)]
struct Segment {
    number: u64,
    name: String,
    /// With its head.
    bytes: Vec<u8>,
    head: Result<Head, BadHead>,
}

impl Segment {
    fn read(files: &impl Files, number: u64) -> Result<Self, ReadError> {
        let name = files::segment(number);
        let bytes = files::read_all(files, &name)?;
        let head = Head::read(&bytes, FileKind::Segment);
        if let Err(later @ BadHead::Later(_)) = head {
            return Err(ReadError::damaged(&name, 0, later));
        }
        Ok(Segment { number, name, bytes, head })
    }

    fn records(&self) -> &[u8] {
        read::records_of(&self.bytes)
    }

    /// Where its first record stands, by its head or else by its records. `expected` is where it
    /// should.
    fn base(&self, expected: Option<u64>) -> Option<u64> {
        match &self.head {
            Ok(head) => Some(head.base),
            Err(_) => place::base_of(self.records(), expected),
        }
    }

    /// Where the one before it ends, since this one begins there.
    fn end_of_the_one_before(&self) -> Option<u64> {
        let is_another = self.head.is_ok_and(|head| head.number != self.number);
        if is_another { None } else { self.base(None) }
    }
}

/// What is gathered of a damaged directory.
#[derive(Debug)]
struct Salvage {
    state: Recovered,
    repair: Repair,
    /// Whether nothing was lost so far.
    is_trusted: bool,
    /// Up to where the journal was read; `None` behind a snapshot, which does not say where it is.
    position: Option<u64>,
    /// Who wrote it, by the head of a file.
    node: Option<NodeId>,
}

impl Salvage {
    fn new(state: Recovered) -> Self {
        let repair = Repair::default();
        Salvage { state, repair, is_trusted: true, position: None, node: None }
    }

    fn newest_snapshot(
        &mut self,
        files: &impl Files,
        newest: u64,
        older: &[u64],
        segments: &[u64],
    ) -> Result<(), ReadError> {
        let name = files::snapshot(newest);
        let bytes = files::read_all(files, &name)?;
        self.head(&name, newest, &Head::read(&bytes, FileKind::Snapshot))?;
        let records = read::records_of(&bytes);
        let Some((offset, fault)) = hole(&name, records)? else {
            return self.records(FileKind::Snapshot, &name, records, 0).map(drop);
        };
        // From its beginning: of what a snapshot with a hole claims, any part may be lost.
        self.lost(&name, offset, fault);
        // First what it replaces, if a crash has left that there: of a member, what is read last
        // counts.
        for number in older {
            let name = files::snapshot(*number);
            let bytes = files::read_all(files, &name)?;
            self.holed_snapshot(&name, read::records_of(&bytes))?;
        }
        for number in segments.iter().filter(|number| **number < newest) {
            let segment = Segment::read(files, *number)?;
            if let Some(base) = segment.base(None) {
                self.records(FileKind::Segment, &segment.name, segment.records(), base)?;
            }
        }
        self.holed_snapshot(&name, records)
    }

    fn holed_snapshot(&mut self, name: &str, records: &[u8]) -> Result<(), ReadError> {
        let sound: Vec<_> = read::sound_behind(records, 0).collect();
        self.state.begin_holed_snapshot(&numbering(&sound));
        self.sound(name, records, 0, 0)
    }

    /// What a file's head says of it. One that is damaged has lost nothing: a file's name tells the
    /// number as well.
    fn head(
        &mut self,
        name: &str,
        number: u64,
        head: &Result<Head, BadHead>,
    ) -> Result<(), ReadError> {
        match head {
            Ok(head) if head.number == number => self.node = Some(head.node),
            Ok(Head { number: found, .. }) => {
                self.lost(name, 0, Fault::Number { expected: number, found: *found });
            }
            Err(later @ BadHead::Later(_)) => return Err(ReadError::damaged(name, 0, *later)),
            Err(bad) => self.note_damage(name, 0, *bad),
        }
        Ok(())
    }

    fn segment(&mut self, segment: &Segment, behind: Option<&Segment>) -> Result<(), ReadError> {
        let name = &segment.name;
        self.head(name, segment.number, &segment.head)?;
        let Some(base) = segment.base(self.position) else {
            self.is_trusted = false;
            return Ok(());
        };
        if self.position.is_some_and(|end| end < base) {
            // What stood between the two is gone.
            self.is_trusted = false;
        }
        let next = behind.filter(|behind| behind.number == segment.number + 1);
        let end = next.and_then(Segment::end_of_the_one_before).filter(|end| *end >= base);
        let mut records = segment.records();
        if let Some(end) = end {
            // What lies beyond was superseded when a start copied it into the next segment. Should
            // the copy be damaged, this is still what was written.
            let length = usize::try_from(end - base).unwrap_or(usize::MAX);
            let (own, superseded) = records.split_at(length.min(records.len()));
            records = own;
            self.sound(name, superseded, end, base)?;
        }
        let walked = self.records(FileKind::Segment, name, records, base)?;
        let is_whole = match end {
            Some(end) => walked.end == end,
            // A tail that a crash has torn is no damage. It is in the last one only.
            None => {
                (behind.is_none() || walked.bad.is_none())
                    && !read::is_synced_behind(records, base, walked.end)
            }
        };
        if !is_whole {
            self.lost(name, offset(walked.end, base), fault_of(walked.bad));
        }
        self.position = self.position.max(Some(end.unwrap_or(walked.end)));
        Ok(())
    }

    /// Merges records that begin at a position: up to the damage, if there is any, as they are or as
    /// what came before them allows, and without claims what is sound behind it.
    fn records(
        &mut self,
        kind: FileKind,
        name: &str,
        records: &[u8],
        base: u64,
    ) -> Result<Walked, ReadError> {
        let walked = read::walk(kind, name, records, base, &mut Claims { salvage: self, name })?;
        let at = usize::try_from(walked.end - base).unwrap_or(usize::MAX);
        self.sound(name, &records[at..], walked.end, base)?;
        Ok(walked)
    }

    /// Merges without claims what is sound anywhere in these bytes, which stand at a position.
    fn sound(
        &mut self,
        name: &str,
        bytes: &[u8],
        position: u64,
        base: u64,
    ) -> Result<(), ReadError> {
        for (at, framed) in read::sound_behind(bytes, position) {
            #[cfg(feature = "planted-bugs")]
            let is_believed = self.state.has(crate::bug::Bug::RepairClaims);
            #[cfg(not(feature = "planted-bugs"))]
            let is_believed = false;
            let applied = record::read(framed.kind, framed.payload).and_then(|record| {
                let record = if is_believed { record } else { without_claims(record) };
                self.state.apply(record)
            });
            match applied {
                Ok(()) => self.repair.salvaged_records += 1,
                Err(bad) if is_final_payload(&bad) => {
                    let offset = offset(position + at as u64, base);
                    return Err(ReadError::damaged(name, offset, bad));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Something that was there is not there any more.
    fn lost(&mut self, name: &str, offset: u64, fault: impl Into<Fault>) {
        self.is_trusted = false;
        self.note_damage(name, offset, fault);
    }

    fn note_damage(&mut self, name: &str, offset: u64, fault: impl Into<Fault>) {
        let (file, fault) = (name.to_owned(), fault.into());
        if self.repair.damaged.iter().all(|damaged| damaged.file != file) {
            self.repair.damaged.push(Damaged { file, offset, fault, kept_as: None });
        }
    }
}

/// Where a snapshot's records are not what was written, if they are not.
fn hole(name: &str, records: &[u8]) -> Result<Option<(u64, Fault)>, ReadError> {
    let mut trial = Trial::default();
    match read::walk(FileKind::Snapshot, name, records, 0, &mut trial) {
        Ok(walked) if walked.bad.is_none() && trial.is_whole() => Ok(None),
        Ok(walked) => Ok(Some((offset(walked.end, 0), fault_of(walked.bad)))),
        Err(ReadError::Damaged { offset, fault, .. }) if !is_final(&fault) => {
            Ok(Some((offset, fault)))
        }
        Err(error) => Err(error),
    }
}

/// The origins of a snapshot with holes, by their numbers in it, as far as these are known for
/// certain: a slot must not be taken for another origin's.
fn numbering(sound: &[(usize, Framed<'_>)]) -> Vec<OriginId> {
    // They are told a second time at its end.
    let mut behind_counters: Option<Vec<OriginId>> = None;
    // Where the last record ended, and whether some that name origins may be missing by then.
    let (mut end, mut is_certain) = (0, true);
    let mut numbered = Vec::new();
    for (at, framed) in sound {
        if end != *at {
            // A snapshot begins with the start of its node.
            is_certain &= end == 0 && *at <= START_BYTES_MAX;
            behind_counters = None;
        }
        end = at + framed.bytes;
        match record::read(framed.kind, framed.payload) {
            Ok(Record::Origins(rows)) => {
                let ids = || rows.iter().map(|row| row.origin);
                if let Some(again) = &mut behind_counters {
                    again.extend(ids());
                }
                if is_certain {
                    numbered.extend(ids());
                }
            }
            // Members come before all origins.
            Ok(Record::Start(_) | Record::Membership(_) | Record::Peer(_)) => is_certain = true,
            Ok(Record::Counters(_)) => behind_counters = Some(Vec::new()),
            Ok(Record::End(_)) => {
                return behind_counters.filter(|again| !again.is_empty()).unwrap_or(numbered);
            }
            Ok(_) => {}
            Err(_) => (is_certain, behind_counters) = (false, None),
        }
    }
    numbered
}

fn fault_of(bad: Option<BadRecord>) -> Fault {
    bad.map_or(Fault::Short, Fault::from)
}

/// Takes records with their claims until something was lost, without them from there on.
struct Claims<'a> {
    salvage: &'a mut Salvage,
    name: &'a str,
}

impl RecordVisitor for Claims<'_> {
    fn take(&mut self, record: Record<'_>) -> Result<(), BadPayload> {
        let Salvage { state, repair, is_trusted, .. } = self.salvage;
        #[cfg(feature = "planted-bugs")]
        let is_trusted = &(*is_trusted || state.has(crate::bug::Bug::RepairClaims));
        if *is_trusted {
            state.apply(record)?;
            repair.trusted_records += 1;
        } else {
            state.apply(without_claims(record))?;
            repair.salvaged_records += 1;
        }
        Ok(())
    }

    fn passes_over(&mut self, offset: u64, bad: &BadPayload) -> bool {
        if is_final_payload(bad) {
            return false;
        }
        self.salvage.lost(self.name, offset, bad.clone());
        true
    }
}

fn without_claims(mut record: Record<'_>) -> Record<'_> {
    match &mut record {
        Record::Delta(delta) => delta.after = delta.upto,
        Record::Origins(rows) => rows.iter_mut().for_each(|row| row.version = 0),
        _ => {}
    }
    record
}

/// Puts what was saved in place of what was there.
fn write(files: &mut impl Files, salvage: Salvage, number: u64) -> io::Result<Repair> {
    let Salvage { mut state, mut repair, position, node, .. } = salvage;
    if let (None, Some(node)) = (state.last_start(), node) {
        // The record of it is lost, but nothing else may take the node's place among its peers.
        state.was_started_by(node);
    }
    repair.complete_up_to =
        state.counters().digest().map(|(id, known)| (id, known.version)).collect();
    for damaged in repair.damaged.iter_mut().filter(|damaged| damaged.fault != Fault::Missing) {
        let kept_as = format!("{}.damaged", damaged.file);
        copy(files, &damaged.file, &kept_as)?;
        damaged.kept_as = Some(kept_as);
    }
    let start = state.last_start();
    let node = start.map_or(crate::identity::NodeId(0), |start| start.node);
    // The segment first: a snapshot is valid only when the one behind it is there.
    Journal::begin(files, Head { node, number, base: position.unwrap_or(0) }, &[])?;
    let mut writer = SnapshotWriter::begin(files, node, number)?;
    let mut walk = Walk::new(
        state.counters(),
        start.as_ref(),
        state.registry.records(),
        state.peers.values(),
        state.ledger.kept(state.counters()),
    )
    .with_absences(state.absences.entries());
    while !walk.is_over() {
        let records = walk.step(state.counters(), PART_BYTES);
        writer.append(files, records)?;
    }
    writer.publish(files)?;
    Ok(repair)
}

fn copy(files: &mut impl Files, from: &str, to: &str) -> io::Result<()> {
    let bytes = files::read_all(files, from)?;
    files.create(to)?;
    files.append(to, &bytes)?;
    files.sync(to)?;
    files.sync_directory()
}
