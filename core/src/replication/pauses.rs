//! Origins for whose changes this node had no room, and when their peers are asked again.
//!
//! A full table takes what it has a place for and claims nothing of the rest, so it lacks the same
//! changes at every exchange from then on. Asked for each time, each peer would walk its whole table
//! every second for nothing. So they are asked for again after a pause that grows: counters never
//! go, but what the table may hold can be raised, and what has a place already still wants to be
//! brought up to date where a link has lost it.
//!
//! Repairs of one origin from one peer pause in the same way: a peer that tells of a difference that
//! cannot be mended would have all slots of the origin sent at every second exchange. From one peer
//! only: two nodes that lack the same slots ask each other in vain, and a third holds them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::identity::OriginId;
use crate::time::Time;

/// The first pause, and the longest: a peer walks its whole table for each, and what has a place here
/// is not brought up to date before where its push was withheld.
const PAUSE_MIN: Duration = Duration::from_secs(4);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Origins that pause one by one; those beyond them pause together. A table that is full lacks
/// something of as many origins as count new names: the nodes that are alive, at first.
const ORIGINS_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Time,
    length: Duration,
}

impl Pause {
    fn first(now: Time) -> Self {
        Pause { until: now + PAUSE_MIN, length: PAUSE_MIN }
    }

    /// It was in vain once more.
    fn grow(&mut self, now: Time) {
        // What was asked for before the pause began is on its way still, and says nothing new.
        if self.until <= now {
            self.length = (2 * self.length).min(PAUSE_MAX);
            self.until = now + self.length;
        }
    }
}

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    each: BTreeMap<OriginId, Pause>,
    others: Option<Pause>,
}

impl Pauses {
    /// Asking for the changes of an origin was in vain.
    pub(crate) fn begin(&mut self, now: Time, origin: OriginId) {
        if let Some(pause) = self.each.get_mut(&origin) {
            pause.grow(now);
        } else if self.each.len() < ORIGINS_MAX {
            self.each.insert(origin, Pause::first(now));
        } else {
            self.others.get_or_insert(Pause::first(now)).grow(now);
        }
    }

    /// All that was asked for of an origin is here.
    pub(crate) fn end(&mut self, origin: OriginId) {
        self.each.remove(&origin);
        if self.each.is_empty() {
            self.others = None;
        }
    }

    /// Whether an origin is not to be asked for yet.
    pub(crate) fn is_on(&self, now: Time, origin: OriginId) -> bool {
        let pause = self.each.get(&origin).or(self.others.as_ref());
        pause.is_some_and(|pause| now < pause.until)
    }

    /// How many origins were asked for in vain last; those beyond the bound are not counted.
    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Time {
        Time::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn pauses_grow_as_long_as_asking_is_in_vain_and_end_when_it_is_not() {
        let (mut pauses, origin) = (Pauses::default(), OriginId(7));
        let (mut asked, mut next) = (0, 0);
        for second in 0..3600 {
            if !pauses.is_on(secs(second), origin) {
                asked += 1;
                // Two parts of one answer, each without room.
                pauses.begin(secs(second), origin);
                pauses.begin(secs(second), origin);
                next = second;
            }
        }
        assert!((55..75).contains(&asked), "asked {asked} times in an hour");
        assert!(pauses.is_on(secs(next), origin) && !pauses.is_on(secs(next), OriginId(8)));
        pauses.end(origin);
        assert_eq!((pauses.is_on(secs(next), origin), pauses.len()), (false, 0));
    }

    #[test]
    fn origins_beyond_the_bound_pause_together() {
        let mut pauses = Pauses::default();
        for n in 0..2 * ORIGINS_MAX as u64 {
            pauses.begin(Time::ZERO, OriginId(n));
        }
        assert_eq!(pauses.len(), ORIGINS_MAX);
        assert!(pauses.is_on(secs(1), OriginId(u64::MAX)));
        (0..ORIGINS_MAX as u64).for_each(|n| pauses.end(OriginId(n)));
        assert!(!pauses.is_on(secs(1), OriginId(u64::MAX)));
    }
}
