//! How long a link's round trip takes, from a ping until its pong, and how far apart the wall clocks of its
//! two ends are.
//!
//! A pong is sent without waiting for anything, so what it takes beyond the network is what both
//! ends happened to be doing. The shortest of the last few is therefore nearest to the network's
//! own. Pings are counted, since one may be sent while another is unanswered: a pong answers the
//! first that has none.
//!
//! A pong may tell what its sender's wall clock showed, at some moment of the round trip: so both clocks are
//! compared to within half of it, best in the shortest (Cristian: "Probabilistic clock synchronization",
//! Distributed Computing 3, 1989, section 3).

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

/// How many round trips count as the last few: at one every 0.9 s some seven seconds of them.
const RECENT: usize = 8;

/// What is known of one link's round trips.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips {
    pings: u64,
    pongs: u64,
    /// The ping that is being timed, by its number, and when it left.
    timed: Option<(u64, Time)>,
    recent: VecDeque<RoundTrip>,
}

#[derive(Clone, Copy, Debug)]
struct RoundTrip {
    took: Duration,
    /// By how many milliseconds the clock that the pong told of was ahead of ours when it came.
    ahead_ms: Option<i64>,
}

/// How far the wall clock of a link's other end is from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockOffset {
    /// By how many milliseconds it is ahead.
    pub(crate) ahead_ms: i64,
    /// By how many that may be wrong.
    pub(crate) error_ms: i64,
}

impl RoundTrips {
    /// A ping leaves.
    pub(crate) fn ping(&mut self, now: Time) {
        self.pings += 1;
        self.timed.get_or_insert((self.pings, now));
    }

    /// A pong has come. `ahead_ms`: by how much the clock that it tells of is ahead of ours now.
    pub(crate) fn pong(&mut self, now: Time, ahead_ms: Option<i64>) {
        self.pongs += 1;
        if let Some((_, left)) = self.timed.take_if(|(number, _)| *number == self.pongs) {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(RoundTrip { took: now.since(left), ahead_ms });
        }
    }

    /// How many pings have left; the number of the last one.
    pub(crate) fn pings(&self) -> u64 {
        self.pings
    }

    /// Whether the ping of this number has its pong.
    pub(crate) fn is_answered(&self, ping: u64) -> bool {
        self.pongs >= ping
    }

    /// Whether enough are known for the shortest to be a good guess.
    pub(crate) fn are_enough(&self) -> bool {
        self.recent.len() == RECENT
    }

    /// The time that one way takes, as far as it is known.
    pub(crate) fn one_way(&self) -> Option<Duration> {
        self.recent.iter().map(|trip| trip.took).min().map(|shortest| shortest / 2)
    }

    /// How far the other end's wall clock is from ours, as far as it is known.
    pub(crate) fn clock_offset(&self) -> Option<ClockOffset> {
        let timed = self.recent.iter().filter_map(|trip| Some((trip.took, trip.ahead_ms?)));
        let (took, ahead_ms) = timed.min_by_key(|(took, _)| *took)?;
        // It was read within the round trip, so it has gone on by half of that, more or less.
        let half_ms = i64::try_from(took.as_millis() / 2).unwrap_or(i64::MAX);
        // Both clocks are told in whole milliseconds.
        Some(ClockOffset {
            ahead_ms: ahead_ms.saturating_add(half_ms),
            error_ms: half_ms.saturating_add(2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_in_the_shortest_round_trip_that_tells_of_them() {
        let mut trips = RoundTrips::default();
        let mut go = |began: u64, took: u64, ahead_ms: Option<i64>| {
            trips.ping(us(began));
            trips.pong(us(began + took), ahead_ms);
            trips.clock_offset()
        };
        assert_eq!(go(0, 100, None), None);
        let far = ClockOffset { ahead_ms: 4_900 + 150, error_ms: 152 };
        assert_eq!(go(1_000_000, 300_000, Some(4_900)), Some(far));
        let near = ClockOffset { ahead_ms: 5_002, error_ms: 4 };
        assert_eq!(go(2_000_000, 4_000, Some(5_000)), Some(near));
        assert_eq!(go(3_000_000, 900_000, Some(4_500)), Some(near));
    }

    fn us(us: u64) -> Time {
        Time::from_micros(us)
    }

    #[test]
    fn the_shortest_of_the_last_few_counts_and_is_forgotten_in_time() {
        let mut trips = RoundTrips::default();
        assert_eq!(trips.one_way(), None);
        for (began, took) in [(0, 300), (1_000, 100), (2_000, 500)] {
            trips.ping(us(began));
            trips.pong(us(began + took), None);
        }
        assert_eq!(trips.one_way(), Some(Duration::from_micros(50)));
        for round in 0..RECENT as u64 {
            trips.ping(us(10_000 * round));
            trips.pong(us(10_000 * round + 400), None);
        }
        assert_eq!(trips.one_way(), Some(Duration::from_micros(200)));
        assert!(trips.are_enough());
    }

    #[test]
    fn a_pong_answers_the_first_ping_that_has_none() {
        let mut trips = RoundTrips::default();
        trips.ping(us(0));
        trips.ping(us(900));
        trips.pong(us(1_000), None);
        trips.ping(us(1_800));
        trips.pong(us(1_900), None);
        assert_eq!(trips.one_way(), Some(Duration::from_micros(500)), "that was the second's");
        trips.pong(us(2_200), None);
        assert_eq!(trips.one_way(), Some(Duration::from_micros(200)));
    }

    #[test]
    fn pongs_without_a_ping_say_nothing() {
        let mut trips = RoundTrips::default();
        trips.pong(us(1), None);
        trips.ping(us(2));
        trips.pong(us(3), None);
        assert_eq!(trips.one_way(), None);
    }
}
