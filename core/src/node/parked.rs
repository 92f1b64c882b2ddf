//! Requests with a raise that wait until this node is not known to be behind its peers (rule
//! `no-raise-while-behind`).
//!
//! They are looked at whenever the node does what is due, and leave in the order in which they came.
//! A request whose patience is over leaves as well; it is for the node to refuse its raises then.

use std::collections::VecDeque;
use std::time::Duration;

use crate::input::Token;
use crate::operation::Request;
use crate::time::Time;

/// How long a raise may wait for this node to catch up.
const RAISE_PATIENCE: Duration = Duration::from_secs(2);

/// Raises that wait; more are refused at once.
pub(crate) const PARKED_MAX: usize = 1024;

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    token: Token,
    request: Request,
    until: Time,
}

/// All requests that wait, the one that came first in front.
#[derive(Debug)]
pub(super) struct Parked {
    waiting: VecDeque<Waiting>,
    waiting_max: usize,
    /// When they are to be looked at because the node has settled; `None` since then.
    settles: Option<Time>,
}

impl Parked {
    /// None, at a node that settles at this time.
    pub(super) fn new(settles: Time) -> Self {
        Parked { waiting: VecDeque::new(), waiting_max: PARKED_MAX, settles: Some(settles) }
    }

    /// Has as many wait at most.
    pub(super) fn limit(&mut self, waiting: usize) {
        self.waiting_max = waiting;
    }

    /// Has a request wait.
    ///
    /// # Errors
    /// The request, if too many wait already.
    pub(super) fn park(
        &mut self,
        now: Time,
        token: Token,
        request: Request,
    ) -> Result<(), Request> {
        if self.waiting.len() >= self.waiting_max {
            return Err(request);
        }
        self.waiting.push_back(Waiting { token, request, until: now + RAISE_PATIENCE });
        Ok(())
    }

    /// Takes out the first request, if the node is not behind or the request's patience is over.
    pub(super) fn take_due(&mut self, now: Time, is_behind: bool) -> Option<(Token, Request)> {
        let first = self.waiting.pop_front_if(|first| !is_behind || first.until <= now)?;
        Some((first.token, first.request))
    }

    /// The node looks at them: if it has settled, it need not be woken for that again.
    pub(super) fn looked_at(&mut self, now: Time) {
        self.settles = self.settles.filter(|settles| *settles > now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When they are to be looked at, whatever else happens.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let until = self.waiting.front()?.until;
        Some(self.settles.map_or(until, |settles| until.min(settles)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn request() -> Request {
        Request::default()
    }

    /// The tokens of all that leave.
    fn taken(parked: &mut Parked, now: Time, is_behind: bool) -> Vec<Token> {
        let due = std::iter::from_fn(|| parked.take_due(now, is_behind));
        due.map(|(token, _)| token).collect()
    }

    #[test]
    fn requests_leave_in_their_order_once_the_node_is_not_behind() {
        let mut parked = Parked::new(after(0));
        for token in [1, 2, 3] {
            assert!(parked.park(after(0), token, request()).is_ok());
        }
        assert_eq!(taken(&mut parked, after(10), true), []);
        assert_eq!(taken(&mut parked, after(10), false), [1, 2, 3]);
        assert!(parked.is_empty());
    }

    #[test]
    fn a_request_whose_patience_is_over_leaves_a_node_that_is_still_behind() {
        let mut parked = Parked::new(after(0));
        assert!(parked.park(after(0), 1, request()).is_ok());
        assert!(parked.park(after(500), 2, request()).is_ok());
        parked.looked_at(after(500));
        assert_eq!(parked.next_deadline(), Some(after(2000)));
        assert_eq!(taken(&mut parked, after(1999), true), []);
        assert_eq!(taken(&mut parked, after(2000), true), [1]);
        assert_eq!(parked.next_deadline(), Some(after(2500)));
    }

    #[test]
    fn a_request_beyond_the_bound_is_given_back() {
        let mut parked = Parked::new(after(0));
        parked.limit(1);
        assert!(parked.park(after(0), 1, request()).is_ok());
        assert!(parked.park(after(0), 2, request()).is_err());
        assert_eq!(taken(&mut parked, after(0), false), [1]);
        assert!(parked.park(after(0), 3, request()).is_ok(), "there is room");
    }

    #[test]
    fn the_node_is_woken_when_it_settles_and_not_again() {
        let mut parked = Parked::new(after(1000));
        assert_eq!(parked.next_deadline(), None, "nothing waits");
        assert!(parked.park(after(0), 1, request()).is_ok());
        assert_eq!(parked.next_deadline(), Some(after(1000)));
        parked.looked_at(after(999));
        assert_eq!(parked.next_deadline(), Some(after(1000)));
        parked.looked_at(after(1000));
        assert_eq!(parked.next_deadline(), Some(after(2000)));
    }
}
