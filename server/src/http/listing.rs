//! Counters in the order of their names, a page at a time.
//!
//! The cursor is the last name of the page: it holds nothing that a node would have to remember, so
//! a listing may go on at any node, and after any time. What is added behind it meanwhile is listed,
//! what is added before it is not, and nothing is listed twice.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use quipu_core::name::{CounterName, NameError};
use quipu_core::query::{self as question, Busy, List, PAGE_ROWS_MAX, Row};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::exact;
use super::app::{App, Shared};
use super::errors::{Kind, Problem};
use super::problem_document::Documented;
use super::query::{self, wrong};
use super::routes::Route;
use crate::access::Caller;

/// Rows of a page where no number is given: a screenful or two.
const ROWS_DEFAULT: usize = 100;

/// A page of counters.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<'a> {
    /// In the order of their names, byte by byte.
    counters: Vec<Listed<'a>>,
    /// To be given as `after` for the next page; null if this is the last.
    next: Option<&'a str>,
    /// The node that answers, as host:port.
    node_id: &'a str,
}

/// A counter in a page.
#[derive(Serialize, ToSchema)]
pub(super) struct Listed<'a> {
    name: &'a str,
    value: i64,
    /// The digits of a value that does not fit, which `value` is as near to as it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exact: Option<String>,
}

impl<'a> From<&'a Row> for Listed<'a> {
    fn from((name, value): &'a Row) -> Self {
        Listed { name: name.as_str(), value: value.clamped(), exact: exact(*value) }
    }
}

/// Lists counters
///
/// In the order of their names, a page at a time. A parameter that is empty is as good as none.
#[utoipa::path(
    get, path = "/counters", tag = "counters", operation_id = "list_counters",
    params(
        ("prefix" = Option<String>, Query, description = "What the names begin with", max_length = 1024, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"),
        ("limit" = Option<usize>, Query, description = "How many counters at most; 100 if it is not given", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "What the last page gave as `next`", max_length = 1024, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"),
    ),
    responses((status = 200, description = "A page", body = inline(Page<'_>)))
)]
pub(super) async fn list(
    State(app): Shared,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Documented> {
    let Asked { prefix, after, limit } = Asked::parse(uri.query().unwrap_or_default())?;
    let (rows, more) = rows(&app, &caller, prefix, after, limit).await?;
    let next = rows.last().filter(|_| more).map(|(name, _)| name.as_str());
    let counters = rows.iter().map(Listed::from).collect();
    Ok(Json(Page { counters, next, node_id: app.node_id() }).into_response())
}

/// Counters in the order of their names, behind `after`, and whether there are more.
pub(super) async fn rows(
    app: &App,
    caller: &Caller,
    prefix: Option<CounterName>,
    after: Option<CounterName>,
    limit: usize,
) -> Result<(Vec<Row>, bool), Problem> {
    let asked = caller.ask(List { prefix, after, limit })?;
    let question::Page { rows, more } = app.handle.ask(asked).await?.map_err(|Busy| {
        let reason = "expected few listings that wait at a time, found too many; nothing is wrong \
                      with this one: try again";
        Problem::new(Kind::Busy, reason)
    })?;
    Ok((rows, more))
}

/// What a query says.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    prefix: Option<CounterName>,
    after: Option<CounterName>,
    limit: usize,
}

impl Asked {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut asked = Asked { prefix: None, after: None, limit: ROWS_DEFAULT };
        for (name, value) in query::pairs(Route::Counters, query)? {
            match &*name {
                "prefix" => asked.prefix = bound("prefix", value)?,
                "after" => asked.after = bound("after", value)?,
                _ => asked.limit = limit(&value)?,
            }
        }
        Ok(asked)
    }
}

/// What begins a name, or stands between two, is bounded as names are.
pub(super) fn bound(parameter: &str, value: Cow<'_, str>) -> Result<Option<CounterName>, Problem> {
    read(parameter, value, CounterName::bound)
}

/// The name of a counter.
pub(super) fn name(parameter: &str, value: Cow<'_, str>) -> Result<Option<CounterName>, Problem> {
    read(parameter, value, CounterName::new)
}

fn read(
    parameter: &str,
    value: Cow<'_, str>,
    read: impl Fn(String) -> Result<CounterName, NameError>,
) -> Result<Option<CounterName>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let name = read(value.into_owned());
    name.map(Some).map_err(|error| wrong(format!("{parameter}: {error}")))
}

fn limit(value: &str) -> Result<usize, Problem> {
    if value.is_empty() {
        return Ok(ROWS_DEFAULT);
    }
    // Rust takes a sign as well.
    let number = value.parse().ok().filter(|_| value.starts_with(|c: char| c.is_ascii_digit()));
    number.filter(|limit| (1..=PAGE_ROWS_MAX).contains(limit)).ok_or_else(|| {
        let found: String = value.chars().take(32).collect();
        wrong(format!("expected a limit from 1 to {PAGE_ROWS_MAX}, found {found:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_as_forms_are_and_empty_parameters_are_none() {
        let name = |text: &str| Some(CounterName::new(text.to_owned()).unwrap());
        let none = Asked { prefix: None, after: None, limit: ROWS_DEFAULT };
        assert_eq!(Asked::parse(""), Ok(none));
        assert_eq!(
            Asked::parse("prefix=&limit=&after=").map(|asked| asked.limit),
            Ok(ROWS_DEFAULT)
        );
        assert_eq!(
            Asked::parse("prefix=a%2Fb+%C3%A4%2B&limit=7&after=100%25"),
            Ok(Asked { prefix: name("a/b ä+"), after: name("100%"), limit: 7 })
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_parameter() {
        for (query, words) in [
            ("limit=0", "expected a limit from 1 to 1000, found \"0\""),
            ("limit=1001", "found \"1001\""),
            ("limit=-1", "found \"-1\""),
            ("limit=%2B5", "found \"+5\""),
            ("limit=1e2", "found \"1e2\""),
            ("lmit=5", "expected prefix, limit or after, found the unknown parameter"),
            ("after=a%0Ab", "after: expected a counter name without control characters"),
        ] {
            let problem = Asked::parse(query).unwrap_err();
            assert!(problem.reason.contains(words), "{query}: {}", problem.reason);
        }
        assert!(Asked::parse(&format!("prefix={}", "x".repeat(1025))).is_err());
    }
}
