//! What the driver reports of its node and itself, for `/metrics`.

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use quipu_core::status::{
    AbsentPhase, AbsentStatus, PeerState, SettlementPhase, SettlementStatus, Status,
};

use super::{Depths, Report};
use crate::metrics::{Steps, by_reason, signed};

/// What the node has counted of its own work; its clients have added and subtracted `counted` in all.
pub(crate) fn totals(registry: &mut Registry, report: &Report) {
    let (totals, added) = (&report.totals, report.status.counted);
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
        ("updates", "Operations that set, bound, delete or expire counters", totals.updates),
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
        (
            "absent_members_removed",
            "Members removed because they were away, by a majority of all",
            totals.absent_removed,
        ),
        (
            "absent_members_taken_back",
            "Nodes removed so that spoke to this one, and were registered again",
            totals.absent_back,
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
            ("ends", totals.refused_ends),
        ],
    );
}

/// How things stand now.
pub(crate) fn levels(registry: &mut Registry, report: &Report) {
    let status = &report.status;
    for (name, help, level) in [
        ("counters", "Counters that exist", status.counters as u64),
        ("names", "Names held: of counters that exist, and of those that did", status.names as u64),
        ("origins", "Origins heard of, this one included", status.origins as u64),
        (
            "origins_without_room",
            "Origins of which this node lacks changes because its table is full",
            status.without_room as u64,
        ),
        ("version", "Batches of own changes that others may know of", status.version),
        ("removed", "1 if the cluster has removed this node, else 0", status.removed.into()),
        (
            "slots",
            "Slots that the table holds: one for each counter and origin that has changed it",
            status.settlement.slots,
        ),
        (
            "settleable_origins",
            "Closed origins that a settlement could fold now",
            status.settlement.closed_origins as u64,
        ),
        (
            "settlement_awaited_members",
            "Members that a settlement waits for",
            status.settlement.waits_for.len() as u64,
        ),
    ] {
        registry.register(name, help, ConstGauge::new(level));
    }
    if let Some(ms) = status.clock_behind_ms {
        registry.register_with_unit(
            "clock_behind",
            "How far the wall clocks of most nodes are ahead of this one's; negative if it is ahead",
            Unit::Seconds,
            ConstGauge::new(ms as f64 / 1e3),
        );
    }
    settlements(registry, &status.settlement);
    absent(registry, &status.absent);
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

/// How far settling has come.
fn settlements(registry: &mut Registry, settlement: &SettlementStatus) {
    let phases = Family::<[(&str, &str); 1], Gauge>::default();
    for phase in SettlementPhase::ALL {
        let is_it = settlement.phase == phase;
        phases.get_or_create(&[("phase", phase.as_str())]).set(is_it.into());
    }
    registry.register("settlement_phase", "1 for what is done about settlements now", phases);
    registry.register_with_unit(
        "settlement_wait",
        "For how long a settlement waits for members",
        Unit::Seconds,
        ConstGauge::new(settlement.since.map_or(0.0, |since| since.as_secs_f64())),
    );
    let settled = ConstCounter::new(settlement.settled);
    registry.register("settlements", "Settlements folded here since the start", settled);
}

/// Members that are away, by what becomes of each.
fn absent(registry: &mut Registry, absent: &[AbsentStatus]) {
    let members = Family::<[(&str, &str); 1], Gauge>::default();
    for phase in AbsentPhase::ALL {
        let count = absent.iter().filter(|member| member.phase == phase).count();
        members.get_or_create(&[("phase", phase.as_str())]).set(signed(count as u64));
    }
    registry.register("absent_members", "Members that are away and not removed, by phase", members);
    let longest = absent.iter().map(|member| member.away.as_secs_f64()).fold(0.0, f64::max);
    registry.register_with_unit(
        "absence",
        "For how long this node has seen the member away that is away longest",
        Unit::Seconds,
        ConstGauge::new(longest),
    );
}

/// What waits for the driver, how far peers are behind, and how long all of it took.
pub(crate) fn times(registry: &mut Registry, report: &Report) {
    queues(registry, &report.depths);
    replication(registry, &report.status);
    latencies(registry, report);
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
