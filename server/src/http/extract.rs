//! Request bodies, bounded in size and time before anyone looks at them.
//!
//! The request's `Content-Type` is not looked at: the system that this one replaces decoded
//! whatever came, and `curl -d` names a type of its own that nobody means. That is why axum's
//! `Json` is not used.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::errors::{Kind, Problem};

/// Longest request body, in bytes. The longest that means anything is a peer's name of some
/// 270 bytes; the rest is room for clients that send more than they need.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a body may take to arrive once its head has. Whoever is slower holds a connection for
/// nothing.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// All of a request's body. Reading it to the end also leaves the connection fit for the next
/// request, so calls that ignore their body take it too.
pub(super) struct WholeBody(Bytes);

impl<S: Sync> FromRequest<S> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, BODY_BYTES_MAX).await.map(WholeBody)
    }
}

/// All of a request's body, of at most so many bytes.
pub(super) async fn read(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let body = request.into_body();
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    match tokio::time::timeout(BODY_TIME_MAX, collect(body, bytes_max)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(
            Kind::BodyTooSlow,
            format!("expected the whole body within {BODY_TIME_MAX:?}, found part of it"),
        )),
    }
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Err(error) => {
            Err(Problem::new(Kind::Body, format!("expected a whole body, found: {error}")))
        }
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        Kind::BodyTooLarge,
        format!("expected a body of at most {bytes_max} bytes, found more"),
    )
}

impl WholeBody {
    /// Reads the body as a JSON object. `example` is one, for whoever sent something else.
    pub(super) fn object<T: DeserializeOwned>(&self, example: &str) -> Result<T, Problem> {
        let text = self.0.trim_ascii_start();
        // serde would take an array of the fields' values for the object as well.
        if !text.starts_with(b"{") {
            let found = if text.is_empty() { "no body" } else { "something else" };
            return Err(Problem::new(
                Kind::Body,
                format!("expected a JSON object like {example}, found {found}"),
            ));
        }
        serde_json::from_slice(text).map_err(|error| {
            let reason = format!("expected a JSON object like {example}, found: {error}");
            Problem::new(Kind::Body, reason)
        })
    }

    /// As [`WholeBody::object`], for calls whose body may be left out.
    pub(super) fn object_if_any<T>(&self, example: &str) -> Result<T, Problem>
    where
        T: DeserializeOwned + Default,
    {
        if self.0.trim_ascii().is_empty() { Ok(T::default()) } else { self.object(example) }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sync {
        count: i64,
    }

    fn read(body: &'static str) -> Result<i64, String> {
        let body = WholeBody(Bytes::from_static(body.as_bytes()));
        body.object::<Sync>("{\"count\": 7}").map(|sync| sync.count).map_err(|p| format!("{p:?}"))
    }

    #[test]
    fn an_object_is_read_whatever_else_it_holds() {
        assert_eq!(read(r#" {"count":7}"#), Ok(7));
        assert_eq!(read("{\"other\":[1],\"count\":-9223372036854775808}\n"), Ok(i64::MIN));
    }

    #[test]
    fn what_does_not_hold_the_fields_is_refused_with_an_example_and_the_finding() {
        for (body, finding) in [
            ("", "found no body"),
            ("[7]", "found something else"),
            ("7", "found something else"),
            ("{", "EOF while parsing"),
            ("{}", "missing field `count`"),
            (r#"{"count":"7"}"#, "invalid type: string"),
            (r#"{"count":7.5}"#, "invalid type: floating point"),
            (r#"{"count":9223372036854775808}"#, "invalid value: integer"),
            (r#"{"count":7} {}"#, "trailing characters"),
        ] {
            let problem = read(body).unwrap_err();
            assert!(problem.contains("expected a JSON object like"), "{body:?}: {problem}");
            assert!(problem.contains(finding), "{body:?}: {problem}");
        }
    }

    #[test]
    fn a_body_that_may_be_left_out_is_its_default() {
        let empty = WholeBody(Bytes::from_static(b" \n"));
        assert_eq!(empty.object_if_any::<Vec<u8>>("{}").unwrap(), Vec::<u8>::new());
    }
}
