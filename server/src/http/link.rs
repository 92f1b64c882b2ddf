//! `GET /link`: where a peer's connection stops being HTTP and becomes a link.
//!
//! An HTTP/1.1 Upgrade (RFC 9110, section 7.8) lets a node have one TCP port, one address and one
//! hole in the firewall. A port of its own for links was rejected for that.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::Shared;
use super::errors::{Kind, Problem};
use crate::access::{self, Caller};
use crate::transport::link::{Connection, PROTOCOL};

/// Becomes a link between two nodes
#[utoipa::path(
    get, path = "/link", tag = "operation",
    responses((status = 101, description = "From here on, frames of Quipu's own protocol"))
)]
pub(super) async fn upgrade(State(app): Shared, caller: Caller, mut request: Request) -> Response {
    if let Err(problem) = asks_for_link(request.headers()) {
        return (upgrade_headers(), problem).into_response();
    }
    let allowed = match caller.ask(access::Link) {
        Ok(allowed) => allowed,
        Err(denied) => return Problem::from(denied).into_response(),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(%error, "a peer went away while its link was taken");
                return;
            }
        };
        match Connection::accepted(upgraded) {
            Ok(connection) => app.handle.accept_link(allowed, connection),
            Err(error) => tracing::warn!(%error, "a link was not taken"),
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, upgrade_headers()).into_response()
}

fn upgrade_headers() -> [(HeaderName, HeaderValue); 2] {
    [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static(PROTOCOL)),
    ]
}

fn asks_for_link(headers: &HeaderMap) -> Result<(), Problem> {
    if lists(headers, header::CONNECTION, "upgrade") && lists(headers, header::UPGRADE, PROTOCOL) {
        return Ok(());
    }
    let found = match headers.get(header::UPGRADE) {
        Some(value) => format!("Upgrade: {}", String::from_utf8_lossy(value.as_bytes())),
        None => "no Upgrade".to_owned(),
    };
    Err(Problem::new(
        Kind::Upgrade,
        format!("expected Connection: Upgrade and Upgrade: {PROTOCOL}, found {found}"),
    ))
}

/// Whether a header's comma-separated values hold this one, in any case.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(wanted))
}
