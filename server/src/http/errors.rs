//! Why a request was not granted, and what the first eight calls and their like say then: a status
//! code, and one JSON object whose `error` says what was expected, what was found, and that nothing
//! was changed. Calls on named counters say the same in a
//! [problem document](super::problem_document).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quipu_core::identity::AddressError;
use quipu_core::membership::PeersRefusal;
use quipu_core::name::NameError;
use quipu_core::operation::Refusal;
use serde::Serialize;

use crate::access::Denied;
use crate::handle::Unavailable;

/// After how many seconds a request that could not be granted *now* is worth another try: digests
/// are exchanged, and a restarted process is back, within about that.
const RETRY_AFTER_SECONDS: u16 = 1;

/// What can be wrong with a request. Programs tell these apart, so their words never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name that no counter can have.
    Name,
    /// A body that does not say what is needed.
    Body,
    /// A query that does not say what is needed.
    Query,
    /// An address that no peer can have.
    Address,
    /// No such path.
    Path,
    /// No such method on this path.
    Method,
    /// An upgrade was needed.
    Upgrade,
    /// A body beyond its bound.
    BodyTooLarge,
    /// A body that took too long to arrive.
    BodyTooSlow,
    /// More operations than one request may have.
    TooManyOperations,
    /// The value, or this node's part of it, would leave its range.
    Overflow,
    /// The node knows that it lacks what others have counted.
    Behind,
    /// The cluster has removed this node.
    Removed,
    /// A peer runs a release that would not understand it.
    OlderPeer,
    /// The table is full.
    TooManyCounters,
    /// There is no memory for a new name.
    OutOfMemory,
    /// As many nodes as can be have been removed.
    TooManyRemovals,
    /// No removal can follow what is known of the peer.
    EpochsUsedUp,
    /// Too many ask for the same already.
    Busy,
    /// The node still reads what it had counted before.
    Starting,
    /// The node is about to end.
    Stopping,
    /// The caller has no right to it.
    Denied,
    /// A page of another site had a browser ask.
    CrossSite,
    /// Asked by a name that a page of another site may have made up.
    Host,
    /// Not said whom it asks.
    HostHeader,
    /// A fault of this program.
    Internal,
}

impl Kind {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Kind::Name
            | Kind::Body
            | Kind::Query
            | Kind::Address
            | Kind::HostHeader
            | Kind::TooManyOperations => StatusCode::BAD_REQUEST,
            Kind::Path => StatusCode::NOT_FOUND,
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Upgrade => StatusCode::UPGRADE_REQUIRED,
            Kind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            // The request is well-formed; it is the counter's present value that forbids it.
            Kind::Overflow | Kind::EpochsUsedUp => StatusCode::CONFLICT,
            Kind::Behind
            | Kind::Removed
            | Kind::OlderPeer
            | Kind::Busy
            | Kind::Starting
            | Kind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Kind::TooManyCounters | Kind::OutOfMemory | Kind::TooManyRemovals => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Kind::Denied | Kind::CrossSite | Kind::Host => StatusCode::FORBIDDEN,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A request that was not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    /// What was expected, and what was found.
    pub(super) reason: String,
}

impl Problem {
    pub(super) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Problem { kind, reason: reason.into() }
    }

    /// Adds what a client needs to know beside the words.
    pub(super) fn add_headers(&self, response: &mut Response) {
        match self.kind.status() {
            StatusCode::SERVICE_UNAVAILABLE => {
                let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            // Part of the request may still be on its way, and would be read as the next one.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            _ => {}
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Problem::new(Kind::Denied, format!("{denied}; nothing was changed"))
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        let kind = match unavailable {
            Unavailable::Starting => Kind::Starting,
            Unavailable::Stopping => Kind::Stopping,
            Unavailable::WrongKind(_) => Kind::Internal,
        };
        Problem::new(kind, unavailable.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Overflow { .. } => Kind::Overflow,
            Refusal::Behind(_) => Kind::Behind,
            Refusal::Removed => Kind::Removed,
            Refusal::OlderPeer(_) => Kind::OlderPeer,
            Refusal::TooManyCounters(_) => Kind::TooManyCounters,
            Refusal::OutOfMemory => Kind::OutOfMemory,
            // No call makes conditions.
            Refusal::Changed => Kind::Busy,
        };
        Problem::new(kind, format!("{refusal}; nothing was changed"))
    }
}

impl From<PeersRefusal> for Problem {
    fn from(refusal: PeersRefusal) -> Self {
        let kind = match refusal {
            PeersRefusal::TooManyRemovals(_) => Kind::TooManyRemovals,
            PeersRefusal::EpochsUsedUp => Kind::EpochsUsedUp,
            PeersRefusal::TooManyAsked(_) => Kind::Busy,
        };
        Problem::new(kind, format!("{refusal}; nothing was changed"))
    }
}

impl From<AddressError> for Problem {
    fn from(error: AddressError) -> Self {
        Problem::new(Kind::Address, error.to_string())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Problem::new(Kind::Name, error.to_string())
    }
}

/// The body of an answer that refuses.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Error {
    /// What was expected, and what was found.
    error: String,
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let error = std::mem::take(&mut self.reason);
        let mut response = (self.kind.status(), Json(Error { error })).into_response();
        self.add_headers(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_is_refused_says_why_and_whether_to_try_again() {
        for (refusal, status, word) in [
            (PeersRefusal::TooManyRemovals(7), 507, "records of 7 nodes"),
            (PeersRefusal::EpochsUsedUp, 409, "used up"),
            (PeersRefusal::TooManyAsked(7), 503, "7 registered addresses"),
        ] {
            let problem = Problem::from(refusal);
            assert_eq!(problem.kind.status().as_u16(), status);
            assert!(problem.reason.contains(word), "{}", problem.reason);
            assert!(problem.reason.ends_with("nothing was changed"), "{}", problem.reason);
        }
    }
}
