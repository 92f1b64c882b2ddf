//! What happened between two samples.
//!
//! A node that was started anew counts from nothing again: where a total has fallen, what it shows
//! now is what has happened since.

use super::sample::{Sample, Steps};

/// What happened between two samples, by the second.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) increments: f64,
    pub(super) added: f64,
    pub(super) reads: f64,
    pub(super) replies: Quantiles,
    /// How long this node's changes took until the others had confirmed them.
    pub(super) confirmation: Quantiles,
    /// How old the others' changes were when they were safe on this node.
    pub(super) convergence: Quantiles,
    /// By how much each counter of the later sample grew.
    pub(super) counters: Vec<f64>,
}

/// What so many did not exceed, in seconds: the end of the step in which that one lies. `None` if
/// there was nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Quantiles {
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl Rates {
    pub(super) fn between(earlier: &Sample, later: &Sample) -> Self {
        let seconds = later.at.saturating_sub(earlier.at).as_secs_f64().max(1e-3);
        let rate = |earlier: u64, later: u64| grown(earlier, later) as f64 / seconds;
        Rates {
            increments: rate(earlier.increments, later.increments),
            added: rate(earlier.added, later.added),
            reads: rate(earlier.reads, later.reads),
            replies: quantiles(&earlier.replies, &later.replies),
            confirmation: quantiles(&earlier.confirmation, &later.confirmation),
            convergence: quantiles(&earlier.convergence, &later.convergence),
            counters: counters(earlier, later).map(|grown| grown as f64 / seconds).collect(),
        }
    }
}

fn grown(earlier: u64, later: u64) -> u64 {
    later.checked_sub(earlier).unwrap_or(later)
}

/// Both lists are in the order of their names, so they are walked side by side. A counter that the
/// earlier one does not have is new.
fn counters<'a>(earlier: &'a Sample, later: &'a Sample) -> impl Iterator<Item = i128> + 'a {
    let mut before = earlier.counters.iter().peekable();
    later.counters.iter().map(move |(name, value)| {
        while before.next_if(|(other, _)| other < name).is_some() {}
        let was = before.peek().filter(|(other, _)| other == name).map_or(0, |(_, was)| *was);
        value - was
    })
}

fn quantiles(earlier: &Steps, later: &Steps) -> Quantiles {
    let before = |place: usize| earlier.0.get(place).map_or(0, |(_, count)| *count);
    let steps: Vec<(f64, u64)> = later
        .0
        .iter()
        .enumerate()
        .map(|(place, (end, count))| (*end, grown(before(place), *count)))
        .collect();
    let all = steps.last().map_or(0, |(_, count)| *count);
    let of = |share: f64| {
        let wanted = (all as f64 * share).ceil() as u64;
        steps.iter().find(|(_, count)| all > 0 && *count >= wanted).map(|(end, _)| *end)
    };
    Quantiles { p50: of(0.5), p99: of(0.99) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(at: u64, increments: u64, counters: &[(&str, i128)]) -> Sample {
        let counters = counters.iter().map(|(name, value)| ((*name).to_owned(), *value));
        Sample {
            at: Duration::from_secs(at),
            increments,
            added: 5 * increments,
            counters: counters.collect(),
            ..Sample::default()
        }
    }

    #[test]
    fn counters_are_compared_by_name_whatever_came_between() {
        let earlier = sample(10, 100, &[("a", 1), ("c", 10), ("d", 5)]);
        let later = sample(12, 140, &[("a", 3), ("b", 8), ("c", 10), ("d", 1), ("e", 2)]);
        let rates = Rates::between(&earlier, &later);
        assert_eq!(rates.counters, [1.0, 4.0, 0.0, -2.0, 1.0]);
        assert_eq!((rates.increments, rates.added), (20.0, 100.0));
    }

    #[test]
    fn a_node_that_was_started_anew_has_counted_what_it_shows() {
        let rates = Rates::between(&sample(1, 1_000_000, &[]), &sample(2, 30, &[]));
        assert_eq!(rates.increments, 30.0);
    }

    #[test]
    fn quantiles_are_those_of_the_time_between_and_none_where_nothing_happened() {
        let earlier = Steps(vec![(0.001, 1000), (0.01, 1000), (f64::INFINITY, 1000)]);
        let later = Steps(vec![(0.001, 1050), (0.01, 1099), (f64::INFINITY, 1100)]);
        let between = quantiles(&earlier, &later);
        assert_eq!(between, Quantiles { p50: Some(0.001), p99: Some(0.01) });
        assert_eq!(quantiles(&later, &later), Quantiles::default());
        assert_eq!(quantiles(&Steps::default(), &Steps::default()), Quantiles::default());
    }
}
