//! Every call by name: what the router is built from, what a lost client is told, and the label
//! under which a request is counted.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};

use super::app::App;
use super::errors::{self, Problem};
use super::unknown::{listed, shortened};
use super::{
    batch, counters, deletion, endings, events, link, listing, openapi, original, origins, page,
    scrape, settle, status,
};
use crate::transport::link::PATH;

/// A method on a path, or on a family of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Count,
    Increment,
    Sync,
    Peers,
    Register,
    RemovePeer,
    Discovery,
    Counters,
    CountersDelete,
    Counter,
    CounterSet,
    CounterDelete,
    CounterIncrement,
    CounterDecrement,
    CounterRaise,
    CounterReset,
    CounterExpire,
    CounterOrigins,
    Batch,
    OpenApi,
    Settle,
    Status,
    Metrics,
    Events,
    Link,
    Page,
    PageFile,
}

/// What becomes of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// It says what is to be done.
    Read,
    /// Nothing, as in the system that this one replaces.
    Ignored,
    /// None is understood.
    Refused,
}

/// What a route is for: the label of how long its requests take. Few, since each is a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes one counter.
    Write,
    /// Reads counters.
    Read,
    /// Many operations in one.
    Batch,
    /// The page and its parts.
    Page,
    /// Tells of nodes, or operates them.
    Operation,
}

impl Kind {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Kind; 5] =
        [Kind::Write, Kind::Read, Kind::Batch, Kind::Page, Kind::Operation];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Kind::Write => "write",
            Kind::Read => "read",
            Kind::Batch => "batch",
            Kind::Page => "page",
            Kind::Operation => "operation",
        }
    }
}

impl Route {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Route; 28] = [
        Route::Health,
        Route::Count,
        Route::Increment,
        Route::Sync,
        Route::Peers,
        Route::Register,
        Route::RemovePeer,
        Route::Discovery,
        Route::Counters,
        Route::CountersDelete,
        Route::Counter,
        Route::CounterSet,
        Route::CounterDelete,
        Route::CounterIncrement,
        Route::CounterDecrement,
        Route::CounterRaise,
        Route::CounterReset,
        Route::CounterExpire,
        Route::CounterOrigins,
        Route::Batch,
        Route::OpenApi,
        Route::Settle,
        Route::Status,
        Route::Metrics,
        Route::Events,
        Route::Link,
        Route::Page,
        Route::PageFile,
    ];

    /// Its method and path.
    pub(super) const fn call(self) -> (&'static str, &'static str) {
        match self {
            Route::Health => ("GET", "/health"),
            Route::Count => ("GET", "/count"),
            Route::Increment => ("POST", "/increment"),
            Route::Sync => ("POST", "/sync"),
            Route::Peers => ("GET", "/peers"),
            Route::Register => ("POST", "/register"),
            Route::RemovePeer => ("POST", "/remove-peer"),
            Route::Discovery => ("GET", "/discovery"),
            Route::Counters => ("GET", "/counters"),
            Route::CountersDelete => ("DELETE", "/counters"),
            Route::Counter => ("GET", "/counters/{name}"),
            Route::CounterSet => ("PUT", "/counters/{name}"),
            Route::CounterDelete => ("DELETE", "/counters/{name}"),
            Route::CounterIncrement => ("POST", "/counters/{name}/increment"),
            Route::CounterDecrement => ("POST", "/counters/{name}/decrement"),
            Route::CounterRaise => ("POST", "/counters/{name}/raise"),
            Route::CounterReset => ("POST", "/counters/{name}/reset"),
            Route::CounterExpire => ("POST", "/counters/{name}/expire"),
            Route::CounterOrigins => ("GET", "/counters/{name}/origins"),
            Route::Batch => ("POST", "/batch"),
            Route::OpenApi => ("GET", "/openapi.json"),
            Route::Settle => ("POST", "/settle"),
            Route::Status => ("GET", "/status"),
            Route::Metrics => ("GET", "/metrics"),
            Route::Events => ("GET", "/events"),
            Route::Link => ("GET", PATH),
            Route::Page => ("GET", "/"),
            Route::PageFile => ("GET", "/page/{file}"),
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Route::Increment
            | Route::Sync
            | Route::CounterSet
            | Route::CounterDelete
            | Route::CounterIncrement
            | Route::CounterDecrement
            | Route::CounterRaise
            | Route::CounterReset
            | Route::CounterExpire => Kind::Write,
            Route::Count | Route::Counters | Route::Counter | Route::CounterOrigins => Kind::Read,
            Route::Batch | Route::CountersDelete => Kind::Batch,
            Route::Page | Route::PageFile => Kind::Page,
            Route::Health
            | Route::Peers
            | Route::Register
            | Route::RemovePeer
            | Route::Discovery
            | Route::OpenApi
            | Route::Settle
            | Route::Status
            | Route::Metrics
            | Route::Events
            | Route::Link => Kind::Operation,
        }
    }

    /// The parameters that its query may have. All others are refused.
    pub(super) const fn parameters(self) -> &'static [&'static str] {
        match self {
            Route::Counters => &["prefix", "limit", "after"],
            Route::CountersDelete => &["prefix"],
            Route::Events => &["prefix", "counter", "every"],
            _ => &[],
        }
    }

    /// Whether one of them may be given more than once.
    pub(super) fn may_repeat(self, parameter: &str) -> bool {
        self == Route::Events && parameter == "counter"
    }

    /// What becomes of a request's body.
    pub(super) const fn body(self) -> Body {
        match self {
            Route::Health | Route::Count | Route::Peers | Route::Discovery => Body::Ignored,
            Route::Increment
            | Route::Sync
            | Route::Register
            | Route::RemovePeer
            | Route::CounterSet
            | Route::CounterIncrement
            | Route::CounterDecrement
            | Route::CounterRaise
            | Route::CounterReset
            | Route::CounterExpire
            | Route::Batch => Body::Read,
            Route::Counters
            | Route::CountersDelete
            | Route::Counter
            | Route::CounterDelete
            | Route::CounterOrigins
            | Route::OpenApi
            | Route::Settle
            | Route::Status
            | Route::Metrics
            | Route::Events
            | Route::Link
            | Route::Page
            | Route::PageFile => Body::Refused,
        }
    }

    /// A body that it understands, if it understands any, for a client that sent something else.
    pub(super) const fn example(self) -> Option<&'static str> {
        match self {
            Route::Sync => Some(r#"{"count": 7}"#),
            Route::Register | Route::RemovePeer => Some(r#"{"id": "172.18.0.3:8090"}"#),
            Route::CounterIncrement | Route::CounterDecrement => Some(r#"{"by": 5}"#),
            Route::CounterRaise => Some(r#"{"to": 100}"#),
            Route::CounterSet => Some(r#"{"value": 100, "ttl": "60s"}"#),
            Route::CounterReset => Some(r#"{"to": 0}"#),
            Route::CounterExpire => Some(r#"{"ttl": "60s"}"#),
            Route::Batch => {
                Some(r#"{"operations": [{"op": "increment", "name": "visits", "by": 5}]}"#)
            }
            _ => None,
        }
    }

    /// Whether a request with this method is for it. One for another method is answered with the
    /// right one, and what else is wrong with it does not matter.
    pub(super) fn takes(self, method: &Method) -> bool {
        match self.call().0 {
            "GET" => method == Method::GET || method == Method::HEAD,
            other => method.as_str() == other,
        }
    }

    /// Its path, with the name of what varies in braces.
    pub(super) const fn pattern(self) -> &'static str {
        self.call().1
    }

    /// The one that a request is for: where its path has no such method, one that the path has.
    pub(super) fn of(method: &Method, path: &str) -> Option<Route> {
        let route = Route::at(path)?;
        Some(match (route, method.as_str()) {
            (Route::Counters, "DELETE") => Route::CountersDelete,
            (Route::Counter, "PUT") => Route::CounterSet,
            (Route::Counter, "DELETE") => Route::CounterDelete,
            (route, _) => route,
        })
    }

    /// The first one that a path belongs to, if any.
    ///
    /// axum knows it too, but tells it only to those who let it put the pattern into every
    /// request's extensions, which costs two allocations on the path of an increment.
    fn at(path: &str) -> Option<Route> {
        Some(match path {
            "/health" => Route::Health,
            "/count" => Route::Count,
            "/increment" => Route::Increment,
            "/sync" => Route::Sync,
            "/peers" => Route::Peers,
            "/register" => Route::Register,
            "/remove-peer" => Route::RemovePeer,
            "/discovery" => Route::Discovery,
            "/counters" => Route::Counters,
            "/batch" => Route::Batch,
            "/openapi.json" => Route::OpenApi,
            "/settle" => Route::Settle,
            "/status" => Route::Status,
            "/metrics" => Route::Metrics,
            "/events" => Route::Events,
            PATH => Route::Link,
            "/" => Route::Page,
            _ if path.strip_prefix("/page/").is_some_and(|file| !file.contains('/')) => {
                Route::PageFile
            }
            _ => match path.strip_prefix("/counters/").map(|rest| rest.split_once('/')) {
                Some(None) => Route::Counter,
                Some(Some((_, "increment"))) => Route::CounterIncrement,
                Some(Some((_, "decrement"))) => Route::CounterDecrement,
                Some(Some((_, "raise"))) => Route::CounterRaise,
                Some(Some((_, "reset"))) => Route::CounterReset,
                Some(Some((_, "expire"))) => Route::CounterExpire,
                Some(Some((_, "origins"))) => Route::CounterOrigins,
                _ => return None,
            },
        })
    }

    fn handler(self) -> MethodRouter<Arc<App>> {
        match self {
            Route::Health => get(original::health),
            Route::Count => get(original::count),
            Route::Increment => post(original::increment),
            Route::Sync => post(original::sync),
            Route::Peers => get(original::peers),
            Route::Register => post(original::register),
            Route::RemovePeer => post(original::remove_peer),
            Route::Discovery => get(original::discovery),
            Route::Counters => get(listing::list),
            Route::CountersDelete => delete(deletion::delete),
            Route::Counter => get(counters::get),
            Route::CounterSet => put(endings::set),
            Route::CounterDelete => delete(endings::delete),
            Route::CounterIncrement => post(counters::increment),
            Route::CounterDecrement => post(counters::decrement),
            Route::CounterRaise => post(counters::raise),
            Route::CounterReset => post(endings::reset),
            Route::CounterExpire => post(endings::expire),
            Route::CounterOrigins => get(origins::origins),
            Route::Batch => post(batch::batch),
            Route::OpenApi => get(openapi::document),
            Route::Settle => post(settle::settle),
            Route::Status => get(status::status),
            Route::Metrics => get(scrape::metrics),
            Route::Events => get(events::events),
            Route::Link => get(link::upgrade),
            Route::Page => get(page::page),
            Route::PageFile => get(page::file),
        }
    }
}

pub(super) fn router(app: Arc<App>) -> Router {
    Route::ALL
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.pattern(), route.handler()))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

async fn not_found(uri: Uri) -> Response {
    let calls: Vec<String> = Route::ALL
        .iter()
        .map(|route| {
            let (method, path) = route.call();
            format!("{method} {path}")
        })
        .collect();
    let problem = Problem::new(
        errors::Kind::Path,
        format!("expected one of {}; found {}", calls.join(", "), shortened(uri.path())),
    );
    // In the words of the calls that it resembles.
    let meant = uri.path().starts_with("/counters/").then_some(Route::Counter);
    openapi::refused(meant, problem)
}

/// The `Allow` header is axum's own.
async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let route = Route::of(&method, uri.path());
    let is_there = |other: &&Route| route.is_some_and(|route| route.pattern() == other.pattern());
    let methods: Vec<&str> = Route::ALL.iter().filter(is_there).map(|at| at.call().0).collect();
    let expected = if methods.is_empty() { "another method".to_owned() } else { listed(&methods) };
    let problem =
        Problem::new(errors::Kind::Method, format!("expected {expected}, found {method}"));
    openapi::refused(route, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_again_by_its_pattern_and_stands_at_its_own_number() {
        for (number, route) in Route::ALL.into_iter().enumerate() {
            let method = route.call().0.parse().unwrap();
            assert_eq!(Route::of(&method, route.pattern()), Some(route));
            assert!(route.takes(&method));
            assert_eq!(route as usize, number);
        }
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
    }

    #[test]
    fn paths_that_only_resemble_a_route_are_unknown() {
        for path in [
            "",
            "/page",
            "/page/a/b",
            "/count/",
            "/counters/a/b",
            "/counters/a/increment/b",
            "/batch/",
        ] {
            assert_eq!(Route::at(path), None, "{path}");
        }
    }
}
