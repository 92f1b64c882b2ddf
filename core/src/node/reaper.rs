//! Taking away counters that have expired and that no client has asked for since.
//!
//! From its deadline on a counter is absent for every reader, and who changes it takes away first what
//! expired. One that no client changes again is taken away here, so that a settlement can give its memory
//! back: by one node, the first of those that are up, since each that did it would leave covers of its
//! own. Another clock may be some seconds behind, so it waits a minute.

use std::time::Duration;

use super::Node;
use crate::outbox::Effects;
use crate::time::Time;

/// How long after its deadline a counter is taken away.
pub(crate) const REAPED_AFTER: Duration = Duration::from_secs(60);

/// The time between steps.
const STEP_EVERY: Duration = Duration::from_millis(100);

impl Node {
    /// When the next counters may be taken away.
    pub(super) fn next_reaping(&self) -> Option<Time> {
        self.counters.has_expired_counters().then(|| self.reaped + STEP_EVERY)
    }

    /// Takes away some of what has expired, if it is time and this node is the one that does.
    pub(super) fn reap(&mut self, now: Time, effects: &mut Effects) {
        if self.next_reaping().is_none_or(|at| at > now) {
            return;
        }
        self.reaped = now;
        if !self.is_first() || self.may_end().is_err() || self.behind(now).is_some() {
            return;
        }
        let grace_ms = self.limits.reaped_after.as_millis();
        self.counters.reap(u64::try_from(grace_ms).unwrap_or(u64::MAX));
        for batch in self.counters.take_closed() {
            self.keep_version(batch, effects);
        }
    }
}
