//! A connection that carries a link, whichever side opened it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::half_closed::HalfClosed;
use super::stream::Stream;

/// Where a link is asked for.
pub(crate) const PATH: &str = "/link";

/// What both sides agree to speak instead of HTTP: frames. What is said in them has versions of its
/// own, in the hello.
pub(crate) const PROTOCOL: &str = "quipu/1";

/// What HTTP leaves once both sides have agreed to stop speaking it. The same type on both ends, so
/// that a link need not know which end it is.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What HTTP has read behind its own last byte.
    early: Bytes,
    stream: Stream,
}

impl Connection {
    /// Takes over the connection of a peer that asked for a link.
    ///
    /// # Errors
    /// When it was made of something else than the server serves.
    pub(crate) fn accepted(upgraded: Upgraded) -> io::Result<Self> {
        let parts = upgraded.downcast::<TokioIo<HalfClosed>>().map_err(|_| foreign())?;
        Ok(Connection { early: parts.read_buf, stream: parts.io.into_inner().into_stream() })
    }

    /// Takes over a connection that was dialed.
    ///
    /// # Errors
    /// When it was made of something else than is dialed.
    pub(crate) fn dialed(upgraded: Upgraded) -> io::Result<Self> {
        let parts = upgraded.downcast::<TokioIo<Stream>>().map_err(|_| foreign())?;
        Ok(Connection { early: parts.read_buf, stream: parts.io.into_inner() })
    }
}

fn foreign() -> io::Error {
    io::Error::other("expected a connection of this program's own making, found another one")
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let some = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early[..some]);
        self.early.advance(some);
        if self.early.is_empty() {
            // Else it would keep alive all that was read with it.
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
