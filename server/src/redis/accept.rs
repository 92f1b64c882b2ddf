//! Takes connections of Redis clients, and keeps their number in bounds.
//!
//! Clients keep their connections for days and may be idle all the time, as with Redis; a client
//! that is gone without a word is found by TCP's own keep-alive.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::connection::{Connection, End};
use super::context::Context;
use super::traffic::Traffic;
use crate::access::{Caller, Door};
use crate::handle::Handle;
use crate::transport::acceptor::Acceptor;
use crate::transport::listener::Listener;
use crate::transport::stream::{Options, Stream};
use crate::watch::Watch;

/// How long a connection is silent before the system asks the other side whether it is still
/// there. As Redis has it.
const KEEPALIVE: Duration = Duration::from_secs(300);

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
            context.traffic.refused.add(1);
            // If not even this fits the socket's empty buffer, closing it says enough.
            let _ = stream.write_now(FULL);
            return;
        };
        context.traffic.accepted.add(1);
        tokio::spawn(run(Arc::clone(&context), stream, stopped.clone(), slot));
    };
    acceptor.run(&context.traffic.accept_errors, take, stop).await;
}

async fn run(
    context: Arc<Context>,
    stream: Stream,
    stopped: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
) {
    let caller = Caller::anyone(Door::Redis, stream.peer());
    let end = Connection::new(Arc::clone(&context), caller).run(stream, stopped).await;
    let traffic = &context.traffic;
    match &end {
        End::Over | End::Stopping => {}
        End::NotTheProtocol => traffic.protocol_errors.add(1),
        End::Unread => traffic.unread.add(1),
        End::Broken(_) => traffic.broken.add(1),
    }
    tracing::debug!(%caller, %end, "a Redis connection ended");
    traffic.ended.add(1);
}
