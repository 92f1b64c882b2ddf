//! Connections and requests, counted where they pass: a fixed table of numbers, since a map of
//! labels would be seen on the path of an increment.

use axum::http::StatusCode;

use super::routes::Route;
use crate::count::Count;

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
}

impl Traffic {
    pub(super) fn count(&self, route: Option<Route>, status: StatusCode) {
        let row = route.map_or(Route::ALL.len(), |route| route as usize);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(total) = self.requests[row].get(class) {
            total.add(1);
        }
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
        traffic.count(Some(Route::Count), StatusCode::OK);
        traffic.count(Some(Route::Count), StatusCode::OK);
        traffic.count(None, StatusCode::NOT_FOUND);
        let counted: Vec<_> = traffic.requests().collect();
        assert_eq!(counted, [("/count", "2xx", 2), (UNKNOWN, "4xx", 1)]);
    }
}
