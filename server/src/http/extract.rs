//! Request bodies, bounded in size and time before they are looked at.
//!
//! The request's `Content-Type` is not looked at: the system that this one replaces decoded
//! whatever came, and `curl -d` names a type of its own that its user does not mean. That is why
//! axum's
//! `Json` is not used.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::errors::{Kind, Problem};
use super::noted::Noted;
use super::routes::Route;
use super::unknown;

/// Longest request body, in bytes. The longest that means anything is a peer's name of some
/// 270 bytes; the rest is room for clients that send more than they need.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a body may take to arrive once its head has. A slower client holds a connection for
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

/// What a body says: an object with these members and no others, which it refuses.
pub(super) trait Object: DeserializeOwned {
    /// The names of all its members.
    const MEMBERS: &'static [&'static str];
}

/// Refuses a body where none is understood. What it says may be what the client cares for most.
pub(super) async fn expect_none(body: &mut Noted) -> Result<(), Problem> {
    if body.is_end_stream() {
        return Ok(());
    }
    if body.size_hint().lower() == 0 {
        // Its length is not told, and may still be nothing.
        match tokio::time::timeout(BODY_TIME_MAX, body.frame()).await {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
            Err(_) => return Err(too_slow()),
        }
    }
    Err(Problem::new(Kind::Body, "expected no body for this call, found one"))
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
        Err(_) => Err(too_slow()),
    }
}

fn too_slow() -> Problem {
    let reason = format!("expected the whole body within {BODY_TIME_MAX:?}, found part of it");
    Problem::new(Kind::BodyTooSlow, reason)
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
    /// Its bytes, without the space around them.
    pub(super) fn trimmed(&self) -> &[u8] {
        self.0.trim_ascii()
    }

    /// Reads the body as a JSON object of which every member is understood. A client of `route` that
    /// sent something else is told what was expected.
    pub(super) fn object<T: Object>(&self, route: Route) -> Result<T, Problem> {
        let text = self.trimmed();
        let example = route.example().unwrap_or("{}");
        let wrong = |found: &str| {
            let reason = format!("expected a JSON object like {example}, {found}");
            Problem::new(Kind::Body, reason)
        };
        // serde would take an array of the fields' values for the object as well.
        if !text.starts_with(b"{") {
            return Err(wrong(if text.is_empty() {
                "found no body"
            } else {
                "found something else"
            }));
        }
        serde_json::from_slice(text).map_err(|error| match unknown::member(text, T::MEMBERS) {
            Some(member) => wrong(&unknown::found("member", &member, T::MEMBERS)),
            None => wrong(&format!("found: {error}")),
        })
    }

    /// As [`WholeBody::object`], for calls whose body may be left out.
    pub(super) fn object_if_any<T: Object + Default>(&self, route: Route) -> Result<T, Problem> {
        if self.trimmed().is_empty() { Ok(T::default()) } else { self.object(route) }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sync {
        count: i64,
    }

    impl Object for Sync {
        const MEMBERS: &'static [&'static str] = &["count"];
    }

    fn read(body: &'static str) -> Result<i64, String> {
        let body = WholeBody(Bytes::from_static(body.as_bytes()));
        let read = body.object::<Sync>(Route::Sync);
        read.map(|sync| sync.count).map_err(|problem| problem.reason)
    }

    #[test]
    fn an_object_is_read_whatever_space_stands_around_it() {
        assert_eq!(read(r#" {"count":7}"#), Ok(7));
        assert_eq!(read("{\"count\" : -9223372036854775808}\n"), Ok(i64::MIN));
    }

    #[test]
    fn a_member_that_is_not_understood_is_refused_with_what_was_meant_where_that_is_close() {
        let like = "expected a JSON object like {\"count\": 7}, found the unknown member";
        for (body, found) in [
            (r#"{"other":[1],"count":7}"#, r#" "other""#),
            (r#"{"count":7,"Count":7}"#, r#" "Count"; did you mean "count"?"#),
            (r#"{"COUNT":"x"}"#, r#" "COUNT"; did you mean "count"?"#),
            (r#"{"":7}"#, r#" """#),
        ] {
            assert_eq!(read(body).unwrap_err(), format!("{like}{found}"), "{body}");
        }
        assert!(read(r#"{"count":7,"count":7}"#).unwrap_err().contains("duplicate field `count`"));
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
        assert_eq!(empty.object_if_any::<Sync>(Route::Sync).unwrap().count, 0);
    }
}
