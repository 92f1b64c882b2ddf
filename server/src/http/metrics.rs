//! `GET /metrics`, for Prometheus.
//!
//! Nothing is kept for it: the driver and the front end count for themselves as they work, and a
//! scrape puts what they have counted into a registry that lives as long as the answer. No label
//! carries a counter's name: clients choose those, and a time series for each would be without
//! bound.

use std::time::{Duration, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use quipu_core::histogram::{Histogram, STEPS_US};
use quipu_core::status::{PeerState, Status, Totals};

use super::app::{App, Shared};
use super::errors::{Kind, Problem};
use super::exposition::Format;
use super::traffic::Traffic;
use crate::access::{Allowed, Caller, Door, Observe};
use crate::inbox::{Depths, Report};
use crate::network::Counts;
use crate::os::memory::Memory;
use crate::os::process::Usage;
use crate::timing::Timing;
use crate::watch::Gauge as WatcherGauge;
use crate::{disk, redis};

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
        process(&mut registry, &usage);
    }
    let ours = registry.sub_registry_with_prefix("quipu");
    ours.register(
        "build",
        "The program that runs",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    totals(ours, &report.totals, report.status.counted);
    network(ours, &report.totals, app.handle.network_counts(asked));
    levels(ours, &report.status);
    memory(ours, app.handle.memory(asked));
    queues(ours, &report.depths);
    replication(ours, &report.status);
    latencies(ours, report);
    http(ours, &app.traffic);
    watching(ours, app.watch.gauge());
    disk(ours, &app.handle.kept(asked).counts);
    redis(ours, &app.redis);
    registry
}

/// What every process tells of itself, under the names that dashboards look for.
fn process(registry: &mut Registry, usage: &Usage) {
    registry.register_with_unit(
        "process_cpu",
        "Processor time, the system's for this process included",
        Unit::Seconds,
        ConstCounter::new((usage.cpu_user + usage.cpu_system).as_secs_f64()),
    );
    for (name, help, bytes) in [
        ("process_resident_memory", "Memory that is really there", usage.resident_bytes),
        ("process_virtual_memory", "Memory that addresses were given for", usage.virtual_bytes),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(signed(bytes)));
    }
    let open = ConstGauge::new(signed(usage.open_files));
    registry.register("process_open_fds", "File descriptors that are open", open);
    if let Some(most) = usage.open_files_max {
        let most = ConstGauge::new(signed(most));
        registry.register("process_max_fds", "File descriptors that may be open", most);
    }
}

/// What the node has counted of its own work; its clients have added and subtracted `added` in all.
fn totals(registry: &mut Registry, totals: &Totals, added: u64) {
    for (name, help, total) in [
        (
            "increments",
            "Operations that added or subtracted, however much each did",
            totals.increments,
        ),
        (
            "added",
            "How much those operations added and subtracted: one by 5 is 5, one by -5 as well",
            added,
        ),
        ("raises", "Operations that raised", totals.raises),
        ("reads", "Operations that read", totals.reads),
        ("batches", "Batches of own changes closed", totals.batches),
        ("batch_entries", "Counters changed by own batches", totals.batch_entries),
        ("link_deltas_sent", "Deltas pushed, once for each link", totals.deltas_sent),
        ("link_deltas_received", "Deltas received by push", totals.deltas_received),
        (
            "link_pushes_withheld",
            "Pushes left out because a link was too far behind",
            totals.pushes_withheld,
        ),
        ("link_gaps", "Deltas received beyond a gap", totals.gaps),
        ("links_established", "Links established", totals.links_established),
        (
            "catch_ups_asked",
            "Times that a peer was asked for what is lacking",
            totals.catch_ups_asked,
        ),
        ("catch_ups_served", "Times that a peer asked for what it lacked", totals.catch_ups_served),
        ("catch_up_slots_sent", "Slots sent to peers that asked", totals.catch_up_slots_sent),
        ("catch_up_slots_received", "Slots received on asking", totals.catch_up_slots_received),
        (
            "claims_taken_back",
            "Claims of changes that a live peer had never made, taken back at its word",
            totals.claims_taken_back,
        ),
        (
            "parts_unasked",
            "Parts of answers that were not asked for, and were not taken",
            totals.parts_unasked,
        ),
        (
            "repairs",
            "Times that counts differed from a peer's at the same version, and all were asked for",
            totals.repairs,
        ),
        (
            "membership_faults",
            "Times that the membership protocol's own state may have come out wrong: a bug",
            totals.swim_faults,
        ),
        (
            "members_refused",
            "Times that somebody was not taken for a member, there being as many as can be",
            totals.members_refused,
        ),
        (
            "records_refused",
            "Records of removals with numbers that are nobody's",
            totals.records_refused,
        ),
        ("beacons_sent", "Discovery beacons sent", totals.beacons_sent),
        ("beacons_heard", "Discovery beacons heard from others", totals.beacons_heard),
        ("swim_sent", "Membership messages sent", totals.swim_sent),
        ("swim_received", "Membership messages received", totals.swim_received),
    ] {
        registry.register(name, help, ConstCounter::new(total));
    }
    for (name, help, total) in [
        ("link_sent", "Frames sent on links, with their lengths", totals.link_bytes_sent),
        (
            "link_received",
            "Frames received on links, with their lengths",
            totals.link_bytes_received,
        ),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, ConstCounter::new(total));
    }
    by_reason(
        registry,
        "refusals",
        "Operations refused with nothing changed",
        &[
            ("overflow", totals.refused_overflow),
            ("behind", totals.refused_behind),
            ("full", totals.refused_full),
            ("memory", totals.refused_memory),
        ],
    );
}

/// What came and went, and what of it was not used: the node drops what is wrong, the network what
/// is too much.
fn network(registry: &mut Registry, totals: &Totals, counts: &Counts) {
    for (name, help, total) in [
        ("datagrams_received", "Datagrams received", &counts.datagrams_received),
        ("datagrams_sent", "Datagrams sent", &counts.datagrams_sent),
        (
            "datagrams_unsent",
            "Datagrams that could not be sent: no route, a full socket, an unknown name",
            &counts.datagrams_unsent,
        ),
        ("link_connections_opened", "Connections for links, by either side", &counts.links_opened),
        ("link_connections_ended", "Connections for links that have ended", &counts.links_ended),
        ("link_dials_failed", "Connections for links that came to nothing", &counts.dials_failed),
    ] {
        registry.register(name, help, ConstCounter::new(total.get()));
    }
    by_reason(
        registry,
        "link_refusals",
        "Links refused or ended for what the other side did",
        &[
            ("bad_frame", totals.bad_frames),
            ("frame_too_long", counts.frames_too_long.get()),
            ("hello", totals.hellos_refused),
            ("foreign_write", totals.foreign_writes),
            ("too_many", counts.links_refused.get()),
            ("unread", counts.links_overflowed.get()),
        ],
    );
    by_reason(
        registry,
        "datagrams_dropped",
        "Datagrams received and not used",
        &[
            ("malformed", totals.datagrams_malformed),
            ("too_long", counts.datagrams_too_long.get()),
            ("foreign", totals.datagrams_foreign),
            ("removed", totals.datagrams_removed),
            ("rate", totals.beacons_limited),
            ("refused", totals.swim_refused),
            ("overrun", counts.datagrams_overrun.get()),
        ],
    );
}

/// How things stand now.
fn levels(registry: &mut Registry, status: &Status) {
    for (name, help, level) in [
        ("counters", "Counters held", status.counters as u64),
        ("origins", "Origins heard of, this one included", status.origins as u64),
        (
            "origins_without_room",
            "Origins of which this node lacks changes because its table is full",
            status.without_room as u64,
        ),
        ("version", "Batches of own changes that others may know of", status.version),
        ("removed", "1 if the cluster has removed this node, else 0", status.removed.into()),
    ] {
        registry.register(name, help, ConstGauge::new(level));
    }
    let peers = Family::<[(&str, &str); 1], Gauge>::default();
    for state in [
        PeerState::Joining,
        PeerState::Alive,
        PeerState::Suspect,
        PeerState::Down,
        PeerState::Removed,
    ] {
        let count = status.peers.iter().filter(|peer| peer.state == state).count();
        peers.get_or_create(&[("state", state.as_str())]).set(signed(count as u64));
    }
    registry.register("peers", "Peers known, by state", peers);
}

/// What new names are measured by; see --max-memory.
fn memory(registry: &mut Registry, memory: &Memory) {
    let full = u64::from(memory.full().is_some());
    registry.register(
        "memory_full",
        "1 while new names are refused for want of memory, else 0",
        ConstGauge::new(full),
    );
    registry.register_with_unit(
        "memory_used",
        "Memory in use that no file holds",
        Unit::Bytes,
        ConstGauge::new(signed(memory.used_bytes())),
    );
    if let Some(most) = memory.bytes_max() {
        registry.register_with_unit(
            "memory_max",
            "Memory beyond which new names are refused",
            Unit::Bytes,
            ConstGauge::new(signed(most)),
        );
    }
}

fn queues(registry: &mut Registry, depths: &Depths) {
    let family = Family::<[(&str, &str); 1], Gauge>::default();
    for (queue, depth) in [
        ("datagrams", depths.datagrams),
        ("arrivals", depths.arrivals),
        ("commands", depths.commands),
        ("batches", depths.batches),
        ("replies", depths.replies),
    ] {
        family.get_or_create(&[("queue", queue)]).set(signed(depth as u64));
    }
    registry.register("queue_depth", "What waits for the driver, and behind it, by queue", family);
}

/// How far each peer that has a link has confirmed this node's changes. As many series as links.
fn replication(registry: &mut Registry, status: &Status) {
    type ByPeer<N, A> = Family<[(&'static str, String); 1], Gauge<N, A>>;
    let versions = ByPeer::<i64, std::sync::atomic::AtomicI64>::default();
    let seconds = ByPeer::<f64, std::sync::atomic::AtomicU64>::default();
    let unconfirmed = ByPeer::<i64, std::sync::atomic::AtomicI64>::default();
    for peer in &status.peers {
        let Some(link) = &peer.link else { continue };
        let label = [("peer", peer.address.clone())];
        versions.get_or_create(&label).set(signed(link.lag_versions));
        seconds.get_or_create(&label).set(link.lag.as_secs_f64());
        unconfirmed.get_or_create(&label).set(signed(link.unconfirmed_bytes as u64));
    }
    registry.register(
        "replication_lag_versions",
        "Batches of own changes that a peer has not confirmed",
        versions,
    );
    registry.register_with_unit(
        "replication_lag",
        "Age of the oldest own change that a peer has not confirmed",
        Unit::Seconds,
        seconds,
    );
    registry.register_with_unit(
        "replication_unconfirmed",
        "Pushed to a peer and not confirmed yet",
        Unit::Bytes,
        unconfirmed,
    );
}

/// How long it took until clients had their answers, this node the others' changes, and they its.
fn latencies(registry: &mut Registry, report: &Report) {
    registry.register_with_unit(
        "reply_latency",
        "From a request being taken up until its reply leaves, durable. One for each HTTP request \
         and each read of a Redis pipeline; not in it: the time on the network, and in queue_depth's \
         queue of commands",
        Unit::Seconds,
        Steps::from(&report.replied),
    );
    registry.register_with_unit(
        "convergence_lag",
        "From the acceptance of a change at its origin until it was merged and synced here. One for \
         each push received that brought something new, that of the oldest change in it. Three \
         times added up: its age when it left (the origin's monotonic clock), the way (half of the \
         shortest of the last 8 round trips on the link, pinged about once a second; 0 until the first is \
         known), from arrival to sync (this node's monotonic clock). No clock of one node is \
         compared with another's, nor is the time of day trusted; what a push waits in a crowded \
         connection is not in it. Nor are catching up and repair. With --fsync every or never, \
         synced means what replies wait for there",
        Unit::Seconds,
        Steps::from(&report.totals.convergence),
    );
    registry.register_with_unit(
        "confirmation_time",
        "From the acceptance of a change here until a peer's word is here that it has merged and \
         synced it. One for each push and peer, that of the oldest change in it. Both ends are \
         read from this node's own monotonic clock; the word's way back and the millisecond for \
         which words gather are counted in. What was withheld from a slow peer counts as one push \
         when it has caught up. Not in it: what a peer missed while it had no link",
        Unit::Seconds,
        Steps::from(&report.totals.confirmation),
    );
}

/// A histogram of ours as the library's encoder takes it.
#[derive(Clone, Debug, Default)]
struct Steps {
    counts: Vec<u64>,
    sum: Duration,
}

impl From<&Histogram> for Steps {
    fn from(histogram: &Histogram) -> Self {
        Steps { counts: histogram.counts().to_vec(), sum: histogram.sum() }
    }
}

impl From<&Timing> for Steps {
    fn from(timing: &Timing) -> Self {
        Steps { counts: timing.counts(), sum: timing.sum() }
    }
}

impl EncodeMetric for Steps {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let ends_s = STEPS_US.map(|us| Duration::from_micros(us).as_secs_f64());
        let ends_s = ends_s.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = ends_s.zip(self.counts.iter().copied()).collect();
        let (sum_s, count) = (self.sum.as_secs_f64(), self.counts.iter().sum());
        encoder.encode_histogram::<NoLabelSet>(sum_s, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// What was made safe, and how long that took. All zero where everything stays in memory.
fn disk(registry: &mut Registry, counts: &disk::counts::Counts) {
    for (name, help, total) in [
        (
            "journal_batches",
            "Batches appended to the journal; several share a sync",
            &counts.journal_batches,
        ),
        ("journal_syncs", "Times that the journal was synced", &counts.syncs),
        ("snapshots", "Snapshots that became valid", &counts.snapshots),
        ("snapshots_failed", "Snapshots that came to nothing", &counts.snapshots_failed),
    ] {
        registry.register(name, help, ConstCounter::new(total.get()));
    }
    for (name, help, total) in [
        ("journal_written", "Records appended to the journal", &counts.journal_bytes),
        ("snapshots_written", "Snapshots that became valid", &counts.snapshot_bytes),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, ConstCounter::new(total.get()));
    }
    registry.register_with_unit(
        "journal_sync",
        "Time that syncs of the journal took together",
        Unit::Seconds,
        ConstCounter::new(Duration::from_micros(counts.sync_micros.get()).as_secs_f64()),
    );
}

/// The HTTP front end's own numbers.
fn http(registry: &mut Registry, traffic: &Traffic) {
    let open = traffic.accepted.get().saturating_sub(traffic.ended.get());
    registry.register(
        "http_connections",
        "HTTP connections open now, links not counted",
        ConstGauge::new(open),
    );
    for (name, help, total) in [
        ("http_connections_accepted", "HTTP connections taken", &traffic.accepted),
        (
            "http_connections_refused",
            "HTTP connections turned away because too many were open",
            &traffic.refused,
        ),
        (
            "http_connections_broken",
            "HTTP connections that ended with an error: rubbish, a reset, a timeout",
            &traffic.broken,
        ),
        (
            "http_accept_errors",
            "Times that the system could not hand out a connection",
            &traffic.accept_errors,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(total.get()));
    }
    let requests = Family::<[(&str, &str); 2], Counter>::default();
    for (route, status, total) in traffic.requests() {
        requests.get_or_create(&[("route", route), ("status", status)]).inc_by(total);
    }
    registry.register("http_requests", "HTTP requests answered, by route and status", requests);
    registry.register_with_unit(
        "http_request_latency",
        "From a request's head being read until its answer is ready to be written, by what is asked \
         for; of a batch's or another body's, the time in which it is read is in it, of a stream of \
         events only the time until it begins. Not in it: the time on the network",
        Unit::Seconds,
        Labelled(traffic.latencies().map(|(kind, timing)| (kind, Steps::from(timing))).collect()),
    );
}

/// Histograms of one name, told apart by their `kind`.
#[derive(Debug)]
struct Labelled(Vec<(&'static str, Steps)>);

impl EncodeMetric for Labelled {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0
            .iter()
            .try_for_each(|(kind, steps)| steps.encode(encoder.encode_family(&[("kind", *kind)])?))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Those who watch what changes, by the door that they came by.
fn watching(registry: &mut Registry, gauge: &WatcherGauge) {
    let present = Family::<[(&str, &str); 1], Gauge>::default();
    let refused = Family::<[(&str, &str); 1], Counter>::default();
    for door in Door::ALL {
        let label = [("kind", if door == Door::Http { "events" } else { "redis" })];
        present.get_or_create(&label).set(signed(gauge.present(door)));
        refused.get_or_create(&label).inc_by(gauge.refused(door));
    }
    registry.register(
        "watchers",
        "Who watch what changes now: streams of GET /events, and Redis connections that have \
         subscribed",
        present,
    );
    registry.register(
        "watchers_refused",
        "Who wanted to watch and were turned away because too many did",
        refused,
    );
}

/// The Redis front end's own numbers.
fn redis(registry: &mut Registry, traffic: &redis::Traffic) {
    let open = traffic.accepted.get().saturating_sub(traffic.ended.get());
    registry.register("redis_connections", "Redis connections open now", ConstGauge::new(open));
    for (name, help, total) in [
        ("redis_connections_accepted", "Redis connections taken", &traffic.accepted),
        (
            "redis_connections_refused",
            "Redis connections turned away because too many were open",
            &traffic.refused,
        ),
        (
            "redis_accept_errors",
            "Times that the system could not hand out a connection",
            &traffic.accept_errors,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(total.get()));
    }
    by_reason(
        registry,
        "redis_connections_dropped",
        "Redis connections that did not end well",
        &[
            ("protocol", traffic.protocol_errors.get()),
            ("unread", traffic.unread.get()),
            ("broken", traffic.broken.get()),
        ],
    );
    let commands = Family::<[(&str, &str); 1], Counter>::default();
    for (class, total) in traffic.commands() {
        commands.get_or_create(&[("class", class)]).inc_by(total);
    }
    registry.register("redis_commands", "Redis commands received, by class", commands);
}

fn by_reason(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    totals: &[(&'static str, u64)],
) {
    let family = Family::<[(&str, &str); 1], Counter>::default();
    for (reason, total) in totals {
        family.get_or_create(&[("reason", reason)]).inc_by(*total);
    }
    registry.register(name, help, family);
}

/// Gauges are signed; what they show here never comes near the end of their range.
fn signed(level: u64) -> i64 {
    i64::try_from(level).unwrap_or(i64::MAX)
}
