//! `quipu check` and `quipu repair`: a data directory, looked at and mended without a node.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use quipu_core::identity::OriginId;
use quipu_core::storage;
use quipu_core::storage::read::{ReadError, Reading};
use quipu_core::storage::repair::{Repair, repair};
use quipu_core::storage::state::Recovered;

use crate::disk::directory::{Directory, Lock, LockError};

/// Origins that a repair tells of one by one at most: those that came last. An old cluster has had a
/// hundred thousand, of which few can have counted since.
const ORIGINS_TOLD_MAX: usize = 20;

/// Why a directory could not be looked at, or is not well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("expected a data directory at {0}, found none")]
    NoDirectory(PathBuf),
    #[error("{0}")]
    Io(io::Error),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("{0}: {1}; quipu repair {0} keeps what is sound and gets the rest from peers")]
    Damaged(PathBuf, ReadError),
    #[error("{0}: {1}; repairing it would lose what is there")]
    Later(PathBuf, ReadError),
    #[error("the system gives no random numbers: {0}")]
    Chance(#[from] getrandom::Error),
}

/// Reads a data directory as a start would, touches nothing, and tells what is there.
pub(crate) fn check(path: &Path) -> Result<String, DataError> {
    let directory = directory(path)?;
    let mut state = empty()?();
    let reading = storage::check(&directory, &mut state).map_err(|error| damaged(path, error))?;
    Ok(told(path, &reading, &state))
}

/// Mends a data directory that no node runs on, and tells what was done.
pub(crate) fn mend(path: &Path) -> Result<String, DataError> {
    let mut directory = directory(path)?;
    let _lock = Lock::take(path)?;
    let done = repair(&mut directory, empty()?).map_err(|error| match error {
        ReadError::Io(error) => DataError::Io(error),
        later @ ReadError::Damaged { .. } => DataError::Later(path.to_owned(), later),
    })?;
    Ok(match done {
        None => format!("{}: nothing is damaged, and nothing was changed", path.display()),
        Some(repair) => mended(path, &repair),
    })
}

fn directory(path: &Path) -> Result<Directory, DataError> {
    if path.is_dir() {
        Ok(Directory::new(path))
    } else {
        Err(DataError::NoDirectory(path.to_owned()))
    }
}

fn empty() -> Result<impl Fn() -> Recovered, DataError> {
    let (origin, seed) = (OriginId(getrandom::u64()?), getrandom::u64()?);
    Ok(move || Recovered::new(origin, seed))
}

fn damaged(path: &Path, error: ReadError) -> DataError {
    match error {
        ReadError::Io(error) => DataError::Io(error),
        damaged @ ReadError::Damaged { .. } => DataError::Damaged(path.to_owned(), damaged),
    }
}

fn told(path: &Path, reading: &Reading, state: &Recovered) -> String {
    let mut text = format!("{}: sound\n", path.display());
    match state.last_start() {
        Some(start) => {
            let _ = writeln!(text, "  node {}, last start as origin {}", start.node, start.origin);
        }
        None => text.push_str("  no node has started on it\n"),
    }
    for file in &reading.files {
        let kind = if file.is_snapshot { "snapshot" } else { "journal" };
        let _ = writeln!(
            text,
            "  {} {kind}, {} records, {} bytes",
            file.name, file.records, file.bytes
        );
    }
    if reading.unsynced_bytes > 0 {
        let _ = writeln!(
            text,
            "  of these, the last {} bytes were not known to be synced: a start makes them safe first",
            reading.unsynced_bytes
        );
    }
    if let Some(torn) = &reading.torn {
        let _ = writeln!(
            text,
            "  a crash tore the last write: {} at byte {} of {}; a start cuts it off",
            torn.fault, torn.offset, torn.file
        );
    }
    let counters = state.counters();
    let _ = write!(text, "  {} counters by {} origins", counters.len(), counters.origins() - 1);
    text
}

fn mended(path: &Path, repair: &Repair) -> String {
    let mut text = format!("{}: repaired\n", path.display());
    for damaged in &repair.damaged {
        let _ = write!(text, "  {} at byte {}: {}", damaged.file, damaged.offset, damaged.fault);
        match &damaged.kept_as {
            Some(name) => {
                let _ = writeln!(text, "; kept as {name}");
            }
            None => text.push('\n'),
        }
    }
    let _ = writeln!(
        text,
        "  {} records before the damage are kept as they were, {} sound ones behind it as well",
        repair.trusted_records, repair.salvaged_records
    );
    text.push_str(
        "  what the damaged bytes held comes back from peers when the node has joined them; what no \
         peer has is lost. Complete here up to:\n",
    );
    let origins = &repair.complete_up_to;
    let (more, last) = origins.split_at(origins.len().saturating_sub(ORIGINS_TOLD_MAX));
    for (origin, version) in last {
        let _ = writeln!(text, "  origin {origin}: batch {version}");
    }
    if !more.is_empty() {
        let _ = writeln!(text, "  and {} origins that this node heard of before these", more.len());
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A directory of ten years is repaired.` The answer had a hundred thousand lines.
    #[test]
    fn what_a_repair_tells_of_an_old_directory_fits_a_screen() {
        let told = |origins: u64| {
            let complete_up_to = (1..=origins).map(|n| (OriginId(n), n)).collect();
            let text = mended(Path::new("data"), &Repair { complete_up_to, ..Repair::default() });
            text.lines().skip(3).map(str::to_owned).collect::<Vec<_>>()
        };
        let all = told(20);
        assert_eq!(all.len(), 20);
        assert!(all[0].ends_with(": batch 1") && all[19].ends_with(": batch 20"), "{all:?}");
        let some = told(100_000);
        assert_eq!(some.len(), 21);
        assert!(some[19].ends_with(": batch 100000"), "{some:?}");
        assert_eq!(some[20], "  and 99980 origins that this node heard of before these");
    }
}
