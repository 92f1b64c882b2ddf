//! File descriptors: as many as the system allows, a share of them for each front end, and what is
//! done when there is none.

use std::fs::File;
use std::io;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};

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

/// Connections and links each take a descriptor. The usual soft limit of 1,024 is for programs that
/// use `select`, which nothing here does; a thousand strangers would exhaust it.
pub(crate) fn allow_all() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

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

/// A descriptor that is held for the moment at which there is no other: with it a connection can be
/// taken, told that there is no room, and closed. Else it would wait and not know for what.
pub(crate) struct Spare(Option<File>);

/// What became of the connection for which there was no descriptor.
pub(crate) enum Turn {
    /// It has the spare one.
    Taken(TcpStream),
    /// There was none: the system looks for a descriptor before it looks who waits.
    NobodyWaits,
    /// It waits on.
    Waits,
}

impl Spare {
    pub(crate) fn new() -> Self {
        Spare(File::open("/dev/null").ok())
    }

    /// Takes the connection that the error was about.
    pub(crate) fn accept(&mut self, listener: &TcpListener, error: &io::Error) -> Turn {
        let code = Errno::from_io_error(error);
        let is_full = matches!(code, Some(Errno::MFILE | Errno::NFILE));
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

    pub(crate) fn renew(&mut self) {
        if self.0.is_none() {
            *self = Spare::new();
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
