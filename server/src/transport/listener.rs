//! Where connections arrive.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

#[cfg(unix)]
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use super::stream::Stream;

/// Connections that may wait to be taken. Where they find no room the system says nothing, and who
/// connects tries again after one second, three, seven: a burst of strangers, or a node that has
/// been paused for a moment, would keep others waiting for that long. What waits costs the system
/// some hundred bytes each. Linux allows so many by default and cuts larger numbers to that.
const CONNECTIONS_WAITING_MAX: u32 = 4096;

/// Hears connections at one address.
#[derive(Debug)]
pub(crate) struct Listener(TcpListener);

impl Listener {
    /// Listens for connections.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(crate) fn at(at: SocketAddr) -> io::Result<Self> {
        let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // [::] is all addresses, those of IPv4 too, whatever the machine is set up to do by itself.
        #[cfg(unix)]
        if at.is_ipv6() {
            SockRef::from(&socket).set_only_v6(false)?;
        }
        // Connections of a run that has just ended would keep the port from this one.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(at)?;
        socket.listen(CONNECTIONS_WAITING_MAX).map(Listener)
    }

    /// The address that it has.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let accepted = ready!(self.0.poll_accept(cx));
        Poll::Ready(accepted.map(|(socket, peer)| Stream::tcp(socket, peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where no connection is taken, those beyond the bound are never answered.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hundreds_of_connections_may_wait_to_be_taken() {
        use std::net::TcpStream;
        use std::time::Duration;

        let listener = Listener::at("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = listener.local_addr().unwrap();
        let waiting: Vec<_> = (0..500)
            .map(|_| TcpStream::connect_timeout(&at, Duration::from_secs(10)).unwrap())
            .collect();
        assert_eq!(waiting.len(), 500);
    }
}
