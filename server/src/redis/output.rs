//! Replies on their way out, and what becomes of a client that does not read them.
//!
//! A client may send a million commands before it reads the first answer, as pipelines in many
//! languages do; if this side stopped reading meanwhile, both would wait for ever. So replies
//! gather here and commands are read on, up to a bound, at which the connection is dropped.
//! Redis does the same and has no bound for ordinary clients.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{self, Poll, Waker};

use tokio::io::AsyncWrite;

use super::context::Context;
use crate::transport::stream::Stream;

/// Most bytes of replies that one client leaves unread: of some two million increments.
const UNREAD_BYTES_MAX: usize = 16 << 20;

/// Most bytes that all clients together leave unread. A client that goes beyond it is dropped, so
/// ten thousand clients cannot take ten thousand times the bound above.
const UNREAD_BYTES_MAX_OF_ALL: usize = 512 << 20;

/// Memory that is kept for the next replies.
const BYTES_KEPT_MAX: usize = 16 << 10;

/// A client that was dropped for not reading.
#[derive(Debug)]
pub(super) struct Unread;

/// Replies on their way out.
#[derive(Debug)]
pub(super) struct Output {
    context: Arc<Context>,
    /// Replies are written to its end.
    pub(super) bytes: Vec<u8>,
    sent: usize,
    /// What of it is part of the sum of all connections.
    counted: usize,
}

impl Output {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Output { context, bytes: Vec::new(), sent: 0, counted: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Hands the system as much as it takes at once.
    pub(super) fn send(&mut self, stream: &mut Stream) -> io::Result<()> {
        match self.poll_send(stream, &mut task::Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    /// The same; ready once it has taken some, or all is sent.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        let before = self.sent;
        let mut is_full = false;
        while self.sent < self.bytes.len() && !is_full {
            match Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(sent)) => self.sent += sent,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => is_full = true,
            }
        }
        let is_stuck = is_full && self.sent == before;
        if self.sent == self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
            self.bytes.shrink_to(BYTES_KEPT_MAX);
        } else if self.sent > self.bytes.len() / 2 {
            // Moves what is left at most as often as as much has left.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        if is_stuck { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Holds what is unread against the bounds.
    pub(super) fn check(&mut self) -> Result<(), Unread> {
        let unread = self.bytes.len() - self.sent;
        if unread != self.counted {
            let sum = &self.context.unread_bytes;
            sum.fetch_add(unread, Relaxed);
            let all = sum.fetch_sub(self.counted, Relaxed) - self.counted;
            self.counted = unread;
            if unread > UNREAD_BYTES_MAX || all > UNREAD_BYTES_MAX_OF_ALL {
                return Err(Unread);
            }
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.context.unread_bytes.fetch_sub(self.counted, Relaxed);
    }
}
