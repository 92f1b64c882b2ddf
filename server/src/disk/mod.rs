//! Where batches are kept: appended in order, and synced behind the driver's back.
//!
//! The driver hands over each batch's records as soon as the batch is closed, and holds that
//! batch's effects until it hears that the records are safe. Between the two it goes on gathering,
//! so several batches may wait at once and one sync serves them all (group commit). What is safe
//! is told as one number, since batches become safe in the order in which they were appended.
//!
//! `journal` writes what nobody may lose, on a thread of its own, `snapshot` on another one what
//! makes old segments superfluous; `directory` is the files of both. What is written and in which
//! order is not decided here but in `quipu_core::storage`.
//!
//! Rejected: a future for each batch. The driver would have to keep a set of them and could see
//! them end out of order, which cannot happen and would have to be handled all the same.

pub(crate) mod counts;
pub(crate) mod directory;
pub(crate) mod fsync;
mod journal;
pub(crate) mod metrics;
pub(crate) mod original;
mod snapshot;

use std::future::{Future, pending};
use std::io;

pub(crate) use journal::{Begin, Durable};
use quipu_core::storage::records::Records;

/// What a disk tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Batches up to this one are as safe as they were asked to be: their effects may leave.
    Safe(u64),
    /// The journal has grown so much that a snapshot is worth its while.
    SnapshotDue,
    /// The snapshot under way can take more.
    SnapshotReady,
    /// The snapshot under way has come to nothing; the journal still holds everything.
    SnapshotFailed,
}

/// Takes batches and says when they are safe.
pub(crate) trait Disk: Send + 'static {
    /// Takes over one batch's records. Must not block: a disk that has to
    /// write does so on a thread of its own. Batches come in order, but numbers may be left out.
    fn append(&mut self, batch: u64, records: Records);

    /// Waits for what there is to tell. Cancel safe.
    ///
    /// After an error nothing may be appended and nothing is safe that was not told to be: the
    /// driver stops.
    fn news(&mut self) -> impl Future<Output = io::Result<News>> + Send;

    /// Cuts the journal behind what was appended, and begins a snapshot of what is before the cut.
    fn begin_snapshot(&mut self) {}

    /// Takes over the next part of the snapshot; answered by [`News::SnapshotReady`].
    fn append_snapshot(&mut self, _records: Vec<u8>) {}

    /// Makes the snapshot valid, once everything that was appended before this call is synced.
    fn publish_snapshot(&mut self) {}

    /// Makes all of it safe and lets go of it.
    fn close(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }
}

/// Keeps nothing. A node that knows it makes no records, and what has none waits for nothing.
#[derive(Debug)]
pub(crate) struct InMemory;

impl Disk for InMemory {
    fn append(&mut self, _: u64, _: Records) {}

    async fn news(&mut self) -> io::Result<News> {
        pending().await
    }
}

/// The one or the other, as the flags say.
#[derive(Debug)]
pub(crate) enum Either {
    InMemory(InMemory),
    Durable(Durable),
}

impl Disk for Either {
    fn append(&mut self, batch: u64, records: Records) {
        match self {
            Either::InMemory(disk) => disk.append(batch, records),
            Either::Durable(disk) => disk.append(batch, records),
        }
    }

    async fn news(&mut self) -> io::Result<News> {
        match self {
            Either::InMemory(disk) => disk.news().await,
            Either::Durable(disk) => disk.news().await,
        }
    }

    fn begin_snapshot(&mut self) {
        if let Either::Durable(disk) = self {
            disk.begin_snapshot();
        }
    }

    fn append_snapshot(&mut self, records: Vec<u8>) {
        if let Either::Durable(disk) = self {
            disk.append_snapshot(records);
        }
    }

    fn publish_snapshot(&mut self) {
        if let Either::Durable(disk) = self {
            disk.publish_snapshot();
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        match self {
            Either::InMemory(_) => Ok(()),
            Either::Durable(disk) => disk.close().await,
        }
    }
}
