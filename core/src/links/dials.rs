//! Whom to dial, and when.
//!
//! Either side could dial, and both at once would make two links of which one goes. So the smaller
//! NodeId dials, and the larger waits two seconds and then dials as well, for networks in which only
//! one side can reach the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::HANDSHAKE_MAX;
use crate::identity::NodeId;
use crate::time::Time;

/// How long the larger NodeId waits for the smaller one's dial.
const LARGER_WAITS: Duration = Duration::from_secs(2);

/// The time between dials: it doubles from the first to the second.
const REDIAL_MIN: Duration = Duration::from_millis(100);
const REDIAL_MAX: Duration = Duration::from_secs(1);

/// A dial that is neither opened nor failed by now counts as failed.
const DIAL_MAX: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Dial {
    /// Since when there is no link.
    since: Time,
    next: Time,
    wait: Duration,
    under_way: bool,
}

/// The peers to which there is no link: at most as many as are up.
#[derive(Debug, Default)]
pub(super) struct Dials {
    dials: BTreeMap<NodeId, Dial>,
}

impl Dials {
    /// When [`Dials::is_due`] has something to say.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.dials.values().map(|dial| dial.next).min()
    }

    /// Since when there is no link to a peer; `None` if that was not looked at yet.
    pub(super) fn since(&self, peer: NodeId) -> Option<Time> {
        self.dials.get(&peer).map(|dial| dial.since)
    }

    /// Forgets peers that are not up any more.
    pub(super) fn retain(&mut self, is_up: impl Fn(NodeId) -> bool) {
        self.dials.retain(|node, _| is_up(*node));
    }

    /// Whether a peer without a link is to be dialed now, and if so takes it that it is.
    pub(super) fn is_due(&mut self, me: NodeId, peer: NodeId, now: Time) -> bool {
        let first = if me < peer { now } else { now + LARGER_WAITS };
        let fresh = Dial { since: now, next: first, wait: REDIAL_MIN, under_way: false };
        let dial = self.dials.entry(peer).or_insert(fresh);
        if dial.next > now {
            return false;
        }
        if dial.under_way {
            // Neither opened nor failed.
            dial.fail(now);
            return false;
        }
        dial.under_way = true;
        dial.next = now + DIAL_MAX + HANDSHAKE_MAX;
        true
    }

    /// A dial came to nothing.
    pub(super) fn failed(&mut self, peer: NodeId, now: Time) {
        if let Some(dial) = self.dials.get_mut(&peer) {
            dial.fail(now);
        }
    }

    /// There is a link.
    pub(super) fn established(&mut self, peer: NodeId) {
        self.dials.remove(&peer);
    }

    /// There is none any more.
    pub(super) fn lost(&mut self, me: NodeId, peer: NodeId, now: Time) {
        let wait = if me < peer { REDIAL_MIN } else { LARGER_WAITS };
        let next = now + wait;
        let dial = Dial { since: now, next, wait: REDIAL_MIN, under_way: false };
        self.dials.insert(peer, dial);
    }
}

impl Dial {
    fn fail(&mut self, now: Time) {
        self.under_way = false;
        self.next = now + self.wait;
        self.wait = (2 * self.wait).min(REDIAL_MAX);
    }
}
