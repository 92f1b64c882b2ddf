//! The gathering push: our own synced batches on their way to every peer.
//!
//! A push for each batch would burn the peers, since under some tens of connections a batch holds
//! one or two increments. So what is synced gathers and leaves as one delta: at once if none left
//! in the last millisecond, else when that millisecond ends. A lone increment waits for nothing; a
//! busy counter costs a thousand small frames a second, whatever its rate.
//!
//! It is built from the batches themselves, never from the table, which may hold what is not
//! synced yet (rule `push-synced-batches`).

use std::time::Duration;

use crate::counters::coalesced::{CoalescedEndings, CoalescedSlots};
use crate::counters::{Counters, LocalBatch};
use crate::delta::{CHANGE_BYTES_MAX, Change, ENDING_BYTES_MAX};
use crate::ending::{Ending, EndingKey};
use crate::identity::Version;
use crate::slot::Slot;
use crate::time::Time;
use crate::wire::frame::FRAME_BYTES_MAX;

/// The time between pushes.
const PUSH_EVERY: Duration = Duration::from_millis(1);

/// A push of so many bytes leaves without waiting for its time, so that it fits a frame together
/// with the batch that made it so large (which is a quarter of a frame at most).
const PUSH_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// What has been synced since the last push.
#[derive(Debug, Default)]
pub(crate) struct PushCoalescer {
    after: Version,
    upto: Version,
    slots: CoalescedSlots,
    endings: CoalescedEndings,
    bytes: usize,
    /// When the oldest change was accepted.
    accepted: Option<Time>,
    left: Option<Time>,
}

/// One push.
#[derive(Debug)]
pub(crate) struct Push<'a> {
    pub(crate) after: Version,
    pub(crate) batches: u64,
    /// When the oldest change in it was accepted.
    pub(crate) accepted: Time,
    pub(crate) changes: Vec<Change<'a>>,
}

impl Push<'_> {
    pub(crate) fn upto(&self) -> Version {
        self.after + self.batches
    }
}

impl PushCoalescer {
    /// Adds a synced batch that was accepted at a time. Batches come in the order of their versions.
    pub(crate) fn add(&mut self, accepted: Time, batch: &LocalBatch, counters: &Counters) {
        self.upto = batch.version;
        self.accepted.get_or_insert(accepted);
        for &(place, slot) in &batch.entries {
            if self.slots.set(place, slot) {
                self.bytes += counters.name_at(place).len() + CHANGE_BYTES_MAX;
            }
        }
        for &(key, ending) in &batch.endings {
            if self.endings.set(key, ending) {
                self.bytes += counters.name_at(key.0).len() + ENDING_BYTES_MAX;
            }
        }
    }

    /// Whether another batch might not fit: the push has to leave before it is added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= PUSH_BYTES_MAX
    }

    /// When the next push leaves; `None` if there is nothing to push.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        if self.upto == self.after {
            return None;
        }
        if self.is_full() {
            return Some(Time::ZERO);
        }
        Some(self.left.map_or(Time::ZERO, |left| left + PUSH_EVERY))
    }

    /// The push that leaves now, if it is time.
    pub(crate) fn take<'a>(&mut self, now: Time, counters: &'a Counters) -> Option<Push<'a>> {
        if self.next_deadline()? > now {
            return None;
        }
        let slot = |&(place, slot): &(u32, Slot)| Change::slot(counters.name_at(place), slot);
        let ending = |&((place, _), ending): &((u32, EndingKey), Ending)| Change::Ending {
            name: counters.name_at(place),
            ending,
        };
        let endings = self.endings.entries().iter().map(ending);
        let changes = self.slots.entries().iter().map(slot).chain(endings).collect();
        let accepted = self.accepted.take().unwrap_or(now);
        let push = Push { after: self.after, batches: self.upto - self.after, accepted, changes };
        self.after = self.upto;
        self.slots.clear();
        self.endings.clear();
        self.bytes = 0;
        self.left = Some(now);
        Some(push)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::OriginId;

    fn ms(ms: u64) -> Time {
        Time::from_micros(1000 * ms)
    }

    fn batch(counters: &mut Counters, name: &str) -> LocalBatch {
        counters.add(name, 1).unwrap();
        counters.close().unwrap()
    }

    #[test]
    fn the_first_push_leaves_at_once_and_the_next_ones_once_a_millisecond() {
        let mut counters = Counters::new(OriginId(1), 0);
        let mut gather = PushCoalescer::default();
        assert_eq!(gather.next_deadline(), None);
        let first = batch(&mut counters, "a");
        gather.add(ms(4), &first, &counters);
        let push = gather.take(ms(5), &counters).unwrap();
        assert_eq!((push.after, push.batches, push.changes.len()), (0, 1, 1));
        assert_eq!(push.accepted, ms(4));
        for (name, at) in [("a", 2), ("b", 3), ("a", 5)] {
            let batch = batch(&mut counters, name);
            gather.add(ms(at), &batch, &counters);
            assert!(gather.take(ms(5), &counters).is_none());
        }
        assert_eq!(gather.next_deadline(), Some(ms(6)));
        let push = gather.take(ms(6), &counters).unwrap();
        assert_eq!((push.after, push.batches), (1, 3));
        assert_eq!(push.accepted, ms(2), "the oldest counts");
        let plus: Vec<(&str, u64)> = push
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Slot { name, slot } => Some((*name, slot.numbers().plus)),
                Change::Ending { .. } => None,
            })
            .collect();
        assert_eq!(plus, [("a", 3), ("b", 1)], "each counter once, with its latest numbers");
        assert_eq!(gather.next_deadline(), None);
    }

    #[test]
    fn a_large_push_leaves_before_it_outgrows_a_frame() {
        let mut counters = Counters::new(OriginId(1), 0);
        let mut gather = PushCoalescer::default();
        let mut largest = 0;
        for n in 0..20_000 {
            let batch = batch(&mut counters, &format!("{n:0200}"));
            gather.add(Time::ZERO, &batch, &counters);
            if let Some(push) = gather.take(Time::ZERO, &counters) {
                let bytes: usize =
                    push.changes.iter().map(|change| change.name().len() + CHANGE_BYTES_MAX).sum();
                largest = largest.max(bytes);
            }
        }
        assert!(largest > PUSH_BYTES_MAX / 2 && largest <= FRAME_BYTES_MAX * 3 / 4, "{largest}");
    }
}
