//! Clients that wait until peers have confirmed a version of our own (rule `confirm-after-sync`).
//!
//! What each member has confirmed is handed in: a number for each member that is up. A client is
//! answered with how many of them reach its version, as soon as they are enough or its patience is
//! over.

use crate::identity::Version;
use crate::input::Token;
use crate::query::{Await, Confirmed};
use crate::time::Time;

/// Clients that wait for confirmations; one beyond them is answered at once, with the count of that
/// moment. All are looked at whenever a peer confirms.
pub(crate) const WAITERS_MAX: usize = 1024;

/// A client that waits.
#[derive(Debug)]
struct Waiter {
    token: Token,
    version: Version,
    peers: usize,
    until: Option<Time>,
}

impl Waiter {
    /// Its answer, if it need not wait any longer.
    fn due(&self, now: Time, confirmations: &[Version]) -> Option<Confirmed> {
        let confirmed = self.confirmed(confirmations);
        let is_over = self.until.is_some_and(|until| until <= now);
        (confirmed >= self.peers || is_over).then_some(Confirmed::Waited(confirmed))
    }

    fn confirmed(&self, confirmations: &[Version]) -> usize {
        confirmations.iter().filter(|confirmed| **confirmed >= self.version).count()
    }
}

/// All clients that wait, in the order in which they came.
#[derive(Debug)]
pub(super) struct Waiters {
    waiting: Vec<Waiter>,
    waiting_max: usize,
}

impl Default for Waiters {
    fn default() -> Self {
        Waiters { waiting: Vec::new(), waiting_max: WAITERS_MAX }
    }
}

impl Waiters {
    /// Has as many wait at most.
    pub(super) fn limit(&mut self, waiting: usize) {
        self.waiting_max = waiting;
    }

    /// Has a client wait; or answers it, if it need not wait or too many do already.
    #[must_use]
    pub(super) fn take(
        &mut self,
        now: Time,
        token: Token,
        asked: &Await,
        confirmations: &[Version],
    ) -> Option<Confirmed> {
        let Await { version, peers, patience } = *asked;
        let until = patience.map(|patience| now + patience);
        let waiter = Waiter { token, version, peers, until };
        let answer = waiter.due(now, confirmations);
        if answer.is_some() {
            return answer;
        }
        if self.waiting.len() >= self.waiting_max {
            return Some(Confirmed::TooManyWait(waiter.confirmed(confirmations)));
        }
        self.waiting.push(waiter);
        None
    }

    /// Takes out those whose version enough peers have confirmed, or whose patience is over: their
    /// answers.
    #[must_use]
    pub(super) fn take_due(
        &mut self,
        now: Time,
        confirmations: &[Version],
    ) -> Vec<(Token, Confirmed)> {
        let mut answers = Vec::new();
        self.waiting.retain(|waiter| {
            let answer = waiter.due(now, confirmations);
            answers.extend(answer.map(|answer| (waiter.token, answer)));
            answer.is_none()
        });
        answers
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first patience ends.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.waiting.iter().filter_map(|waiter| waiter.until).min()
    }

    /// Takes out all, as a planted bug does.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn take_all(&mut self) -> Vec<Token> {
        self.waiting.drain(..).map(|waiter| waiter.token).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Time = Time::ZERO;

    fn two_of_version_5(patience_ms: Option<u64>) -> Await {
        Await { version: 5, peers: 2, patience: patience_ms.map(Duration::from_millis) }
    }

    fn after(ms: u64) -> Time {
        NOW + Duration::from_millis(ms)
    }

    #[test]
    fn a_client_that_need_not_wait_is_answered_at_once() {
        let mut waiters = Waiters::default();
        let enough = waiters.take(NOW, 1, &two_of_version_5(None), &[5, 4, 6]);
        assert_eq!(enough, Some(Confirmed::Waited(2)));
        let impatient = waiters.take(NOW, 2, &two_of_version_5(Some(0)), &[5, 4]);
        assert_eq!(impatient, Some(Confirmed::Waited(1)));
        assert!(waiters.is_empty());
    }

    #[test]
    fn a_client_waits_until_enough_peers_confirm_its_version() {
        let mut waiters = Waiters::default();
        assert_eq!(waiters.take(NOW, 1, &two_of_version_5(None), &[5, 0]), None);
        let later = Await { version: 6, ..two_of_version_5(None) };
        assert_eq!(waiters.take(NOW, 2, &later, &[5, 0]), None);
        assert_eq!(waiters.next_deadline(), None, "neither loses patience");
        assert_eq!(waiters.take_due(after(1_000_000), &[5, 4]), []);
        assert_eq!(waiters.take_due(NOW, &[5, 5]), [(1, Confirmed::Waited(2))]);
        assert_eq!(waiters.take_due(NOW, &[6, 7]), [(2, Confirmed::Waited(2))]);
        assert!(waiters.is_empty());
    }

    #[test]
    fn a_client_whose_patience_ends_gets_the_count_so_far() {
        let mut waiters = Waiters::default();
        for (token, patience_ms) in [(1, 300), (2, 200)] {
            assert_eq!(waiters.take(NOW, token, &two_of_version_5(Some(patience_ms)), &[]), None);
        }
        assert_eq!(waiters.next_deadline(), Some(after(200)));
        assert_eq!(waiters.take_due(after(199), &[5]), []);
        assert_eq!(waiters.take_due(after(200), &[5]), [(2, Confirmed::Waited(1))]);
        assert_eq!(waiters.next_deadline(), Some(after(300)));
    }

    #[test]
    fn a_client_beyond_the_bound_is_answered_at_once_and_ends_no_other_wait() {
        let mut waiters = Waiters::default();
        waiters.limit(2);
        for token in [1, 2] {
            assert_eq!(waiters.take(NOW, token, &two_of_version_5(None), &[5]), None);
        }
        let beyond = waiters.take(NOW, 3, &two_of_version_5(None), &[5]);
        assert_eq!(beyond, Some(Confirmed::TooManyWait(1)));
        let both = [(1, Confirmed::Waited(2)), (2, Confirmed::Waited(2))];
        assert_eq!(waiters.take_due(NOW, &[5, 5]), both);
        assert_eq!(waiters.take(NOW, 4, &two_of_version_5(None), &[5]), None, "there is room");
    }
}
