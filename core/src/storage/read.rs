//! Reading what is kept: what is sound, where it ends, and whether that end is a crash's work or
//! damage.
//!
//! A crash may leave anything behind the last position known synced: half a record, or a damaged
//! one before a sound one. So bad bytes are a torn tail, which is cut off with everything behind
//! it, unless some record behind them says that they were synced once: then the disk has lost what
//! it had promised to keep, and the node must not start on it (rule
//! `synced-position-in-every-record`).

use std::io;

use super::files::{self, Files, Survey};
use super::frame::{self, BadHead, BadRecord, FRAME_BYTES, FileKind, Framed, HEAD_BYTES, Head};
use super::record::{self, BadPayload, Record};
use super::state::Recovered;
use crate::storage::journal::offset;

/// How much of a file is read at a time. Little, since a node that has used nearly all the memory
/// that it may reads its new snapshot back, too.
const READ_BYTES: usize = 128 << 10;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its head.
    #[error("{0}")]
    Head(#[from] BadHead),
    /// Its number is not that of its name.
    #[error("expected the number {expected} in its head, found {found}")]
    Number {
        /// By its name.
        expected: u64,
        /// By its head.
        found: u64,
    },
    /// A record.
    #[error("{0}")]
    Record(#[from] BadRecord),
    /// What a record holds.
    #[error("{0}")]
    Payload(#[from] BadPayload),
    /// It ends too early: the next one begins later, or an end is missing.
    #[error("it ends before it should")]
    Short,
    /// It is not there.
    #[error("it is missing")]
    Missing,
}

/// Why a data directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Bytes that had been safe are not what was written.
    #[error("damaged at byte {offset} of {file}: {fault}")]
    Damaged {
        /// In which file.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What was found there.
        fault: Fault,
    },
}

impl ReadError {
    pub(crate) fn damaged(file: &str, offset: u64, fault: impl Into<Fault>) -> Self {
        ReadError::Damaged { file: file.to_owned(), offset, fault: fault.into() }
    }
}

/// A tail that a crash has torn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// In which file.
    pub file: String,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// What was found there.
    pub fault: BadRecord,
}

/// One file, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// Its name.
    pub name: String,
    /// Whether it is a snapshot, and not a segment.
    pub is_snapshot: bool,
    /// Its head.
    pub head: Head,
    /// How many sound records it holds.
    pub records: u64,
    /// How many bytes they take.
    pub bytes: u64,
}

/// What was read of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The snapshot, then the segments, in the order in which they were read.
    pub files: Vec<FileRead>,
    /// What was cut off the end.
    pub torn: Option<Torn>,
    /// Sound records behind the last position known synced: kept, and made safe before anything
    /// is shown.
    pub unsynced_bytes: u64,
    /// Files that nobody needs: of snapshots that were cut short, and older than the newest one.
    pub(crate) useless: Vec<String>,
    pub(crate) last: Option<Last>,
}

impl Reading {
    /// How long the snapshot is, in bytes; 0 if there is none.
    pub fn snapshot_bytes(&self) -> u64 {
        self.files.iter().filter(|file| file.is_snapshot).map(|file| file.bytes).sum()
    }

    /// The heads of the segments, in their order.
    pub fn segments(&self) -> impl Iterator<Item = Head> + '_ {
        self.files.iter().filter(|file| !file.is_snapshot).map(|file| file.head)
    }
}

/// The last segment: where a new one goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) number: u64,
    /// Up to where it was known synced.
    pub(crate) synced: u64,
    /// The sound records behind that.
    pub(crate) tail: Vec<u8>,
}

/// Reads everything, newest snapshot first, and merges it into `state`.
///
/// # Errors
/// See [`ReadError`]; `state` then holds a part, and is of no use.
pub(crate) fn read(files: &impl Files, state: &mut Recovered) -> Result<Reading, ReadError> {
    let survey = Survey::of(files)?;
    let mut reading = Reading { useless: survey.unfinished, ..Reading::default() };
    let mut next = 1;
    if let Some((&newest, older)) = survey.snapshots.split_last() {
        reading.useless.extend(older.iter().map(|number| files::snapshot(*number)));
        let name = files::snapshot(newest);
        reading.files.push(read_snapshot(files, &name, newest, state)?);
        next = newest;
    }
    reading.useless.extend(
        survey.segments.iter().filter(|number| **number < next).map(|n| files::segment(*n)),
    );
    let segments: Vec<u64> = survey.segments.into_iter().filter(|n| *n >= next).collect();
    if segments.is_empty() && reading.files.is_empty() {
        return Ok(reading);
    }
    // One after the other without a gap: a snapshot is published only when the segment behind it
    // is there.
    let most = segments.last().copied().unwrap_or(next);
    if let Some(missing) = (next..=most).find(|number| !segments.contains(number)) {
        return Err(ReadError::damaged(&files::segment(missing), 0, Fault::Missing));
    }
    let mut heads = Vec::with_capacity(segments.len());
    for number in segments {
        heads.push(read_head(files, number)?);
    }
    for (at, head) in heads.iter().enumerate() {
        match heads.get(at + 1) {
            Some(behind) => {
                let read = read_closed(files, head, behind.base, state)?;
                reading.files.push(read);
            }
            None => read_last(files, head, state, &mut reading)?,
        }
    }
    Ok(reading)
}

fn read_head(files: &impl Files, number: u64) -> Result<Head, ReadError> {
    let name = files::segment(number);
    let mut bytes = [0; HEAD_BYTES];
    let read = files.read(&name, 0, &mut bytes)?;
    let head = Head::read(&bytes[..read], FileKind::Segment)
        .map_err(|bad| ReadError::damaged(&name, 0, bad))?;
    check_number(&name, number, head)
}

fn check_number(name: &str, expected: u64, head: Head) -> Result<Head, ReadError> {
    if head.number == expected {
        return Ok(head);
    }
    Err(ReadError::damaged(name, 0, Fault::Number { expected, found: head.number }))
}

/// A segment behind which another one begins: all that is before it was synced.
fn read_closed(
    files: &impl Files,
    head: &Head,
    end: u64,
    state: &mut Recovered,
) -> Result<FileRead, ReadError> {
    let name = files::segment(head.number);
    // What lies beyond was superseded when a start copied it into the next segment.
    let walked = walk_file(files, &name, head.base, end, state)?;
    let at = offset(walked.end, head.base);
    match walked.bad {
        Some(bad) => Err(ReadError::damaged(&name, at, bad)),
        None if walked.end < end => Err(ReadError::damaged(&name, at, Fault::Short)),
        None => {
            let (records, bytes) = (walked.records, end - head.base);
            Ok(FileRead { name, is_snapshot: false, head: *head, records, bytes })
        }
    }
}

/// The segment that was being written.
fn read_last(
    files: &impl Files,
    head: &Head,
    state: &mut Recovered,
    reading: &mut Reading,
) -> Result<(), ReadError> {
    let name = files::segment(head.number);
    let walked = walk_file(files, &name, head.base, u64::MAX, state)?;
    let (base, end) = (head.base, walked.end);
    let at_end = offset(end, base);
    let behind = if walked.bad.is_none() && is_blank(files, &name, at_end)? {
        None
    } else {
        synced_behind_in(files, &name, at_end, end)?
    };
    if behind.is_some_and(|synced| synced > end) {
        let fault = walked.bad.unwrap_or(BadRecord::Checksum);
        return Err(ReadError::damaged(&name, offset(end, base), fault));
    }
    let synced = walked.synced.max(behind.unwrap_or(0)).clamp(base, end);
    // Nothing of the zeros behind it: they are room for a mebibyte, and the table may leave no room.
    let mut tail = vec![0; usize::try_from(end - synced).unwrap_or(usize::MAX)];
    let read = files.read(&name, offset(synced, base), &mut tail)?;
    tail.truncate(read);
    // A position known synced is the end of some write, so records begin there.
    if walk(FileKind::Segment, &name, &tail, synced, &mut Ignore)?.end != end {
        return Err(ReadError::damaged(&name, offset(synced, base), BadRecord::Checksum));
    }
    reading.torn = walked.bad.map(|fault| {
        let (file, offset) = (name.clone(), offset(end, base));
        Torn { file, offset, fault }
    });
    reading.unsynced_bytes = tail.len() as u64;
    reading.last = Some(Last { number: head.number, synced, tail });
    let (records, bytes) = (walked.records, end - base);
    reading.files.push(FileRead { name, is_snapshot: false, head: *head, records, bytes });
    Ok(())
}

pub(crate) fn records_of(file: &[u8]) -> &[u8] {
    file.get(HEAD_BYTES..).unwrap_or_default()
}

/// Whoever takes records as they are read.
pub(crate) trait RecordVisitor {
    /// Takes one.
    fn take(&mut self, record: Record<'_>) -> Result<(), BadPayload>;

    /// Whether reading goes on behind a record that could not be read or taken, though its checksum
    /// is right.
    fn passes_over(&mut self, _offset: u64, _bad: &BadPayload) -> bool {
        false
    }
}

impl RecordVisitor for Recovered {
    fn take(&mut self, record: Record<'_>) -> Result<(), BadPayload> {
        self.apply(record)
    }
}

/// Takes nothing, and looks into nothing.
struct Ignore;

impl RecordVisitor for Ignore {
    fn take(&mut self, _: Record<'_>) -> Result<(), BadPayload> {
        Ok(())
    }
}

/// How far the sound records reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked {
    pub(crate) records: u64,
    /// The position behind the last sound one.
    pub(crate) end: u64,
    /// The largest position that one of them knows to be synced.
    pub(crate) synced: u64,
    /// What stands there, if it is not the end.
    pub(crate) bad: Option<BadRecord>,
}

/// Reads records of a file of this kind until there are no more, or a bad one.
pub(crate) fn walk(
    kind: FileKind,
    name: &str,
    bytes: &[u8],
    base: u64,
    taker: &mut impl RecordVisitor,
) -> Result<Walked, ReadError> {
    let mut walked = Walked { records: 0, end: base, synced: 0, bad: None };
    let mut rest = bytes;
    loop {
        let framed = match frame::read(rest, walked.end, kind) {
            Ok(Some(framed)) => framed,
            Ok(None) => return Ok(walked),
            Err(bad) => return Ok(Walked { bad: Some(bad), ..walked }),
        };
        take(name, walked.end, base, framed, taker)?;
        walked.records += 1;
        walked.synced = walked.synced.max(framed.synced);
        walked.end += framed.bytes as u64;
        rest = &rest[framed.bytes..];
    }
}

/// The same over a file, without having all of it in memory: up to the position `end`, or to the
/// end of the file.
fn walk_file(
    files: &impl Files,
    name: &str,
    base: u64,
    end: u64,
    taker: &mut impl RecordVisitor,
) -> Result<Walked, ReadError> {
    let kind = FileKind::Segment;
    let mut walked = Walked { records: 0, end: base, synced: 0, bad: None };
    let mut window = Window::new(files, name);
    window.fill(HEAD_BYTES)?;
    window.pass(HEAD_BYTES.min(window.bytes().len()));
    loop {
        window.fill(FRAME_BYTES)?;
        let length = frame::length(window.bytes()).unwrap_or_default();
        window.fill(length.min(kind.record_bytes_max()))?;
        let left = usize::try_from(end.saturating_sub(walked.end)).unwrap_or(usize::MAX);
        let bytes = window.bytes();
        let framed = match frame::read(&bytes[..bytes.len().min(left)], walked.end, kind) {
            Ok(Some(framed)) => framed,
            Ok(None) => return Ok(walked),
            Err(bad) => return Ok(Walked { bad: Some(bad), ..walked }),
        };
        take(name, walked.end, base, framed, taker)?;
        let bytes = framed.bytes;
        walked.records += 1;
        walked.synced = walked.synced.max(framed.synced);
        walked.end += bytes as u64;
        window.pass(bytes);
    }
}

/// Whether a file is zeros from `offset` on.
fn is_blank(files: &impl Files, name: &str, mut offset: u64) -> io::Result<bool> {
    let mut step = vec![0; READ_BYTES];
    loop {
        let read = files.read(name, offset, &mut step)?;
        if read == 0 {
            return Ok(true);
        }
        if step[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += read as u64;
    }
}

fn take(
    name: &str,
    position: u64,
    base: u64,
    framed: Framed<'_>,
    taker: &mut impl RecordVisitor,
) -> Result<(), ReadError> {
    let taken = record::read(framed.kind, framed.payload).and_then(|record| taker.take(record));
    match taken {
        Err(bad) if !taker.passes_over(offset(position, base), &bad) => {
            Err(ReadError::damaged(name, offset(position, base), bad))
        }
        _ => Ok(()),
    }
}

/// The sound records anywhere in `bytes`, of which the first are not: where they stand. Bytes that
/// look like a record by accident fail its checksum; most fail the cheap looks before it.
pub(crate) fn sound_behind(
    bytes: &[u8],
    position: u64,
) -> impl Iterator<Item = (usize, Framed<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let here = at;
            if let Some(framed) = sound_at(&bytes[here..], position + here as u64) {
                at += framed.bytes;
                return Some((here, framed));
            }
            at += 1;
        }
        None
    })
}

/// The sound record at the beginning of `bytes`, if there is one.
fn sound_at(bytes: &[u8], position: u64) -> Option<Framed<'_>> {
    // What is written in either kind of file now has the lengths of a segment's records.
    let outline = frame::outline(bytes, FileKind::Segment)?;
    if outline.synced > position {
        return None;
    }
    frame::read(bytes, position, FileKind::Segment).ok().flatten()
}

/// Whether a sound record behind a position among these says that it was synced up to beyond it:
/// then bad bytes there are not what a crash has torn.
pub(crate) fn is_synced_behind(records: &[u8], base: u64, position: u64) -> bool {
    let at = usize::try_from(position - base).unwrap_or(usize::MAX);
    synced_behind(&records[at..], position).is_some_and(|synced| synced > position)
}

fn synced_behind(bytes: &[u8], position: u64) -> Option<u64> {
    sound_behind(bytes, position).map(|(_, framed)| framed.synced).max()
}

/// The same over a file from `offset` on, where `position` stands, without having all of it in
/// memory.
fn synced_behind_in(
    files: &impl Files,
    name: &str,
    offset: u64,
    mut position: u64,
) -> io::Result<Option<u64>> {
    let mut window = Window { offset, ..Window::new(files, name) };
    let mut synced = None;
    loop {
        window.fill(FRAME_BYTES)?;
        if window.bytes().is_empty() {
            return Ok(synced);
        }
        let length = frame::length(window.bytes()).unwrap_or_default();
        if length <= FileKind::Segment.record_bytes_max() {
            window.fill(length)?;
        }
        let bytes = match sound_at(window.bytes(), position) {
            Some(framed) => {
                synced = synced.max(Some(framed.synced));
                framed.bytes
            }
            None => 1,
        };
        position += bytes as u64;
        window.pass(bytes);
    }
}

/// Reads a snapshot as a start would, and keeps nothing.
pub(crate) fn try_snapshot(files: &impl Files, name: &str, number: u64) -> Result<(), ReadError> {
    read_snapshot(files, name, number, &mut Trial::default()).map(drop)
}

/// Looks into a snapshot's records as [`Recovered`] does.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    origins: usize,
    records: u64,
    is_whole: bool,
}

impl Trial {
    /// Whether the last record was the end, and none before it was missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

impl RecordVisitor for Trial {
    fn take(&mut self, record: Record<'_>) -> Result<(), BadPayload> {
        self.is_whole = matches!(record, Record::End(before) if before == self.records);
        self.records += 1;
        match record {
            Record::Origins(rows) => self.origins += rows.len(),
            Record::Counters(mut rows) => {
                while let Some((_, slots)) = rows.counter()? {
                    for _ in 0..slots {
                        if rows.slot()?.origin as usize >= self.origins {
                            return Err(BadPayload::Malformed("counters"));
                        }
                    }
                }
            }
            Record::Endings(mut rows) => {
                while let Some((_, endings)) = rows.counter()? {
                    for _ in 0..endings {
                        if rows.ending()?.0 as usize >= self.origins {
                            return Err(BadPayload::Malformed("endings"));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A snapshot is whole or it is damaged: it took its name only when all of it was synced.
fn read_snapshot(
    files: &impl Files,
    name: &str,
    number: u64,
    taker: &mut impl RecordVisitor,
) -> Result<FileRead, ReadError> {
    let mut window = Window::new(files, name);
    window.fill(HEAD_BYTES)?;
    let head = Head::read(window.bytes(), FileKind::Snapshot)
        .map_err(|bad| ReadError::damaged(name, 0, bad))?;
    let head = check_number(name, number, head)?;
    window.pass(HEAD_BYTES);
    let (mut records, mut position) = (0, 0);
    loop {
        window.fill(FRAME_BYTES)?;
        let length = frame::length(window.bytes()).unwrap_or_default();
        window.fill(length.min(FileKind::Snapshot.record_bytes_max()))?;
        let at = offset(position, 0);
        let damaged = |fault: Fault| ReadError::damaged(name, at, fault);
        let framed = match frame::read(window.bytes(), position, FileKind::Snapshot) {
            Ok(Some(framed)) => framed,
            Ok(None) => return Err(damaged(Fault::Short)),
            Err(bad) => return Err(damaged(bad.into())),
        };
        let bytes = framed.bytes;
        match record::read(framed.kind, framed.payload) {
            Ok(Record::End(expected)) if expected == records => {
                let (name, bytes) = (name.to_owned(), position + bytes as u64);
                return Ok(FileRead { name, is_snapshot: true, head, records, bytes });
            }
            Ok(Record::End(_)) => return Err(damaged(Fault::Short)),
            Ok(record) => taker.take(record).map_err(|bad| damaged(bad.into()))?,
            Err(bad) => return Err(damaged(bad.into())),
        }
        records += 1;
        position += bytes as u64;
        window.pass(bytes);
    }
}

/// A stretch of a file that is too large to be read at once.
struct Window<'a, F> {
    files: &'a F,
    name: &'a str,
    bytes: Vec<u8>,
    /// Where in `bytes` what was not passed yet begins.
    at: usize,
    offset: u64,
    is_at_end: bool,
    /// What is read at a time.
    step: Vec<u8>,
}

impl<'a, F: Files> Window<'a, F> {
    fn new(files: &'a F, name: &'a str) -> Self {
        let step = vec![0; READ_BYTES];
        Window { files, name, bytes: Vec::new(), at: 0, offset: 0, is_at_end: false, step }
    }

    /// What was read and not passed yet.
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Reads on until so many bytes are there, or all there are.
    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        while !self.is_at_end && self.bytes.len() - self.at < bytes {
            self.bytes.drain(..self.at);
            self.at = 0;
            let read = self.files.read(self.name, self.offset, &mut self.step)?;
            self.bytes.extend_from_slice(&self.step[..read]);
            self.offset += read as u64;
            self.is_at_end = read == 0;
        }
        Ok(())
    }
}
