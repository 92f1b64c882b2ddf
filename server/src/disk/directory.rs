//! A directory of the real file system, locked against a second process.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quipu_core::storage::files::Files;

use crate::os::memory::{Memory, used_bytes};

/// What the lock is taken on. Its content says nothing; the lock goes with the process.
const LOCK: &str = "LOCK";

/// How much is written at once to make room.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error(
        "the data directory {0} is in use by another process; stop it, or give this one \
             another --data-dir"
    )]
    InUse(PathBuf),
    #[error("cannot use the data directory {0}: {1}; name one that this user may write to")]
    Unusable(PathBuf, io::Error),
}

/// The only process on a data directory, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    directory: File,
    file: File,
}

impl Lock {
    /// Takes the lock; creates the directory if it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, LockError> {
        let unusable = |error| LockError::Unusable(path.to_owned(), error);
        create(path).map_err(unusable)?;
        let directory = File::open(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { path: path.to_owned(), directory, file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

impl Lock {
    /// Whether the directory and its lock are still what their names lead to. A node whose directory
    /// was removed or replaced writes to files that no start will find.
    ///
    /// # Errors
    /// If they are not. What the system cannot say is taken for no news: the disk's own errors end
    /// a node where it writes.
    pub(crate) fn look(&self) -> io::Result<()> {
        if is_at(&self.directory, &self.path) && is_at(&self.file, &self.path.join(LOCK)) {
            Ok(())
        } else {
            Err(gone(&self.path))
        }
    }
}

/// Whether a path leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        (_, Err(error)) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::StaleNetworkFileHandle
        ),
        (Err(_), Ok(_)) => true,
    }
}

fn gone(path: &Path) -> io::Error {
    let path = path.display();
    io::Error::other(format!(
        "the data directory, or a file of it, was removed or replaced while the node ran: {path}"
    ))
}

/// Creates a directory and those above it, each safe in the one above. That one which is there
/// already may have been made by a start that a crash cut short, so its name is made safe too, if
/// this user may.
fn create(path: &Path) -> io::Result<()> {
    let above = match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => return Ok(()),
    };
    if path.is_dir() {
        let _ = sync(above);
        return Ok(());
    }
    create(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    sync(above)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory).and_then(|directory| directory.sync_all())
}

/// The files of a data directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Files that this value has created and not yet removed.
    open: HashMap<String, Open>,
    /// While a start reads what it had kept.
    minder: Option<Minder>,
}

/// Looks, as files are read, whether what they hold fits into memory: who takes more than there is
/// is killed, and cannot say why.
#[derive(Debug)]
struct Minder {
    memory: Arc<Memory>,
    /// Used before anything was read.
    before: u64,
    read: Cell<u64>,
    /// What there is to be read.
    whole: u64,
}

impl Minder {
    fn has_read(&self, bytes: usize) -> io::Result<()> {
        self.read.set(self.read.get() + bytes as u64);
        self.memory
            .fits(self.before, self.read.get(), self.whole)
            .map_err(|why| io::Error::new(io::ErrorKind::OutOfMemory, why))
    }
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Behind what was appended.
    end: u64,
    /// Behind the zeros that make room for more.
    room: u64,
}

impl Open {
    /// Whether any name leads to it: what is written to a file without one is gone with the process.
    /// Costs a fraction of a microsecond.
    fn has_name(&self) -> bool {
        self.file.metadata().map_or(true, |metadata| metadata.nlink() > 0)
    }
}

/// Files kept open at a time: the one that is written, and the one before it.
const OPEN_MAX: usize = 2;

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Directory { path: path.to_owned(), open: HashMap::new(), minder: None }
    }

    /// The same, for a start: reading fails when what it reads outgrows the memory that there is.
    pub(crate) fn minding(path: &Path, memory: Arc<Memory>) -> Self {
        let lengths = fs::read_dir(path).into_iter().flatten().flatten();
        let whole = lengths.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
        let before = used_bytes().unwrap_or_default();
        let minder = Minder { memory, before, read: Cell::default(), whole };
        Directory { minder: Some(minder), ..Directory::new(path) }
    }

    /// The start has read everything.
    pub(crate) fn mind_no_longer(&mut self) {
        self.minder = None;
    }

    fn open(&mut self, name: &str) -> io::Result<&mut Open> {
        self.open.get_mut(name).ok_or_else(|| io::Error::other(format!("{name} is not open")))
    }

    /// What went wrong with which file: the system's own words name none.
    fn told<T>(&self, what: &str, name: &str, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| {
            let path = self.path.join(name);
            io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
        })
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        });
        self.told("list", "", names)
    }

    fn read(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let read = File::open(self.path.join(name)).and_then(|file| read_full(&file, offset, into));
        let read = self.told("read", name, read)?;
        if let Some(minder) = &self.minder {
            minder.has_read(read)?;
        }
        Ok(read)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = File::create(self.path.join(name));
        let file = self.told("create", name, file)?;
        if self.open.len() >= OPEN_MAX {
            self.open.clear();
        }
        self.open.insert(name.to_owned(), Open { file, end: 0, room: 0 });
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let open = self.open(name)?;
        let written = open.file.write_all_at(bytes, open.end);
        open.end += bytes.len() as u64;
        open.room = open.room.max(open.end);
        let has_name = open.has_name();
        self.told("write to", name, written)?;
        if has_name { Ok(()) } else { Err(gone(&self.path.join(name))) }
    }

    fn reserve(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let open = self.open(name)?;
        let wanted = open.end + bytes;
        let mut made = Ok(());
        while open.room < wanted && made.is_ok() {
            let length = ZEROS.len().min(usize::try_from(wanted - open.room).unwrap_or(usize::MAX));
            made = open.file.write_all_at(&ZEROS[..length], open.room);
            open.room += length as u64;
        }
        self.told("make room in", name, made)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let open = self.open(name)?;
        let synced = open.file.sync_data();
        let has_name = open.has_name();
        self.told("sync", name, synced)?;
        if has_name { Ok(()) } else { Err(gone(&self.path.join(name))) }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let renamed = fs::rename(self.path.join(from), self.path.join(to));
        self.told("rename", from, renamed)?;
        if let Some(open) = self.open.remove(from) {
            self.open.insert(to.to_owned(), open);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        let removed = fs::remove_file(self.path.join(name));
        self.told("remove", name, removed)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        self.told("sync", "", synced)
    }
}

fn read_full(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
