//! Counters by name.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use quipu_core::name::CounterName;
use quipu_core::operation::{Op, Refusal};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::addition::{Addition, By, overflow};
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
    /// 1 to 1,024 bytes of UTF-8 without control characters, percent-encoded; neither . nor .., which
    /// clients take out of a path before they send it.
    #[param(
        min_length = 1,
        max_length = 1024,
        pattern = "^(?!\\.{1,2}$)[^\\x00-\\x1f\\x7f-\\x9f]+$"
    )]
    name: String,
}

/// The name in the path, percent-decoded. Not decodable, it is a bad request like any other.
pub(super) type NameInPath = Result<Path<InPath>, PathRejection>;

/// How much at least.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    to: i64,
}

impl Object for To {
    const MEMBERS: &'static [&'static str] = &["to"];
}

/// Reads a counter
///
/// One that does not exist is 0, with `exists` beside it, and reading does not make it.
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
    let outcome = app.apply(&caller, Op::Get { name: name.clone() }).await?;
    Ok(answer::read(name.as_str(), &outcome, app.node_id()))
}

/// Adds to a counter
///
/// By one, or by what the body says, which may be negative. `applied` is that, or 0 where a bound of
/// the body forbids it: nothing is done then, and nothing becomes of the lifetime. A bound is judged
/// by the value that this node sees.
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
    let by: By = body?.object_if_any(Route::CounterIncrement)?;
    add(&app, &caller, name, &by.added()?).await
}

/// Subtracts from a counter
///
/// By one, or by what the body says; a negative number adds. `applied` is by how much the value
/// has changed, so it is that number with the other sign. Its bounds are those of the value, as for an
/// increment.
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
    let by: By = body?.object_if_any(Route::CounterDecrement)?;
    add(&app, &caller, name, &by.subtracted()?).await
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
    Ok(answer::changed(name.as_str(), &outcome, app.node_id()))
}

pub(super) fn name(in_path: NameInPath) -> Result<CounterName, Problem> {
    let Path(InPath { name }) = in_path.map_err(|rejection| {
        let reason = format!("expected a counter name in UTF-8, found: {rejection}");
        Problem::new(Kind::Name, reason)
    })?;
    Ok(CounterName::new(name)?)
}

async fn add(
    app: &App,
    caller: &Caller,
    name: CounterName,
    addition: &Addition,
) -> Result<Response, Documented> {
    match app.request(caller, addition.op(name.clone())).await? {
        Ok(outcome) if addition.overflowed(&outcome) => {
            Err(overflow(addition.by, outcome.value).into())
        }
        Ok(outcome) => Ok(answer::changed(name.as_str(), &outcome, app.node_id())),
        Err(Refusal::Overflow { found }) if caller.may(&Action::Read(&name)).is_ok() => {
            Err(overflow(addition.by, found).into())
        }
        Err(refusal) => Err(Problem::from(refusal).into()),
    }
}
