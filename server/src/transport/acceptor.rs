//! What every front end that takes connections must mind: that the system may have none to hand
//! out, and that connections end before the process does.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::listener::Listener;
use super::spare::{Spare, Turn};
use super::stream::{Options, Stream};
use crate::count::Count;

/// Rest after the system could not hand out a connection: long enough not to spin, too short for a
/// client to notice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The shortest time between two log lines about that.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// One front end's connections.
pub(crate) struct Acceptor {
    pub(crate) listener: Listener,
    /// What the log calls them.
    pub(crate) name: &'static str,
    pub(crate) options: Options,
    /// Most at a time.
    pub(crate) connections_max: usize,
    /// How long those that are open may take to end when the node stops.
    pub(crate) drain_time_max: Duration,
    /// Its other ends hear that the node stops when this is dropped.
    pub(crate) stopping: watch::Sender<()>,
}

impl Acceptor {
    /// Hands connections to `take`, each with its place among those that may be open, or with none if
    /// there are too many, until `stop` ends. Then tells those that are open, and waits for them.
    pub(crate) async fn run(
        self,
        errors: &Count,
        take: impl Fn(Stream, Option<OwnedSemaphorePermit>),
        stop: impl Future<Output = ()>,
    ) {
        let slots = Arc::new(Semaphore::new(self.connections_max));
        let mut complaints = Complaints::default();
        let mut spare = Spare::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = poll_fn(|cx| self.listener.poll_accept(cx)) => accepted,
            };
            match accepted {
                Ok(stream) => {
                    let slot = Arc::clone(&slots).try_acquire_owned().ok();
                    if slot.is_some() {
                        stream.set(&self.options);
                    }
                    take(stream, slot);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    let turn = spare.accept(&self.listener, &error);
                    if matches!(turn, Turn::NoneWaits) {
                        continue;
                    }
                    errors.add(1);
                    complaints.complain(&error);
                    match turn {
                        Turn::Taken(stream) => take(stream, None),
                        _ => tokio::time::sleep(ACCEPT_PAUSE).await,
                    }
                    spare.renew();
                }
            }
        }
        drop(self.listener);
        drop(self.stopping);
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        if tokio::time::timeout(self.drain_time_max, slots.acquire_many(all)).await.is_err() {
            let open = self.connections_max - slots.available_permits();
            tracing::warn!(
                "{open} {} were still open {:?} after the stop",
                self.name,
                self.drain_time_max
            );
        }
    }
}

/// Whether an error of `accept` is that of the connection that was to be taken, which its other
/// side may have given up meanwhile, and says nothing of the next.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Says that connections cannot be taken, and not more often than an operator reads it.
#[derive(Debug, Default)]
struct Complaints {
    last: Option<Instant>,
}

impl Complaints {
    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now - last >= LOG_INTERVAL) {
            self.last = Some(now);
            tracing::warn!("cannot take connections for now: {error}");
        }
    }
}
