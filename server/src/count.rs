//! A number that only grows, for `/metrics`.
//!
//! An atomic and nothing else: an increment's whole path costs some ten microseconds, and a lock
//! would be seen in it. It is read only by a scrape, so nothing has to agree with anything
//! and `Relaxed` is enough.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
