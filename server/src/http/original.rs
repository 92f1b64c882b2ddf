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

use super::answer;
use super::app::{App, Shared};
use super::errors::Problem;
use super::extract::WholeBody;

/// `GET /health`
pub(super) async fn health(State(app): Shared) -> Response {
    if app.handle.is_open() { acknowledged(&app) } else { starting() }
}

/// `GET /count`
pub(super) async fn count(State(app): Shared) -> Result<Response, Problem> {
    let value = app.apply(Op::Get { name: CounterName::DEFAULT }).await?;
    Ok(answer::count(value, app.node_id()))
}

/// `POST /increment`. A body is read and ignored.
pub(super) async fn increment(State(app): Shared, _: WholeBody) -> Result<Response, Problem> {
    let value = app.apply(Op::Add { name: CounterName::DEFAULT, by: 1 }).await?;
    Ok(answer::count(value, app.node_id()))
}

/// `POST /sync`: the count becomes this if it was below it.
pub(super) async fn sync(State(app): Shared, body: WholeBody) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    struct Sync {
        count: i64,
    }
    let Sync { count } = body.object(r#"{"count": 7}"#)?;
    let value = app.apply(Op::Raise { name: CounterName::DEFAULT, to: count }).await?;
    Ok(answer::count(value, app.node_id()))
}

/// `GET /peers`: an array, empty if there are none.
pub(super) async fn peers(State(app): Shared) -> Result<Response, Problem> {
    let report = app.handle.report().await?;
    Ok(Json(report.status.listed_peers().collect::<Vec<_>>()).into_response())
}

/// `POST /register`
pub(super) async fn register(State(app): Shared, body: WholeBody) -> Result<Response, Problem> {
    let (given, address) = peer(&app, &body)?;
    app.handle.register(given, address).await?;
    Ok(acknowledged(&app))
}

/// `POST /remove-peer`
pub(super) async fn remove_peer(State(app): Shared, body: WholeBody) -> Result<Response, Problem> {
    let (given, address) = peer(&app, &body)?;
    app.handle.remove(given, address).await?;
    Ok(acknowledged(&app))
}

/// `GET /discovery`
pub(super) async fn discovery(State(app): Shared) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Discovery<'a> {
        node_id: &'a str,
        peers: Vec<&'a str>,
        node: String,
        removed: bool,
    }
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
    #[derive(Serialize)]
    struct Acknowledged<'a> {
        status: &'static str,
        node_id: &'a str,
    }
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
    #[derive(Deserialize)]
    struct Peer {
        id: String,
    }
    let Peer { id } = body.object(r#"{"id": "172.18.0.3:8090"}"#)?;
    let address = Address::parse(&id, app.handle.default_port())?;
    Ok((id, address))
}
