//! How many watch, by the door that they came by, and how many were turned away.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::count::Count;

/// Where a watcher came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// `GET /events`.
    Events,
    /// A Redis connection that has subscribed.
    Redis,
}

impl Door {
    pub(crate) const ALL: [Door; 2] = [Door::Events, Door::Redis];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Door::Events => "events",
            Door::Redis => "redis",
        }
    }
}

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    present: [AtomicU64; Door::ALL.len()],
    refused: [Count; Door::ALL.len()],
}

impl Crowd {
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
