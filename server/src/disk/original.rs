//! Whether a data directory is the one that its node began in, or a copy of it (rule
//! `copies-close-nothing`).
//!
//! A copied directory, or one that is put back from an archive, holds what a process wrote that may run
//! on elsewhere. What tells them apart is a file made at the directory's first start, which says in
//! which moment it was made: a copy was made in another one, by the file system's own record, and a
//! directory that was moved, or a volume that was attached elsewhere, was not. Where the file system
//! keeps no such record the file's number serves.
//!
//! Device numbers and machine ids are no evidence: both change when a volume moves. A clone of the whole
//! block device cannot be told apart here; it is found out when it meets its twin (rule
//! `one-node-one-process`).

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The file, and the name that it has until it is written.
const NAME: &str = "ORIGINAL";
const UNFINISHED: &str = "ORIGINAL.unfinished";

/// More than that no file of ours holds.
const BYTES_MAX: usize = 128;

/// What a directory says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Original {
    /// It is the one that it was.
    Same,
    /// It says nothing: it is new, or an earlier release began it.
    Unmarked,
    /// It is a copy of another one.
    Copy,
}

/// Looks whether a directory is the one that it was.
///
/// # Errors
/// As the system reports them.
pub(crate) fn look(directory: &Path) -> io::Result<Original> {
    let path = directory.join(NAME);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES_MAX)]).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Original::Unmarked),
        Err(error) => return Err(error),
    };
    let is_same = text.trim_end() == mark(&path)?;
    Ok(if is_same { Original::Same } else { Original::Copy })
}

/// Has a directory say from now on that it is this one. To be called when a start has been written
/// down: a crash before that leaves a copy a copy.
///
/// # Errors
/// As the system reports them.
pub(crate) fn claim(directory: &Path) -> io::Result<()> {
    let unfinished = directory.join(UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(&unfinished)?;
    writeln!(file, "{}", mark(&unfinished)?)?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}

/// When a file was made, or its number where that is not known.
fn mark(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    let made = metadata.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    Ok(match made {
        Some(made) => format!("made {}.{:09}", made.as_secs(), made.subsec_nanos()),
        None => format!("inode {}", metadata.ino()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("quipu-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_moved_directory_is_the_same_and_a_copied_one_is_not() {
        let (first, moved, copied) = (scratch("first"), scratch("moved"), scratch("copied"));
        assert_eq!(look(&first).unwrap(), Original::Unmarked);
        claim(&first).unwrap();
        assert_eq!(look(&first).unwrap(), Original::Same);
        fs::copy(first.join(NAME), copied.join(NAME)).unwrap();
        assert_eq!(look(&copied).unwrap(), Original::Copy);
        fs::rename(first.join(NAME), moved.join(NAME)).unwrap();
        assert_eq!(look(&moved).unwrap(), Original::Same);
        claim(&copied).unwrap();
        assert_eq!(look(&copied).unwrap(), Original::Same, "it is a node of its own now");
        [first, moved, copied].iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }

    #[test]
    fn what_says_nothing_that_we_wrote_is_a_copy() {
        let path = scratch("garbled");
        fs::write(path.join(NAME), [0xFF; 1000]).unwrap();
        assert_eq!(look(&path).unwrap(), Original::Copy);
        fs::remove_dir_all(path).unwrap();
    }
}
