//! What outlives a process: the journal, its snapshots, and what a start makes of them.
//!
//! `record` says what is kept and `frame` what stands around it; `records` gathers what batches
//! have for the journal; `writer` says what is written and synced when, `journal` and `snapshot` write, `read` reads, `state` is what reading
//! amounts to; `repair` makes the best of what is damaged, with `place` where heads are. All of it
//! works on a directory that is handed in (`files`): the server's is real, the simulator's lies. The
//! byte-by-byte drawing is in `docs/storage.md`.

mod absence_rows;
pub mod files;
pub mod frame;
pub mod journal;
mod place;
pub mod read;
pub mod record;
pub mod records;
pub mod repair;
pub(crate) mod settlement_rows;
pub mod snapshot;
pub mod state;
#[cfg(test)]
mod tests;
pub mod writer;

use std::io;

use files::Files;
use frame::Head;
use journal::Journal;
use read::{ReadError, Reading};
use record::Start;
use state::Recovered;

/// Reads what is kept without touching it.
///
/// # Errors
/// See [`ReadError`].
pub fn check(files: &impl Files, state: &mut Recovered) -> Result<Reading, ReadError> {
    read::read(files, state)
}

/// Reads what is kept, and begins a new segment with what was not known to be safe and with the
/// start that `next` makes of what was found. When this returns, all of it is on the disk, and may
/// be shown (rule `sync-the-tail-before-showing-it`).
///
/// # Errors
/// See [`ReadError`]. Nothing was changed that a later try would miss.
pub fn open(
    files: &mut impl Files,
    state: &mut Recovered,
    next: impl FnOnce(&Recovered) -> Start,
) -> Result<(Journal, Start, Reading), ReadError> {
    let mut reading = read::read(files, state)?;
    #[cfg(feature = "planted-bugs")]
    state.forget(crate::bug::Bug::OriginReused);
    let (number, base, mut records) = match reading.last.take() {
        // The tail keeps its place, and so its checksums; what lies behind it in the old file is
        // superseded by a head that says where the new one begins.
        Some(last) => (last.number + 1, last.synced, last.tail),
        None => (1, 0, Vec::new()),
    };
    let start = next(state);
    let tail = records.len();
    record::append_start(&mut records, &start);
    frame::seal(&mut records[tail..], base + tail as u64, base).map_err(io::Error::from)?;
    let head = Head { node: start.node, number, base };
    // A crash may have left the file that is now written under the same name, and then renamed.
    let unfinished = files::unfinished(&files::segment(number));
    reading.useless.retain(|name| *name != unfinished);
    #[cfg(feature = "planted-bugs")]
    if state.has(crate::bug::Bug::TailNotSynced) {
        let mut journal = Journal::begin(files, head, &[])?;
        journal.append(files, &mut records)?;
        return Ok((journal, start, reading));
    }
    let journal = Journal::begin(files, head, &records)?;
    remove_useless(files, &reading)?;
    Ok((journal, start, reading))
}

fn remove_useless(files: &mut impl Files, reading: &Reading) -> io::Result<()> {
    for name in &reading.useless {
        files.remove(name)?;
    }
    if reading.useless.is_empty() { Ok(()) } else { files.sync_directory() }
}
