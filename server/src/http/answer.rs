//! How a counter's value is put into JSON.
//!
//! A value that merging took out of i64 reads clamped, so that every client can hold it, with its
//! digits beside it as text. Only then is there an `exact` key.

use axum::Json;
use axum::response::{IntoResponse, Response};
use quipu_core::operation::{Outcome, Value};
use serde::Serialize;
use utoipa::ToSchema;

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
}

pub(super) fn count(value: Value, node_id: &str) -> Response {
    Json(Count { count: value.clamped(), node_id, exact: exact(value) }).into_response()
}

/// A counter that was read.
pub(super) fn read(name: &str, value: Value, node_id: &str) -> Response {
    counter(name, value, node_id, None)
}

/// A counter that was changed.
pub(super) fn changed(name: &str, outcome: Outcome, node_id: &str) -> Response {
    counter(name, outcome.value, node_id, Some(outcome.change))
}

fn counter(name: &str, value: Value, node_id: &str, applied: Option<i128>) -> Response {
    let counter = Counter { name, value: value.clamped(), node_id, applied, exact: exact(value) };
    Json(counter).into_response()
}

pub(super) fn exact(value: Value) -> Option<String> {
    value.is_out_of_range().then(|| value.0.to_string())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn keys_stand_in_the_order_that_clients_know() {
        let count = text(count(Value(3), "127.0.0.1:8088")).await;
        assert_eq!(count, r#"{"count":3,"node_id":"127.0.0.1:8088"}"#);
        let read = text(read("a\"b", Value(-1), "n:1")).await;
        assert_eq!(read, r#"{"name":"a\"b","value":-1,"node_id":"n:1"}"#);
        let outcome = Outcome { value: Value(2), change: -3, exists: true, ..Outcome::MISSING };
        let changed = text(changed("c", outcome, "n:1")).await;
        assert_eq!(changed, r#"{"name":"c","value":2,"node_id":"n:1","applied":-3}"#);
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
            text(read("c", below, "n:1")).await,
            r#"{"name":"c","value":-9223372036854775808,"node_id":"n:1","exact":"-9223372036854775809"}"#
        );
    }
}
