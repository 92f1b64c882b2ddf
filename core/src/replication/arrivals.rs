//! Pushes that have been merged here and are not synced yet, and how old what they brought will be.
//!
//! Convergence lag is the time from an increment's acceptance on one node until it counts, safe, on
//! another. It is measured where it ends, and of two machines' clocks none is compared with the
//! other: the push says how long ago its oldest change was accepted when it left (the sender's
//! monotonic clock), the way is half of a round trip, and the rest is the time from arrival to sync
//! (both by this node's monotonic clock).
//!
//! Rejected: the time of day in the push. Two machines' times of day differ by more than what there
//! is to measure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::histogram::Histogram;
use crate::time::Time;

/// Pushes that wait for their sync; more are not measured. Links bring a thousand a second each,
/// and a disk that holds up so many has been slow for long enough to be seen by those that are
/// measured. They take 2 MiB.
const ARRIVALS_MAX: usize = 65_536;

/// The oldest that a push is believed to be: beyond the last step of a histogram by far, and too
/// little for one sender's nonsense to drown the sum of all.
const AGE_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Arrival {
    /// The caller's batch that holds what it brought.
    batch: u64,
    at: Time,
    age: Duration,
}

/// The pushes that wait for their sync, in the order of their batches.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    waiting: VecDeque<Arrival>,
}

impl Arrivals {
    /// Notes a push that was merged in a batch. Its oldest change was `age` old when it left, and
    /// had `way` to go.
    pub(crate) fn merged(&mut self, now: Time, batch: u64, age: Duration, way: Duration) {
        if self.waiting.len() < ARRIVALS_MAX {
            let age = age.saturating_add(way).min(AGE_MAX);
            self.waiting.push_back(Arrival { batch, at: now, age });
        }
    }

    /// Batches up to this one have been synced: notes how old what they brought is now.
    pub(crate) fn synced(&mut self, now: Time, batch: u64, lags: &mut Histogram) {
        while let Some(arrival) = self.waiting.pop_front_if(|arrival| arrival.batch <= batch) {
            lags.note(now.since(arrival.at) + arrival.age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_push_brought_is_as_old_as_it_was_and_its_way_and_the_time_until_the_sync() {
        let (us, of) = (Time::from_micros, Duration::from_micros);
        let (mut arrivals, mut lags) = (Arrivals::default(), Histogram::default());
        arrivals.merged(us(1_000), 7, of(300), of(20));
        arrivals.merged(us(1_100), 7, of(10), of(0));
        arrivals.merged(us(1_500), 8, of(40), of(20));
        arrivals.synced(us(1_600), 6, &mut lags);
        assert_eq!(lags.count(), 0);
        arrivals.synced(us(2_000), 7, &mut lags);
        assert_eq!((lags.count(), lags.sum()), (2, of(1_320 + 910)));
        arrivals.synced(us(2_000), 9, &mut lags);
        assert_eq!((lags.count(), lags.sum()), (3, of(1_320 + 910 + 560)));
    }

    #[test]
    fn a_disk_that_hangs_and_a_sender_of_nonsense_are_bounded() {
        let (mut arrivals, mut lags) = (Arrivals::default(), Histogram::default());
        for _ in 0..=ARRIVALS_MAX {
            arrivals.merged(Time::ZERO, 1, Duration::MAX, Duration::MAX);
        }
        arrivals.synced(Time::ZERO, 1, &mut lags);
        assert_eq!(lags.count(), ARRIVALS_MAX as u64);
        assert_eq!(lags.sum(), AGE_MAX * ARRIVALS_MAX as u32);
    }
}
