//! A directory in which a node keeps what it counted, for as long as a test needs it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Numbers this process's directories.
static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// A directory that goes when this does.
#[derive(Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// One that is not there yet: the node makes it.
    pub fn fresh() -> DataDir {
        let name = format!("data-{}-{}", std::process::id(), DIRECTORIES.fetch_add(1, Relaxed));
        DataDir(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// What a node must be told in order to use it.
    pub fn flags(&self) -> [&str; 2] {
        ["--data-dir", self.0.to_str().expect("text")]
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // A node that never started has made none.
        let _ = fs::remove_dir_all(&self.0);
    }
}
