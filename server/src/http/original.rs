//! The eight calls that came first. Scripts and other programs rely on them: paths, methods, keys
//! and their order stay; what is added is a new key behind the known ones.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quipu_core::effects::Op;
use quipu_core::identity::Address;
use quipu_core::name::CounterName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer;
use super::app::{App, Shared};
use super::errors::Problem;
use super::extract::WholeBody;

/// Done.
#[derive(Serialize, ToSchema)]
pub(super) struct Acknowledged<'a> {
    /// ok.
    status: &'static str,
    /// The node that answers, as host:port.
    node_id: &'a str,
}

/// At least how much.
#[derive(Deserialize, ToSchema)]
pub(super) struct Sync {
    count: i64,
}

/// A node of the cluster, or one that shall be.
#[derive(Deserialize, ToSchema)]
pub(super) struct Peer {
    /// A host and a port, or a host, for which the default port is taken.
    #[schema(example = "172.18.0.3:8088")]
    id: String,
}

/// A node, and whom it knows.
#[derive(Serialize, ToSchema)]
pub(super) struct Discovery<'a> {
    /// The node that answers, as host:port.
    node_id: &'a str,
    /// The addresses of the others.
    peers: Vec<&'a str>,
    /// The id that it keeps for life: 16 hexadecimal digits.
    node: String,
    /// Whether the cluster has removed it.
    removed: bool,
}

/// Tells that the node is well
#[utoipa::path(
    get, path = "/health", tag = "original",
    responses((status = 200, description = "It is", body = inline(Acknowledged<'_>)))
)]
pub(super) async fn health(State(app): Shared) -> Response {
    if app.handle.is_open() { acknowledged(&app) } else { starting() }
}

/// Reads the counter named default
#[utoipa::path(
    get, path = "/count", tag = "original",
    responses((status = 200, description = "Its value", body = inline(answer::Count<'_>)))
)]
pub(super) async fn count(State(app): Shared) -> Result<Response, Problem> {
    let value = app.apply(Op::Get { name: CounterName::DEFAULT }).await?;
    Ok(answer::count(value, app.node_id()))
}

/// Adds one to the counter named default
///
/// A body is read and ignored.
#[utoipa::path(
    post, path = "/increment", tag = "original",
    responses((status = 200, description = "Its value after it", body = inline(answer::Count<'_>)))
)]
pub(super) async fn increment(State(app): Shared, _: WholeBody) -> Result<Response, Problem> {
    let value = app.apply(Op::Add { name: CounterName::DEFAULT, by: 1 }).await?;
    Ok(answer::count(value, app.node_id()))
}

/// Raises the counter named default
///
/// To what the body says if its value is below, else nothing is changed.
#[utoipa::path(
    post, path = "/sync", tag = "original", request_body(content = inline(Sync)),
    responses((status = 200, description = "Its value after it", body = inline(answer::Count<'_>)))
)]
pub(super) async fn sync(State(app): Shared, body: WholeBody) -> Result<Response, Problem> {
    let Sync { count } = body.object(r#"{"count": 7}"#)?;
    let value = app.apply(Op::Raise { name: CounterName::DEFAULT, to: count }).await?;
    Ok(answer::count(value, app.node_id()))
}

/// Lists the other nodes of the cluster
#[utoipa::path(
    get, path = "/peers", tag = "original",
    responses((status = 200, description = "Their addresses; none if there are none", body = inline(Vec<String>)))
)]
pub(super) async fn peers(State(app): Shared) -> Result<Response, Problem> {
    let report = app.handle.report().await?;
    Ok(Json(report.status.listed_peers().collect::<Vec<_>>()).into_response())
}

/// Takes a node into the cluster, also one that was removed
#[utoipa::path(
    post, path = "/register", tag = "original", request_body(content = inline(Peer)),
    responses((status = 200, description = "It is listed, and asked to answer", body = inline(Acknowledged<'_>)))
)]
pub(super) async fn register(State(app): Shared, body: WholeBody) -> Result<Response, Problem> {
    let (given, address) = peer(&app, &body)?;
    app.handle.register(given, address).await?;
    Ok(acknowledged(&app))
}

/// Removes a node from the cluster, until it is registered again
#[utoipa::path(
    post, path = "/remove-peer", tag = "original", request_body(content = inline(Peer)),
    responses((status = 200, description = "It is removed", body = inline(Acknowledged<'_>)))
)]
pub(super) async fn remove_peer(State(app): Shared, body: WholeBody) -> Result<Response, Problem> {
    let (given, address) = peer(&app, &body)?;
    app.handle.remove(given, address).await?;
    Ok(acknowledged(&app))
}

/// Tells who the node is and whom it knows
#[utoipa::path(
    get, path = "/discovery", tag = "original",
    responses((status = 200, description = "Itself, and its peers", body = inline(Discovery<'_>)))
)]
pub(super) async fn discovery(State(app): Shared) -> Result<Response, Problem> {
    let status = app.handle.report().await?.status;
    let answer = Discovery {
        node_id: app.node_id(),
        peers: status.listed_peers().collect(),
        node: status.identity.node.to_string(),
        removed: status.removed,
    };
    Ok(Json(answer).into_response())
}

fn acknowledged(app: &App) -> Response {
    Json(Acknowledged { status: "ok", node_id: app.node_id() }).into_response()
}

/// The node reads what it had counted before; whoever balances load passes it over until then.
fn starting() -> Response {
    #[derive(Serialize)]
    struct Starting {
        status: &'static str,
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(Starting { status: "starting" })).into_response()
}

/// The peer that a body names: as it was given, and with its port.
fn peer(app: &App, body: &WholeBody) -> Result<(String, Address), Problem> {
    let Peer { id } = body.object(r#"{"id": "172.18.0.3:8090"}"#)?;
    let address = Address::parse(&id, app.handle.default_port())?;
    Ok((id, address))
}
