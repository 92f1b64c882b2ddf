//! Problem documents (RFC 9457): how calls on named counters say that a request was not granted.
//!
//! `type` is a URN and not the address of a page: it names the problem for programs, on every node
//! and in every release alike, and promises no page that would have to be kept.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::errors::{Kind, Problem};

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was not granted (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Document<'a> {
    /// Names the problem for programs.
    #[schema(example = "urn:quipu:problem:overflow")]
    r#type: &'static str,
    /// Names it for people.
    title: &'static str,
    /// The status code of the answer; in a batch, the one that the operation alone would have got.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was expected, and what was found.
    detail: Cow<'a, str>,
}

impl<'a> From<&'a Problem> for Document<'a> {
    fn from(problem: &'a Problem) -> Self {
        Document::new(problem.kind, Cow::Borrowed(&problem.reason))
    }
}

impl From<Problem> for Document<'_> {
    fn from(problem: Problem) -> Self {
        Document::new(problem.kind, Cow::Owned(problem.reason))
    }
}

impl<'a> Document<'a> {
    fn new(kind: Kind, detail: Cow<'a, str>) -> Self {
        let (r#type, title) = words(kind);
        Document { r#type, title, status: kind.status().as_u16(), detail }
    }
}

/// The type and the title. Clients rely on the types.
pub(super) const fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Name => ("urn:quipu:problem:name", "Not a counter's name"),
        Kind::Body => ("urn:quipu:problem:body", "Not a body for this call"),
        Kind::Query => ("urn:quipu:problem:query", "Not a query for this call"),
        Kind::Address => ("urn:quipu:problem:address", "Not the address of a node"),
        Kind::Path => ("urn:quipu:problem:path", "No such path"),
        Kind::Method => ("urn:quipu:problem:method", "No such method on this path"),
        Kind::Upgrade => ("urn:quipu:problem:upgrade", "Upgrade required"),
        Kind::BodyTooLarge => ("urn:quipu:problem:body-too-large", "Body too large"),
        Kind::BodyTooSlow => ("urn:quipu:problem:body-too-slow", "Body too slow"),
        Kind::TooManyOperations => {
            ("urn:quipu:problem:too-many-operations", "Too many operations in one request")
        }
        Kind::Overflow => ("urn:quipu:problem:overflow", "Increment or decrement would overflow"),
        Kind::Behind => ("urn:quipu:problem:behind", "This node is behind its peers"),
        Kind::Removed => ("urn:quipu:problem:removed", "This node was removed from the cluster"),
        Kind::OlderPeer => ("urn:quipu:problem:older-peer", "A peer runs an earlier release"),
        Kind::TooManyCounters => ("urn:quipu:problem:too-many-counters", "Too many counters"),
        Kind::OutOfMemory => ("urn:quipu:problem:out-of-memory", "No memory for a new counter"),
        Kind::TooManyRemovals => ("urn:quipu:problem:too-many-removals", "Too many removals"),
        Kind::EpochsUsedUp => {
            ("urn:quipu:problem:epochs-used-up", "No removal can follow this registration")
        }
        Kind::Busy => ("urn:quipu:problem:busy", "Too many such requests wait already"),
        Kind::Starting => ("urn:quipu:problem:starting", "This node is starting"),
        Kind::Stopping => ("urn:quipu:problem:stopping", "This node is shutting down"),
        Kind::Denied => ("urn:quipu:problem:denied", "This caller may not do this"),
        Kind::CrossSite => ("urn:quipu:problem:cross-site", "Asked by a page of another site"),
        Kind::Host => ("urn:quipu:problem:host", "Asked by a name that is not this machine's"),
        Kind::HostHeader => ("urn:quipu:problem:host-header", "Not one Host header"),
        Kind::Internal => ("urn:quipu:problem:internal", "A fault of this node"),
    }
}

/// A problem that is answered with a document.
pub(super) struct Documented(Problem);

impl<E: Into<Problem>> From<E> for Documented {
    fn from(problem: E) -> Self {
        Documented(problem.into())
    }
}

impl IntoResponse for Documented {
    fn into_response(self) -> Response {
        let Documented(problem) = self;
        let document = Json(Document::from(&problem));
        let mut response = (problem.kind.status(), document).into_response();
        let content_type = HeaderValue::from_static(CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        problem.add_headers(&mut response);
        response
    }
}
