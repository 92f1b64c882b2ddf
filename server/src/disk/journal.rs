//! The thread that drives the journal's writer.
//!
//! It hands over all that waits, has the writer say what is to be done (`quipu_core::storage::writer`),
//! does it on the real directory, and tells what is safe: while a sync runs, the driver gathers what
//! the next one will make safe (group commit; Walk 1, step 6). A thread and not a task, since a sync
//! blocks for as long as the disk likes. It follows the driver from processor to processor: where a
//! sync takes 100 µs, to wake an idle processor twice for each takes half as long again.
//!
//! Rejected for now: to sync on the driver's own thread while syncs are quick. On an idle machine it
//! is a tenth quicker, but half as fast where processors or the disk have other work, since nothing is
//! gathered meanwhile; and a disk that hangs takes membership and reads with it. One call that writes
//! and syncs (`pwritev2` with RWF_DSYNC) made no difference that could be told from noise.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use quipu_core::storage::journal::Journal;
use quipu_core::storage::read::Reading;
use quipu_core::storage::records::Records;
use quipu_core::storage::writer::{self, Behind, Habits, Job, Next, Work, Writer};
use quipu_core::time::Time;
use tokio::sync::{mpsc, oneshot};

use super::counts::Counts;
use super::directory::{Directory, Lock};
use super::fsync::Fsync;
use super::snapshot;
use super::{Disk, News};
use crate::os::companion::Companion;

/// How often it is looked whether the directory is still what its name leads to: within a second a
/// node must know, and looking takes four system calls.
const LOOKING_INTERVAL: Duration = Duration::from_millis(250);

/// What the thread is asked for.
#[derive(Debug)]
enum Order {
    Do(Job),
    Close(oneshot::Sender<io::Result<()>>),
}

/// A disk that keeps what it is given.
#[derive(Debug)]
pub(crate) struct Durable {
    // Unbounded: the driver bounds what waits for the disk.
    orders: Sender<Order>,
    // Unbounded: it holds a number for each batch that the driver waits for, which it bounds.
    news: mpsc::UnboundedReceiver<io::Result<News>>,
    /// The journal's thread.
    thread: Companion,
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
        let (orders, to_do) = channel();
        let (tell, news) = mpsc::unbounded_channel();
        let snapshots = snapshot::start(begin.path, tell.clone(), Arc::clone(&begin.counts))?;
        let segments = begin.reading.segments();
        let behind = Behind {
            cut: segments.map(|segment| segment.base).min().unwrap_or(0),
            segments: begin.reading.segments().count() as u64 + 1,
            snapshot_bytes: begin.reading.snapshot_bytes(),
        };
        let habits = Habits { fsync: begin.fsync.into(), ..Habits::default() };
        let lock = Arc::new(begin.lock);
        let mut driven = Driven {
            writer: Writer::new(begin.journal, habits, behind, Time::ZERO),
            last_bytes: snapshots.last_bytes(behind.snapshot_bytes),
            directory: begin.directory,
            lock: Arc::clone(&lock),
            began: Instant::now(),
            looked: Instant::now(),
            counts: begin.counts,
            snapshots,
            tell,
        };
        let (introduce, introduced) = channel();
        thread::Builder::new().name("journal".into()).spawn(move || {
            // Who started it waits for this.
            let _ = introduce.send(Companion::of_this_thread());
            driven.run(&to_do);
        })?;
        let thread = introduced.recv().map_err(|_| ended())?;
        Ok(Durable { orders, news, thread, _lock: lock })
    }

    fn order(&mut self, order: Order) {
        // A thread that is gone has told its error, which ends the driver.
        let _ = self.orders.send(order);
    }
}

impl Disk for Durable {
    fn append(&mut self, batch: u64, records: Records) {
        self.thread.join_me();
        self.order(Order::Do(Job::Append { batch, records }));
    }

    async fn news(&mut self) -> io::Result<News> {
        match self.news.recv().await {
            Some(news) => news,
            None => Err(ended()),
        }
    }

    fn begin_snapshot(&mut self) {
        self.order(Order::Do(Job::Cut));
    }

    fn append_snapshot(&mut self, records: Vec<u8>) {
        self.order(Order::Do(Job::SnapshotChunk(records)));
    }

    fn publish_snapshot(&mut self) {
        self.order(Order::Do(Job::Publish));
    }

    async fn close(&mut self) -> io::Result<()> {
        let (done, closed) = oneshot::channel();
        self.order(Order::Close(done));
        closed.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> io::Error {
    io::Error::other("the journal's thread has ended")
}

/// The writer and what it is driven with.
#[derive(Debug)]
struct Driven {
    writer: Writer,
    directory: Directory,
    lock: Arc<Lock>,
    /// Where the writer's time begins.
    began: Instant,
    /// When it was last looked whether the directory is still there.
    looked: Instant,
    counts: Arc<Counts>,
    snapshots: snapshot::Thread,
    last_bytes: snapshot::LastBytes,
    tell: mpsc::UnboundedSender<io::Result<News>>,
}

impl Driven {
    fn run(&mut self, orders: &Receiver<Order>) {
        if let Err(error) = self.drive(orders) {
            let _ = self.tell.send(Err(error));
        }
    }

    fn drive(&mut self, orders: &Receiver<Order>) -> io::Result<()> {
        loop {
            let until = self.work()?;
            let patience = until.map_or(LOOKING_INTERVAL, |until| until.since(self.now()));
            match orders.recv_timeout(patience.min(LOOKING_INTERVAL)) {
                Ok(order) => {
                    for order in std::iter::once(order).chain(orders.try_iter()) {
                        match order {
                            Order::Do(job) => self.put(job),
                            Order::Close(done) => {
                                let _ = done.send(self.finish());
                                return Ok(());
                            }
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.look()?,
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    fn put(&mut self, job: Job) {
        if let Job::Append { records, .. } = &job {
            self.counts.journal_batches.add(u64::from(!records.is_empty()));
        }
        self.writer.put(job);
    }

    /// Does all that is to be done now, and says so; answers when to come back without a job.
    fn work(&mut self) -> io::Result<Option<Time>> {
        self.writer.snapshot_is_written(self.last_bytes.get());
        loop {
            let next = self.writer.next(self.now());
            self.tell_news()?;
            match next {
                Next::Do(work) => self.carry_out(work)?,
                Next::Wait(until) => return Ok(until),
            }
        }
    }

    fn carry_out(&mut self, work: Work) -> io::Result<()> {
        let (now, began) = (self.now(), Instant::now());
        let position = self.writer.journal().position();
        self.writer.carry_out(now, work, &mut self.directory)?;
        match work {
            Work::Write => {
                self.counts.journal_bytes.add(self.writer.journal().position() - position)
            }
            Work::Sync => {
                self.counts.syncs.add(1);
                self.counts.sync_micros.add(began.elapsed().as_micros().try_into().unwrap_or(0));
            }
            Work::Rotate | Work::Mark => {}
        }
        Ok(())
    }

    fn tell_news(&mut self) -> io::Result<()> {
        for news in self.writer.take_news() {
            let news = match news {
                writer::News::Safe(batch) => {
                    if self.looked.elapsed() >= LOOKING_INTERVAL {
                        self.looked = Instant::now();
                        self.lock.look()?;
                    }
                    News::Safe(batch)
                }
                writer::News::SnapshotDue => News::SnapshotDue,
                writer::News::Snapshot(step) => {
                    self.snapshots.step(step);
                    continue;
                }
            };
            let _ = self.tell.send(Ok(news));
        }
        Ok(())
    }

    /// Looks whether the directory is still there.
    fn look(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        self.lock.look()
    }

    fn finish(&mut self) -> io::Result<()> {
        let now = self.now();
        self.writer.finish(now, &mut self.directory)?;
        self.tell_news()
    }

    fn now(&self) -> Time {
        let micros = self.began.elapsed().as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
