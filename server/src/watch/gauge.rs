//! How many watch, by the door that they came by, and how many were turned away.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::access::Door;
use crate::count::Count;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    present: [AtomicU64; Door::ALL.len()],
    refused: [Count; Door::ALL.len()],
}

impl Gauge {
    pub(super) fn enter(&self, door: Door) {
        self.present[door as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn leave(&self, door: Door) {
        self.present[door as usize].fetch_sub(1, Relaxed);
    }

    pub(super) fn refuse(&self, door: Door) {
        self.refused[door as usize].add(1);
    }

    /// How many watch now.
    pub(crate) fn present(&self, door: Door) -> u64 {
        self.present[door as usize].load(Relaxed)
    }

    /// How many were turned away.
    pub(crate) fn refused(&self, door: Door) -> u64 {
        self.refused[door as usize].get()
    }

    /// How many watch by any door.
    pub(super) fn size(&self) -> u64 {
        Door::ALL.into_iter().map(|door| self.present(door)).sum()
    }
}
