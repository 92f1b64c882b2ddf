//! Clients that end their side of a connection behind their request, as `nc -N` does and many a
//! script, and still want the answer.
//!
//! Whether a client that has ended its side is gone, or waits, cannot be told from outside. So as
//! long as a request that has arrived whole is being answered, the end behind it is not passed on.
//! Before, a body that will never be whole ends at once, and so does afterwards a stream of events
//! that perhaps no client reads any more.
//!
//! Rejected: hyper's own `half_close`, under which it would not notice that a client which only
//! listens has gone until the next heartbeat is refused.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::read_through::{ReadThrough, Reads};
use super::stream::Stream;

/// Whether a connection's client waits for an answer. Used by its task alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answering(Arc<AtomicBool>);

impl Answering {
    /// A request has arrived whole.
    pub(crate) fn begin(&self) {
        self.0.store(true, Relaxed);
    }

    /// Its answer is ready.
    pub(crate) fn end(&self) {
        self.0.store(false, Relaxed);
    }
}

/// A connection, whose end is not read as long as its client waits for an answer. The answer wakes
/// the task that reads.
pub(crate) type HalfClosed = ReadThrough<Answering>;

impl HalfClosed {
    pub(crate) fn new(stream: Stream, answering: Answering) -> Self {
        ReadThrough { reads: answering, stream }
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }
}

impl Reads for Answering {
    fn poll_read(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(cx, buffer))?;
        let is_end = buffer.filled().len() == before && buffer.remaining() > 0;
        if is_end && self.0.load(Relaxed) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::transport::dial::dial;
    use crate::transport::listener::Listener;

    #[tokio::test]
    async fn an_end_behind_a_request_is_passed_on_once_the_request_is_answered() {
        let listener = Listener::at("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = dial(&[listener.local_addr().unwrap()]).await.unwrap();
        let taken = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let answering = Answering::default();
        let mut server = HalfClosed::new(taken, answering.clone());

        client.write_all(b"ask").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = [0; 3];
        server.read_exact(&mut asked).await.unwrap();
        answering.begin();
        // The end may still be on its way, and is not passed on when it is there.
        server.stream.peer_has_ended().await;
        let mut rest = [0; 8];
        let read = poll_fn(|cx| {
            let mut rest = ReadBuf::new(&mut rest);
            Poll::Ready(Pin::new(&mut server).poll_read(cx, &mut rest).is_ready())
        });
        assert!(!read.await, "its client waits for an answer");
        answering.end();
        assert_eq!(server.read(&mut rest).await.unwrap(), 0, "it has been answered");
    }
}
