//! `GET /openapi.json`: the API's own description (OpenAPI 3.1), made from the code that answers.
//!
//! What a call takes and gives stands at its handler, as types; what can be wrong with it stands
//! here in one table, since that is the same for many.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};

use super::errors::{self, Kind, Problem};
use super::problem_document::{self, Document, Documented, words};
use super::routes::Route;
use super::{
    batch, counters, deletion, endings, events, link, listing, original, origins, page, scrape,
    settle, status,
};

/// A distributed counter: every node counts, every node agrees. Every node of a cluster answers
/// these calls, for every counter.
#[derive(OpenApi)]
#[openapi(
    info(title = "Quipu"),
    paths(
        counters::get, counters::increment, counters::decrement, counters::raise,
        endings::set, endings::delete, endings::reset, endings::expire, deletion::delete,
        origins::origins, listing::list, batch::batch,
        original::health, original::count, original::increment, original::sync, original::peers,
        original::register, original::remove_peer, original::discovery,
        settle::settle, status::status, scrape::metrics, events::events, link::upgrade, document,
        page::page, page::file,
    ),
    components(schemas(Document<'_>, errors::Error)),
    tags(
        (name = "counters", description = "Counters by name. What is refused is refused with a problem document (RFC 9457)."),
        (name = "original", description = "The eight calls that came first, on the counter named default."),
        (name = "operation", description = "For those who run nodes."),
    ),
)]
struct Api;

/// It never changes while a node runs.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(described().to_string()));

/// Describes this API
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// What can be wrong with a request, and whether a problem document says so.
pub(super) const fn refusals(route: Route) -> (&'static [Kind], bool) {
    use Kind::*;
    match route {
        Route::OpenApi | Route::Page => (&[Query, Body, BodyTooSlow], false),
        Route::Health | Route::Count | Route::Peers | Route::Discovery => {
            (&[Query, Stopping], false)
        }
        Route::PageFile => (&[Query, Body, BodyTooSlow, Path], false),
        Route::Status | Route::Metrics | Route::Settle => {
            (&[Query, Body, BodyTooSlow, Stopping], false)
        }
        Route::Events | Route::Counters => (&[Query, Body, BodyTooSlow, Busy, Stopping], true),
        Route::Increment => (
            &[
                Query,
                Body,
                Overflow,
                BodyTooLarge,
                BodyTooSlow,
                TooManyCounters,
                OutOfMemory,
                Stopping,
            ],
            false,
        ),
        Route::Sync => (
            &[
                Query,
                Body,
                Overflow,
                BodyTooLarge,
                BodyTooSlow,
                TooManyCounters,
                OutOfMemory,
                Behind,
                Stopping,
            ],
            false,
        ),
        Route::Register | Route::RemovePeer => {
            (&[Query, Body, Address, BodyTooLarge, BodyTooSlow, Stopping], false)
        }
        Route::Link => (&[Query, Body, BodyTooSlow, Upgrade], false),
        Route::Counter | Route::CounterOrigins => {
            (&[Name, Query, Body, BodyTooSlow, Stopping], true)
        }
        Route::CounterIncrement | Route::CounterDecrement => (
            &[
                Name,
                Query,
                Body,
                Overflow,
                BodyTooLarge,
                BodyTooSlow,
                TooManyCounters,
                OutOfMemory,
                Removed,
                OlderPeer,
                Stopping,
            ],
            true,
        ),
        Route::CounterSet | Route::CounterReset => (
            &[
                Name,
                Query,
                Body,
                Overflow,
                BodyTooLarge,
                BodyTooSlow,
                TooManyCounters,
                OutOfMemory,
                Behind,
                Removed,
                OlderPeer,
                Stopping,
            ],
            true,
        ),
        Route::CounterExpire => {
            (&[Name, Query, Body, BodyTooLarge, BodyTooSlow, Removed, OlderPeer, Stopping], true)
        }
        Route::CounterDelete => {
            (&[Name, Query, Body, BodyTooSlow, Behind, Removed, OlderPeer, Stopping], true)
        }
        Route::CountersDelete => {
            (&[Query, Body, BodyTooSlow, Busy, Behind, Removed, OlderPeer, Stopping], true)
        }
        Route::CounterRaise => (
            &[
                Name,
                Query,
                Body,
                Overflow,
                BodyTooLarge,
                BodyTooSlow,
                TooManyCounters,
                OutOfMemory,
                Behind,
                OlderPeer,
                Stopping,
            ],
            true,
        ),
        Route::Batch => {
            (&[Query, Body, TooManyOperations, BodyTooLarge, BodyTooSlow, Busy, Stopping], true)
        }
    }
}

/// A problem, in the words of the call that was meant.
pub(super) fn refused(route: Option<Route>, problem: Problem) -> Response {
    match route.map(refusals) {
        Some((_, true)) => Documented::from(problem).into_response(),
        _ => problem.into_response(),
    }
}

fn described() -> Value {
    let mut api = Api::openapi();
    for route in Route::ALL {
        let Some(item) = api.paths.paths.get_mut(route.pattern()) else { continue };
        let (kinds, is_documented) = refusals(route);
        let (operation, is_safe) = match route.call().0 {
            "GET" => (&mut item.get, true),
            "PUT" => (&mut item.put, false),
            "DELETE" => (&mut item.delete, false),
            _ => (&mut item.post, false),
        };
        let Some(operation) = operation else { continue };
        let kinds = if is_safe { kinds.to_vec() } else { [kinds, &[Kind::CrossSite]].concat() };
        add_refusals(operation, &kinds, is_documented);
        let may_be_left_out = matches!(
            route,
            Route::CounterIncrement | Route::CounterDecrement | Route::CounterReset
        );
        if let Some(RefOr::T(body)) = &mut operation.request_body
            && may_be_left_out
        {
            body.required = Some(Required::False);
        }
    }
    let mut described = json!(api);
    bound_integers(&mut described);
    described
}

fn add_refusals(operation: &mut Operation, kinds: &[Kind], is_documented: bool) {
    let mut titles: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    // Every call that may come to a node that stops may come to one that starts.
    let starting = kinds.contains(&Kind::Stopping).then_some(&Kind::Starting);
    for kind in kinds.iter().chain(starting) {
        let (name, title) = words(*kind);
        let text = if is_documented { format!("{title} ({name})") } else { title.to_owned() };
        titles.entry(kind.status().as_u16()).or_default().push(text);
    }
    let (schema, content_type) = match is_documented {
        true => ("Document", problem_document::CONTENT_TYPE),
        false => ("Error", "application/json"),
    };
    for (status, titles) in titles {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
        let response = ResponseBuilder::new()
            .description(titles.join("; "))
            .content(content_type, content)
            .build();
        operation.responses.responses.insert(status.to_string(), response.into());
    }
}

/// Says of every integer of 64 bits how far it goes: a format is only a hint.
fn bound_integers(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("format") == Some(&json!("int64")) {
                let is_unsigned = object.get("minimum") == Some(&json!(0));
                let (min, max) = match is_unsigned {
                    true => (json!(0), json!(u64::MAX)),
                    false => (json!(i64::MIN), json!(i64::MAX)),
                };
                object.entry("minimum").or_insert(min);
                object.entry("maximum").or_insert(max);
            }
            object.values_mut().for_each(bound_integers);
        }
        Value::Array(array) => array.iter_mut().for_each(bound_integers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::addition::By;
    use crate::http::extract::Object;

    /// The members that a body is read with.
    fn members(route: Route) -> &'static [&'static str] {
        match route {
            Route::Sync => original::Sync::MEMBERS,
            Route::Register | Route::RemovePeer => original::Peer::MEMBERS,
            Route::CounterIncrement | Route::CounterDecrement => By::MEMBERS,
            Route::CounterRaise => counters::To::MEMBERS,
            Route::CounterSet => endings::Set::MEMBERS,
            Route::CounterReset => endings::Reset::MEMBERS,
            Route::CounterExpire => endings::Expire::MEMBERS,
            Route::Batch => &["operations"],
            _ => &[],
        }
    }

    #[test]
    fn every_route_is_described_with_its_method_and_nothing_else_is() {
        let described = described();
        let paths = described["paths"].as_object().unwrap();
        let of_path = |(path, operations): (&String, &Value)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        };
        let found: BTreeSet<_> = paths.iter().flat_map(of_path).collect();
        let calls = Route::ALL.map(Route::call);
        let calls = calls.map(|(method, path)| (method.to_owned(), path.to_owned()));
        assert_eq!(found, BTreeSet::from(calls));
        assert!(described["openapi"].as_str().unwrap().starts_with("3.1."));
    }

    #[test]
    fn the_parameters_and_members_that_are_described_are_those_that_are_understood() {
        let described = described();
        for route in Route::ALL {
            let (method, path) = route.call();
            let operation = &described["paths"][path][method.to_lowercase()];
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_query: Vec<&str> = parameters
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(in_query, route.parameters(), "{path}");
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(body.is_object(), route.example().is_some(), "{path}");
            if body.is_object() {
                let example: Value = serde_json::from_str(route.example().unwrap()).unwrap();
                let keys = |of: &Value| {
                    of.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>()
                };
                let members = members(route).iter().map(|member| (*member).to_owned()).collect();
                assert_eq!(keys(&body["properties"]), members, "{path}");
                assert!(keys(&example).is_subset(&members), "{path}");
                assert_eq!(body["additionalProperties"], json!(false), "{path}: {body}");
            }
        }
    }

    #[test]
    fn every_call_has_a_name_of_its_own_for_those_who_make_clients_of_them() {
        let described = described();
        let operations = described["paths"].as_object().unwrap().values();
        let names: Vec<&str> = operations
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }
}
