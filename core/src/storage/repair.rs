//! Making a damaged data directory usable again, with as much of it as is sound.
//!
//! What stands before the damage is taken as it is. Of what stands behind it every sound record is
//! merged as well, since its numbers are true whatever was lost before it; but it may claim nothing:
//! a range whose beginning lies in the lost bytes is not known to be whole. So the digest stays
//! where the damage is, and what is missing comes back from peers by the ordinary exchange. All of
//! that becomes a new snapshot, with a new segment behind it, and the damaged file is kept aside.
//!
//! Rejected: cutting the journal at the damage and dropping what is behind. It is simpler, and loses
//! increments that are still there to be read.

use std::io;

use super::files::{self, Files, Survey};
use super::frame::{BadHead, FileKind, HEAD_BYTES, Head};
use super::journal::{Journal, offset};
use super::read::{self, Fault, ReadError, Taker};
use super::record::{self, BadPayload, Record};
use super::snapshot::{SnapshotWriter, Walk};
use super::state::Recovered;
use crate::identity::{OriginId, Version};

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
/// repairing it would lose it.
pub fn repair(
    files: &mut impl Files,
    empty: impl Fn() -> Recovered,
) -> Result<Option<Repair>, ReadError> {
    match read::read(files, &mut empty()) {
        Ok(_) => return Ok(None),
        Err(
            later @ ReadError::Damaged {
                fault: Fault::Head(BadHead::Later(_)) | Fault::Payload(BadPayload::Kind(_)),
                ..
            },
        ) => return Err(later),
        Err(ReadError::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    let survey = Survey::of(files)?;
    let mut salvage =
        Salvage { state: empty(), repair: Repair::default(), is_trusted: true, position: 0 };
    let mut next = 1;
    if let Some(&number) = survey.snapshots.last() {
        salvage.snapshot(files, number)?;
        next = number;
    }
    let most = survey.segments.last().copied().unwrap_or(0).max(next);
    for number in next..=most {
        salvage.segment(files, number, survey.segments.contains(&number))?;
    }
    write(files, salvage, most + 1).map(Some).map_err(ReadError::Io)
}

#[derive(Debug)]
struct Salvage {
    state: Recovered,
    repair: Repair,
    /// Whether nothing was damaged so far.
    is_trusted: bool,
    /// Where the journal stands.
    position: u64,
}

impl Salvage {
    fn snapshot(&mut self, files: &impl Files, number: u64) -> Result<(), ReadError> {
        let name = files::snapshot(number);
        let bytes = files::read_all(files, &name)?;
        if let Err(bad) = Head::read(&bytes, FileKind::Snapshot) {
            self.is_damaged(&name, 0, bad);
        }
        let records = bytes.get(HEAD_BYTES..).unwrap_or_default();
        let mut end = End::default();
        let walked =
            read::walk(FileKind::Snapshot, &name, records, 0, &mut Claims(self, &mut end))?;
        if !(walked.bad.is_none() && end.is_there) {
            // Rows of the digest were taken as they came; a snapshot with a hole backs none.
            self.state.disclaim();
            self.is_damaged(
                &name,
                offset(walked.end, 0),
                walked.bad.map_or(Fault::Short, Fault::from),
            );
            self.rest(records, walked.end, 0);
        }
        Ok(())
    }

    fn segment(
        &mut self,
        files: &impl Files,
        number: u64,
        is_there: bool,
    ) -> Result<(), ReadError> {
        let name = files::segment(number);
        if !is_there {
            self.is_damaged(&name, 0, Fault::Missing);
            return Ok(());
        }
        let bytes = files::read_all(files, &name)?;
        let base = match Head::read(&bytes, FileKind::Segment) {
            Ok(head) => head.base,
            Err(bad) => {
                self.is_damaged(&name, 0, bad);
                // Where the one before it ended, a segment begins.
                self.position
            }
        };
        if base > self.position && number > 1 && self.repair.trusted_records > 0 {
            // The one before it was cut short: what stands between the two is gone.
            self.is_trusted = false;
        }
        let records = bytes.get(HEAD_BYTES..).unwrap_or_default();
        let walked = read::walk(
            FileKind::Segment,
            &name,
            records,
            base,
            &mut Claims(self, &mut End::default()),
        )?;
        self.position = walked.end;
        if let Some(bad) = walked.bad {
            self.is_damaged(&name, offset(walked.end, base), bad);
            self.rest(records, walked.end, base);
        }
        Ok(())
    }

    /// What is sound behind the damage at a position.
    fn rest(&mut self, records: &[u8], position: u64, base: u64) {
        let at = usize::try_from(position - base).unwrap_or(usize::MAX);
        let behind = records.get(at..).unwrap_or_default();
        for (found_at, framed) in read::sound_behind(behind, position) {
            self.position = self.position.max(position + (found_at + framed.bytes) as u64);
            if let Ok(record) = record::read(framed.kind, framed.payload)
                && self.state.apply(without_claims(record)).is_ok()
            {
                self.repair.salvaged_records += 1;
            }
        }
    }

    fn is_damaged(&mut self, name: &str, offset: u64, fault: impl Into<Fault>) {
        self.is_trusted = false;
        let (file, fault) = (name.to_owned(), fault.into());
        if self.repair.damaged.iter().all(|damaged| damaged.file != file) {
            self.repair.damaged.push(Damaged { file, offset, fault, kept_as: None });
        }
    }
}

/// Whether the record that ends a snapshot was read.
#[derive(Debug, Default)]
struct End {
    is_there: bool,
}

/// Takes records with their claims until something was damaged, without them from there on.
struct Claims<'a>(&'a mut Salvage, &'a mut End);

impl Taker for Claims<'_> {
    fn take(&mut self, record: Record<'_>) -> Result<(), BadPayload> {
        let Claims(salvage, end) = self;
        end.is_there |= matches!(record, Record::End(_));
        if salvage.is_trusted {
            salvage.repair.trusted_records += 1;
            return salvage.state.apply(record);
        }
        salvage.repair.salvaged_records += 1;
        salvage.state.apply(without_claims(record))
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
    let Salvage { state, mut repair, position, .. } = salvage;
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
    Journal::begin(files, Head { node, number, base: position }, &[])?;
    let mut writer = SnapshotWriter::begin(files, node, number)?;
    let mut walk =
        Walk::new(state.counters(), start.as_ref(), state.registry.records(), state.peers.values());
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
