//! Counters by name.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use quipu_core::name::CounterName;
use quipu_core::operation::{Op, Refusal, Value};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer;
use super::app::{App, Shared};
use super::errors::{Kind, Problem};
use super::extract::{Object, WholeBody};
use super::problem_document::Documented;
use super::routes::Route;
use crate::access::{Action, Caller};

/// What varies in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct InPath {
    /// 1 to 255 bytes of UTF-8 without control characters, percent-encoded; neither . nor .., which
    /// clients take out of a path before they send it.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = "^(?!\\.{1,2}$)[^\\x00-\\x1f\\x7f-\\x9f]+$"
    )]
    name: String,
}

/// The name in the path, percent-decoded. Not decodable, it is a bad request like any other.
pub(super) type NameInPath = Result<Path<InPath>, PathRejection>;

/// By how much.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    #[serde(default = "one")]
    #[schema(default = 1)]
    by: i64,
}

impl Object for By {
    const MEMBERS: &'static [&'static str] = &["by"];
}

/// How much at least.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    to: i64,
}

impl Object for To {
    const MEMBERS: &'static [&'static str] = &["to"];
}

fn one() -> i64 {
    1
}

impl Default for By {
    fn default() -> Self {
        By { by: one() }
    }
}

/// Reads a counter
///
/// One that does not exist is 0, and reading does not make it.
#[utoipa::path(
    get, path = "/counters/{name}", tag = "counters", operation_id = "get_counter",
    params(InPath),
    responses((status = 200, description = "The counter", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn get(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
) -> Result<Response, Documented> {
    let name = self::name(name)?;
    let value = app.apply(&caller, Op::Get { name: name.clone() }).await?.value;
    Ok(answer::read(name.as_str(), value, app.node_id()))
}

/// Adds to a counter
///
/// By one, or by what the body says, which may be negative. `applied` is that.
#[utoipa::path(
    post, path = "/counters/{name}/increment", tag = "counters", operation_id = "increment_counter",
    params(InPath),
    request_body(content = inline(By)),
    responses((status = 200, description = "The counter after it", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn increment(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Documented> {
    let name = self::name(name)?;
    let By { by } = body?.object_if_any(Route::CounterIncrement)?;
    add(&app, &caller, name, by).await
}

/// Subtracts from a counter
///
/// By one, or by what the body says; a negative number adds. `applied` is by how much the value
/// has changed, so it is that number with the other sign.
#[utoipa::path(
    post, path = "/counters/{name}/decrement", tag = "counters", operation_id = "decrement_counter",
    params(InPath),
    request_body(content = inline(By)),
    responses((status = 200, description = "The counter after it", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn decrement(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Documented> {
    let name = self::name(name)?;
    let By { by } = body?.object_if_any(Route::CounterDecrement)?;
    add(&app, &caller, name, negated(by)?).await
}

/// Raises a counter
///
/// To what the body says if its value is below, else nothing is changed. `applied` is the lift, 0
/// if there was none. Two nodes that raise a counter to the same number at once do not add up. Waits
/// up to two seconds if this node knows that it lacks what others have counted.
#[utoipa::path(
    post, path = "/counters/{name}/raise", tag = "counters", operation_id = "raise_counter",
    params(InPath),
    request_body(content = inline(To)),
    responses((status = 200, description = "The counter after it", body = inline(answer::Counter<'_>)))
)]
pub(super) async fn raise(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Documented> {
    let name = self::name(name)?;
    let To { to } = body?.object(Route::CounterRaise)?;
    let outcome = app.apply(&caller, Op::Raise { name: name.clone(), to }).await?;
    Ok(answer::changed(name.as_str(), outcome, app.node_id()))
}

pub(super) fn name(in_path: NameInPath) -> Result<CounterName, Problem> {
    let Path(InPath { name }) = in_path.map_err(|rejection| {
        let reason = format!("expected a counter name in UTF-8, found: {rejection}");
        Problem::new(Kind::Name, reason)
    })?;
    Ok(CounterName::new(name)?)
}

/// What is to be added so that `by` is subtracted.
pub(super) fn negated(by: i64) -> Result<i64, Problem> {
    by.checked_neg().ok_or_else(|| {
        let reason = format!("expected at least {} to decrement by, found {by}", -i64::MAX);
        Problem::new(Kind::Body, reason)
    })
}

async fn add(
    app: &App,
    caller: &Caller,
    name: CounterName,
    by: i64,
) -> Result<Response, Documented> {
    match app.request(caller, Op::Add { name: name.clone(), by }).await? {
        Ok(outcome) => Ok(answer::changed(name.as_str(), outcome, app.node_id())),
        Err(Refusal::Overflow { found }) if caller.may(&Action::Read(&name)).is_ok() => {
            Err(overflow(by, found).into())
        }
        Err(refusal) => Err(Problem::from(refusal).into()),
    }
}

/// What is said of an addition that was refused.
pub(super) fn overflow(by: i64, found: Value) -> Problem {
    let (min, max) = (i64::MIN, i64::MAX);
    let reason = if i64::try_from(found.0 + i128::from(by)).is_err() {
        let found = found.0;
        format!("expected a value from {min} to {max} after adding {by}, found {found} before it")
    } else {
        let max = u64::MAX;
        format!(
            "expected at most {max} added or subtracted on this node in all, found more by {by}"
        )
    };
    Problem::new(Kind::Overflow, format!("{reason}; nothing was changed"))
}
