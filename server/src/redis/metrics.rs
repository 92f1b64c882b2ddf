//! Connections and commands of Redis clients, for `/metrics`.

use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::traffic::Traffic;
use crate::metrics::by_reason;

/// The Redis front end's own numbers.
pub(crate) fn register(registry: &mut Registry, traffic: &Traffic) {
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
