//! Datagrams: one socket of the node's own, on the number of its TCP port, and one that hears
//! calls.
//!
//! All datagrams leave by the own socket, so that where one comes from is where its sender answers.
//! Sending never waits: a datagram that cannot leave now is lost, as any may be.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quipu_core::wire::datagram::DATAGRAM_BYTES_MAX;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::Counts;
use crate::inbox::Received;

/// Longest datagram that is looked at, in bytes: what a node sends, and what a later release may
/// come to send.
const RECEIVED_BYTES_MAX: usize = 2048;
const _: () = assert!(RECEIVED_BYTES_MAX >= DATAGRAM_BYTES_MAX);

/// Targets that could not be reached are remembered, so that each is logged once.
const COMPLAINTS_MAX: usize = 64;

/// Rest after a socket refused to be read, so as not to spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Sends from the node's own port.
#[derive(Clone, Debug)]
pub(super) struct Datagrams {
    socket: Arc<UdpSocket>,
    is_v6: bool,
    counts: Arc<Counts>,
    complaints: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl Datagrams {
    /// Datagrams on a socket of the node's own.
    pub(super) async fn new(socket: Arc<UdpSocket>, counts: Arc<Counts>) -> io::Result<Self> {
        socket.set_broadcast(true)?;
        // The runtime learns only by waiting that a new socket can be written to.
        socket.writable().await?;
        let is_v6 = socket.local_addr()?.is_ipv6();
        Ok(Datagrams { socket, is_v6, counts, complaints: Arc::default() })
    }

    /// Sends now or never.
    pub(super) fn send(&self, bytes: &[u8], to: SocketAddr) {
        match self.socket.try_send_to(bytes, self.mapped(to)) {
            Ok(_) => self.counts.datagrams_sent.add(1),
            Err(error) => {
                self.counts.datagrams_unsent.add(1);
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.complain(to, &error);
                }
            }
        }
    }

    /// A socket of IPv6 reaches IPv4 by addresses of its own family.
    fn mapped(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.is_v6 => (ip.to_ipv6_mapped(), to.port()).into(),
            _ => to,
        }
    }

    fn complain(&self, to: SocketAddr, error: &io::Error) {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.len() < COMPLAINTS_MAX && complaints.insert(to) {
            tracing::info!("cannot send datagrams to {to}: {error} (said once)");
        }
    }
}

/// Hands what a socket hears to the driver, for ever.
pub(super) async fn listen(
    socket: Arc<UdpSocket>,
    inbox: mpsc::Sender<Received>,
    counts: Arc<Counts>,
) {
    // One byte more than allowed shows that a datagram was cut.
    let mut buffer = [0; RECEIVED_BYTES_MAX + 1];
    while !inbox.is_closed() {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a socket cannot be read");
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        counts.datagrams_received.add(1);
        if length > RECEIVED_BYTES_MAX {
            counts.datagrams_too_long.add(1);
            continue;
        }
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        if inbox.try_send(Received { from, bytes }).is_err() {
            counts.datagrams_overrun.add(1);
        }
    }
}

/// A node's own socket.
pub(super) fn bind_own(at: SocketAddr) -> io::Result<UdpSocket> {
    bind(at, unbound(at)?)
}

/// A socket that hears calls. Several nodes of one host bind it, and a broadcast reaches them all.
pub(super) fn bind_shared(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = unbound(at)?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    bind(at, socket)
}

fn unbound(at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    // [::] is all addresses, those of IPv4 too, whatever the machine is set up to do by itself.
    if at.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

fn bind(at: SocketAddr, socket: Socket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair {
        sender: Datagrams,
        counts: Arc<Counts>,
        heard: mpsc::Receiver<Received>,
        at: SocketAddr,
    }

    async fn pair(places: usize) -> Pair {
        let counts = Arc::new(Counts::default());
        let own = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let sender = Datagrams::new(own, Arc::clone(&counts)).await.unwrap();
        let ear = bind_shared("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = ear.local_addr().unwrap();
        let (inbox, heard) = mpsc::channel(places);
        tokio::spawn(listen(Arc::new(ear), inbox, Arc::clone(&counts)));
        Pair { sender, counts, heard, at }
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_sent_is_heard_with_its_sender_and_too_long_ones_are_dropped() {
        let mut pair = pair(8).await;
        pair.sender.send(&[1; RECEIVED_BYTES_MAX + 1], pair.at);
        pair.sender.send(&[2; RECEIVED_BYTES_MAX], pair.at);
        let received = pair.heard.recv().await.unwrap();
        assert_eq!(received.bytes, vec![2; RECEIVED_BYTES_MAX]);
        assert_eq!(received.from, pair.sender.socket.local_addr().unwrap());
        assert_eq!(pair.counts.datagrams_too_long.get(), 1);
        assert_eq!(pair.counts.datagrams_sent.get(), 2);
    }

    #[tokio::test]
    async fn datagrams_that_come_faster_than_they_are_read_are_dropped_and_counted() {
        let mut pair = pair(1).await;
        for n in 0..5 {
            pair.sender.send(&[n], pair.at);
        }
        until(|| pair.counts.datagrams_overrun.get() == 4).await;
        assert_eq!(pair.heard.recv().await.unwrap().bytes, [0][..]);
    }

    #[tokio::test]
    async fn several_sockets_share_the_port_for_calls() {
        let one = bind_shared("127.255.255.255:0".parse().unwrap()).unwrap();
        let at = one.local_addr().unwrap();
        let two = bind_shared(at).unwrap();
        let own = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let sender = Datagrams::new(own, Arc::default()).await.unwrap();
        sender.send(b"call", at);
        for ear in [one, two] {
            let mut buffer = [0; 16];
            let (length, _) = ear.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"call");
        }
    }

    #[tokio::test]
    async fn a_target_that_cannot_be_reached_is_complained_of_once() {
        let pair = pair(1).await;
        // An IPv4 socket has no way to an IPv6 address.
        let nowhere = "[::1]:9".parse().unwrap();
        pair.sender.send(b"x", nowhere);
        pair.sender.send(b"x", nowhere);
        assert_eq!(pair.counts.datagrams_unsent.get(), 2);
        assert_eq!(pair.sender.complaints.lock().unwrap().len(), 1);
    }
}
