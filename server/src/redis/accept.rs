//! Takes connections of Redis clients, and keeps their number in bounds.
//!
//! Clients keep their connections for days and may be idle all the time, as with Redis; a client
//! that is gone without a word is found by TCP's own keep-alive.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::connection::{Connection, End};
use super::front::Front;
use super::traffic::Traffic;
use crate::handle::Handle;
use crate::transport::accepting::Door;
use crate::watch::Watch;

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
    watching: Watch,
    traffic: Arc<Traffic>,
    connections_max: usize,
    stop: impl Future<Output = ()>,
) {
    let port = listener.local_addr().map_or(0, |address: SocketAddr| address.port());
    let (stopping, stopped) = watch::channel(());
    let front = Arc::new(Front::new(handle, watching, traffic, port, connections_max));
    let door = Door {
        listener,
        name: "Redis connections",
        connections_max,
        drain_time_max: DRAIN_TIME_MAX,
        stopping,
    };
    let take = |stream: TcpStream, slot| {
        let Some(slot) = slot else {
            front.traffic.refused.add(1);
            // If not even this fits the socket's empty buffer, closing it says enough.
            let _ = stream.try_write(FULL);
            return;
        };
        front.traffic.accepted.add(1);
        set_options(&stream);
        tokio::spawn(run(Arc::clone(&front), stream, stopped.clone(), slot));
    };
    door.keep(&front.traffic.accept_errors, take, stop).await;
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
