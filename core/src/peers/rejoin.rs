//! When this node comes back after the other members took it for dead.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::limit::RateLimit;
use crate::time::Time;

/// How long to wait before coming back after the other members took us for dead, and what it grows
/// to when that happens again and again.
const REJOIN_MIN: Duration = Duration::from_millis(100);
const REJOIN_MAX: Duration = Duration::from_secs(5);

/// Times in a second that a node which hears of a newer incarnation of its id comes back at once:
/// each is announced to all members. Such a word is a reason not to wait, unless it comes again and
/// again.
const AT_ONCE_PER_SECOND: u32 = 1;
const AT_ONCE_BURST: u32 = 2;

#[derive(Debug)]
pub(super) struct Rejoin {
    planned: Option<Time>,
    wait: Duration,
    last: Time,
    /// The latest start that others hold for our address's: our next one must come after it.
    boot_to_beat: u64,
    at_once: RateLimit,
    /// The node leaves, and comes back no more.
    is_over: bool,
    chance: ChaCha8Rng,
}

impl Rejoin {
    pub(super) fn new(chance: ChaCha8Rng, now: Time) -> Self {
        Rejoin {
            planned: None,
            wait: REJOIN_MIN,
            last: now,
            boot_to_beat: 0,
            at_once: RateLimit::new(AT_ONCE_PER_SECOND, AT_ONCE_BURST, now),
            is_over: false,
            chance,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.planned
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn is_planned(&self) -> bool {
        self.planned.is_some()
    }

    /// The other members hold us for down.
    pub(super) fn plan(&mut self, now: Time) {
        if self.is_over || self.is_planned() {
            return;
        }
        let quiet = now.since(self.last) > 2 * REJOIN_MAX;
        self.wait = if quiet { REJOIN_MIN } else { (2 * self.wait).min(REJOIN_MAX) };
        // Half of the wait is chance, so that two sides that declared each other down do not
        // return in step.
        let wait_ms = u32::try_from(self.wait.as_millis()).unwrap_or(u32::MAX);
        let jitter = self.chance.next_u32() % wait_ms.max(1);
        self.planned = Some(now + self.wait / 2 + Duration::from_millis(u64::from(jitter / 2)));
    }

    /// The other members hold a start for ours that came after ours.
    pub(super) fn plan_beyond(&mut self, boot: u64, now: Time) {
        self.boot_to_beat = self.boot_to_beat.max(boot);
        self.plan(now);
    }

    /// Whether this node may come back without a wait.
    pub(super) fn may_be_at_once(&mut self, now: Time) -> bool {
        self.at_once.allow(now)
    }

    /// Whether it is time to come back, and the boot after which that must be.
    pub(super) fn due(&mut self, now: Time) -> Option<u64> {
        self.planned.take_if(|at| *at <= now).map(|_| self.boot_to_beat)
    }

    /// This node has come back.
    pub(super) fn done(&mut self, now: Time) {
        self.last = now;
    }

    /// This node leaves.
    pub(super) fn end(&mut self) {
        self.planned = None;
        self.is_over = true;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_core::SeedableRng;

    use super::super::tests::MS;
    use super::*;

    fn rejoin() -> Rejoin {
        Rejoin::new(ChaCha8Rng::seed_from_u64(1), Time::ZERO)
    }

    #[test]
    fn a_node_comes_back_the_later_the_more_often_it_was_taken_for_dead() {
        let mut rejoin = rejoin();
        let now = Time::ZERO + 10_000 * MS;
        let mut waits = Vec::new();
        for _ in 0..7 {
            rejoin.plan(now);
            let (planned, wait) = (rejoin.next_deadline().unwrap().since(now), rejoin.wait);
            assert!((wait / 2..=wait).contains(&planned), "{planned:?} of {wait:?}");
            rejoin.plan(now + MS);
            assert_eq!(rejoin.wait, wait, "it is planned already");
            waits.push(wait.as_millis());
            assert_eq!(rejoin.due(now), None);
            assert_eq!(rejoin.due(now + wait), Some(0));
            rejoin.done(now);
        }
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn after_a_quiet_time_the_wait_is_short_and_not_the_same_for_all() {
        let mut rejoin = rejoin();
        let now = Time::ZERO + 10_001 * MS;
        let mut planned = BTreeSet::new();
        for _ in 0..100 {
            rejoin.plan(now);
            planned.insert(rejoin.next_deadline().unwrap().since(now));
            rejoin.due(now + REJOIN_MIN);
        }
        assert_eq!(rejoin.wait, REJOIN_MIN);
        assert!(planned.len() > 20, "nodes do not come back in step: {planned:?}");
    }

    #[test]
    fn the_latest_start_that_others_know_is_the_one_to_beat() {
        let mut rejoin = rejoin();
        for boot in [5, 9, 7] {
            rejoin.plan_beyond(boot, Time::ZERO);
        }
        assert_eq!(rejoin.due(Time::ZERO + REJOIN_MAX), Some(9));
    }

    #[test]
    fn a_node_that_leaves_does_not_come_back() {
        let mut rejoin = rejoin();
        rejoin.plan(Time::ZERO);
        rejoin.end();
        assert!(!rejoin.is_planned());
        rejoin.plan(Time::ZERO);
        assert!(!rejoin.is_planned());
    }
}
