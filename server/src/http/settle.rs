//! `POST /settle`: an operator asks the cluster to fold what is over.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quipu_core::query::Settle;
use quipu_core::status::SettlementStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::Shared;
use super::errors::Problem;
use crate::access::{Administer, Caller};

/// What a node does about settlements at the moment.
#[derive(Serialize, ToSchema)]
pub(super) struct Settlement {
    /// off: this node takes no part, since `--fsync` is not `always`; idle; asked: one is about to begin; waiting:
    /// one is asked for or worth it, and members cannot be reached; voting: not all have granted it yet;
    /// folding.
    phase: &'static str,
    /// The one that is proposed.
    id: Option<String>,
    /// The ids of members that it waits for.
    waits_for: Vec<String>,
    /// For how long.
    waits_ms: Option<u64>,
    /// How many were folded here since the start.
    settled: u64,
    /// How many closed origins could be folded now.
    closed_origins: usize,
    /// How many slots the table holds.
    slots: u64,
}

impl From<&SettlementStatus> for Settlement {
    fn from(status: &SettlementStatus) -> Self {
        Settlement {
            phase: status.phase.as_str(),
            id: status.settlement.map(|id| id.to_string()),
            waits_for: status.waits_for.iter().map(ToString::to_string).collect(),
            waits_ms: status
                .since
                .map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            settled: status.settled,
            closed_origins: status.closed_origins,
            slots: status.slots,
        }
    }
}

/// Whether a settlement will be tried.
#[derive(Serialize, ToSchema)]
pub(super) struct Asked {
    /// False where this node takes no part, since `--fsync` is not `always`.
    asked: bool,
}

/// Asks for a settlement: what is over is folded, and its memory given back, on every node
#[utoipa::path(
    post, path = "/settle", tag = "operation",
    responses((status = 200, description = "Whether it will be tried; `/status` tells how far it is", body = inline(Asked)))
)]
pub(super) async fn settle(State(app): Shared, caller: Caller) -> Result<Response, Problem> {
    let asked = app.handle.ask(caller.ask(Administer)?.covering(Settle)).await?;
    Ok(Json(Asked { asked }).into_response())
}
