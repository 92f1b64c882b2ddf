//! The live page, at `/` of every node. What it is made of stands in [`crate::dashboard`].

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::errors::{Kind, Problem};
use crate::dashboard;
use crate::dashboard::Asset;

/// What the page may do in a browser: load what comes from this node, and nothing else, nowhere
/// else. No script or style stands in the page itself, so none that a stranger wrote can.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Shows the live page
#[utoipa::path(
    get, path = "/", tag = "operation",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"))
)]
pub(super) async fn page(headers: HeaderMap) -> Response {
    answer(&headers, dashboard::page())
}

/// Gives a file that the live page is made of
#[utoipa::path(
    get, path = "/page/{file}", tag = "operation",
    params(("file" = String, Path, description = "Its name")),
    responses((status = 200, description = "The file", body = String, content_type = "*/*"))
)]
pub(super) async fn file(
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = name.ok().and_then(|Path(name)| dashboard::file(&name));
    let asset = asset.ok_or_else(|| Problem::new(Kind::Path, "expected a file of the page"))?;
    Ok(answer(&headers, asset))
}

/// The browser keeps what it has as long as this node would give it the same: it asks each time,
/// since another release may answer at the same address tomorrow.
fn answer(headers: &HeaderMap, asset: &'static Asset) -> Response {
    let etag = asset.etag();
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(", ").any(|tag| tag == etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = Bytes::from_static(asset.bytes);
        ([(header::CONTENT_TYPE, asset.content_type)], body).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
