//! Clients that end their side of a connection behind their request, as `nc -N` does and many a
//! script, and still want the answer.
//!
//! Whether one that has ended its side is gone, or waits, cannot be told from outside. So as long as
//! a request that has arrived whole is being answered, the end behind it is not passed on. Before, a
//! body that will never be whole ends at once, and so does afterwards a stream of events that nobody
//! may be reading any more.
//!
//! Rejected: hyper's own `half_close`, under which it would not notice that one who only listens has
//! gone until the next heartbeat is refused.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Whether a connection's client waits for an answer. Used by its task alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering(Arc<AtomicBool>);

impl Answering {
    /// A request has arrived whole.
    pub(super) fn begin(&self) {
        self.0.store(true, Relaxed);
    }

    /// Its answer is ready.
    pub(super) fn end(&self) {
        self.0.store(false, Relaxed);
    }
}

/// A connection, whose end is not read as long as its client waits for an answer. Whoever reads is
/// woken by the answer.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) tcp: TcpStream,
    pub(super) answering: Answering,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        let is_end = buffer.filled().len() == before && buffer.remaining() > 0;
        if is_end && self.answering.0.load(Relaxed) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// A request's body, which notes when it has arrived whole.
#[derive(Debug)]
pub(super) struct Noted {
    body: Incoming,
    answering: Answering,
}

impl Noted {
    pub(super) fn new(body: Incoming, answering: &Answering) -> Self {
        if body.is_end_stream() {
            answering.begin();
        }
        Noted { body, answering: answering.clone() }
    }
}

impl Body for Noted {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.answering.begin();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
