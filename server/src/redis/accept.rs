//! Takes connections of Redis clients, and keeps their number in bounds.
//!
//! Clients keep their connections for days and may be idle all the time, as with Redis; a client
//! that is gone without a word is found by TCP's own keep-alive.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::clients::{Client, Socket};
use super::connection::{Connection, End};
use super::context::Context;
use super::settings::KEEPALIVE;
use super::traffic::Traffic;
use crate::access::{Caller, Door};
use crate::handle::Handle;
use crate::transport::acceptor::Acceptor;
use crate::transport::listener::Listener;
use crate::transport::stream::{Options, Stream};
use crate::watch::Watch;

/// How long the other side may leave our bytes unacknowledged before the system ends the
/// connection.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(30);

/// How long clients may take to read their last answers when the node stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// The whole answer to a connection beyond the bound, in Redis's words.
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// Serves Redis clients on `listener` until `stop` ends; then takes no more connections, answers
/// what has been asked, and returns.
pub(crate) async fn serve(
    listener: Listener,
    handle: Handle,
    watching: Watch,
    traffic: Arc<Traffic>,
    connections_max: usize,
    stop: impl Future<Output = ()>,
) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let (stopping, stopped) = watch::channel(());
    let context = Arc::new(Context::new(handle, watching, traffic, port, connections_max));
    let acceptor = Acceptor {
        listener,
        name: "Redis connections",
        options: Options { keepalive: Some(KEEPALIVE), unread_time_max: UNREAD_TIME_MAX },
        connections_max,
        drain_time_max: DRAIN_TIME_MAX,
        stopping,
    };
    let take = |mut stream: Stream, slot| {
        let Some(slot) = slot else {
            context.state.traffic.refused.add(1);
            // If not even this fits the socket's empty buffer, closing it says enough.
            let _ = stream.write_now(FULL);
            return;
        };
        let open = Open::new(&context, &stream);
        let client = Arc::clone(&open.client);
        let task = tokio::spawn(run(open, stream, stopped.clone(), slot));
        client.is_served_by(task.abort_handle());
    };
    acceptor.run(&context.state.traffic.accept_errors, take, stop).await;
}

/// A connection that was taken, until it ends, also by `CLIENT KILL`.
struct Open {
    context: Arc<Context>,
    client: Arc<Client>,
}

impl Open {
    fn new(context: &Arc<Context>, stream: &Stream) -> Self {
        context.state.traffic.accepted.add(1);
        let (local, descriptor) = stream.own_side();
        let local = local.unwrap_or_else(|_| SocketAddr::from(([0; 4], context.state.port)));
        let client = context.state.clients.admit(Socket { peer: stream.peer(), local, descriptor });
        Open { context: Arc::clone(context), client }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.context.state.clients.forget(self.client.id);
        self.context.state.traffic.ended.add(1);
    }
}

async fn run(
    open: Open,
    stream: Stream,
    stopped: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
) {
    let caller = Caller::anyone(Door::Redis, stream.peer());
    let (context, client) = (Arc::clone(&open.context), Arc::clone(&open.client));
    let end = Connection::new(context, client, caller).run(stream, stopped).await;
    let traffic = &open.context.state.traffic;
    match &end {
        End::Over | End::Stopping => {}
        End::NotTheProtocol => traffic.protocol_errors.add(1),
        End::Unread => traffic.unread.add(1),
        End::Broken(_) => traffic.broken.add(1),
    }
    tracing::debug!(%caller, %end, "a Redis connection ended");
}
