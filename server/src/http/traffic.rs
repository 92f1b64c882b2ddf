//! Connections and requests, counted where they pass: a fixed table of numbers, since a map of
//! labels would be seen on the path of an increment.

use std::time::Duration;

use axum::http::StatusCode;

use super::routes::{Kind, Route};
use crate::count::Count;
use crate::timing::Timing;

/// Classes of status codes: 1xx to 5xx.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The label of requests for paths that do not exist.
const UNKNOWN: &str = "unknown";

/// Connections and requests since the start.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Connections taken.
    pub(super) accepted: Count,
    /// Connections that have ended, or have become links.
    pub(super) ended: Count,
    /// Connections turned away because there were too many.
    pub(super) refused: Count,
    /// Times that the system could not hand out a connection, as for want of descriptors.
    pub(super) accept_errors: Count,
    /// Connections that ended with an error: rubbish, a reset, a timeout.
    pub(super) broken: Count,
    /// By route, those without one last, and by class of status code.
    requests: [[Count; CLASSES.len()]; Route::ALL.len() + 1],
    /// By what is asked for, those without a route last.
    latencies: [Timing; Kind::ALL.len() + 1],
}

impl Traffic {
    pub(super) fn count(&self, route: Option<Route>, status: StatusCode, took: Duration) {
        let kind = route.map_or(Kind::ALL.len(), |route| route.kind() as usize);
        self.latencies[kind].note(took);
        let row = route.map_or(Route::ALL.len(), |route| route as usize);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(total) = self.requests[row].get(class) {
            total.add(1);
        }
    }

    /// How long requests took, by what was asked for.
    pub(super) fn latencies(&self) -> impl Iterator<Item = (&'static str, &Timing)> {
        Kind::ALL.iter().map(|kind| kind.as_str()).chain([UNKNOWN]).zip(&self.latencies)
    }

    /// Requests by route and class of status code, those that have occurred.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let routes = Route::ALL.iter().map(|route| route.pattern()).chain([UNKNOWN]);
        routes.zip(&self.requests).flat_map(|(route, row)| {
            let totals = CLASSES.into_iter().zip(row.iter().map(Count::get));
            totals.filter(|(_, total)| *total > 0).map(move |(class, total)| (route, class, total))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_its_route_and_class() {
        let traffic = Traffic::default();
        let took = Duration::from_micros(700);
        traffic.count(Some(Route::Count), StatusCode::OK, took);
        traffic.count(Some(Route::Count), StatusCode::OK, took);
        traffic.count(None, StatusCode::NOT_FOUND, took);
        let counted: Vec<_> = traffic.requests().collect();
        assert_eq!(counted, [("/count", "2xx", 2), (UNKNOWN, "4xx", 1)]);
        let timed = traffic.latencies().filter(|(_, timing)| timing.sum() > Duration::ZERO);
        let timed: Vec<_> = timed.map(|(kind, timing)| (kind, timing.sum() / 700)).collect();
        assert_eq!(
            timed,
            [("read", Duration::from_micros(2)), (UNKNOWN, Duration::from_micros(1))]
        );
    }
}
