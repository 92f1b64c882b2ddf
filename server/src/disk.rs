//! Where batches are kept: appended in order, and synced behind the driver's back.
//!
//! The driver hands over each batch's records as soon as the batch is closed, and holds that
//! batch's effects until it hears that the records are safe. Between the two it goes on gathering,
//! so several batches may wait at once and one sync serves them all (group commit). What is synced
//! is told as one number, since batches become safe in the order in which they were appended.
//!
//! Rejected: a future for each batch. The driver would have to keep a set of them and could see
//! them end out of order, which cannot happen and would have to be handled all the same.

use std::future::{Future, pending};
use std::io;

/// Takes batches and says when they are safe.
pub(crate) trait Disk: Send + 'static {
    /// Takes over one batch's records, which may be none. Must not block: a disk that has to
    /// write does so on a thread of its own. Batches come in order, but numbers may be left out.
    fn append(&mut self, batch: u64, records: Vec<u8>);

    /// Waits until more batches are safe than the last call told of, and answers with the last of
    /// them. Cancel safe: what was not told yet is told by the next call.
    ///
    /// After an error nothing may be appended and nothing is safe that was not told to be: the
    /// driver stops.
    fn synced(&mut self) -> impl Future<Output = io::Result<u64>> + Send;
}

/// Keeps nothing, so that every batch is as safe at once as it will ever be.
#[derive(Debug, Default)]
pub(crate) struct InMemory {
    appended: u64,
    told: u64,
}

impl Disk for InMemory {
    fn append(&mut self, batch: u64, _: Vec<u8>) {
        self.appended = batch;
    }

    async fn synced(&mut self) -> io::Result<u64> {
        if self.told == self.appended {
            pending::<()>().await;
        }
        self.told = self.appended;
        Ok(self.told)
    }
}
