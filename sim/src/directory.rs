//! A directory that keeps exactly what it promised to keep, and no more.
//!
//! There are two views of it. Processes see every byte that was written, since the page cache
//! outlives them: killing one changes nothing here. A power cut leaves what was synced, and of
//! the rest whatever chance has it: of each file all, none or some of the sectors written since
//! its last sync, in any order, and a length anywhere between the old and the new; of the names
//! created, renamed and removed since the last sync of the directory a beginning, or any of them.
//!
//! A sync may fail. As Linux does it, the pages count as clean from then on though only some of
//! them are on the disk: a process that reads them sees them, a later sync that succeeds says
//! nothing of them, and a power cut takes them. A process that writes to such a file again has broken
//! rule `failed-sync-ends-the-node`, and panics here.
//!
//! Rejected: a power cut that loses all that was not synced. It is the mildest of all: bytes that
//! stay behind a gap, or a name without its file's end, are what recovery must tell from damage.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use quipu_core::storage::files::Files;

use self::file::File;
pub use self::file::SECTOR_BYTES;
use crate::chance::{Chance, Purpose};

mod file;

/// Of how many of a thousand writes and syncs a crash image is kept; names change rarely, and every
/// time.
const IMAGE_PERMILLE: u64 = 20;

/// Crash images that wait at most: a burst of writes is not more interesting than its beginning.
const IMAGES_MAX: usize = 16;

/// Of a directory that holds more bytes, not every moment is kept, in proportion: to look
/// into one takes as long as to recover from it.
const IMAGE_BYTES: u64 = 16 << 10;

type FileId = u64;

/// What happened to names since the last sync of the directory.
#[derive(Clone, Debug)]
enum Change {
    Link { name: String, file: FileId },
    Rename { from: String, to: String, file: FileId },
    Unlink { name: String },
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Change::Link { name, file } => {
                names.insert(name.clone(), *file);
            }
            Change::Rename { from, to, file } => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            Change::Unlink { name } => {
                names.remove(name);
            }
        }
    }
}

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory {
    files: BTreeMap<FileId, File>,
    next_file: FileId,
    /// As processes see them.
    names: BTreeMap<String, FileId>,
    /// As of the last sync.
    names_on_disk: BTreeMap<String, FileId>,
    changes: Vec<Change>,
    /// Files that the process which runs has created.
    ours: BTreeSet<FileId>,
    chance: Chance,
    /// Whether the next sync of a file fails.
    sync_fails: bool,
    is_full: bool,
    /// Whether a bit has flipped that no start has met.
    is_rotten: bool,
    /// Whether it is a copy that no start has met.
    is_copy: bool,
    /// How many more operations succeed before the power is cut.
    fuse: Option<u64>,
    keeps_images: bool,
    images: Vec<Directory>,
}

impl Directory {
    /// An empty one, which draws its whims from a seed.
    pub fn new(seed: u64) -> Self {
        Directory {
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            names_on_disk: BTreeMap::new(),
            changes: Vec::new(),
            ours: BTreeSet::new(),
            chance: Chance::new(seed, Purpose::Disks),
            sync_fails: false,
            is_full: false,
            is_rotten: false,
            is_copy: false,
            fuse: None,
            keeps_images: false,
            images: Vec::new(),
        }
    }

    /// The power is cut: what was not synced is lost, or not.
    pub fn lose_power(&mut self, chance: &mut Chance) {
        let changes = std::mem::take(&mut self.changes);
        let middle = chance.index(changes.len() + 1);
        let kind = chance.below(4);
        for (at, change) in changes.iter().enumerate() {
            let survives = match kind {
                0 => false,
                1 => true,
                2 => at < middle,
                _ => chance.permille(500),
            };
            if survives {
                change.apply(&mut self.names_on_disk);
            }
        }
        for file in self.files.values_mut() {
            file.lose_power(chance);
        }
        self.come_back();
    }

    /// The power is cut, and nothing survives that need not.
    pub fn lose_all_that_may_be_lost(&mut self) {
        self.changes.clear();
        for file in self.files.values_mut() {
            file.settle();
        }
        self.come_back();
    }

    fn come_back(&mut self) {
        self.names.clone_from(&self.names_on_disk);
        self.fuse = None;
        self.sync_fails = false;
        self.restart();
        self.forget_nameless();
    }

    /// Another process takes over: it may append to nothing that is there.
    pub fn restart(&mut self) {
        self.ours.clear();
        for file in self.files.values_mut() {
            file.has_failed = false;
        }
    }

    /// A copy as a backup makes it: all that is seen, and all of it on the copy's disk.
    pub fn copy(&self) -> Directory {
        let mut copy = self.clone();
        copy.images.clear();
        copy.names_on_disk.clone_from(&copy.names);
        copy.changes.clear();
        for file in copy.files.values_mut() {
            file.on_disk.clone_from(&file.bytes);
        }
        copy.sync_fails = false;
        copy.is_full = false;
        copy.come_back();
        copy
    }

    /// Puts the files of another directory in the place of those that are here.
    pub fn replace(&mut self, by: Directory) {
        let (chance, keeps_images, is_full) =
            (self.chance.clone(), self.keeps_images, self.is_full);
        *self = Directory { chance, keeps_images, is_full, ..by };
    }

    /// It is a copy of another one, or of an earlier state: the next start finds that out.
    pub fn set_copy(&mut self, is_copy: bool) {
        self.is_copy = is_copy;
    }

    /// Whether it is a copy that no start has met.
    pub fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// The next sync of a file fails.
    pub fn fail_next_sync(&mut self, fails: bool) {
        self.sync_fails = fails;
    }

    /// No room is left, or some is again.
    pub fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// After so many more operations the power is cut; with `None`, it is not.
    pub fn set_fuse(&mut self, operations: Option<u64>) {
        self.fuse = operations;
    }

    /// Whether a fuse has blown: the power is off.
    pub fn is_without_power(&self) -> bool {
        self.fuse == Some(0)
    }

    /// Keeps copies of moments between operations, for [`Directory::take_crash_images`].
    pub fn set_crash_images(&mut self, keeps_images: bool) {
        self.keeps_images = keeps_images;
    }

    /// The moments since the last call: what a crash there would find.
    pub fn take_crash_images(&mut self) -> Vec<Directory> {
        std::mem::take(&mut self.images)
    }

    /// The moment as it is.
    pub fn crash_image(&mut self) -> Directory {
        let images = std::mem::take(&mut self.images);
        let image = Directory { keeps_images: false, ..self.clone() };
        self.images = images;
        image
    }

    /// All that processes see of a file.
    pub fn contents(&self, name: &str) -> Option<&[u8]> {
        Some(&self.files.get(self.names.get(name)?)?.bytes)
    }

    /// A bit flips somewhere in a file; returns where, if there is any file.
    pub fn rot(&mut self, chance: &mut Chance) -> Option<String> {
        let is_empty = |id: &FileId| self.files[id].bytes.is_empty();
        let named: Vec<_> = self.names.iter().filter(|(_, id)| !is_empty(id)).collect();
        let (name, id) = *named.get(chance.index(named.len().max(1)))?;
        let file = self.files.get_mut(id)?;
        let at = chance.index(file.bytes.len());
        let bit = 1 << chance.below(8);
        file.bytes[at] ^= bit;
        if let Some(byte) = file.on_disk.get_mut(at) {
            *byte ^= bit;
        }
        self.is_rotten = true;
        Some(format!("byte {at} of {name}"))
    }

    /// Whether a bit has flipped that no start has met.
    pub fn is_rotten(&self) -> bool {
        self.is_rotten
    }

    /// The flipped bit was met.
    pub fn is_sound_again(&mut self) {
        self.is_rotten = false;
    }

    /// Puts a file there from outside, as damage or a repair by hand does.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let id = self.add_file();
        let file = File { on_disk: bytes.clone(), bytes, ..File::default() };
        self.files.insert(id, file);
        self.names.insert(name.to_owned(), id);
        self.names_on_disk.insert(name.to_owned(), id);
    }

    fn add_file(&mut self) -> FileId {
        self.next_file += 1;
        self.next_file
    }

    fn forget_nameless(&mut self) {
        let named: BTreeSet<FileId> =
            self.names.values().chain(self.names_on_disk.values()).copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    /// Before every operation that changes something.
    fn begin(&mut self, changes_names: bool) -> io::Result<()> {
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(io::Error::other("the power is cut"));
            }
        }
        if self.keeps_images
            && !self.is_rotten
            && self.images.len() < IMAGES_MAX
            && (changes_names || self.chance.permille(IMAGE_PERMILLE))
            && self.is_worth_an_image()
        {
            let image = self.crash_image();
            self.images.push(image);
        }
        Ok(())
    }

    fn is_worth_an_image(&mut self) -> bool {
        let bytes: u64 = self.files.values().map(|file| file.bytes.len() as u64).sum();
        self.chance.below(bytes.max(1)) < IMAGE_BYTES
    }

    fn id_of(&self, name: &str) -> io::Result<FileId> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no file {name:?}"));
        self.names.get(name).copied().ok_or_else(missing)
    }

    fn file_to_write(&mut self, name: &str) -> io::Result<&mut File> {
        let id = self.id_of(name)?;
        assert!(self.ours.contains(&id), "{name} was not created by this process");
        let file = self.files.get_mut(&id).expect("every name has its file");
        assert!(!file.has_failed, "{name} is used again after a sync that failed");
        Ok(file)
    }

    fn check_room(&self) -> io::Result<()> {
        if self.is_full { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names.keys().cloned().collect())
    }

    fn read(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = &self.files[&self.id_of(name)?].bytes;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let read = into.len().min(bytes.len() - from);
        into[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.begin(true)?;
        self.check_room()?;
        let file = self.add_file();
        self.files.insert(file, File::default());
        self.ours.insert(file);
        let change = Change::Link { name: name.to_owned(), file };
        change.apply(&mut self.names);
        self.changes.push(change);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // Whatever keeps an append from being done may come in its middle.
        let done = self.begin(false).and_then(|()| self.check_room());
        let cut = self.chance.index(bytes.len() + 1);
        let file = self.file_to_write(name)?;
        let written = if done.is_ok() { bytes } else { &bytes[..cut] };
        file.write(file.end, written);
        file.end += written.len();
        done
    }

    fn reserve(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.begin(false)?;
        self.check_room()?;
        let file = self.file_to_write(name)?;
        let end = file.end + usize::try_from(bytes).unwrap_or(usize::MAX);
        if end > file.bytes.len() {
            let zeros = vec![0; end - file.bytes.len()];
            file.write(file.bytes.len(), &zeros);
        }
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.begin(false)?;
        let fails = std::mem::take(&mut self.sync_fails);
        let mut chance = self.chance.clone();
        let file = self.file_to_write(name)?;
        if fails {
            file.fail_to_sync(&mut chance);
            self.chance = chance;
            return Err(io::Error::other("input/output error"));
        }
        file.sync();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.begin(true)?;
        let file = self.id_of(from)?;
        let change = Change::Rename { from: from.to_owned(), to: to.to_owned(), file };
        change.apply(&mut self.names);
        self.changes.push(change);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.begin(true)?;
        self.id_of(name)?;
        let change = Change::Unlink { name: name.to_owned() };
        change.apply(&mut self.names);
        self.changes.push(change);
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.begin(true)?;
        self.changes.clear();
        self.names_on_disk.clone_from(&self.names);
        self.forget_nameless();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sync: bool) -> Directory {
        let mut directory = Directory::new(1);
        directory.create("file").unwrap();
        directory.append("file", &[7; 2_000]).unwrap();
        if sync {
            directory.sync("file").unwrap();
            directory.sync_directory().unwrap();
        }
        directory
    }

    /// All that `count` power cuts leave of a directory.
    fn after_power_cuts(directory: &Directory, count: u64) -> Vec<Directory> {
        (0..count)
            .map(|seed| {
                let mut left = directory.clone();
                left.lose_power(&mut Chance::new(seed, Purpose::Disks));
                left
            })
            .collect()
    }

    #[test]
    fn what_is_synced_survives_every_power_cut() {
        for left in after_power_cuts(&written(true), 100) {
            assert_eq!(left.contents("file"), Some(&[7; 2_000][..]));
        }
    }

    #[test]
    fn what_is_not_synced_may_be_lost_in_whole_or_in_parts_and_may_survive() {
        let mut directory = written(true);
        directory.append("file", &[9; 2_000]).unwrap();
        let left = after_power_cuts(&directory, 300);
        let lengths: BTreeSet<usize> =
            left.iter().map(|left| left.contents("file").unwrap().len()).collect();
        assert!(lengths.len() > 20, "{lengths:?}");
        let ends_behind_a_hole = |left: &&Directory| {
            let bytes = left.contents("file").unwrap();
            bytes.len() == 4_000 && bytes[2_500] == 0 && bytes[3_999] == 9
        };
        assert!(left.iter().any(|left| ends_behind_a_hole(&left)));
        let whole = [&[7; 2_000][..], &[9; 2_000]].concat();
        assert!(left.iter().any(|left| left.contents("file") == Some(&whole)));
        assert!(left.iter().all(|left| left.contents("file").unwrap()[..2_000] == [7; 2_000]));
    }

    #[test]
    fn names_may_be_lost_until_the_directory_is_synced_and_not_in_order() {
        let mut directory = written(true);
        directory.create("new").unwrap();
        directory.rename("file", "moved").unwrap();
        let seen: BTreeSet<Vec<String>> =
            after_power_cuts(&directory, 200).iter().map(|left| left.list().unwrap()).collect();
        let expected = [vec!["file"], vec!["file", "new"], vec!["moved"], vec!["moved", "new"]];
        let expected: BTreeSet<Vec<String>> = expected
            .into_iter()
            .map(|names| names.into_iter().map(str::to_owned).collect())
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_killed_process_loses_nothing_but_a_later_power_cut_still_does() {
        let mut directory = written(false);
        directory.restart();
        assert_eq!(directory.contents("file"), Some(&[7; 2_000][..]));
        directory.lose_all_that_may_be_lost();
        assert_eq!(directory.contents("file"), None);
    }

    #[test]
    fn after_a_failed_sync_the_bytes_are_seen_and_a_later_sync_does_not_keep_them() {
        let mut directory = written(true);
        directory.append("file", &[9; 20_000]).unwrap();
        directory.fail_next_sync(true);
        directory.sync("file").unwrap_err();
        assert_eq!(directory.contents("file").unwrap()[21_999], 9);
        directory.lose_all_that_may_be_lost();
        assert!(directory.contents("file").unwrap().iter().filter(|b| **b == 9).count() < 20_000);
    }

    #[test]
    #[should_panic(expected = "used again after a sync that failed")]
    fn a_file_whose_sync_failed_must_not_be_used_again() {
        let mut directory = written(true);
        directory.fail_next_sync(true);
        directory.sync("file").unwrap_err();
        let _ = directory.sync("file");
    }

    #[test]
    fn a_full_disk_takes_no_more_and_a_copy_is_safe_at_once() {
        let mut directory = written(false);
        let mut copy = directory.copy();
        directory.set_full(true);
        let error = directory.append("file", b"more").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        copy.lose_all_that_may_be_lost();
        assert_eq!(copy.contents("file"), Some(&[7; 2_000][..]));
    }
}
