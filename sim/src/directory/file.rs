//! A file as processes see it, and as the disk is sure to have it.

use std::collections::BTreeSet;

use crate::chance::Chance;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// As processes see it.
    pub(super) bytes: Vec<u8>,
    /// Where the next append goes: before room that was made.
    pub(super) end: usize,
    /// As the disk is sure to have it.
    pub(super) on_disk: Vec<u8>,
    /// Sectors written since the last sync.
    pub(super) dirty: BTreeSet<usize>,
    /// Whether a sync has failed since the process started.
    pub(super) has_failed: bool,
}

impl File {
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at..end].copy_from_slice(bytes);
        self.dirty.extend(at / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    pub(super) fn sync(&mut self) {
        self.on_disk.resize(self.bytes.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
    }

    /// Some pages reach the disk; none is tried again.
    pub(super) fn fail_to_sync(&mut self, chance: &mut Chance) {
        self.has_failed = true;
        if chance.permille(500) {
            self.on_disk.resize(self.bytes.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            if chance.permille(500) {
                self.keep(sector);
            }
        }
    }

    /// A sector reaches the disk, as far as the file there is long enough.
    fn keep(&mut self, sector: usize) {
        let from = sector * SECTOR_BYTES;
        let to = (from + SECTOR_BYTES).min(self.bytes.len()).min(self.on_disk.len());
        if from < to {
            self.on_disk[from..to].copy_from_slice(&self.bytes[from..to]);
        }
    }

    pub(super) fn lose_power(&mut self, chance: &mut Chance) {
        let dirty: Vec<usize> = std::mem::take(&mut self.dirty).into_iter().collect();
        let middle = chance.index(dirty.len() + 1);
        let survivors: Vec<usize> = match chance.below(5) {
            0 => Vec::new(),
            1 => dirty,
            2 => dirty[..middle].to_vec(),
            3 => dirty[middle..].to_vec(),
            _ => dirty.into_iter().filter(|_| chance.permille(500)).collect(),
        };
        let (old, new) = (self.on_disk.len(), self.bytes.len());
        let length = match chance.below(4) {
            0 => old,
            1 => old + chance.index(new.saturating_sub(old) + 1),
            _ => new,
        };
        self.on_disk.resize(length.max(old), 0);
        for sector in survivors {
            self.keep(sector);
        }
        self.settle();
    }

    /// What is on the disk is all there is.
    pub(super) fn settle(&mut self) {
        self.bytes.clone_from(&self.on_disk);
        self.dirty.clear();
        self.end = self.bytes.len();
        self.has_failed = false;
    }
}
