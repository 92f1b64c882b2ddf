//! The thread that writes the journal.
//!
//! It takes all that waits, writes it at once, syncs it once, and says so: while a sync runs, the
//! driver gathers what the next one will make safe (group commit; Walk 1, step 6). A thread and
//! not a task, since a sync blocks for as long as the disk likes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use quipu_core::storage::journal::Journal;
use quipu_core::storage::read::Reading;
use quipu_core::storage::records::Records;
use tokio::sync::{mpsc, oneshot};

use super::counts::Counts;
use super::directory::{Directory, Lock};
use super::fsync::Fsync;
use super::snapshot::{self, Step};
use super::{Disk, News};

/// Records that are written in one go at most, in bytes; the driver bounds what waits.
const WRITE_BYTES_MAX: usize = 8 << 20;

/// A journal that was not written to for so long is marked as synced to its end.
const REST: Duration = Duration::from_secs(1);

/// How often it is looked whether the directory is still what its name leads to: within a second a
/// node must know, and looking takes four system calls.
const LOOKING_INTERVAL: Duration = Duration::from_millis(250);

/// After how many bytes of journal a snapshot is due, unless the last one was larger: so that
/// journal and snapshot together stay below three times a snapshot and a segment.
const SNAPSHOT_AFTER_BYTES: u64 = 64 << 20;

/// After how many segments it is due, whatever they hold: every start begins one.
const SNAPSHOT_AFTER_SEGMENTS: u64 = 64;

/// What the thread is asked for.
#[derive(Debug)]
enum Job {
    Append { batch: u64, records: Records },
    Cut,
    Snapshot(Vec<u8>),
    Publish,
    Close(oneshot::Sender<io::Result<()>>),
}

/// A disk that keeps what it is given.
#[derive(Debug)]
pub(crate) struct Durable {
    jobs: Sender<Job>,
    // Unbounded: it holds a number for each batch that the driver waits for, which it bounds.
    news: mpsc::UnboundedReceiver<io::Result<News>>,
    /// Held for as long as the threads may write.
    _lock: Arc<Lock>,
}

/// What a start has found, for the thread to go on from.
#[derive(Debug)]
pub(crate) struct Begin<'a> {
    pub(crate) path: &'a Path,
    pub(crate) lock: Lock,
    pub(crate) directory: Directory,
    pub(crate) journal: Journal,
    pub(crate) fsync: Fsync,
    /// What was read of it.
    pub(crate) reading: Reading,
    pub(crate) counts: Arc<Counts>,
}

impl Durable {
    /// Starts the threads.
    pub(crate) fn start(begin: Begin<'_>) -> io::Result<Self> {
        let (jobs, to_do) = channel();
        let (tell, news) = mpsc::unbounded_channel();
        let snapshots = snapshot::start(begin.path, tell.clone(), Arc::clone(&begin.counts))?;
        let snapshot_bytes = begin.reading.snapshot_bytes();
        let segments = begin.reading.segments();
        let lock = Arc::new(begin.lock);
        let mut writer = Writer {
            directory: begin.directory,
            cut: segments.map(|segment| segment.base).min().unwrap_or(0),
            segments: begin.reading.segments().count() as u64 + 1,
            snapshot_bytes: snapshots.last_bytes(snapshot_bytes),
            journal: begin.journal,
            lock: Arc::clone(&lock),
            looked: Instant::now(),
            fsync: begin.fsync,
            counts: begin.counts,
            snapshots,
            tell,
            is_snapshot_due: false,
            pending: Records::default(),
            last: None,
            unsynced_since: None,
            is_at_rest: false,
        };
        thread::Builder::new().name("journal".into()).spawn(move || writer.run(&to_do))?;
        Ok(Durable { jobs, news, _lock: lock })
    }

    fn job(&mut self, job: Job) {
        // A thread that is gone has told its error, which ends the driver.
        let _ = self.jobs.send(job);
    }
}

impl Disk for Durable {
    fn append(&mut self, batch: u64, records: Records) {
        self.job(Job::Append { batch, records });
    }

    async fn news(&mut self) -> io::Result<News> {
        match self.news.recv().await {
            Some(news) => news,
            None => Err(io::Error::other("the journal's thread has ended")),
        }
    }

    fn begin_snapshot(&mut self) {
        self.job(Job::Cut);
    }

    fn append_snapshot(&mut self, records: Vec<u8>) {
        self.job(Job::Snapshot(records));
    }

    fn publish_snapshot(&mut self) {
        self.job(Job::Publish);
    }

    async fn close(&mut self) -> io::Result<()> {
        let (done, closed) = oneshot::channel();
        self.job(Job::Close(done));
        closed.await.unwrap_or_else(|_| Err(io::Error::other("the journal's thread has ended")))
    }
}

#[derive(Debug)]
struct Writer {
    directory: Directory,
    journal: Journal,
    lock: Arc<Lock>,
    /// When it was last looked whether the directory is still there.
    looked: Instant,
    fsync: Fsync,
    counts: Arc<Counts>,
    snapshots: snapshot::Thread,
    tell: mpsc::UnboundedSender<io::Result<News>>,
    /// Where the last snapshot ends, and how long it is.
    cut: u64,
    snapshot_bytes: snapshot::LastBytes,
    segments: u64,
    is_snapshot_due: bool,
    /// Records to be written.
    pending: Records,
    /// The last batch that was taken over and not told of.
    last: Option<u64>,
    unsynced_since: Option<Instant>,
    /// Whether nothing was written since the journal was last marked as synced to its end.
    is_at_rest: bool,
}

impl Writer {
    fn run(&mut self, jobs: &Receiver<Job>) {
        if let Err(error) = self.work(jobs) {
            let _ = self.tell.send(Err(error));
        }
    }

    fn work(&mut self, jobs: &Receiver<Job>) -> io::Result<()> {
        let mut idle_since = Instant::now();
        loop {
            let patience = self.patience(idle_since.elapsed());
            let mut job = match jobs.recv_timeout(patience.min(LOOKING_INTERVAL)) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.look()?;
                    if self.patience(idle_since.elapsed()).is_zero() {
                        self.rest()?;
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return self.rest(),
            };
            loop {
                if !self.take(job)? {
                    return Ok(());
                }
                if self.pending.bytes() >= WRITE_BYTES_MAX {
                    break;
                }
                job = match jobs.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                };
            }
            self.write_and_tell()?;
            idle_since = Instant::now();
        }
    }

    /// How long to wait for a job before there is something to do without one, after so long
    /// without.
    fn patience(&self, idle: Duration) -> Duration {
        match (self.fsync, self.unsynced_since) {
            (Fsync::Every(every), Some(since)) => every.saturating_sub(since.elapsed()),
            (Fsync::Always, _) if !self.is_at_rest => REST.saturating_sub(idle),
            _ => Duration::MAX,
        }
    }

    /// Looks whether the directory is still there.
    fn look(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        self.lock.look()
    }

    /// Nothing has come for a while.
    fn rest(&mut self) -> io::Result<()> {
        self.write_and_tell()?;
        self.is_at_rest = true;
        match self.fsync {
            Fsync::Always => self.journal.mark(&mut self.directory),
            Fsync::Every(_) => self.sync(),
            Fsync::Never => Ok(()),
        }
    }

    /// Takes one job; `false` if it was the last.
    fn take(&mut self, job: Job) -> io::Result<bool> {
        match job {
            Job::Append { batch, records } => {
                self.counts.journal_batches.add(u64::from(!records.is_empty()));
                self.pending.absorb(records);
                self.last = Some(batch);
            }
            Job::Cut => {
                self.write_and_tell()?;
                self.sync()?;
                let number = self.journal.rotate(&mut self.directory)?;
                self.cut = self.journal.position();
                self.segments = 1;
                self.is_snapshot_due = false;
                self.snapshots.step(Step::Begin { node: self.journal.node(), number });
            }
            Job::Snapshot(records) => self.snapshots.step(Step::Append(records)),
            Job::Publish => {
                // Whatever the walk has seen is in what was appended before this (rule
                // `cut-at-the-beginning`).
                self.write_and_tell()?;
                self.sync()?;
                self.snapshots.step(Step::Publish);
            }
            Job::Close(done) => {
                let closed = self
                    .write_and_tell()
                    .and_then(|()| self.sync())
                    .and_then(|()| self.journal.mark(&mut self.directory));
                let _ = done.send(closed);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what is pending, makes it as safe as it was asked to be, and says so.
    fn write_and_tell(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            let number = self.journal.number();
            let mut records = self.pending.take();
            self.journal.append(&mut self.directory, &mut records)?;
            self.segments += self.journal.number() - number;
            self.counts.journal_bytes.add(records.len() as u64);
            self.unsynced_since.get_or_insert_with(Instant::now);
            self.is_at_rest = false;
            let is_time = match self.fsync {
                Fsync::Always => true,
                Fsync::Every(every) => {
                    self.unsynced_since.is_some_and(|since| since.elapsed() >= every)
                }
                Fsync::Never => false,
            };
            if is_time {
                self.sync()?;
            }
        }
        if self.looked.elapsed() >= LOOKING_INTERVAL {
            self.look()?;
        }
        if let Some(batch) = self.last.take() {
            let _ = self.tell.send(Ok(News::Safe(batch)));
        }
        self.look_whether_snapshot_is_due();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced_since.take().is_some() {
            let began = Instant::now();
            self.journal.sync(&mut self.directory)?;
            self.counts.syncs.add(1);
            self.counts.sync_micros.add(began.elapsed().as_micros().try_into().unwrap_or(0));
        }
        Ok(())
    }

    fn look_whether_snapshot_is_due(&mut self) {
        if self.is_snapshot_due {
            return;
        }
        let grown = self.journal.position() - self.cut;
        if grown >= SNAPSHOT_AFTER_BYTES.max(self.snapshot_bytes.get())
            || self.segments >= SNAPSHOT_AFTER_SEGMENTS
        {
            self.is_snapshot_due = true;
            let _ = self.tell.send(Ok(News::SnapshotDue));
        }
    }
}
