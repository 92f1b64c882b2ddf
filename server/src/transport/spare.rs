//! What is done when the system has no file descriptor for a connection that waits.

use std::fs::File;
use std::io;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;

use super::listener::Listener;
use super::stream::Stream;

/// A descriptor that is held for the moment at which there is no other: with it a connection can be
/// taken, told that there is no room, and closed. Else it would wait and not know for what.
pub(super) struct Spare(Option<File>);

/// What became of the connection for which there was no descriptor.
pub(super) enum Turn {
    /// It has the spare one.
    Taken(Stream),
    /// There was none: the system looks for a descriptor before it looks which connections wait.
    NoneWaits,
    /// It waits on.
    Waits,
}

impl Spare {
    pub(super) fn new() -> Self {
        Spare(File::open("/dev/null").ok())
    }

    /// Takes the connection that the error was about.
    pub(super) fn accept(&mut self, listener: &Listener, error: &io::Error) -> Turn {
        let code = Errno::from_io_error(error);
        let is_full = matches!(code, Some(Errno::MFILE | Errno::NFILE));
        if !is_full || self.0.take().is_none() {
            return Turn::Waits;
        }
        match listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(stream)) => Turn::Taken(stream),
            Poll::Ready(Err(_)) => Turn::Waits,
            Poll::Pending => {
                // At once, or another front end takes it for a connection that it serves.
                self.renew();
                Turn::NoneWaits
            }
        }
    }

    pub(super) fn renew(&mut self) {
        if self.0.is_none() {
            *self = Spare::new();
        }
    }
}
