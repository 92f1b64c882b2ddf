//! Who has contributed what to a counter: the audit view.
//!
//! Every node holds every origin's share, so any of them can tell it, also of origins that have
//! ended long ago.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quipu_core::operation::Value;
use quipu_core::query::{self, Share};
use quipu_core::slot::{Contribution, Numbers, Slot};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::exact;
use super::app::Shared;
use super::counters::{self, InPath, NameInPath};
use super::problem_document::Documented;
use crate::access::Caller;

/// A counter and all that it is made of: `value` is the sum of all `plus`, less the sum of all
/// `minus`, and the largest `raise`. What was deleted or has expired is not in them.
#[derive(Serialize, ToSchema)]
pub(super) struct Origins<'a> {
    name: &'a str,
    value: i64,
    /// The node that answers, as host:port.
    node_id: &'a str,
    /// In the order of their ids; none if there is no such counter.
    origins: Vec<Origin<'a>>,
    /// The digits of a value that does not fit, which `value` is as near to as it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exact: Option<String>,
}

/// What one start of one node has contributed.
#[derive(Serialize, ToSchema)]
pub(super) struct Origin<'a> {
    /// 16 hexadecimal digits.
    origin: String,
    /// Where it answers, as host:port; null if it has ended or cannot be reached.
    address: Option<&'a str>,
    /// The sum of all that it has added.
    plus: u64,
    /// The sum of all that it has subtracted.
    minus: u64,
    /// By how much it has lifted the counter above the sums that it saw.
    raise: u64,
    /// The number of the batch of its changes up to which these numbers are known; not below the
    /// one that last changed them.
    version: u64,
}

/// Tells who has contributed what to a counter
#[utoipa::path(
    get, path = "/counters/{name}/origins", tag = "counters", operation_id = "counter_origins",
    params(InPath),
    responses((status = 200, description = "All shares", body = inline(Origins<'_>)))
)]
pub(super) async fn origins(
    State(app): Shared,
    caller: Caller,
    name: NameInPath,
) -> Result<Response, Documented> {
    let name = counters::name(name)?;
    let asked = caller.ask(query::Origins { name: name.clone() })?;
    let shares = app.handle.ask(asked).await?;
    let value = value(&shares);
    let mut origins: Vec<Origin<'_>> = shares
        .iter()
        .filter(|share| share.left != Slot::default())
        .map(|share| {
            let Numbers { plus, minus, raise } = share.left.numbers();
            Origin {
                origin: share.origin.to_string(),
                address: share.address.as_ref().map(|address| address.as_str()),
                plus,
                minus,
                raise,
                version: share.version,
            }
        })
        .collect();
    origins.sort_unstable_by(|one, other| one.origin.cmp(&other.origin));
    let answer = Origins {
        name: name.as_str(),
        value: value.clamped(),
        node_id: app.node_id(),
        origins,
        exact: exact(value),
    };
    Ok(Json(answer).into_response())
}

/// From the same shares that are told, so that the two agree whatever happens meanwhile.
fn value(shares: &[Share]) -> Value {
    Value(Contribution::of(shares.iter().map(|share| &share.left)).value())
}
