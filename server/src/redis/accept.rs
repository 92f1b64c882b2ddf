//! Takes connections of Redis clients, and keeps their number in bounds.
//!
//! Clients keep their connections for days and may be idle all the time, as with Redis; a client
//! that is gone without a word is found by TCP's own keep-alive.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::connection::{Connection, End};
use super::front::Front;
use super::traffic::Traffic;
use crate::accepting::{ACCEPT_PAUSE, Complaints, is_of_one_connection};
use crate::handle::Handle;

/// How long a connection is silent before the system asks the other side whether it is still
/// there. As Redis has it.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// How long the other side may leave our bytes unacknowledged before the system ends the
/// connection.
#[cfg(target_os = "linux")]
const UNREAD_TIME_MAX: Duration = Duration::from_secs(30);

/// How long clients may take to read their last answers when the node stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// The whole answer to a connection beyond the bound, in Redis's words.
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// Serves Redis clients on `listener` until `stop` ends; then takes no more connections, answers
/// what has been asked, and returns.
pub(crate) async fn serve(
    listener: TcpListener,
    handle: Handle,
    traffic: Arc<Traffic>,
    connections_max: usize,
    stop: impl Future<Output = ()>,
) {
    let port = listener.local_addr().map_or(0, |address: SocketAddr| address.port());
    let (stopping, stopped) = watch::channel(());
    let server = Server {
        front: Arc::new(Front::new(handle, traffic, port, connections_max)),
        slots: Arc::new(Semaphore::new(connections_max)),
        stopped,
    };
    let mut complaints = Complaints::default();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => server.take(stream),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                server.front.traffic.accept_errors.add(1);
                complaints.complain(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drop(stopping);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    if tokio::time::timeout(DRAIN_TIME_MAX, server.slots.acquire_many(all)).await.is_err() {
        let open = connections_max - server.slots.available_permits();
        tracing::warn!(
            "{open} Redis connections were still open {DRAIN_TIME_MAX:?} after the stop"
        );
    }
}

struct Server {
    front: Arc<Front>,
    slots: Arc<Semaphore>,
    /// Ends when the server stops.
    stopped: watch::Receiver<()>,
}

impl Server {
    fn take(&self, stream: TcpStream) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.front.traffic.refused.add(1);
            // If not even this fits the socket's empty buffer, closing it says enough.
            let _ = stream.try_write(FULL);
            return;
        };
        self.front.traffic.accepted.add(1);
        set_options(&stream);
        tokio::spawn(run(Arc::clone(&self.front), stream, self.stopped.clone(), slot));
    }
}

async fn run(
    front: Arc<Front>,
    stream: TcpStream,
    stopped: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
) {
    let end = Connection::new(Arc::clone(&front)).run(stream, stopped).await;
    let traffic = &front.traffic;
    match &end {
        End::Over | End::Stopping => {}
        End::NotTheProtocol => traffic.protocol_errors.add(1),
        End::Unread => traffic.unread.add(1),
        End::Broken(_) => traffic.broken.add(1),
    }
    tracing::debug!(%end, "a Redis connection ended");
    traffic.ended.add(1);
}

/// Best effort: a socket that refuses an option is about to fail anyway, or works without it.
fn set_options(stream: &TcpStream) {
    // Answers leave in one write; waiting for more to send with them would only delay them.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNREAD_TIME_MAX));
}
