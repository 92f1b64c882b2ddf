//! A data directory of a test's own, and what a test may do to it behind the node's back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Bytes of a file before its first record.
pub const HEAD_BYTES: usize = 64;

/// So many segments make a snapshot due, however short they are.
const SNAPSHOT_AFTER_SEGMENTS: usize = 64;

/// Numbers this process's directories.
static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// A directory that goes when this does.
#[derive(Debug)]
pub struct DataDirectory(PathBuf);

impl DataDirectory {
    /// One in which no node has counted yet.
    pub fn empty() -> DataDirectory {
        let number = DIRECTORIES.fetch_add(1, Relaxed);
        let name = format!("data-{}-{number}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        // A process of the same number may have been killed before it could clear up.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made");
        DataDirectory(path)
    }

    /// One with the files of another, as `cp` brings them over, one after the other: a node that
    /// runs may have removed some meanwhile.
    pub fn copy_of(other: &Path) -> DataDirectory {
        let copy = DataDirectory::empty();
        let mut names: Vec<_> = fs::read_dir(other)
            .expect("a directory to copy")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        for name in names {
            match fs::read(other.join(&name)) {
                Ok(bytes) => fs::write(copy.0.join(&name), bytes).expect("room for a copy"),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("cannot copy {}: {error}", name.display()),
            }
        }
        copy
    }

    /// What the first release that wrote format 1 left: a snapshot and two segments.
    pub fn of_format_1() -> DataDirectory {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data-format-1");
        DataDirectory::copy_of(&kept)
    }

    /// What a release left that took `.` and `..` as names: 2 under either, and 1 under `..a`.
    pub fn of_dot_names() -> DataDirectory {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dot-names");
        DataDirectory::copy_of(&kept)
    }

    /// One in which a snapshot is due at the next start's first increment, since so many starts
    /// have left a segment each; `count` was counted in the first.
    pub fn before_a_snapshot(count: u64) -> DataDirectory {
        let data = DataDirectory::empty();
        for start in 1..SNAPSHOT_AFTER_SEGMENTS {
            let mut node = super::node::Node::start(&data.flags());
            for _ in 0..if start == 1 { count } else { 0 } {
                assert_eq!(node.post("/increment", "").status, 200);
            }
            node.kill();
        }
        data
    }

    /// A copy of it as it is now.
    pub fn copy(&self) -> DataDirectory {
        DataDirectory::copy_of(&self.0)
    }

    /// Puts the files of another in place of those that are here.
    pub fn become_like(&self, other: &DataDirectory) {
        for name in self.names() {
            fs::remove_file(self.file(&name)).expect("a file can be removed");
        }
        for (name, bytes) in other.contents() {
            fs::write(self.file(&name), bytes).expect("room for a copy");
        }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }

    /// What a node must be told in order to use it.
    pub fn flags(&self) -> [&str; 2] {
        ["--data-dir", self.path()]
    }

    /// Where one of its files is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What is in it, in order.
    pub fn names(&self) -> Vec<String> {
        self.contents().into_keys().collect()
    }

    /// The last of its files that end so.
    #[track_caller]
    pub fn last(&self, ending: &str) -> String {
        let names = self.names();
        let found = names.iter().rfind(|name| name.ends_with(ending));
        found.unwrap_or_else(|| panic!("expected a file *{ending} among {names:?}")).clone()
    }

    /// Every byte of it.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        fs::read_dir(&self.0)
            .expect("it is there")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let name = entry.file_name().into_string().expect("text");
                (name, fs::read(entry.path()).expect("a file that can be read"))
            })
            .collect()
    }

    /// Changes one of its files.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.file(name);
        let mut bytes = fs::read(&path).expect("a file that can be read");
        change(&mut bytes);
        fs::write(&path, bytes).expect("a file that can be written");
    }

    /// Where the records of one of its files end: behind them a segment is zeros.
    pub fn end_of_records(&self, name: &str) -> usize {
        self.starts_of_records(name).1
    }

    /// Where each record of one of its files begins, by the lengths at their beginnings; and where
    /// the last one ends.
    pub fn starts_of_records(&self, name: &str) -> (Vec<usize>, usize) {
        let bytes = fs::read(self.file(name)).expect("a file that can be read");
        let (mut starts, mut at) = (Vec::new(), HEAD_BYTES);
        while let Some(length) = bytes.get(at..at + 4) {
            let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
            if length == 0 {
                break;
            }
            starts.push(at);
            at += 8 + length as usize;
        }
        (starts, at)
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
