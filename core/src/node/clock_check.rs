//! Whether this node's wall clock agrees with its peers'. Counters expire by it, and nothing else depends
//! on it: one that is off ends them early or late, for the clients of its node.
//!
//! Judged by the median of all clocks, its own included: it is not moved by a minority that is wrong (Marzullo,
//! Owicki: "Maintaining the Time in a Distributed System", PODC 1983). Of two nodes none can say whose clock
//! is wrong, so both warn.

use std::time::Duration;

use crate::event::Event;
use crate::links::ClockOffset;
use crate::time::Time;
use crate::turn::Turn;

/// A clock is off beyond so many milliseconds: what clients set lifetimes to is in seconds, and what keeps
/// clocks right over a network does so within some milliseconds.
const OFF_MS: i64 = 1_000;

/// A clock that was off for so long is complained of: while a cluster gathers, the first peer may be the one
/// whose clock is wrong.
const LASTS: Duration = Duration::from_secs(10);

/// See the file.
#[derive(Debug, Default)]
pub(super) struct ClockCheck {
    /// By how much the clock of most is ahead of ours, since a peer has told.
    behind_ms: Option<i64>,
    off_since: Option<Time>,
    was_told: bool,
}

impl ClockCheck {
    /// How far the cluster's clock is ahead of this node's, if any peer has told.
    pub(super) fn behind_ms(&self) -> Option<i64> {
        self.behind_ms
    }

    /// A peer has told what its clock shows. Operators are told when ours begins to be off, and when it ends.
    pub(super) fn look(&mut self, offsets: impl Iterator<Item = ClockOffset>, turn: &mut Turn<'_>) {
        let own = ClockOffset { ahead_ms: 0, error_ms: 0 };
        let mut all: Vec<ClockOffset> = offsets.chain([own]).collect();
        all.sort_unstable_by_key(|offset| offset.ahead_ms);
        let (lower, upper) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        let median = match lower.ahead_ms.abs() > upper.ahead_ms.abs() {
            true => lower,
            false => upper,
        };
        self.behind_ms = (all.len() > 1).then_some(median.ahead_ms);
        let is_off = median.ahead_ms.abs() - median.error_ms > OFF_MS;
        // Not back at once, or one that is off by just a second would fill the log.
        let is_right = median.ahead_ms.abs() + median.error_ms < OFF_MS / 2;
        self.off_since = is_off.then(|| self.off_since.unwrap_or(turn.now));
        let lasts = self.off_since.is_some_and(|since| since + LASTS <= turn.now);
        if lasts && !self.was_told {
            turn.event(Event::ClockOff { behind_ms: median.ahead_ms });
            self.was_told = true;
        }
        if is_right && self.was_told {
            turn.event(Event::ClockRight);
            self.was_told = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effect;
    use crate::outbox::Effects;
    use crate::status::Totals;

    /// What operators are told at a time when the peers' clocks are found so far ahead, in milliseconds.
    fn told_at(at: Time, check: &mut ClockCheck, ahead: &[i64], error_ms: i64) -> Option<Event> {
        let (mut effects, mut totals) = (Effects::default(), Totals::default());
        let offsets = ahead.iter().map(|&ahead_ms| ClockOffset { ahead_ms, error_ms });
        check.look(offsets, &mut effects.turn(at, &mut totals));
        effects.at_once.into_iter().find_map(|effect| match effect {
            Effect::Event(event) => Some(event),
            _ => None,
        })
    }

    /// The same when they are found so for as long as it takes.
    fn told(check: &mut ClockCheck, ahead: &[i64], error_ms: i64) -> Option<Event> {
        let first = told_at(Time::ZERO, check, ahead, error_ms);
        first.or_else(|| told_at(Time::ZERO + LASTS, check, ahead, error_ms))
    }

    #[test]
    fn what_is_over_at_once_is_not_told() {
        let mut check = ClockCheck::default();
        let at = |secs: u64| Time::ZERO + Duration::from_secs(secs);
        assert_eq!(told_at(at(0), &mut check, &[5_000], 1), None);
        assert_eq!(told_at(at(9), &mut check, &[5_000, 10], 1), None);
        assert_eq!(told_at(at(11), &mut check, &[5_000], 1), None, "it began anew");
        assert!(told_at(at(21), &mut check, &[5_000], 1).is_some());
    }

    #[test]
    fn a_clock_that_most_peers_contradict_is_off_and_one_wrong_peer_is_not_believed() {
        let mut check = ClockCheck::default();
        assert_eq!(told(&mut check, &[3, 60_000], 1), None);
        assert_eq!(check.behind_ms(), Some(3));
        let off = Event::ClockOff { behind_ms: -2_000 };
        assert_eq!(told(&mut check, &[-2_000, -2_050], 1), Some(off));
        assert_eq!(told(&mut check, &[-2_000, -2_050], 1), None, "it was told");
        assert_eq!(told(&mut check, &[-700, -700], 1), None, "nearly right is not right");
        assert_eq!(told(&mut check, &[-20, 30], 1), Some(Event::ClockRight));
    }

    #[test]
    fn of_two_nodes_both_warn_and_none_of_what_may_be_the_way() {
        for ahead in [1_500, -1_500] {
            let mut check = ClockCheck::default();
            assert_eq!(told(&mut check, &[ahead], 600), None);
            let off = Event::ClockOff { behind_ms: ahead };
            assert_eq!(told(&mut check, &[ahead], 400), Some(off));
        }
    }

    #[test]
    fn a_node_without_peers_has_nothing_to_compare_with() {
        let mut check = ClockCheck::default();
        assert_eq!(told(&mut check, &[], 0), None);
        assert_eq!(check.behind_ms(), None);
    }
}
