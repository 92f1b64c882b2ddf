//! Connections and requests of HTTP, for `/metrics`.

use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::traffic::Traffic;
use crate::metrics::{Labelled, Steps};

/// The HTTP front end's own numbers.
pub(super) fn register(registry: &mut Registry, traffic: &Traffic) {
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
