//! Group commit as a value: what is written, synced, rotated and published, in which order, and
//! which batches are safe by then.
//!
//! It has no thread, no clock and no disk. Its driver hands over jobs, and has done on its own files
//! what is to be done next:
//!
//! ```text
//! put(job)                            for everything that waits
//! next(now) -> Do(work)               write, sync, rotate or mark
//! carry_out(now, work, files)         as often as there is work
//! next(now) -> Wait(until)            until a job comes, or the time has
//! take_news()                         after each piece of work, and before a wait
//! ```
//!
//! The server's thread and the simulator's disk run it, which only add time and faults.
//!
//! All that waits is written at once and synced once: while a sync runs, the driver gathers what the
//! next one will make safe. A snapshot's chunks go through the same queue and meet the journal where
//! they were handed over; a [`SnapshotTask`], which the driver may run elsewhere, writes its file.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::files::Files;
use super::journal::Journal;
use super::records::Records;
use super::snapshot::SnapshotWriter;
use crate::identity::NodeId;
use crate::time::Time;

/// Records that are written in one go at most, in bytes: a sync of more takes tens of milliseconds
/// on a slow disk. The driver bounds what waits behind them.
const WRITE_BYTES_MAX: usize = 8 << 20;

/// When the journal is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before anything leaves that was read from the table.
    Always,
    /// Every so often; what leaves waits until it is written only.
    Every(Duration),
    /// When a segment or a snapshot needs it.
    Never,
}

/// When the writer does what no job asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// When the journal is synced.
    pub fsync: Fsync,
    /// After so long without a record the journal is marked as synced to its end.
    pub rest: Duration,
    /// After how many bytes of journal a snapshot is due, unless the last one was larger: so that
    /// journal and snapshot together stay below three times a snapshot and a segment.
    pub snapshot_after_bytes: u64,
    /// After how many segments it is due, whatever they hold: every start begins one.
    pub snapshot_after_segments: u64,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            fsync: Fsync::Always,
            rest: Duration::from_secs(1),
            snapshot_after_bytes: 64 << 20,
            snapshot_after_segments: 64,
        }
    }
}

/// What is behind the end of the journal when a writer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// The position at which the oldest segment begins that no snapshot replaces.
    pub cut: u64,
    /// How many segments there are, the one that is written included.
    pub segments: u64,
    /// How long the last snapshot is, in bytes; 0 if there is none.
    pub snapshot_bytes: u64,
}

/// What a writer is asked for, in the order of its queue.
#[derive(Debug)]
pub enum Job {
    /// Keep these records; [`News::Safe`] tells when they are as safe as [`Fsync`] says.
    Append {
        /// Grows from job to job.
        batch: u64,
        /// They may be empty: the batch is safe when all before it are.
        records: Records,
    },
    /// Go on in a new segment, and begin a snapshot of all that is before it.
    Cut,
    /// A part of the snapshot.
    SnapshotChunk(Vec<u8>),
    /// The snapshot is whole: make it valid once everything before this job is synced.
    Publish,
}

/// One piece of work on the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Write what has gathered.
    Write,
    /// Sync the journal: the one that takes long.
    Sync,
    /// Go on in a new segment.
    Rotate,
    /// Write down that all is synced.
    Mark,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This, at once.
    Do(Work),
    /// Nothing before another job comes, or this time has.
    Wait(Option<Time>),
}

/// What a writer tells.
#[derive(Debug)]
pub enum News {
    /// Batches up to this one are as safe as they were asked to be.
    Safe(u64),
    /// The journal has grown so much that a snapshot is worth its while.
    SnapshotDue,
    /// For the [`SnapshotTask`].
    Snapshot(Step),
}

/// See the file.
#[derive(Debug)]
pub struct Writer {
    journal: Journal,
    habits: Habits,
    behind: Behind,
    jobs: VecDeque<Job>,
    /// Records that are written next.
    gathered: Records,
    /// The last batch that was gathered and not told to be safe.
    last: Option<u64>,
    /// Since when there are records that are written and not known to be synced.
    unsynced_since: Option<Time>,
    written_at: Time,
    /// Whether nothing was written since the journal was last marked as synced to its end.
    is_at_rest: bool,
    is_snapshot_due: bool,
    news: Vec<News>,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::bug::Bug>,
}

impl Writer {
    /// A writer that goes on where a start has left the journal.
    pub fn new(journal: Journal, habits: Habits, behind: Behind, now: Time) -> Self {
        Writer {
            journal,
            habits,
            behind,
            jobs: VecDeque::new(),
            gathered: Records::default(),
            last: None,
            unsynced_since: None,
            written_at: now,
            is_at_rest: false,
            is_snapshot_due: false,
            news: Vec::new(),
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: crate::bug::Bug) {
        self.bug = Some(bug);
    }

    /// Takes over a job.
    pub fn put(&mut self, job: Job) {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::PublishedEarly) {
            // The parts as well: with `Fsync::Always` a publication alone that comes early does no
            // harm, see `next`.
            match job {
                Job::SnapshotChunk(records) => {
                    self.news.push(News::Snapshot(Step::Append(records)))
                }
                Job::Publish => self.news.push(News::Snapshot(Step::Publish)),
                job => self.jobs.push_back(job),
            }
            return;
        }
        self.jobs.push_back(job);
    }

    /// What is to be done now. What turned out to be safe on the way is news.
    pub fn next(&mut self, now: Time) -> Next {
        loop {
            if self.gathered.is_empty() {
                if self.is_sync_due(now) {
                    return Next::Do(Work::Sync);
                }
                if let Some(batch) = self.last.take() {
                    self.news.push(News::Safe(batch));
                }
                self.look_whether_snapshot_is_due();
                self.gather();
            }
            if !self.gathered.is_empty() {
                return Next::Do(Work::Write);
            }
            if self.last.is_some() {
                // Batches without records: nothing is to be written for them.
                continue;
            }
            let is_synced = self.unsynced_since.is_none();
            match self.jobs.pop_front() {
                Some(job @ Job::Cut) => {
                    self.jobs.push_front(job);
                    return Next::Do(if is_synced { Work::Rotate } else { Work::Sync });
                }
                Some(job @ Job::Publish) if !is_synced => {
                    // Whatever the walk has seen is in what was appended before (rule
                    // `cut-at-the-beginning`). With `Fsync::Always` that is synced already: each
                    // part has waited for it in this queue, the driver walks on only when the part
                    // is written, and the last one tells origins only, as of the cut. In the other
                    // modes parts wait for no sync.
                    self.jobs.push_front(job);
                    return Next::Do(Work::Sync);
                }
                Some(Job::Publish) => self.news.push(News::Snapshot(Step::Publish)),
                Some(Job::SnapshotChunk(records)) => {
                    self.news.push(News::Snapshot(Step::Append(records)));
                }
                Some(job @ Job::Append { .. }) => self.jobs.push_front(job),
                None => return self.without_jobs(now),
            }
        }
    }

    /// Does a piece of work that [`Writer::next`] has named.
    ///
    /// # Errors
    /// When the system fails. Nothing is safe then that was not told to be, and the writer is of no
    /// more use (rule `failed-sync-ends-the-node`).
    pub fn carry_out(&mut self, now: Time, work: Work, files: &mut impl Files) -> io::Result<()> {
        match work {
            Work::Write => self.write(now, files),
            Work::Sync => {
                self.journal.sync(files)?;
                self.unsynced_since = None;
                Ok(())
            }
            Work::Rotate => self.rotate(files),
            Work::Mark => {
                self.is_at_rest = true;
                self.journal.mark(files)
            }
        }
    }

    /// What there is to tell since the last call, in its order.
    pub fn take_news(&mut self) -> impl Iterator<Item = News> + '_ {
        self.news.drain(..)
    }

    /// A snapshot has become valid.
    pub fn snapshot_is_written(&mut self, bytes: u64) {
        self.behind.snapshot_bytes = bytes;
    }

    /// Does all that waits, and leaves the journal synced and marked so.
    ///
    /// # Errors
    /// See [`Writer::carry_out`].
    pub fn finish(&mut self, now: Time, files: &mut impl Files) -> io::Result<()> {
        while let Next::Do(work) = self.next(now) {
            self.carry_out(now, work, files)?;
        }
        self.carry_out(now, Work::Sync, files)?;
        self.carry_out(now, Work::Mark, files)
    }

    /// The journal that is written.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    fn gather(&mut self) {
        while self.gathered.bytes() < WRITE_BYTES_MAX
            && let Some(Job::Append { .. }) = self.jobs.front()
            && let Some(Job::Append { batch, records }) = self.jobs.pop_front()
        {
            self.gathered.absorb(records);
            self.last = Some(batch);
        }
    }

    /// Whether what is written must be synced before anything else.
    fn is_sync_due(&self, now: Time) -> bool {
        self.unsynced_since.is_some_and(|since| match self.habits.fsync {
            Fsync::Always => true,
            Fsync::Every(every) => now >= since + every,
            Fsync::Never => false,
        })
    }

    fn without_jobs(&self, now: Time) -> Next {
        match (self.habits.fsync, self.unsynced_since) {
            (Fsync::Every(every), Some(since)) => Next::Wait(Some(since + every)),
            (Fsync::Always, _) if !self.is_at_rest => {
                let rests = self.written_at + self.habits.rest;
                if now >= rests { Next::Do(Work::Mark) } else { Next::Wait(Some(rests)) }
            }
            _ => Next::Wait(None),
        }
    }

    fn write(&mut self, now: Time, files: &mut impl Files) -> io::Result<()> {
        let number = self.journal.number();
        let mut records = self.gathered.take();
        self.journal.append(files, &mut records)?;
        self.behind.segments += self.journal.number() - number;
        self.unsynced_since.get_or_insert(now);
        self.written_at = now;
        self.is_at_rest = false;
        Ok(())
    }

    fn rotate(&mut self, files: &mut impl Files) -> io::Result<()> {
        // It stands first: `next` has looked.
        self.jobs.pop_front();
        let number = self.journal.rotate(files)?;
        self.behind.cut = self.journal.position();
        self.behind.segments = 1;
        self.is_snapshot_due = false;
        self.news.push(News::Snapshot(Step::Begin { node: self.journal.node(), number }));
        Ok(())
    }

    fn look_whether_snapshot_is_due(&mut self) {
        let Habits { snapshot_after_bytes, snapshot_after_segments, .. } = self.habits;
        let grown = self.journal.position() - self.behind.cut;
        if !self.is_snapshot_due
            && (grown >= snapshot_after_bytes.max(self.behind.snapshot_bytes)
                || self.behind.segments >= snapshot_after_segments)
        {
            self.is_snapshot_due = true;
            self.news.push(News::SnapshotDue);
        }
    }
}

/// A step of a snapshot.
#[derive(Debug)]
pub enum Step {
    /// Begin one of all that is before this segment.
    Begin {
        /// The node as the file's head names it.
        node: NodeId,
        /// The number of the segment that follows it.
        number: u64,
    },
    /// Append a part.
    Append(Vec<u8>),
    /// End it, and let it take the place of what is before it.
    Publish,
}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// The next part may come.
    Ready,
    /// The snapshot is valid, and so many bytes long.
    Published(u64),
    /// No snapshot is under way: an earlier step has failed.
    Idle,
}

/// Writes the files of snapshots, one after the other.
///
/// One that fails is given up, not the node: the journal holds everything that it would have held.
#[derive(Debug, Default)]
pub struct SnapshotTask {
    under_way: Option<SnapshotWriter>,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::bug::Bug>,
}

impl SnapshotTask {
    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: crate::bug::Bug) {
        self.bug = Some(bug);
    }

    /// Does one step.
    ///
    /// # Errors
    /// As the system reports them. The snapshot has been given up then, and its file removed, if
    /// that was possible; the next start removes it otherwise.
    pub fn take(&mut self, step: Step, files: &mut impl Files) -> io::Result<Stepped> {
        let stepped = self.attempt(step, files);
        if stepped.is_err()
            && let Some(snapshot) = self.under_way.take()
        {
            let _ = snapshot.abandon(files);
        }
        stepped
    }

    fn attempt(&mut self, step: Step, files: &mut impl Files) -> io::Result<Stepped> {
        match step {
            Step::Begin { node, number } => {
                let snapshot = SnapshotWriter::begin(files, node, number)?;
                #[cfg(feature = "planted-bugs")]
                let snapshot = snapshot.planted(self.bug);
                self.under_way = Some(snapshot);
            }
            Step::Append(records) => match &mut self.under_way {
                Some(snapshot) => snapshot.append(files, records)?,
                None => return Ok(Stepped::Idle),
            },
            Step::Publish => {
                return match self.under_way.take() {
                    Some(snapshot) => Ok(Stepped::Published(snapshot.publish(files)?)),
                    None => Ok(Stepped::Idle),
                };
            }
        }
        Ok(Stepped::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::OriginId;
    use crate::storage;
    use crate::storage::record::Start;
    use crate::storage::state::Recovered;
    use crate::storage::tests::Memory;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn writer(habits: Habits) -> (Writer, Memory) {
        let mut files = Memory::default();
        let origin = OriginId(1);
        let mut state = Recovered::new(origin, 1);
        let start = Start { node: NodeId(1), boot: 1, origin };
        let (journal, _, _) = storage::open(&mut files, &mut state, |_| start).unwrap();
        (Writer::new(journal, habits, Behind { segments: 1, ..Behind::default() }, at(0)), files)
    }

    fn append(batch: u64, records: &[u8]) -> Job {
        Job::Append { batch, records: records.to_vec().into() }
    }

    fn mark() -> Vec<u8> {
        let mut records = Vec::new();
        crate::storage::record::append_mark(&mut records);
        records
    }

    /// Everything that is to be done at a time, and what is told on the way.
    fn drive(writer: &mut Writer, files: &mut Memory, now: Time) -> (Vec<String>, Option<Time>) {
        let mut done = Vec::new();
        loop {
            let next = writer.next(now);
            done.extend(writer.take_news().map(|news| format!("{news:?}")));
            match next {
                Next::Wait(until) => return (done, until),
                Next::Do(work) => {
                    done.push(format!("{work:?}"));
                    writer.carry_out(now, work, files).unwrap();
                }
            }
        }
    }

    #[test]
    fn all_that_waits_is_written_once_synced_once_and_then_safe() {
        let (mut writer, mut files) = writer(Habits::default());
        for batch in 1..=3 {
            writer.put(append(batch, &mark()));
        }
        let (done, until) = drive(&mut writer, &mut files, at(5));
        assert_eq!(done, ["Write", "Sync", "Safe(3)"]);
        assert_eq!(until, Some(at(1005)), "when the journal has come to rest");
        assert_eq!(drive(&mut writer, &mut files, at(1005)).0, ["Mark"]);
        assert_eq!(drive(&mut writer, &mut files, at(9000)), (Vec::new(), None));
    }

    #[test]
    fn a_batch_without_records_is_safe_when_those_before_it_are() {
        let (mut writer, mut files) = writer(Habits::default());
        writer.put(append(1, &mark()));
        writer.put(append(2, &[]));
        assert_eq!(drive(&mut writer, &mut files, at(0)).0, ["Write", "Sync", "Safe(2)"]);
        writer.put(append(3, &[]));
        assert_eq!(drive(&mut writer, &mut files, at(0)).0, ["Safe(3)"]);
    }

    #[test]
    fn what_comes_while_a_sync_runs_is_made_safe_by_the_next() {
        let (mut writer, mut files) = writer(Habits::default());
        writer.put(append(1, &mark()));
        assert_eq!(writer.next(at(0)), Next::Do(Work::Write));
        writer.carry_out(at(0), Work::Write, &mut files).unwrap();
        writer.put(append(2, &mark()));
        assert_eq!(
            drive(&mut writer, &mut files, at(0)).0,
            ["Sync", "Safe(1)", "Write", "Sync", "Safe(2)"]
        );
    }

    #[test]
    fn a_writer_that_syncs_every_so_often_tells_what_is_written_and_syncs_when_it_is_time() {
        let habits = Habits { fsync: Fsync::Every(100 * MS), ..Habits::default() };
        let (mut writer, mut files) = writer(habits);
        writer.put(append(1, &mark()));
        let (done, until) = drive(&mut writer, &mut files, at(7));
        assert_eq!((done, until), (vec!["Write".into(), "Safe(1)".into()], Some(at(107))));
        writer.put(append(2, &mark()));
        assert_eq!(drive(&mut writer, &mut files, at(106)).0, ["Write", "Safe(2)"]);
        assert_eq!(drive(&mut writer, &mut files, at(107)), (vec!["Sync".into()], None));
    }

    #[test]
    fn a_writer_that_never_syncs_still_does_for_a_snapshot() {
        let habits = Habits { fsync: Fsync::Never, ..Habits::default() };
        let (mut writer, mut files) = writer(habits);
        writer.put(append(1, &mark()));
        writer.put(Job::Cut);
        writer.put(append(2, &mark()));
        writer.put(Job::SnapshotChunk(vec![]));
        writer.put(Job::Publish);
        assert_eq!(
            drive(&mut writer, &mut files, at(0)).0,
            [
                "Write",
                "Safe(1)",
                "Sync",
                "Rotate",
                "Snapshot(Begin { node: 0000000000000001, number: 2 })",
                "Write",
                "Safe(2)",
                "Snapshot(Append([]))",
                "Sync",
                "Snapshot(Publish)",
            ]
        );
    }

    #[test]
    fn a_writer_that_always_syncs_passes_on_a_part_when_what_it_was_read_from_is_synced() {
        let (mut writer, mut files) = writer(Habits::default());
        writer.put(append(1, &mark()));
        writer.put(Job::SnapshotChunk(vec![]));
        assert_eq!(
            drive(&mut writer, &mut files, at(0)).0,
            ["Write", "Sync", "Safe(1)", "Snapshot(Append([]))"]
        );
    }

    #[test]
    fn a_snapshot_is_due_once_the_journal_has_grown_and_again_after_the_next_cut() {
        let habits = Habits { snapshot_after_bytes: 100, ..Habits::default() };
        let (mut writer, mut files) = writer(habits);
        let told = |done: Vec<String>| done.iter().filter(|what| *what == "SnapshotDue").count();
        let grow = |writer: &mut Writer, files: &mut Memory| {
            (0..20).for_each(|batch| writer.put(append(batch, &mark())));
            told(drive(writer, files, at(0)).0)
        };
        assert_eq!(grow(&mut writer, &mut files), 1);
        assert_eq!(grow(&mut writer, &mut files), 0, "it was told");
        writer.put(Job::Cut);
        drive(&mut writer, &mut files, at(0));
        writer.snapshot_is_written(1 << 20);
        assert_eq!(grow(&mut writer, &mut files), 0, "less than the last snapshot is long");
    }

    #[test]
    fn a_writer_that_is_finished_leaves_all_synced_and_marked() {
        let (mut writer, mut files) = writer(Habits::default());
        writer.put(append(1, &mark()));
        writer.finish(at(0), &mut files).unwrap();
        let told: Vec<String> = writer.take_news().map(|news| format!("{news:?}")).collect();
        assert_eq!(told, ["Safe(1)"]);
    }
}
