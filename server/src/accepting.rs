//! What every front end that takes connections must mind: that there are descriptors left, that
//! the system may have none to hand out, and that connections end before the process does.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::count::Count;

/// Most connections of one front end at a time. An HTTP connection that holds half a head takes
/// some 25 KiB (measured), so all of them 250 MiB; and more clients than that would wait for the
/// processor, not for a connection.
const CONNECTIONS_MAX: usize = 10_000;

/// File descriptors that connections leave free however many strangers hold one, so that links,
/// dials and files still get theirs.
const DESCRIPTORS_RESERVED: usize = 256;

/// Rest after the system could not hand out a connection: long enough not to spin, too short for a
/// client to notice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The shortest time between two log lines about that.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// As many connections as each of so many front ends may have while the process still has
/// descriptors for itself. Each has its share, so that strangers at one door do not close the other.
pub(crate) fn connections_max(front_ends: usize) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let spare = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(descriptors / 2);
    (spare / front_ends.max(1)).clamp(1, CONNECTIONS_MAX)
}

/// One front end's connections.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    /// What the log calls them.
    pub(crate) name: &'static str,
    /// Most at a time.
    pub(crate) connections_max: usize,
    /// How long those that are open may take to end when the node stops.
    pub(crate) drain_time_max: Duration,
    /// Its other ends hear that the node stops when this is dropped.
    pub(crate) stopping: watch::Sender<()>,
}

impl Door {
    /// Hands connections to `take`, each with its place among those that may be open, or with none if
    /// there are too many, until `stop` ends. Then tells those that are open, and waits for them.
    pub(crate) async fn keep(
        self,
        errors: &Count,
        take: impl Fn(TcpStream, Option<OwnedSemaphorePermit>),
        stop: impl Future<Output = ()>,
    ) {
        let slots = Arc::new(Semaphore::new(self.connections_max));
        let mut complaints = Complaints::default();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => take(stream, Arc::clone(&slots).try_acquire_owned().ok()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    errors.add(1);
                    complaints.complain(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
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

/// Says that connections cannot be taken, and not more often than someone reads it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_all_descriptors() {
        for front_ends in 0..3 {
            assert!((1..=CONNECTIONS_MAX).contains(&connections_max(front_ends)));
        }
    }
}
