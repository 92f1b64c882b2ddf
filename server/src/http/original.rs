//! The eight calls that came first. Scripts and other programs rely on them: paths, methods, keys
//! and their order stay; what is added is a new key behind the known ones.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quipu_core::identity::Address;
use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer;
use super::app::{App, Shared};
use super::errors::{Kind, Problem};
use super::extract::{Object, WholeBody};
use super::routes::Route;
use crate::access::{self, Administer, Caller};
use crate::os::memory::Level;

/// For a client that asks `/increment` for more than it does.
pub(super) const ADDS_MORE: &str = "POST /counters/default/increment with the body {\"by\": 5} adds \
     another number";

/// Done.
#[derive(Serialize, ToSchema)]
pub(super) struct Acknowledged<'a> {
    /// ok.
    status: &'static str,
    /// The node that answers, as host:port.
    node_id: &'a str,
}

/// That the node is well, and whether it still takes new names.
#[derive(Serialize, ToSchema)]
pub(super) struct Health<'a> {
    /// ok.
    status: &'static str,
    /// The node that answers, as host:port.
    node_id: &'a str,
    /// Only while new names are refused for want of memory; known ones count on.
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<Full>,
}

/// How full a node is that refuses new names.
#[derive(Serialize, ToSchema)]
pub(super) struct Full {
    /// Memory that it uses.
    used_bytes: u64,
    /// Memory beyond which new names are refused; see --max-memory.
    max_bytes: u64,
    /// The one in parts of a hundred of the other.
    percent: u64,
}

/// At least how much.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sync {
    /// 0 or more; a raise of the counter by its name takes negative numbers too.
    #[schema(minimum = 0)]
    count: i64,
}

impl Object for Sync {
    const MEMBERS: &'static [&'static str] = &["count"];
}

/// A node of the cluster, or one that shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    /// A host and a port, or a host, for which the default port is taken.
    #[schema(example = "172.18.0.3:8088")]
    id: String,
}

impl Object for Peer {
    const MEMBERS: &'static [&'static str] = &["id"];
}

/// A node, and whom it knows.
#[derive(Serialize, ToSchema)]
pub(super) struct Discovery<'a> {
    /// The node that answers, as host:port.
    node_id: &'a str,
    /// The addresses of the others.
    peers: Vec<String>,
    /// The id that it keeps for life: 16 hexadecimal digits.
    node: String,
    /// Whether the cluster has removed it.
    removed: bool,
}

/// Tells that the node is well
#[utoipa::path(
    get, path = "/health", tag = "original",
    responses((status = 200, description = "It is", body = inline(Health<'_>)))
)]
pub(super) async fn health(State(app): Shared, caller: Caller) -> Result<Response, Problem> {
    let asked = caller.ask(access::Health)?;
    if !app.handle.is_open() {
        return Ok(starting());
    }
    let full = app.handle.full(&asked).map(|Level { used_bytes, bytes_max }| Full {
        used_bytes,
        max_bytes: bytes_max,
        percent: used_bytes.saturating_mul(100) / bytes_max.max(1),
    });
    Ok(Json(Health { status: "ok", node_id: app.node_id(), full }).into_response())
}

/// Reads the counter named default
#[utoipa::path(
    get, path = "/count", tag = "original",
    responses((status = 200, description = "Its value", body = inline(answer::Count<'_>)))
)]
pub(super) async fn count(State(app): Shared, caller: Caller) -> Result<Response, Problem> {
    let outcome = app.apply(&caller, Op::Get { name: CounterName::DEFAULT }).await?;
    Ok(answer::count(outcome.value, app.node_id()))
}

/// Adds one to the counter named default
///
/// A body is ignored, but for one that asks for something: `POST /counters/default/increment` adds
/// another number than 1.
#[utoipa::path(
    post, path = "/increment", tag = "original",
    responses((status = 200, description = "Its value after it", body = inline(answer::Count<'_>)))
)]
pub(super) async fn increment(
    State(app): Shared,
    caller: Caller,
    body: WholeBody,
) -> Result<Response, Problem> {
    if asks_for_something(body.trimmed()) {
        let reason = format!("expected no body, since this call adds 1, found one; {ADDS_MORE}");
        return Err(Problem::new(Kind::Body, reason));
    }
    let outcome = app.apply(&caller, Op::Add { name: CounterName::DEFAULT, by: 1 }).await?;
    Ok(answer::count(outcome.value, app.node_id()))
}

/// Raises the counter named default
///
/// To what the body says if its value is below, else nothing is changed.
#[utoipa::path(
    post, path = "/sync", tag = "original", request_body(content = inline(Sync)),
    responses((status = 200, description = "Its value after it", body = inline(answer::Count<'_>)))
)]
pub(super) async fn sync(
    State(app): Shared,
    caller: Caller,
    body: WholeBody,
) -> Result<Response, Problem> {
    let Sync { count } = body.object(Route::Sync)?;
    if count < 0 {
        let reason = format!(
            "expected a count of 0 or more, found {count}; POST /counters/default/raise with the \
             body {{\"to\": {count}}} raises to a negative number"
        );
        return Err(Problem::new(Kind::Body, reason));
    }
    let outcome = app.apply(&caller, Op::Raise { name: CounterName::DEFAULT, to: count }).await?;
    Ok(answer::count(outcome.value, app.node_id()))
}

/// Lists the other nodes of the cluster
#[utoipa::path(
    get, path = "/peers", tag = "original",
    responses((status = 200, description = "Their addresses; none if there are none", body = inline(Vec<String>)))
)]
pub(super) async fn peers(State(app): Shared, caller: Caller) -> Result<Response, Problem> {
    let members = app.handle.members(&caller.ask(access::Peers)?).await?;
    Ok(Json(members.listed).into_response())
}

/// Takes a node into the cluster, also one that was removed
#[utoipa::path(
    post, path = "/register", tag = "original", request_body(content = inline(Peer)),
    responses((status = 200, description = "It is listed, and asked to answer", body = inline(Acknowledged<'_>)))
)]
pub(super) async fn register(
    State(app): Shared,
    caller: Caller,
    body: WholeBody,
) -> Result<Response, Problem> {
    let (given, address) = peer(&app, Route::Register, &body)?;
    app.handle.register(&caller.ask(Administer)?, given, address).await??;
    Ok(acknowledged(&app))
}

/// Removes a node from the cluster, until it is registered again
#[utoipa::path(
    post, path = "/remove-peer", tag = "original", request_body(content = inline(Peer)),
    responses((status = 200, description = "It is removed", body = inline(Acknowledged<'_>)))
)]
pub(super) async fn remove_peer(
    State(app): Shared,
    caller: Caller,
    body: WholeBody,
) -> Result<Response, Problem> {
    let (given, address) = peer(&app, Route::RemovePeer, &body)?;
    app.handle.remove(&caller.ask(Administer)?, given, address).await??;
    Ok(acknowledged(&app))
}

/// Tells who the node is and whom it knows
#[utoipa::path(
    get, path = "/discovery", tag = "original",
    responses((status = 200, description = "Itself, and its peers", body = inline(Discovery<'_>)))
)]
pub(super) async fn discovery(State(app): Shared, caller: Caller) -> Result<Response, Problem> {
    let members = app.handle.members(&caller.ask(access::Peers)?).await?;
    let answer = Discovery {
        node_id: app.node_id(),
        peers: members.listed,
        node: members.node.to_string(),
        removed: members.removed,
    };
    Ok(Json(answer).into_response())
}

/// Whether a body of `/increment` says anything that a client may want to have heeded: an object or
/// array that is not empty, a number, or a form. Everything else is ignored, as it always was.
fn asks_for_something(body: &[u8]) -> bool {
    match body {
        [b'{', inside @ .., b'}'] => !inside.trim_ascii().is_empty(),
        [b'[', inside @ .., b']'] => !inside.trim_ascii().is_empty(),
        [b'{', ..] => true,
        _ => is_number(body) || is_form(body),
    }
}

fn is_number(body: &[u8]) -> bool {
    // Rust takes words for what is no number as well.
    let is_of_digits = body.iter().any(u8::is_ascii_digit);
    is_of_digits && std::str::from_utf8(body).is_ok_and(|number| number.parse::<f64>().is_ok())
}

/// As `curl -d by=5` writes it, or `curl -F by=5`.
fn is_form(body: &[u8]) -> bool {
    let name = body.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_of_names = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.[]%+".contains(byte);
    let is_pair = name.len() < body.len() && !name.is_empty() && name.iter().all(is_of_names);
    is_pair || (body.starts_with(b"--") && contains(body, b"form-data; name="))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn acknowledged(app: &App) -> Response {
    Json(Acknowledged { status: "ok", node_id: app.node_id() }).into_response()
}

/// The node reads what it had counted before; a load balancer passes it over until then.
fn starting() -> Response {
    #[derive(Serialize)]
    struct Starting {
        status: &'static str,
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(Starting { status: "starting" })).into_response()
}

/// The peer that a body names: as it was given, and with its port.
fn peer(app: &App, route: Route, body: &WholeBody) -> Result<(String, Address), Problem> {
    let Peer { id } = body.object(route)?;
    let address = Address::parse(&id, app.handle.default_port())?;
    Ok((id, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_an_increment_asks_for_something_if_it_is_an_object_a_number_or_a_form() {
        for body in [
            r#"{"by":5}"#,
            r#"{ "amount" : 5 }"#,
            "{by:5}",
            r#"{"by":5"#,
            "[5]",
            "5",
            "-5",
            "1e3",
            "by=5",
            "by=",
            "counter%5Bby%5D=5",
            "--x\r\nContent-Disposition: form-data; name=\"by\"\r\n\r\n5\r\n--x--\r\n",
        ] {
            assert!(asks_for_something(body.as_bytes()), "{body}");
        }
        for body in
            ["", "{}", "{ \n}", "x", "null", "[]", "one more, please", "=5", "--", "5 apples"]
        {
            assert!(!asks_for_something(body.as_bytes()), "{body}");
        }
    }
}
