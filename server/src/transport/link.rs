//! A connection that carries a link, whichever side opened it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};

use super::half_closed::HalfClosed;
use super::read_through::{ReadThrough, Reads};
use super::stream::Stream;

/// Where a link is asked for.
pub(crate) const PATH: &str = "/link";

/// What both sides agree to speak instead of HTTP: frames. What is said in them has versions of its
/// own, in the hello.
pub(crate) const PROTOCOL: &str = "quipu/1";

/// What HTTP leaves once both sides have agreed to stop speaking it. The same type on both ends, so
/// that a link need not know which end it is.
pub(crate) type Connection = ReadThrough<Early>;

/// What HTTP has read behind its own last byte: it is read first.
#[derive(Debug)]
pub(crate) struct Early(Bytes);

impl Connection {
    /// Takes over the connection of a peer that asked for a link.
    ///
    /// # Errors
    /// When it was made of something else than the server serves.
    pub(crate) fn accepted(upgraded: Upgraded) -> io::Result<Self> {
        let parts = upgraded.downcast::<TokioIo<HalfClosed>>().map_err(|_| foreign())?;
        let stream = parts.io.into_inner().into_stream();
        Ok(ReadThrough { reads: Early(parts.read_buf), stream })
    }

    /// Takes over a connection that was dialed.
    ///
    /// # Errors
    /// When it was made of something else than is dialed.
    pub(crate) fn dialed(upgraded: Upgraded) -> io::Result<Self> {
        let parts = upgraded.downcast::<TokioIo<Stream>>().map_err(|_| foreign())?;
        Ok(ReadThrough { reads: Early(parts.read_buf), stream: parts.io.into_inner() })
    }
}

impl Reads for Early {
    fn poll_read(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Early(early) = self;
        if early.is_empty() {
            return Pin::new(stream).poll_read(cx, buffer);
        }
        let some = early.len().min(buffer.remaining());
        buffer.put_slice(&early[..some]);
        early.advance(some);
        if early.is_empty() {
            // Else it would keep alive all that was read with it.
            *early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

fn foreign() -> io::Error {
    io::Error::other("expected a connection of this program's own making, found another one")
}
