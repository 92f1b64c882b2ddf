//! The thread that writes snapshots.
//!
//! Apart from the journal's, so that a snapshot of gigabytes never stands between an increment and
//! its sync. A snapshot that fails is given up, not the node: the journal holds everything that it
//! would have held.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use quipu_core::storage::writer::{SnapshotTask, Step, Stepped};
use tokio::sync::mpsc::UnboundedSender;

use super::News;
use super::counts::Counts;
use super::directory::Directory;

/// The length of the last snapshot, in bytes.
#[derive(Clone, Debug)]
pub(super) struct LastBytes(Arc<AtomicU64>);

impl LastBytes {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The thread's other end.
#[derive(Debug)]
pub(super) struct Thread {
    // Unbounded: the driver hands over a part only when the one before it is written.
    steps: Sender<Step>,
    last_bytes: LastBytes,
}

impl Thread {
    pub(super) fn step(&self, step: Step) {
        // A thread that is gone panicked; the journal goes on without snapshots.
        let _ = self.steps.send(step);
    }

    /// The number that the thread renews with every snapshot, now at `bytes`.
    pub(super) fn last_bytes(&self, bytes: u64) -> LastBytes {
        self.last_bytes.0.store(bytes, Relaxed);
        self.last_bytes.clone()
    }
}

/// Starts the thread.
pub(super) fn start(
    path: &Path,
    tell: UnboundedSender<io::Result<News>>,
    counts: Arc<Counts>,
) -> io::Result<Thread> {
    let (steps, to_do) = channel();
    let last_bytes = LastBytes(Arc::default());
    let mut writer = Writer {
        directory: Directory::new(path),
        task: SnapshotTask::default(),
        began: Instant::now(),
        tell,
        counts,
        last_bytes: last_bytes.clone(),
    };
    thread::Builder::new().name("snapshot".into()).spawn(move || writer.run(&to_do))?;
    Ok(Thread { steps, last_bytes })
}

struct Writer {
    directory: Directory,
    task: SnapshotTask,
    /// When the one under way did.
    began: Instant,
    tell: UnboundedSender<io::Result<News>>,
    counts: Arc<Counts>,
    last_bytes: LastBytes,
}

impl Writer {
    fn run(&mut self, steps: &Receiver<Step>) {
        while let Ok(step) = steps.recv() {
            if matches!(step, Step::Begin { .. }) {
                self.began = Instant::now();
            }
            let news = match self.task.take(step, &mut self.directory) {
                Ok(Stepped::Ready | Stepped::Idle) => News::SnapshotReady,
                Ok(Stepped::Published(bytes)) => {
                    self.has_written(bytes);
                    continue;
                }
                Err(error) => {
                    tracing::error!(
                        "the snapshot is given up, the journal goes on and holds everything: {error}"
                    );
                    self.counts.snapshots_failed.add(1);
                    News::SnapshotFailed
                }
            };
            if self.tell.send(Ok(news)).is_err() {
                return;
            }
        }
    }

    fn has_written(&self, bytes: u64) {
        self.last_bytes.0.store(bytes, Relaxed);
        self.counts.snapshots.add(1);
        self.counts.snapshot_bytes.add(bytes);
        let took = self.began.elapsed().as_secs_f64();
        tracing::info!("snapshot of {bytes} bytes written in {took:.3} s");
    }
}
