//! How many watch, for `/metrics`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as Level;
use prometheus_client::registry::Registry;

use super::gauge::Gauge;
use crate::access::Door;
use crate::metrics::signed;

/// How many watch what changes, by the front end that they came by.
pub(crate) fn register(registry: &mut Registry, gauge: &Gauge) {
    let present = Family::<[(&str, &str); 1], Level>::default();
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
