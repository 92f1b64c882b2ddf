//! How a room tells its numbers: each registers families of its own, and `GET /metrics` has all of
//! them do so, one after the other.
//!
//! Nothing is kept for it: whatever counts does so as it works, and a scrape puts what was counted
//! into a registry that lives as long as the answer. No label carries a counter's name: clients
//! choose those, and a time series for each would be without bound.

use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use quipu_core::histogram::{Histogram, STEPS_US};

use crate::timing::Timing;

/// A histogram of ours as the library's encoder takes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
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

/// Histograms of one name, told apart by their `kind`.
#[derive(Debug)]
pub(crate) struct Labelled(pub(crate) Vec<(&'static str, Steps)>);

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

/// Totals of one name, told apart by their `reason`.
pub(crate) fn by_reason(
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
pub(crate) fn signed(level: u64) -> i64 {
    i64::try_from(level).unwrap_or(i64::MAX)
}
