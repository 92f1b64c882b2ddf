//! What every front end that takes connections must mind: that there are descriptors left, that
//! the system may have none to hand out, and that connections end before the process does.

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::count::Count;

/// Most HTTP connections at a time. One that holds half a head takes some 25 KiB (measured), so all
/// of them 250 MiB; and more clients than that would wait for the processor, not for a connection.
const HTTP_CONNECTIONS_MAX: usize = 10_000;

/// Most connections of Redis clients at a time. Those are kept open for days and mostly idle, at
/// some 5 KiB each (measured), and every worker of every service has one: twice as many as Redis
/// allows where nobody has set it.
const REDIS_CONNECTIONS_MAX: usize = 20_000;

/// File descriptors that connections leave free however many strangers hold one, so that links,
/// dials and files still get theirs.
const DESCRIPTORS_RESERVED: usize = 256;

/// Connections that may wait to be taken. Where they find no room the system says nothing, and who
/// connects tries again after one second, three, seven: a burst of strangers, or a node that has
/// been paused for a moment, would keep others waiting for that long. What waits costs the system
/// some hundred bytes each. Linux allows so many by default and cuts larger numbers to that.
const CONNECTIONS_WAITING_MAX: u32 = 4096;

/// Rest after the system could not hand out a connection: long enough not to spin, too short for a
/// client to notice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The shortest time between two log lines about that.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// How many connections each front end may have. Each has its share, so that strangers at one door
/// do not close the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) http: usize,
    pub(crate) redis: usize,
}

/// As many as leave the process descriptors for itself.
pub(crate) fn shares(serves_redis: bool) -> Shares {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    shares_of(usize::try_from(descriptors).unwrap_or(usize::MAX), serves_redis)
}

fn shares_of(descriptors: usize, serves_redis: bool) -> Shares {
    let spare = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(descriptors / 2);
    let http = if serves_redis { spare / 3 } else { spare }.clamp(1, HTTP_CONNECTIONS_MAX);
    Shares { http, redis: spare.saturating_sub(http).clamp(1, REDIS_CONNECTIONS_MAX) }
}

/// Listens for connections.
///
/// # Errors
/// When the address cannot be had.
pub(crate) fn listen_at(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of a run that has just ended would keep the port from this one.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(CONNECTIONS_WAITING_MAX)
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
        let mut spare = Spare::new();
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
                    let turn = spare.accept(&self.listener, &error);
                    if matches!(turn, Turn::NobodyWaits) {
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

/// A descriptor that is held for the moment at which there is no other: with it a connection can be
/// taken, told that there is no room, and closed. Else it would wait and not know for what.
struct Spare(Option<File>);

/// What became of the connection for which there was no descriptor.
enum Turn {
    /// It has the spare one.
    Taken(TcpStream),
    /// There was none: the system looks for a descriptor before it looks who waits.
    NobodyWaits,
    /// It waits on.
    Waits,
}

impl Spare {
    fn new() -> Self {
        Spare(File::open("/dev/null").ok())
    }

    /// Takes the connection that the error was about.
    fn accept(&mut self, listener: &TcpListener, error: &io::Error) -> Turn {
        let code = rustix::io::Errno::from_io_error(error);
        let is_full = matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE));
        if !is_full || self.0.take().is_none() {
            return Turn::Waits;
        }
        match listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok((stream, _))) => Turn::Taken(stream),
            Poll::Ready(Err(_)) => Turn::Waits,
            Poll::Pending => {
                // At once, or another front end takes it for a connection that it serves.
                self.renew();
                Turn::NobodyWaits
            }
        }
    }

    fn renew(&mut self) {
        if self.0.is_none() {
            *self = Spare::new();
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
    fn connections_never_take_all_descriptors_and_no_front_end_takes_the_others() {
        for descriptors in [1, 16, 80, 1024, 4096, 20_000, 1 << 20, usize::MAX] {
            let shares = shares_of(descriptors, true);
            assert!(shares.http >= 1 && shares.redis >= shares.http, "{descriptors}: {shares:?}");
            assert!(descriptors <= 16 || shares.http + shares.redis < descriptors - 7);
            assert!(shares_of(descriptors, false).http >= shares.http);
        }
        assert!(shares_of(20_000, true).redis > 10_000, "as many as Redis takes by itself");
    }
}
