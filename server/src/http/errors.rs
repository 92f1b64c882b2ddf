//! What a client is told when its request could not be granted: a status code, and one JSON object
//! whose `error` says what was expected, what was found, and that nothing was changed.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quipu_core::effects::Refusal;
use quipu_core::identity::AddressError;
use quipu_core::name::NameError;
use serde::Serialize;

use crate::handle::Unavailable;

/// After how many seconds a request that could not be granted *now* is worth another try: digests
/// are exchanged, and a restarted process is back, within about that.
const RETRY_AFTER_SECONDS: u16 = 1;

/// A request that was not granted.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    reason: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Problem { status, reason: reason.into() }
    }

    /// The request is at fault, whatever the state of the node.
    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, unavailable.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            // The request is well-formed; it is the counter's present value that forbids it.
            Refusal::Overflow => StatusCode::CONFLICT,
            Refusal::Untouched => StatusCode::NOT_FOUND,
            Refusal::Behind(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::TooManyCounters(_) => StatusCode::INSUFFICIENT_STORAGE,
        };
        Problem::new(status, format!("{refusal}; nothing was changed"))
    }
}

impl From<AddressError> for Problem {
    fn from(error: AddressError) -> Self {
        Problem::bad_request(error.to_string())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Problem::bad_request(error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let mut response = (self.status, Json(Body { error: self.reason })).into_response();
        match self.status {
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
        response
    }
}
