//! Who makes a call: known to the task of its connection, which runs every handler.
//!
//! axum would hand it to handlers in the request's extensions, which costs three allocations on the
//! path of an increment. tokio's `task_local` does what is done here in three times as many steps,
//! at every turn of a connection's task.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::errors::{Kind, Problem};
use crate::access::Caller;

thread_local! {
    /// Whose connection the task serves that runs on this thread now, if it serves one.
    static CALLER: Cell<Option<Caller>> = const { Cell::new(None) };
}

/// While it stands, the thread serves a connection.
struct Served;

impl Served {
    fn of(caller: Caller) -> Self {
        CALLER.set(Some(caller));
        Served
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        CALLER.set(None);
    }
}

/// Serves a connection of this caller's.
pub(super) async fn serving<F: Future>(caller: Caller, connection: F) -> F::Output {
    let mut connection = pin!(connection);
    poll_fn(|cx| {
        let _served = Served::of(caller);
        connection.as_mut().poll(cx)
    })
    .await
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Response> {
        CALLER.get().ok_or_else(|| {
            let reason = "expected to know who asks, found no caller";
            Problem::new(Kind::Internal, reason).into_response()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::{Request, StatusCode, header};
    use http_body_util::BodyExt;
    use tokio::sync::watch;
    use tokio::time::timeout;
    use tower::ServiceExt;

    use super::*;
    use crate::access::{Door, Right};
    use crate::handle::Handle;
    use crate::http::app::App;
    use crate::http::openapi::refusals;
    use crate::http::problem_document::CONTENT_TYPE;
    use crate::http::routes::{Route, router};
    use crate::inbox::Inbox;
    use crate::redis::Traffic;
    use crate::transport::link::PROTOCOL;
    use crate::watch::{Watch, lines};

    /// There is no driver, so what reaches the node is never answered.
    const LONG: Duration = Duration::from_secs(10);

    fn app() -> (Arc<App>, Inbox) {
        let (handle, inbox) = Handle::without_driver();
        let watch = Watch::start(handle.clone(), lines().1);
        let stopped = watch::channel(()).1;
        (Arc::new(App::new(handle, Arc::new(Traffic::default()), watch, stopped)), inbox)
    }

    fn powerless() -> Caller {
        let anyone = Caller::anyone(Door::Http, "127.0.0.1:1".parse().unwrap());
        Right::ALL.into_iter().fold(anyone, Caller::without)
    }

    /// A request that the route would grant to a caller with every right.
    fn request(route: Route) -> Request<Body> {
        let (method, path) = route.call();
        let query = if route == Route::CountersDelete { "?prefix=v" } else { "" };
        Request::builder()
            .method(method)
            .uri(path.replace("{name}", "visits").replace("{file}", "main.js") + query)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, PROTOCOL)
            .body(route.example().map_or_else(Body::empty, Body::from))
            .unwrap()
    }

    async fn answered(
        app: &Arc<App>,
        caller: Caller,
        route: Route,
    ) -> (StatusCode, String, String) {
        let call = router(Arc::clone(app)).oneshot(request(route));
        let response = timeout(LONG, serving(caller, call)).await.expect("an answer").unwrap();
        let (head, body) = response.into_parts();
        let kind = head.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
        let kind = kind.unwrap_or_default().to_owned();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, kind, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_caller_without_rights_is_denied_by_every_call_and_nothing_reaches_the_node() {
        let (app, mut inbox) = app();
        for route in Route::ALL {
            let (status, kind, body) = answered(&app, powerless(), route).await;
            match route {
                // They tell nothing of the node.
                Route::OpenApi | Route::Page | Route::PageFile => {
                    assert_eq!(status, StatusCode::OK, "{route:?}: {body}");
                }
                // Each of its operations is answered for itself.
                Route::Batch => {
                    assert_eq!(status, StatusCode::OK, "{body}");
                    assert!(body.contains("urn:quipu:problem:denied"), "{body}");
                    assert!(body.contains(r#""status":403"#), "{body}");
                }
                _ => {
                    assert_eq!(status, StatusCode::FORBIDDEN, "{route:?}: {body}");
                    assert!(body.contains("expected a caller that may "), "{route:?}: {body}");
                    let (_, is_documented) = refusals(route);
                    assert_eq!(kind == CONTENT_TYPE, is_documented, "{route:?}: {kind}");
                }
            }
            assert!(inbox.commands.try_recv().is_err(), "{route:?} reached the node");
            assert!(inbox.arrivals.try_recv().is_err(), "{route:?} reached the node");
        }
    }

    #[tokio::test]
    async fn a_caller_that_may_only_read_is_let_read() {
        let (app, mut inbox) = app();
        let readers = [Right::Change, Right::Administer].into_iter();
        let anyone = Caller::anyone(Door::Http, "127.0.0.1:1".parse().unwrap());
        let reader = readers.fold(anyone, Caller::without);
        for route in [Route::Increment, Route::CounterRaise, Route::Register] {
            assert_eq!(answered(&app, reader, route).await.0, StatusCode::FORBIDDEN, "{route:?}");
        }
        let asking = tokio::spawn(async move { answered(&app, reader, Route::Count).await });
        assert!(inbox.commands.recv().await.is_some(), "the read is handed to the driver");
        asking.abort();
    }
}
