//! `GET /metrics`, for Prometheus: every room registers its numbers, always in the same order.

use std::time::UNIX_EPOCH;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::app::{App, Shared};
use super::errors::{Kind, Problem};
use super::exposition::Format;
use super::metrics;
use crate::access::{Allowed, Caller, Observe};
use crate::inbox::Report;
use crate::os::process::Usage;
use crate::{disk, inbox, network, os, redis, watch};

/// Tells what the node has counted of its own work, for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus's text, or OpenMetrics where Accept asks for it", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    )))
)]
pub(super) async fn metrics(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = caller.ask(Observe)?;
    let report = app.handle.report(&asked).await?;
    let mut text = String::new();
    encode(&mut text, &registry(&app, &asked, &report))
        .map_err(|error| Problem::new(Kind::Internal, format!("cannot write metrics: {error}")))?;
    let format = Format::asked_for(&headers);
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept")];
    Ok((headers, format.told(text)).into_response())
}

fn registry(app: &App, asked: &Allowed<Observe>, report: &Report) -> Registry {
    let mut registry = Registry::default();
    let started = app.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    registry.register_with_unit(
        "process_start_time",
        "Start of the process, in seconds since the Unix epoch",
        Unit::Seconds,
        ConstGauge::new(started.as_secs_f64()),
    );
    if let Some(usage) = Usage::now() {
        os::metrics::process(&mut registry, &usage);
    }
    let ours = registry.sub_registry_with_prefix("quipu");
    ours.register(
        "build",
        "The program that runs",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    inbox::metrics::totals(ours, report);
    network::metrics::register(ours, &report.totals, app.handle.network_counts(asked));
    inbox::metrics::levels(ours, report);
    os::metrics::memory(ours, app.handle.memory(asked));
    inbox::metrics::times(ours, report);
    metrics::register(ours, &app.traffic);
    watch::metrics::register(ours, app.watch.gauge());
    disk::metrics::register(ours, &app.handle.kept(asked).counts);
    redis::metrics::register(ours, &app.redis);
    registry
}
