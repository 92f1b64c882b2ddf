//! One connection, and what is known of its other side.
//!
//! Everything is known when this is compiled: a read is the socket's own read behind a `match`. A
//! boxed stream was rejected, since each increment would pay for it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How often it is looked whether the other side has ended while it has sent something that is not
/// read yet. Where it has sent nothing its end is seen at once.
const END_LOOK_EVERY: Duration = Duration::from_secs(1);

/// One connection.
#[derive(Debug)]
pub(crate) struct Stream {
    io: Io,
    peer: SocketAddr,
}

/// What a connection is made of.
#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
}

/// What the system is to do for a connection that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How long a connection is silent before the system asks the other side whether it is still
    /// there; `None` where silence ends it anyway.
    pub(crate) keepalive: Option<Duration>,
    /// How long the other side may leave our bytes unacknowledged before the system ends the
    /// connection. Only Linux has this.
    pub(crate) unread_time_max: Duration,
}

impl Stream {
    pub(super) fn tcp(socket: TcpStream, peer: SocketAddr) -> Self {
        Stream { io: Io::Tcp(socket), peer }
    }

    /// The address of the other side: a client's own, or that of what stands before it.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address at which it was taken, and its number among the process's descriptors.
    pub(crate) fn own_side(&self) -> (io::Result<SocketAddr>, i32) {
        let Io::Tcp(socket) = &self.io;
        (socket.local_addr(), socket.as_raw_fd())
    }

    /// Best effort: a socket that refuses an option is about to fail anyway, or works without it.
    pub(super) fn set(&self, options: &Options) {
        let Io::Tcp(socket) = &self.io;
        // Answers leave in one write; waiting for more to send with them would only delay them.
        let _ = socket.set_nodelay(true);
        let socket = SockRef::from(socket);
        if let Some(silent_for) = options.keepalive {
            let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(silent_for));
        }
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(Some(options.unread_time_max));
    }

    /// Reads as much as there is without waiting; `None` if there is nothing.
    pub(crate) fn read_now(&mut self, buffer: &mut BytesMut) -> Option<io::Result<usize>> {
        match self.poll_read_buf(&mut Context::from_waker(Waker::noop()), buffer) {
            Poll::Ready(read) => Some(read),
            Poll::Pending => None,
        }
    }

    /// Writes as much as the system takes without waiting; `None` if that is nothing.
    pub(crate) fn write_now(&mut self, bytes: &[u8]) -> Option<io::Result<usize>> {
        match Pin::new(self).poll_write(&mut Context::from_waker(Waker::noop()), bytes) {
            Poll::Ready(written) => Some(written),
            Poll::Pending => None,
        }
    }

    /// Reads behind what a buffer holds already, into the room that it has.
    pub(crate) fn poll_read_buf(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        std::pin::pin!(self.read_buf(buffer)).poll(cx)
    }

    /// Ends when the other side has ended its side, or has gone. What it sends meanwhile stays where
    /// it is, and so does the runtime's note that something is there to read: taken away, nothing but
    /// further bytes would bring it back, and the next read would wait for those.
    pub(crate) async fn peer_has_ended(&self) {
        let Io::Tcp(socket) = &self.io;
        while let Ok(ready) = socket.ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            sleep(END_LOOK_EVERY).await;
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Tcp(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    use super::*;
    use crate::transport::dial::dial;
    use crate::transport::listener::Listener;

    /// Longer than anything that is waited for takes.
    const LONG: Duration = Duration::from_secs(20);

    /// A connection, from the side that dialed and from the one that took it.
    async fn pair() -> (Stream, Stream) {
        let listener = Listener::at("127.0.0.1:0".parse().unwrap()).unwrap();
        let dialed = dial(&[listener.local_addr().unwrap()]).await.unwrap();
        let taken = std::future::poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        assert_eq!(dialed.peer(), listener.local_addr().unwrap());
        (dialed, taken)
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_waited_for() {
        let (mut dialed, mut taken) = pair().await;
        let mut buffer = BytesMut::with_capacity(64);
        assert!(taken.read_now(&mut buffer).is_none(), "nothing was sent");
        dialed.write_all(b"abc").await.unwrap();
        timeout(LONG, taken.read_buf(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(&buffer[..], b"abc");
        let full = std::iter::from_fn(|| dialed.write_now(&[0; 1 << 16]));
        let written: usize = full.map(|some| some.unwrap()).sum();
        assert!(written > 0, "the system takes some, and says when it takes no more");
    }

    #[tokio::test]
    async fn the_end_of_the_other_side_is_seen_behind_what_it_has_sent_and_takes_nothing_of_it() {
        let (mut dialed, mut taken) = pair().await;
        dialed.write_all(b"abc").await.unwrap();
        let early = timeout(Duration::from_millis(50), taken.peer_has_ended()).await;
        assert!(early.is_err(), "it has sent something, and has not ended");
        dialed.shutdown().await.unwrap();
        timeout(LONG, taken.peer_has_ended()).await.expect("it has ended");
        let mut buffer = BytesMut::new();
        assert_eq!(taken.read_buf(&mut buffer).await.unwrap(), 3);
        assert_eq!(taken.read_buf(&mut buffer).await.unwrap(), 0);
    }
}
