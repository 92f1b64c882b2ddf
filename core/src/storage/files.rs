//! The files that storage needs from its surroundings: a directory, and little more.
//!
//! The server hands in the real one, the simulator one that loses and tears whatever was not
//! synced. What is done with them, and in which order, is in this room alone, so that the
//! simulator tests the very procedure that runs.

use std::io;

/// A directory of files that grow at their end.
///
/// What is written may be lost, in whole or in parts, until [`Files::sync`] returns; what is
/// created, renamed or removed, until [`Files::sync_directory`] returns. After an error nothing is
/// known of the file (rule `failed-sync-ends-the-node`).
pub trait Files {
    /// The names in the directory, in no order.
    ///
    /// # Errors
    /// As the system reports them; so for all of these.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Reads from `offset` on, as much as there is and fits; tells how much.
    fn read(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Creates a file, or empties it.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Writes behind what was appended before. Only to files that this process has created.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes room for `bytes` behind what was appended, as zeros: a sync of what is then appended
    /// need not write a new length of the file, which takes a journalling file system half as long
    /// again.
    fn reserve(&mut self, name: &str, bytes: u64) -> io::Result<()>;

    /// Returns when all that was written to the file is on the disk.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of whatever had it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Returns when all that was created, renamed and removed is on the disk.
    fn sync_directory(&mut self) -> io::Result<()>;
}

/// A segment's name.
pub(crate) fn segment(number: u64) -> String {
    format!("{number:08}.segment")
}

/// A snapshot's name; its number is that of the first segment that it does not cover.
pub(crate) fn snapshot(number: u64) -> String {
    format!("{number:08}.snapshot")
}

/// The name under which a file is written until it is whole.
pub(crate) fn unfinished(name: &str) -> String {
    format!("{name}.unfinished")
}

/// What a directory holds of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Ascending.
    pub(crate) segments: Vec<u64>,
    /// Ascending.
    pub(crate) snapshots: Vec<u64>,
    pub(crate) unfinished: Vec<String>,
}

impl Survey {
    pub(crate) fn of(files: &impl Files) -> io::Result<Self> {
        let mut survey = Survey::default();
        for name in files.list()? {
            let (stem, ending) = name.split_once('.').unwrap_or((&name, ""));
            let number = stem.parse::<u64>().ok();
            match (number, ending) {
                (Some(number), "segment") => survey.segments.push(number),
                (Some(number), "snapshot") => survey.snapshots.push(number),
                (Some(_), "segment.unfinished" | "snapshot.unfinished") => {
                    survey.unfinished.push(name);
                }
                _ => {}
            }
        }
        survey.segments.sort_unstable();
        survey.snapshots.sort_unstable();
        survey.unfinished.sort_unstable();
        Ok(survey)
    }
}

/// Reads a whole file.
pub(crate) fn read_all(files: &impl Files, name: &str) -> io::Result<Vec<u8>> {
    read_from(files, name, 0)
}

/// Reads a file from `offset` on.
pub(crate) fn read_from(files: &impl Files, name: &str, offset: u64) -> io::Result<Vec<u8>> {
    const STEP_BYTES: usize = 1 << 20;
    let (mut bytes, mut step) = (Vec::new(), vec![0; STEP_BYTES]);
    loop {
        let read = files.read(name, offset + bytes.len() as u64, &mut step)?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&step[..read]);
    }
}
