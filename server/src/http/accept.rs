//! Takes connections, and keeps their number, memory and time in bounds.
//!
//! A loop of our own over hyper, since `axum::serve` sets no timer and so leaves hyper's header
//! timeout off: half a request held open would be held for ever. What is bounded here is what a
//! stranger can take without sending one whole request; bodies are bounded where they are read.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tower::Service;

use super::app::App;
use super::cross_site_guard::{self, Hosts};
use super::errors::Problem;
use super::noted::Noted;
use super::routes::{self, Route, router};
use super::traffic::Traffic;
use super::{caller, extract, openapi, query};
use crate::access::{Caller, Door};
use crate::handle::Handle;
use crate::redis;
use crate::transport::acceptor::Acceptor;
use crate::transport::half_closed::{Answering, HalfClosed};
use crate::transport::listener::Listener;
use crate::transport::stream::{Options, Stream};
use crate::watch::Watch;

/// How long a request's head may take to arrive, from the connection's start or the last answer on.
/// So it also ends connections on which nothing is said. 75 s is what nginx gives an idle
/// connection: longer than the intervals at which clients like to come back (10, 15, 30, 60 s),
/// which would otherwise meet the closing of their connection. A shorter limit for half a head
/// would protect nothing, since a client that holds that can as well hold an idle connection.
const HEAD_TIME_MAX: Duration = Duration::from_secs(75);

/// Longest head of a request, in bytes, and the most that a connection buffers of pipelined ones:
/// a path of a counter's name with every byte percent-encoded is below 1 KiB, cookies and proxies
/// add some.
const BUFFER_BYTES_MAX: usize = 16 << 10;

/// How long the other side may leave our bytes unread before the system ends the connection. A
/// client that only asks and never reads would otherwise hold it for ever.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(30);

/// How long requests that are under way may take to end when the node stops. The longest wait in
/// any of them is `/sync`'s, 2 s.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// The whole answer to a connection beyond the bound.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    content-length: 49\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    \r\n\
    {\"error\":\"too many connections are open already\"}";

/// Serves the API on `listener` until `stop` ends; then takes no more connections, lets requests
/// that are under way end, and returns.
pub(crate) async fn serve(
    listener: Listener,
    handle: Handle,
    redis: Arc<redis::Traffic>,
    watch: Watch,
    connections_max: usize,
    allowed_hosts: Vec<String>,
    stop: impl Future<Output = ()>,
) {
    let hosts = Hosts::of(listener.local_addr().ok(), handle.address().as_str(), &allowed_hosts);
    let (stopping, stopped) = watch::channel(());
    let app = Arc::new(App::new(handle, redis, watch, stopped.clone()));
    let (router, hosts) = (router(Arc::clone(&app)), Arc::new(hosts));
    let acceptor = Acceptor {
        listener,
        name: "connections",
        options: Options { keepalive: None, unread_time_max: UNREAD_TIME_MAX },
        connections_max,
        drain_time_max: DRAIN_TIME_MAX,
        stopping,
    };
    let take = |mut stream: Stream, slot| {
        let Some(slot) = slot else {
            app.traffic.refused.add(1);
            // If not even this fits the socket's empty buffer, closing it says enough.
            let _ = stream.write_now(FULL);
            return;
        };
        app.traffic.accepted.add(1);
        let connection = Connection {
            app: Arc::clone(&app),
            router: router.clone(),
            hosts: Arc::clone(&hosts),
            stopped: stopped.clone(),
            _slot: slot,
        };
        let caller = Caller::anyone(Door::Http, stream.peer());
        tokio::spawn(caller::serving(caller, connection.run(stream)));
    };
    acceptor.run(&app.traffic.accept_errors, take, stop).await;
}

struct Connection {
    app: Arc<App>,
    router: Router,
    hosts: Arc<Hosts>,
    stopped: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(mut self, stream: Stream) {
        let traffic = &self.app.traffic;
        let (peer, answering) = (stream.peer(), Answering::default());
        let stream = HalfClosed::new(stream, answering.clone());
        let service = service_fn(|request| {
            let request = request.map(|body| Noted::new(body, &answering));
            let answer = answer(self.router.clone(), traffic, &self.hosts, request);
            let answering = &answering;
            async move {
                let answered = answer.await;
                answering.end();
                answered
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            _ = self.stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            traffic.broken.add(1);
            tracing::debug!(%peer, %error, "a connection broke");
        }
        traffic.ended.add(1);
    }
}

async fn answer(
    mut router: Router,
    traffic: &Traffic,
    hosts: &Hosts,
    mut request: Request<Noted>,
) -> Result<Response, Infallible> {
    let route = Route::of(request.method(), request.uri().path());
    let began = Instant::now();
    let mut checked = cross_site_guard::check(&request, hosts);
    if let (Ok(()), Some(route)) = (&checked, route) {
        checked = understood(route, &mut request).await;
    }
    if let Err(problem) = checked {
        let response = refused(route, problem);
        traffic.count(route, response.status(), began.elapsed());
        return Ok(response);
    }
    poll_fn(|cx| Service::<Request<Noted>>::poll_ready(&mut router, cx)).await?;
    let response = router.call(request.map(Body::new)).await?;
    traffic.count(route, response.status(), began.elapsed());
    Ok(response)
}

/// Refuses what a call that takes nothing is told all the same.
async fn understood(route: Route, request: &mut Request<Noted>) -> Result<(), Problem> {
    if !route.takes(request.method()) {
        return Ok(());
    }
    if let Some(query) = request.uri().query()
        && route.parameters().is_empty()
    {
        query::pairs(route, query)?;
    }
    match route.body() {
        routes::Body::Refused => extract::expect_none(request.body_mut()).await,
        routes::Body::Read | routes::Body::Ignored => Ok(()),
    }
}

/// In the words of the call that was meant. Its body is not read, so the connection ends.
fn refused(route: Option<Route>, problem: Problem) -> Response {
    let mut response = openapi::refused(route, problem);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_connection_too_many_is_as_long_as_it_says() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
