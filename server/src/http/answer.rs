//! How a counter's value is put into JSON.
//!
//! A value that merging took out of i64 reads clamped, so that every client can hold it, with its
//! digits beside it as text. Only then is there an `exact` key; and only of a counter that does not
//! exist is there an `exists` key, only of one with a lifetime how much is left of it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use quipu_core::operation::{Outcome, Value};
use serde::Serialize;
use utoipa::ToSchema;

use crate::lifetime::moment;
use crate::os::wall_clock::wall_clock_ms;

/// The one counter of the calls that name none.
#[derive(Serialize, ToSchema)]
pub(super) struct Count<'a> {
    /// The value.
    count: i64,
    /// The node that answers, as host:port.
    node_id: &'a str,
    /// The digits of a value that does not fit, which `count` is as near to as it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exact: Option<String>,
}

/// A counter with its name.
#[derive(Serialize, ToSchema)]
pub(super) struct Counter<'a> {
    name: &'a str,
    /// 0 if there is no such counter.
    value: i64,
    /// The node that answers, as host:port.
    node_id: &'a str,
    /// By how much this call has changed the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    applied: Option<i128>,
    /// The digits of a value that does not fit, which `value` is as near to as it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exact: Option<String>,
    /// Only if there is no such counter, and then false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exists: Option<bool>,
    /// The value that it had before it was set, reset, deleted or given a lifetime.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before: Option<i64>,
    /// The digits of that, if it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before_exact: Option<String>,
    /// Whether there was such a counter before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    existed: Option<bool>,
    /// When it expires (RFC 3339), if it has a lifetime that ends before the year 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<String>,
    /// In how many milliseconds that is, by the clock of the node that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ttl_ms: Option<u64>,
}

pub(super) fn count(value: Value, node_id: &str) -> Response {
    Json(Count { count: value.clamped(), node_id, exact: exact(value) }).into_response()
}

/// A counter that was read.
pub(super) fn read(name: &str, outcome: &Outcome, node_id: &str) -> Response {
    Json(Counter::of(name, outcome, node_id)).into_response()
}

/// A counter that was added to, or raised.
pub(super) fn changed(name: &str, outcome: &Outcome, node_id: &str) -> Response {
    let counter = Counter::of(name, outcome, node_id);
    Json(Counter { applied: Some(outcome.change), ..counter }).into_response()
}

/// A counter that was set, ended or given a lifetime.
pub(super) fn ended(name: &str, outcome: &Outcome, node_id: &str) -> Response {
    let counter = Counter::of(name, outcome, node_id);
    let (before, existed) = (outcome.before(), Some(outcome.existed));
    let (before, before_exact) = (Some(before.clamped()), exact(before));
    Json(Counter { before, before_exact, existed, ..counter }).into_response()
}

impl<'a> Counter<'a> {
    fn of(name: &'a str, outcome: &Outcome, node_id: &'a str) -> Self {
        let Lifetime { expires_at, ttl_ms } = Lifetime::of(outcome);
        Counter {
            name,
            value: outcome.value.clamped(),
            node_id,
            applied: None,
            exact: exact(outcome.value),
            exists: missing(outcome),
            before: None,
            before_exact: None,
            existed: None,
            expires_at,
            ttl_ms,
        }
    }
}

/// When a counter expires, in both ways in which it is told.
#[derive(Default)]
pub(super) struct Lifetime {
    pub(super) expires_at: Option<String>,
    pub(super) ttl_ms: Option<u64>,
}

impl Lifetime {
    pub(super) fn of(outcome: &Outcome) -> Self {
        outcome.until.map_or(Lifetime::default(), |until| Lifetime {
            expires_at: moment::text(until.get()),
            ttl_ms: Some(until.get().saturating_sub(wall_clock_ms())),
        })
    }
}

/// What `exists` says, where it says something.
pub(super) fn missing(outcome: &Outcome) -> Option<bool> {
    (!outcome.exists).then_some(false)
}

pub(super) fn exact(value: Value) -> Option<String> {
    value.is_out_of_range().then(|| value.0.to_string())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use std::num::NonZeroU64;

    use super::*;

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn keys_stand_in_the_order_that_clients_know() {
        let count = text(count(Value(3), "127.0.0.1:8088")).await;
        assert_eq!(count, r#"{"count":3,"node_id":"127.0.0.1:8088"}"#);
        let there = |value| Outcome { value: Value(value), exists: true, ..Outcome::MISSING };
        let read = text(read("a\"b", &there(-1), "n:1")).await;
        assert_eq!(read, r#"{"name":"a\"b","value":-1,"node_id":"n:1"}"#);
        let changed = text(changed("c", &Outcome { change: -3, ..there(2) }, "n:1")).await;
        assert_eq!(changed, r#"{"name":"c","value":2,"node_id":"n:1","applied":-3}"#);
        let deleted = Outcome { change: -7, existed: true, ..Outcome::MISSING };
        let ended = text(ended("c", &deleted, "n:1")).await;
        assert_eq!(
            ended,
            r#"{"name":"c","value":0,"node_id":"n:1","exists":false,"before":7,"existed":true}"#
        );
    }

    #[tokio::test]
    async fn a_lifetime_is_told_by_its_end_and_by_what_is_left_of_it() {
        let until = wall_clock_ms() + 60_000;
        let outcome = Outcome { exists: true, until: NonZeroU64::new(until), ..Outcome::MISSING };
        let told = text(read("c", &outcome, "n:1")).await;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["expires_at"].as_str().map(moment::read), Some(Ok(until)));
        assert!((1..=60_000).contains(&told["ttl_ms"].as_u64().unwrap()), "{told}");
        // One that only a Redis client can ask for.
        let outcome = Outcome { until: NonZeroU64::new(1 << 60), ..outcome };
        let told = text(read("c", &outcome, "n:1")).await;
        assert!(!told.contains("expires_at") && told.contains("ttl_ms"), "{told}");
    }

    #[tokio::test]
    async fn a_value_out_of_range_is_clamped_and_its_digits_stand_beside_it() {
        let beyond = Value(i128::from(i64::MAX) + 2);
        assert_eq!(
            text(count(beyond, "n:1")).await,
            r#"{"count":9223372036854775807,"node_id":"n:1","exact":"9223372036854775809"}"#
        );
        let below = Value(i128::from(i64::MIN) - 1);
        assert_eq!(
            text(read("c", &Outcome { value: below, exists: true, ..Outcome::MISSING }, "n:1"))
                .await,
            r#"{"name":"c","value":-9223372036854775808,"node_id":"n:1","exact":"-9223372036854775809"}"#
        );
    }
}
