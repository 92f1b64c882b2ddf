//! `GET /status`: what an operator wants to know of a node at a glance.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quipu_core::status::{AbsentStatus, PeerStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::Shared;
use super::errors::Problem;
use super::settle::Settlement;
use crate::access::{Caller, Observe};
use crate::inbox::Report;

/// How a node is.
#[derive(Serialize, ToSchema)]
pub(super) struct Status<'a> {
    version: &'static str,
    node_id: &'a str,
    node: String,
    origin: String,
    #[schema(value_type = u64)]
    uptime_ms: u128,
    fsync: String,
    /// How many counters exist.
    counters: usize,
    /// How many origins have been heard of, this one included.
    origins: usize,
    /// Of how many origins this node lacks changes because its table is full.
    origins_without_room: usize,
    /// How many batches of changes this origin has closed.
    batches: u64,
    /// Whether the cluster has removed this node.
    removed: bool,
    /// Increments and decrements taken here since the start.
    increments: u64,
    /// How much this origin has added and subtracted, all counters together.
    counted: u64,
    peers: Vec<Peer<'a>>,
    settlement: Settlement,
    /// How far the wall clocks of most nodes are ahead of this one's, negative if it is ahead; null while
    /// no peer has told what its own shows. Counters expire by it.
    clock_behind_ms: Option<i64>,
    /// Members that are away and not removed.
    absent: Vec<Absent>,
}

/// Another node, as this one sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct Peer<'a> {
    address: &'a str,
    /// Null until the peer has answered.
    node: Option<String>,
    state: &'static str,
    /// Whether `GET /peers` names it.
    listed: bool,
    /// How much its origin has added and subtracted, all counters together, as far as it is known
    /// here.
    counted: u64,
    /// Null while there is none.
    link: Option<Link>,
}

/// How far a peer has confirmed our own changes.
#[derive(Serialize, ToSchema)]
pub(super) struct Link {
    lag_versions: u64,
    lag_ms: f64,
    unconfirmed_bytes: usize,
    behind: bool,
}

/// A member that is away.
#[derive(Serialize, ToSchema)]
pub(super) struct Absent {
    node: String,
    /// Where it answered last; null if this node has not met it.
    address: Option<String>,
    /// For how long this node has seen it away since its own start.
    away_ms: u64,
    /// After which time the others remove it; null: never, but by an operator.
    removed_after_ms: Option<u64>,
    /// Whether it keeps nothing.
    in_memory: bool,
    /// kept: it has a disk, and this node was not given `--remove-absent-after`; watched: its time is
    /// not over; no_common_list: some member has not met all others yet, or is of an earlier release,
    /// or runs without `--fsync always`; no_majority: those that answer are none; deciding: they are
    /// one, and agree as soon as each has seen it away for long enough.
    phase: &'static str,
    /// How many members could agree to its removal now.
    agreed: usize,
    /// Of how many; more than half of these are needed.
    of: usize,
}

impl From<&AbsentStatus> for Absent {
    fn from(status: &AbsentStatus) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Absent {
            node: status.node.to_string(),
            address: status.address.as_ref().map(ToString::to_string),
            away_ms: ms(status.away),
            removed_after_ms: status.removed_after.map(ms),
            in_memory: status.in_memory,
            phase: status.phase.as_str(),
            agreed: status.agreed,
            of: status.of,
        }
    }
}

/// Tells how the node is, and its links to others
#[utoipa::path(
    get, path = "/status", tag = "operation",
    responses((status = 200, description = "How it is", body = inline(Status<'_>)))
)]
pub(super) async fn status(State(app): Shared, caller: Caller) -> Result<Response, Problem> {
    let asked = caller.ask(Observe)?;
    let report = app.handle.report(&asked).await?;
    let fsync = app.handle.kept(&asked).fsync;
    let fsync = fsync.map_or_else(|| "in-memory".to_owned(), |fsync| fsync.to_string());
    Ok(Json(Status::of(&report, fsync)).into_response())
}

impl<'a> Status<'a> {
    fn of(report: &'a Report, fsync: String) -> Self {
        let status = &report.status;
        Status {
            version: env!("CARGO_PKG_VERSION"),
            node_id: status.address().as_str(),
            node: status.identity.node.to_string(),
            origin: status.identity.origin.to_string(),
            uptime_ms: report.uptime.as_millis(),
            fsync,
            counters: status.counters,
            origins: status.origins,
            origins_without_room: status.without_room,
            batches: status.version,
            removed: status.removed,
            increments: report.totals.increments,
            counted: status.counted,
            peers: status.peers.iter().map(Peer::from).collect(),
            settlement: Settlement::from(&status.settlement),
            clock_behind_ms: status.clock_behind_ms,
            absent: status.absent.iter().map(Absent::from).collect(),
        }
    }
}

impl<'a> From<&'a PeerStatus> for Peer<'a> {
    fn from(peer: &'a PeerStatus) -> Self {
        Peer {
            address: &peer.address,
            node: peer.node.map(|node| node.to_string()),
            state: peer.state.as_str(),
            listed: peer.listed,
            counted: peer.counted,
            link: peer.link.as_ref().map(|link| Link {
                lag_versions: link.lag_versions,
                lag_ms: link.lag.as_secs_f64() * 1e3,
                unconfirmed_bytes: link.unconfirmed_bytes,
                behind: link.behind,
            }),
        }
    }
}
