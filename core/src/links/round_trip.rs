//! How long a link's round trip takes: from a ping until its pong.
//!
//! A pong is sent without waiting for anything, so what it takes beyond the network is what both
//! ends happened to be doing. The shortest of the last few is therefore nearest to the network's
//! own. Pings are counted, since one may be sent while another is unanswered: a pong answers the
//! first that has none.

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
    recent: VecDeque<Duration>,
}

impl RoundTrips {
    /// A ping leaves.
    pub(crate) fn ping(&mut self, now: Time) {
        self.pings += 1;
        self.timed.get_or_insert((self.pings, now));
    }

    /// A pong has come.
    pub(crate) fn pong(&mut self, now: Time) {
        self.pongs += 1;
        if let Some((_, left)) = self.timed.take_if(|(number, _)| *number == self.pongs) {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(now.since(left));
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
        self.recent.iter().min().map(|shortest| *shortest / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Time {
        Time::from_micros(us)
    }

    #[test]
    fn the_shortest_of_the_last_few_counts_and_is_forgotten_in_time() {
        let mut trips = RoundTrips::default();
        assert_eq!(trips.one_way(), None);
        for (began, took) in [(0, 300), (1_000, 100), (2_000, 500)] {
            trips.ping(us(began));
            trips.pong(us(began + took));
        }
        assert_eq!(trips.one_way(), Some(Duration::from_micros(50)));
        for round in 0..RECENT as u64 {
            trips.ping(us(10_000 * round));
            trips.pong(us(10_000 * round + 400));
        }
        assert_eq!(trips.one_way(), Some(Duration::from_micros(200)));
        assert!(trips.are_enough());
    }

    #[test]
    fn a_pong_answers_the_first_ping_that_has_none() {
        let mut trips = RoundTrips::default();
        trips.ping(us(0));
        trips.ping(us(900));
        trips.pong(us(1_000));
        trips.ping(us(1_800));
        trips.pong(us(1_900));
        assert_eq!(trips.one_way(), Some(Duration::from_micros(500)), "that was the second's");
        trips.pong(us(2_200));
        assert_eq!(trips.one_way(), Some(Duration::from_micros(200)));
    }

    #[test]
    fn pongs_without_a_ping_say_nothing() {
        let mut trips = RoundTrips::default();
        trips.pong(us(1));
        trips.ping(us(2));
        trips.pong(us(3));
        assert_eq!(trips.one_way(), None);
    }
}
