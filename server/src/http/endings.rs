//! Calls that set counters, end them, or say when they end.
//!
//! What a call of these does depends on what this node sees (rule `reset`), and each is one operation
//! of the node, which judges it.

use axum::extract::State;
use axum::response::Response;
use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use quipu_core::update::{Expiry, Update};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer;
use super::app::{App, Shared};
use super::counters::{self, InPath, NameInPath};
use super::errors::{Kind, Problem};
use super::extract::{Object, WholeBody};
use super::given::{At, Given, Ttl, at_or_null_schema, ttl_or_null_schema};
use super::problem_document::Documented;
use super::routes::Route;
use crate::access::Caller;

/// To what, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    value: i64,
    #[serde(default)]
    #[schema(schema_with = ttl_or_null_schema, required = false)]
    ttl: Given<Ttl>,
}

impl Object for Set {
    const MEMBERS: &'static [&'static str] = &["value", "ttl"];
}

/// To what.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reset {
    #[serde(default)]
    #[schema(default = 0)]
    to: i64,
}

impl Object for Reset {
    const MEMBERS: &'static [&'static str] = &["to"];
}

/// When: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Expire {
    #[serde(default)]
    #[schema(schema_with = ttl_or_null_schema, required = false)]
    ttl: Given<Ttl>,
    #[serde(default)]
    #[schema(schema_with = at_or_null_schema, required = false)]
    at: Given<At>,
}

impl Object for Expire {
    const MEMBERS: &'static [&'static str] = &["ttl", "at"];
}

/// Sets a counter
///
/// To what the body says, whatever it was, and makes it where there is none. It has the lifetime that
/// the body says and none else. What other nodes have counted and this one has not seen comes on top;
/// two nodes that set a counter to the same number at once do not add up. Waits like a raise.
#[utoipa::path(
    put, path = "/counters/{name}", tag = "counters", operation_id = "set_counter",
    params(InPath),
    request_body(content = inline(Set)),
    responses((status = 200, description = "The counter after it", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn set(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Documented> {
    let name = counters::name(name)?;
    let Set { value, ttl } = body?.object(Route::CounterSet)?;
    update(&app, &caller, name, set_to(value, ttl)).await
}

/// Resets a counter
///
/// To 0, or to what the body says, as `PUT` does, but its lifetime stays. `before` is the value that
/// it had.
#[utoipa::path(
    post, path = "/counters/{name}/reset", tag = "counters", operation_id = "reset_counter",
    params(InPath),
    request_body(content = inline(Reset)),
    responses((status = 200, description = "The counter after it", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn reset(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Documented> {
    let name = counters::name(name)?;
    let Reset { to } = body?.object_if_any(Route::CounterReset)?;
    update(&app, &caller, name, reset_to(to)).await
}

/// Deletes a counter
///
/// Takes away all that this node sees of it; `before` is the value that it had. What other nodes have
/// counted and this one has not seen survives. Deleting one that does not exist does nothing. Waits
/// like a raise.
#[utoipa::path(
    delete, path = "/counters/{name}", tag = "counters", operation_id = "delete_counter",
    params(InPath),
    responses((status = 200, description = "The counter after it", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn delete(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
) -> Result<Response, Documented> {
    update(&app, &caller, counters::name(name)?, Update::Delete).await
}

/// Says when a counter expires
///
/// So long from now (`ttl`), or then (`at`); null is never. From then on it does not exist, on every
/// node by the node's own clock; a time that is over ends it at once. One that does not exist is given
/// none, which `existed` tells. Of lifetimes that are given at once the later one counts.
#[utoipa::path(
    post, path = "/counters/{name}/expire", tag = "counters", operation_id = "expire_counter",
    params(InPath),
    request_body(content = inline(Expire)),
    responses((status = 200, description = "The counter after it", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn expire(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Documented> {
    let name = counters::name(name)?;
    let Expire { ttl, at } = body?.object(Route::CounterExpire)?;
    let expire = expire_at(ttl, at).map_err(|reason| Problem::new(Kind::Body, reason))?;
    update(&app, &caller, name, expire).await
}

async fn update(
    app: &App,
    caller: &Caller,
    name: CounterName,
    update: Update,
) -> Result<Response, Documented> {
    let op = Op::Update { name: name.clone(), update: Box::new(update) };
    let outcome = app.apply(caller, op).await?;
    Ok(answer::ended(name.as_str(), &outcome, app.node_id()))
}

/// A counter that is set has the lifetime that it is given with the value.
pub(super) fn set_to(to: i64, ttl: Given<Ttl>) -> Update {
    let expiry = match ttl {
        Given::Missing | Given::Null => Expiry::Never,
        Given::Value(Ttl(ms)) => Expiry::After(ms),
    };
    Update::Set { to, only: None, expiry }
}

/// One that is reset goes on with its lifetime: a limit of so many a minute begins anew with the
/// minute, whoever resets it.
pub(super) fn reset_to(to: i64) -> Update {
    Update::Set { to, only: None, expiry: Expiry::Keep }
}

pub(super) fn expire_at(ttl: Given<Ttl>, at: Given<At>) -> Result<Update, String> {
    let expiry = match (ttl, at) {
        (Given::Null, Given::Missing) | (Given::Missing, Given::Null) => Expiry::Never,
        (Given::Value(Ttl(ms)), Given::Missing) => Expiry::After(ms),
        (Given::Missing, Given::Value(At(ms))) => Expiry::At(ms),
        (Given::Missing, Given::Missing) => {
            return Err("expected ttl or at, found neither".to_owned());
        }
        _ => return Err("expected ttl or at, found both".to_owned()),
    };
    Ok(Update::Expire { expiry, only: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_is_set_begins_anew_and_one_that_is_reset_keeps_its_lifetime() {
        let expiry = |update| match update {
            Update::Set { expiry, .. } => expiry,
            other => panic!("expected a set, found {other:?}"),
        };
        assert_eq!(expiry(set_to(1, Given::Missing)), Expiry::Never);
        assert_eq!(expiry(set_to(1, Given::Value(Ttl(5)))), Expiry::After(5));
        assert_eq!(expiry(reset_to(1)), Expiry::Keep);
    }

    #[test]
    fn a_lifetime_is_given_in_one_of_two_ways_and_null_is_never() {
        let read = |json| {
            let Expire { ttl, at } = serde_json::from_str(json).unwrap();
            expire_at(ttl, at)
        };
        for (json, expiry) in [
            (r#"{"ttl":"2s"}"#, Expiry::After(2_000)),
            (r#"{"ttl":null}"#, Expiry::Never),
            (r#"{"at":null}"#, Expiry::Never),
            (r#"{"at":7}"#, Expiry::At(7)),
            (r#"{"at":"1970-01-01T00:00:07Z"}"#, Expiry::At(7_000)),
        ] {
            assert_eq!(read(json), Ok(Update::Expire { expiry, only: None }), "{json}");
        }
        assert_eq!(read("{}").unwrap_err(), "expected ttl or at, found neither");
        for json in [r#"{"ttl":"2s","at":7}"#, r#"{"ttl":null,"at":null}"#] {
            assert_eq!(read(json).unwrap_err(), "expected ttl or at, found both");
        }
    }
}
