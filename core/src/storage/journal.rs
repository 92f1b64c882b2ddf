//! The journal: segments to which records are appended, one after the other.
//!
//! Every segment but the last is synced and complete: a segment begins only when all before it is
//! on the disk, and its name appears only when its head is. So the head of a segment alone says
//! that the journal is whole up to there.

use std::io;

use super::files::{self, Files};
use super::frame::{self, FileKind, HEAD_BYTES, Head};
use super::record;
use crate::identity::NodeId;

/// How a journal is cut into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A segment that is longer is followed by the next one. What a restart may have to read whole
    /// is bounded by it, and what old segments take beyond a snapshot.
    pub segment_bytes_max: u64,
    /// How much room is made at a time; see [`Files::reserve`].
    pub reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { segment_bytes_max: 64 << 20, reserve_bytes: 1 << 20 }
    }
}

/// The end of the journal, to which this process writes.
#[derive(Debug)]
pub struct Journal {
    limits: Limits,
    node: NodeId,
    number: u64,
    base: u64,
    /// Of what is appended next.
    position: u64,
    /// Up to where the journal is known to be on the disk.
    synced: u64,
    /// Up to where there is room.
    reserved: u64,
    /// Whether a write or a sync has failed: nothing is known of the file since then.
    has_failed: bool,
    /// Whether the last record says that all before it is synced.
    is_marked: bool,
}

impl Journal {
    /// Writes a new segment that begins with `records`, and syncs it. It takes its name only then,
    /// so that a crash before leaves what was there.
    pub(crate) fn begin(files: &mut impl Files, head: Head, records: &[u8]) -> io::Result<Self> {
        let name = files::segment(head.number);
        let unfinished = files::unfinished(&name);
        files.create(&unfinished)?;
        files.append(&unfinished, &head.write(FileKind::Segment))?;
        if !records.is_empty() {
            files.append(&unfinished, records)?;
        }
        files.sync(&unfinished)?;
        files.rename(&unfinished, &name)?;
        files.sync_directory()?;
        let end = head.base + records.len() as u64;
        Ok(Journal {
            limits: Limits::default(),
            node: head.node,
            number: head.number,
            base: head.base,
            position: end,
            synced: end,
            reserved: end,
            has_failed: false,
            is_marked: false,
        })
    }

    /// Cuts files as told from now on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Appends records. They are safe when the next [`Journal::sync`] returns.
    ///
    /// # Errors
    /// When the system fails. Nothing may be appended after that, nor synced.
    pub fn append(&mut self, files: &mut impl Files, records: &mut [u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if self.position - self.base >= self.limits.segment_bytes_max {
            self.rotate(files)?;
        }
        self.is_marked = false;
        self.attempt(|journal| {
            frame::seal(records, journal.position, journal.synced)?;
            let name = files::segment(journal.number);
            let end = journal.position + records.len() as u64;
            // What is long writes the length for itself, and need not be written twice.
            let room = journal.limits.reserve_bytes;
            if end > journal.reserved && (records.len() as u64) < room {
                files.reserve(&name, room)?;
                journal.reserved = journal.position + room;
            }
            files.append(&name, records)?;
            journal.position = end;
            journal.reserved = journal.reserved.max(end);
            Ok(())
        })
    }

    /// Returns when all that was appended is on the disk.
    ///
    /// # Errors
    /// When the system fails. It is never tried again on this file (rule
    /// `failed-sync-ends-the-node`).
    pub fn sync(&mut self, files: &mut impl Files) -> io::Result<()> {
        self.attempt(|journal| {
            if journal.synced < journal.position {
                files.sync(&files::segment(journal.number))?;
                journal.synced = journal.position;
            }
            Ok(())
        })
    }

    /// Goes on in a new segment, whose number is returned: the cut that a snapshot begins with.
    ///
    /// # Errors
    /// As for [`Journal::sync`].
    pub fn rotate(&mut self, files: &mut impl Files) -> io::Result<u64> {
        self.sync(files)?;
        let head = Head { node: self.node, number: self.number + 1, base: self.position };
        self.attempt(|journal| {
            let limits = journal.limits;
            *journal = Journal { limits, ..Journal::begin(files, head, &[])? };
            Ok(())
        })?;
        Ok(self.number)
    }

    /// Writes down that everything is synced, when the journal comes to rest: after that, bytes
    /// that went bad cannot be taken for a tail that a crash tore.
    ///
    /// # Errors
    /// As for [`Journal::sync`].
    pub fn mark(&mut self, files: &mut impl Files) -> io::Result<()> {
        if self.is_marked || self.position == self.base {
            return Ok(());
        }
        self.sync(files)?;
        let mut mark = Vec::new();
        record::append_mark(&mut mark);
        self.append(files, &mut mark)?;
        self.sync(files)?;
        self.is_marked = true;
        Ok(())
    }

    /// The number of the segment that is written now.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes of records were ever appended.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The node as the heads of new segments name it.
    pub fn node(&self) -> NodeId {
        self.node
    }

    fn attempt(&mut self, what: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("an earlier write to the journal failed"));
        }
        let done = what(self);
        self.has_failed = done.is_err();
        done
    }
}

/// Where in its file a position is.
pub(crate) fn offset(position: u64, base: u64) -> u64 {
    position - base + HEAD_BYTES as u64
}
