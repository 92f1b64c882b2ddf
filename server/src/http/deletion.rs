//! `DELETE /counters?prefix=`: many counters at once.
//!
//! A page of names is listed and deleted, then the next one, so that the node serves others in between.
//! A call does a bounded number of such steps and says whether there are more: a million counters are
//! ended by ten calls, each of which is answered within seconds.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use quipu_core::name::CounterName;
use quipu_core::operation::{Op, Refusal};
use quipu_core::query::{PAGE_ROWS_MAX, Row};
use quipu_core::update::Update;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::{App, Shared};
use super::errors::Problem;
use super::listing::{bound, rows};
use super::problem_document::Documented;
use super::query::{self, wrong};
use super::routes::Route;
use crate::access::{Caller, Ops};

/// Steps of a call, each of [`PAGE_ROWS_MAX`] counters: some seconds where each is synced.
const STEPS_MAX: usize = 100;

/// How many counters were deleted.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted<'a> {
    prefix: &'a str,
    deleted: u64,
    /// Whether there may be more of them: to be called again.
    more: bool,
    /// The node that answers, as host:port.
    node_id: &'a str,
}

/// Deletes the counters whose names begin so
///
/// Up to 100,000 in one call; `more` says whether there are others. Each is deleted as by itself.
#[utoipa::path(
    delete, path = "/counters", tag = "counters", operation_id = "delete_counters",
    params(
        ("prefix" = String, Query, description = "What the names begin with; not empty", min_length = 1, max_length = 1024, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$"),
    ),
    responses((status = 200, description = "How many were deleted", body = inline(Deleted<'_>)))
)]
pub(super) async fn delete(
    State(app): Shared,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Documented> {
    let prefix = prefix(uri.query().unwrap_or_default())?;
    let (mut after, mut deleted) = (None, 0);
    for _ in 0..STEPS_MAX {
        let listed = rows(&app, &caller, Some(prefix.clone()), after, PAGE_ROWS_MAX).await;
        let (rows, more) = listed.map_err(|problem| behind(problem, deleted))?;
        let last = rows.last().map(|(name, _)| name.clone());
        deleted += step(&app, &caller, rows)
            .await
            .map_err(|(more, problem)| behind(problem, deleted + more))?;
        match last.filter(|_| more) {
            None => return Ok(told(&app, &prefix, deleted, false)),
            last => after = last,
        }
    }
    Ok(told(&app, &prefix, deleted, true))
}

fn told(app: &App, prefix: &CounterName, deleted: u64, more: bool) -> Response {
    let (prefix, node_id) = (prefix.as_str(), app.node_id());
    Json(Deleted { prefix, deleted, more, node_id }).into_response()
}

/// Deletes these; how many existed. One that is refused ends the call, and those that were deleted
/// beside it are told with the reason.
async fn step(app: &App, caller: &Caller, rows: Vec<Row>) -> Result<u64, (u64, Problem)> {
    let mut ops = Ops::with_capacity(rows.len());
    for (name, _) in rows {
        let delete = Op::Update { name, update: Box::new(Update::Delete) };
        ops.add(caller, delete).map_err(|denied| (0, denied.into()))?;
    }
    if ops.len() == 0 {
        return Ok(0);
    }
    let done = app.handle.request(ops).await.map_err(|error| (0, error.into()))?;
    let (mut deleted, mut refused): (u64, Option<Refusal>) = (0, None);
    for result in done.results {
        match result {
            Ok(outcome) => deleted += u64::from(outcome.applied),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match refused {
        None => Ok(deleted),
        Some(refusal) => Err((deleted, refusal.into())),
    }
}

/// What is said when some were deleted before it.
fn behind(problem: Problem, deleted: u64) -> Problem {
    if deleted == 0 {
        return problem;
    }
    let Problem { kind, reason } = problem;
    let reason = reason.trim_end_matches("; nothing was changed");
    Problem::new(kind, format!("{reason}; {deleted} counters were deleted before it"))
}

fn prefix(query: &str) -> Result<CounterName, Problem> {
    let mut prefix = None;
    for (_, value) in query::pairs(Route::CountersDelete, query)? {
        prefix = bound("prefix", value)?;
    }
    prefix.ok_or_else(|| wrong("expected a prefix of at least one letter, found none".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::errors::Kind;

    #[test]
    fn a_prefix_must_be_given_and_not_be_empty() {
        assert_eq!(prefix("prefix=a%2F").unwrap().as_str(), "a/");
        for query in ["", "prefix=", "prefix"] {
            let problem = prefix(query).unwrap_err();
            assert_eq!(problem.kind, Kind::Query);
            assert!(problem.reason.contains("expected a prefix"), "{}", problem.reason);
        }
        assert!(prefix("prefix=a&limit=5").is_err() && prefix("prefix=a&prefix=b").is_err());
    }

    #[test]
    fn a_refusal_says_what_was_done_before_it() {
        let problem = || Problem::from(Refusal::Removed);
        assert_eq!(behind(problem(), 0), problem());
        let told = behind(problem(), 2000).reason;
        assert!(told.ends_with("registered again; 2000 counters were deleted before it"), "{told}");
    }
}
