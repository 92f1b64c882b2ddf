//! The frame around every record, and the head of every file.
//!
//! ```text
//! record   length u32 | crc u32 | kind u8 | synced u64 | payload        all little-endian
//! file     magic 8 bytes | format u16 | 0 u16 | 0 u32 | node u64 | number u64 | base u64 | crc u32 | 0 …
//! ```
//!
//! A record's *position* is the number of record bytes before it in the whole journal, whatever
//! file they are in. `synced` is the position up to which the journal was known to be on the disk
//! when the record was written: what tells damage from a tail that a power cut tore (rule
//! `synced-position-in-every-record`). The checksum covers the position too, though it is not
//! written: bytes that a disk has put in another place are no record there.
//!
//! Rejected: lengths as varints, which save three bytes a record and cost a rewrite of everything
//! behind a record whose length is known only when it is written.

use std::io;

use serde::Serialize;

use crate::identity::NodeId;
use crate::wire::frame::FRAME_BYTES_MAX;

/// Bytes of a file before its first record.
pub(crate) const HEAD_BYTES: usize = 64;

/// Bytes of a record before its payload.
pub(crate) const FRAME_BYTES: usize = 17;

/// Longest record that is written, in bytes, with its frame: what a link's longest frame brings, and
/// the origin that a push leaves out. See [`seal`].
pub(crate) const RECORD_BYTES_MAX: usize = FRAME_BYTES_MAX + 1024;

/// Longest record that is read in a snapshot: releases before this one wrote all slots of a counter
/// as one record, and a slot of each of [`crate::counters::ORIGINS_MAX`] origins takes 45 MiB.
const SNAPSHOT_RECORD_BYTES_MAX: usize = 64 << 20;

/// The highest kind of record that any release will have before the file format changes.
const KIND_MAX: u8 = 31;

/// The file format that this release writes. It reads every earlier one.
pub const FORMAT: u16 = 1;

/// No release will ever write a higher one: two bytes that say so have gone bad.
const FORMAT_EVER_MAX: u16 = 255;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A stretch of the journal.
    Segment,
    /// Everything that the journal held up to a cut.
    Snapshot,
}

impl FileKind {
    fn magic(self) -> [u8; 8] {
        match self {
            FileKind::Segment => *b"QUIPUSEG",
            FileKind::Snapshot => *b"QUIPUSNP",
        }
    }

    /// Longest record, in bytes, that may stand in it.
    pub(crate) fn record_bytes_max(self) -> usize {
        match self {
            FileKind::Segment => RECORD_BYTES_MAX,
            FileKind::Snapshot => SNAPSHOT_RECORD_BYTES_MAX,
        }
    }
}

/// The head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The node that wrote it.
    pub node: NodeId,
    /// A segment's number; a snapshot's is that of the first segment that it does not cover.
    pub number: u64,
    /// The position of a segment's first record; a snapshot's is 0.
    pub base: u64,
}

/// Why the head of a file was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// The file is shorter than its head.
    #[error("expected {HEAD_BYTES} bytes of head, found {0}")]
    Short(usize),
    /// It is another program's, or of another kind.
    #[error("expected a file that begins with {0:?}")]
    Magic(&'static str),
    /// It was written by a later release.
    #[error(
        "written in format {0} by a later release; this one reads formats 1 to {FORMAT}: \
             upgrade quipu"
    )]
    Later(u16),
    /// The head's bytes have changed since they were written.
    #[error("the head's checksum is wrong")]
    Checksum,
}

impl Head {
    pub(crate) fn write(&self, kind: FileKind) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(&kind.magic());
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        for number in [self.node.0, self.number, self.base] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.resize(HEAD_BYTES, 0);
        bytes
    }

    pub(crate) fn read(bytes: &[u8], kind: FileKind) -> Result<Self, BadHead> {
        let Some(bytes) = bytes.get(..HEAD_BYTES) else { return Err(BadHead::Short(bytes.len())) };
        if bytes[..8] != kind.magic() {
            return Err(BadHead::Magic(match kind {
                FileKind::Segment => "QUIPUSEG",
                FileKind::Snapshot => "QUIPUSNP",
            }));
        }
        let has_checksum = |head: &[u8]| u32_at(bytes, 40) == Some(crc32c::crc32c(head));
        // Before the checksum: a later format may have put it elsewhere.
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if format > FORMAT {
            // But if it is right with this format in the place of that one, the two bytes that say
            // it have gone bad. The next format is taken at its word: refusing it costs less.
            let of_this = || [&bytes[..8], &FORMAT.to_le_bytes(), &bytes[10..40]].concat();
            let is_damaged =
                format > FORMAT_EVER_MAX || (format > FORMAT + 1 && has_checksum(&of_this()));
            return Err(if is_damaged { BadHead::Checksum } else { BadHead::Later(format) });
        }
        // What is left empty is checked too: no byte of a file may change unnoticed.
        let is_blank = bytes[44..].iter().all(|byte| *byte == 0);
        if !has_checksum(&bytes[..40]) || !is_blank {
            return Err(BadHead::Checksum);
        }
        let number_at = |at| u64_at(bytes, at).unwrap_or_default();
        Ok(Head { node: NodeId(number_at(16)), number: number_at(24), base: number_at(32) })
    }
}

/// Appends one record with its checksum and `synced` left open: they are known only when it is
/// written; see [`seal`].
pub(crate) fn append<T: Serialize + ?Sized>(records: &mut Vec<u8>, kind: u8, body: &T) {
    let start = records.len();
    records.extend_from_slice(&[0; FRAME_BYTES]);
    records[start + 8] = kind;
    let mut bytes = postcard::to_extend(body, std::mem::take(records))
        .expect("writing to memory does not fail");
    close(&mut bytes, start);
    *records = bytes;
}

/// Opens a record whose payload is appended by hand; see [`close`].
pub(crate) fn open(records: &mut Vec<u8>, kind: u8) -> usize {
    let start = records.len();
    records.extend_from_slice(&[0; FRAME_BYTES]);
    records[start + 8] = kind;
    start
}

/// Ends the record that begins at `start` and reaches to the end.
pub(crate) fn close(records: &mut [u8], start: usize) {
    let length = u32::try_from(records.len() - start - 8).unwrap_or(u32::MAX);
    records[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// A record that no reader would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a record of at most {RECORD_BYTES_MAX} bytes, found one of {0}: nothing was written"
)]
pub(crate) struct TooLong(usize);

impl From<TooLong> for io::Error {
    fn from(error: TooLong) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Completes records that will stand at `position`, written when the journal was known to be
/// synced up to `synced`. All that is written comes by here, so no file ever holds a record that a
/// start would refuse for its length.
pub(crate) fn seal(records: &mut [u8], mut position: u64, synced: u64) -> Result<(), TooLong> {
    let mut rest = records;
    while rest.len() >= FRAME_BYTES {
        let bytes = 8 + u32_at(rest, 0).unwrap_or_default() as usize;
        if bytes > RECORD_BYTES_MAX {
            return Err(TooLong(bytes));
        }
        let (record, behind) = rest.split_at_mut(bytes.min(rest.len()));
        record[9..17].copy_from_slice(&synced.to_le_bytes());
        let crc = checksum(record, position);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
        position += bytes as u64;
        rest = behind;
    }
    Ok(())
}

/// How many records these are.
pub(crate) fn count(records: &[u8]) -> u64 {
    let (mut count, mut rest) = (0, records);
    while let Some(length) = u32_at(rest, 0) {
        count += 1;
        rest = rest.get(8 + length as usize..).unwrap_or_default();
    }
    count
}

/// A record as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framed<'a> {
    pub(crate) kind: u8,
    pub(crate) synced: u64,
    pub(crate) payload: &'a [u8],
    /// With its frame.
    pub(crate) bytes: usize,
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// The bytes end before the record does.
    #[error("a record that is cut short")]
    Short,
    /// No record is so long, or so short.
    #[error("a length that no record has: {0}")]
    Length(u32),
    /// The bytes are not those that were written here.
    #[error("a wrong checksum")]
    Checksum,
}

/// How long the record at the beginning of `bytes` says that it is, with its frame.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    u32_at(bytes, 0).map(|length| length as usize + 8)
}

/// What bytes say of a record that begins there, before its checksum is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    /// With its frame.
    pub(crate) bytes: usize,
    pub(crate) synced: u64,
}

/// No journal is ever written so far: it takes a century at 20 MB/s.
const POSITION_MAX: u64 = 1 << 56;

/// Looks whether a record of such a file may begin here: most bytes fail one of these cheap looks.
/// Kinds are more than this release knows: a later one's is to be noticed, and not passed over.
pub(crate) fn outline(bytes: &[u8], file: FileKind) -> Option<Outline> {
    let head = bytes.get(..FRAME_BYTES)?;
    let outline = Outline { bytes: length(head)?, synced: u64_at(head, 9)? };
    let lengths = FRAME_BYTES..=file.record_bytes_max().min(bytes.len());
    let is_likely = lengths.contains(&outline.bytes)
        && (1..=KIND_MAX).contains(&head[8])
        && outline.synced < POSITION_MAX;
    is_likely.then_some(outline)
}

/// The checksum that a record says it has.
pub(crate) fn crc(record: &[u8]) -> u32 {
    u32_at(record, 4).unwrap_or_default()
}

/// Reads the record at the beginning of `bytes`, which stands at `position` in such a file. `None`
/// where nothing was written yet: no bytes, or zeros.
pub(crate) fn read(
    bytes: &[u8],
    position: u64,
    kind: FileKind,
) -> Result<Option<Framed<'_>>, BadRecord> {
    let Some(length) = u32_at(bytes, 0) else {
        return if bytes.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(BadRecord::Short) };
    };
    let whole = length as usize + 8;
    if !(FRAME_BYTES..=kind.record_bytes_max()).contains(&whole) {
        let is_blank = length == 0 && bytes.iter().take(FRAME_BYTES).all(|byte| *byte == 0);
        return if is_blank { Ok(None) } else { Err(BadRecord::Length(length)) };
    }
    let record = bytes.get(..whole).ok_or(BadRecord::Short)?;
    if u32_at(record, 4) != Some(checksum(record, position)) {
        return Err(BadRecord::Checksum);
    }
    let synced = u64_at(record, 9).unwrap_or_default();
    Ok(Some(Framed { kind: record[8], synced, payload: &record[FRAME_BYTES..], bytes: whole }))
}

fn checksum(record: &[u8], position: u64) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&position.to_le_bytes()), &record[..4]);
    crc32c::crc32c_append(crc, &record[8..])
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SEGMENT: FileKind = FileKind::Segment;

    /// A head as a release would have written it whose format this is.
    pub(crate) fn of_format(head: &[u8], format: u16) -> Vec<u8> {
        let mut head = head.to_vec();
        head[8..10].copy_from_slice(&format.to_le_bytes());
        let crc = crc32c::crc32c(&head[..40]);
        head[40..44].copy_from_slice(&crc.to_le_bytes());
        head
    }

    fn record(position: u64, synced: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        append(&mut bytes, 7, "payload");
        seal(&mut bytes, position, synced).unwrap();
        bytes
    }

    #[test]
    fn a_sealed_record_reads_back_and_nowhere_else() {
        let bytes = record(100, 50);
        let read_back = read(&bytes, 100, SEGMENT).unwrap().unwrap();
        assert_eq!((read_back.kind, read_back.synced, read_back.bytes), (7, 50, bytes.len()));
        assert_eq!(read_back.payload, b"\x07payload");
        assert_eq!(read(&bytes, 101, SEGMENT).unwrap_err(), BadRecord::Checksum);
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let bytes = record(9, 3);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, 9, SEGMENT).is_err(), "bit {bit}");
        }
        for length in 1..bytes.len() {
            assert!(read(&bytes[..length], 9, SEGMENT).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn where_nothing_was_written_there_is_no_record_and_no_error() {
        assert!(read(&[], 0, SEGMENT).unwrap().is_none());
        assert!(read(&[0; 3], 0, SEGMENT).unwrap().is_none());
        assert!(read(&[0; 64], 0, SEGMENT).unwrap().is_none());
        let mut blank = [0; 64];
        blank[12] = 1;
        assert_eq!(read(&blank, 0, SEGMENT).unwrap_err(), BadRecord::Length(0));
    }

    #[test]
    fn a_record_of_the_greatest_length_is_written_and_read_and_a_longer_one_is_neither() {
        let record = |bytes: usize| {
            let mut records = vec![0; bytes];
            records[8] = 7;
            close(&mut records, 0);
            records
        };
        let mut longest = record(RECORD_BYTES_MAX);
        seal(&mut longest, 0, 0).unwrap();
        assert_eq!(read(&longest, 0, SEGMENT).unwrap().unwrap().bytes, RECORD_BYTES_MAX);
        let mut longer = [record(100), record(RECORD_BYTES_MAX + 1)].concat();
        let error = seal(&mut longer, 0, 0).unwrap_err();
        assert_eq!(error, TooLong(RECORD_BYTES_MAX + 1));
        assert_eq!(
            io::Error::from(error).to_string(),
            "expected a record of at most 1049600 bytes, found one of 1049601: nothing was written"
        );
        let length = u32::try_from(RECORD_BYTES_MAX + 1 - 8).unwrap();
        let read_back = read(&longer[100..], 100, SEGMENT).unwrap_err();
        assert_eq!(read_back, BadRecord::Length(length));
    }

    #[test]
    fn a_head_reads_back_and_is_refused_when_it_is_another_ones_or_damaged() {
        let head = Head { node: NodeId(1), number: 2, base: 3 };
        let bytes = head.write(FileKind::Segment);
        assert_eq!(bytes.len(), HEAD_BYTES);
        assert_eq!(Head::read(&bytes, FileKind::Segment), Ok(head));
        let other = Head::read(&bytes, FileKind::Snapshot).unwrap_err();
        assert_eq!(other.to_string(), "expected a file that begins with \"QUIPUSNP\"");
        assert_eq!(Head::read(&bytes[..9], FileKind::Segment), Err(BadHead::Short(9)));
        let read = |head: &[u8]| Head::read(head, FileKind::Segment);
        for format in [2, 3, FORMAT_EVER_MAX] {
            let later = of_format(&bytes, format);
            assert_eq!(read(&later), Err(BadHead::Later(format)));
            // It may have put the checksum elsewhere.
            let other = [&later[..40], &[0; 24]].concat();
            assert_eq!(read(&other), Err(BadHead::Later(format)));
        }
        assert_eq!(read(&of_format(&bytes, FORMAT_EVER_MAX + 1)), Err(BadHead::Checksum));
        let with_format = |format: u8| [&bytes[..8], &[format], &bytes[9..]].concat();
        assert_eq!(read(&with_format(2)), Err(BadHead::Later(2)));
        assert_eq!(read(&with_format(0xee)), Err(BadHead::Checksum));
        for bit in 8 * 8..HEAD_BYTES * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = Head::read(&damaged, FileKind::Segment);
            assert_eq!(read, Err(BadHead::Checksum), "bit {bit}");
        }
    }
}
