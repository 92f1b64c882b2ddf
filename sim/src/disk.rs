//! A machine's disk, as the driver of a node uses it: batches are appended and synced in order,
//! and several may be in flight. One sync runs at a time; what is appended meanwhile is covered by
//! the next one (group commit).
//!
//! What is synced stays; what is in flight is lost when the process ends, with the effects that
//! wait for it. A disk never fails here and is never read again: a node's state is in memory, so
//! of the journal only its length is kept.

use std::collections::VecDeque;
use std::time::Duration;

use quipu_core::effects::Effect;
use quipu_core::identity::Version;
use quipu_core::time::Time;

use crate::chance::Chance;

/// The shortest sync, in microseconds: a fast disk's.
const SYNC_MICROS_MIN: u64 = 30;

/// The longest usual sync: a slow disk's.
const SYNC_MICROS_MAX: u64 = 4_000;

/// The longest sync of a disk that is in trouble.
const SLOW_MICROS_MAX: u64 = 200_000;

/// One batch on its way to the disk.
#[derive(Debug)]
pub struct Flight {
    /// The node's number for it.
    pub batch: u64,
    /// The node's own version once it is synced.
    pub version: Version,
    /// What leaves then.
    pub after_sync: Vec<Effect>,
    done_at: Time,
}

/// A disk.
#[derive(Debug, Default)]
pub struct Disk {
    in_flight: VecDeque<Flight>,
    sync_ends_at: Time,
    next_sync_ends_at: Option<Time>,
    journal_bytes: u64,
    slow: bool,
}

impl Disk {
    /// Appends a batch's records and begins to sync them; tells when that is done. A batch
    /// without records is done when all before it are.
    pub fn append(
        &mut self,
        now: Time,
        journal: &[u8],
        batch: u64,
        version: Version,
        after_sync: Vec<Effect>,
        chance: &mut Chance,
    ) -> Time {
        let done_at = if journal.is_empty() {
            self.in_flight.back().map_or(now, |flight| flight.done_at.max(now))
        } else {
            self.sync(now, chance)
        };
        self.journal_bytes += journal.len() as u64;
        self.in_flight.push_back(Flight { batch, version, after_sync, done_at });
        done_at
    }

    /// The oldest batch in flight, if it is synced by now.
    pub fn synced(&mut self, now: Time) -> Option<Flight> {
        if self.in_flight.front()?.done_at > now {
            return None;
        }
        self.in_flight.pop_front()
    }

    /// The process has ended: what was in flight is lost.
    pub fn abandon(&mut self) {
        self.in_flight.clear();
        self.sync_ends_at = Time::ZERO;
        self.next_sync_ends_at = None;
    }

    /// Whether syncs take long.
    pub fn set_slow(&mut self, slow: bool) {
        self.slow = slow;
    }

    /// How much was ever appended.
    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes
    }

    /// When the sync ends that covers what is appended now.
    fn sync(&mut self, now: Time, chance: &mut Chance) -> Time {
        if now >= self.sync_ends_at
            && let Some(next) = self.next_sync_ends_at.take()
        {
            self.sync_ends_at = next;
        }
        let took = self.sync_time(chance);
        if now >= self.sync_ends_at {
            self.sync_ends_at = now + took;
            return self.sync_ends_at;
        }
        *self.next_sync_ends_at.get_or_insert(self.sync_ends_at + took)
    }

    fn sync_time(&self, chance: &mut Chance) -> Duration {
        let most = if self.slow { SLOW_MICROS_MAX } else { SYNC_MICROS_MAX };
        chance.micros(SYNC_MICROS_MIN, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Purpose;

    #[test]
    fn batches_are_synced_in_order_and_one_without_records_waits_for_those_before_it() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = Disk::default();
        let first = disk.append(Time::ZERO, b"record", 1, 1, Vec::new(), &mut chance);
        let second = disk.append(Time::ZERO, b"", 2, 1, Vec::new(), &mut chance);
        assert!(first > Time::ZERO);
        assert_eq!(first, second);
        assert!(disk.synced(Time::ZERO).is_none());
        assert_eq!(disk.synced(first).map(|flight| flight.batch), Some(1));
        assert_eq!(disk.synced(first).map(|flight| flight.batch), Some(2));
    }

    #[test]
    fn all_that_is_appended_while_a_sync_runs_is_covered_by_the_next() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = Disk::default();
        let mut append = |micros, batch| {
            let now = Time::from_micros(micros);
            disk.append(now, b"record", batch, 1, Vec::new(), &mut chance)
        };
        let first = append(0, 1);
        let second = append(1, 2);
        assert!(first < second);
        assert_eq!(append(2, 3), second);
        assert!(append(first.as_micros() + 1, 4) > second, "the second sync runs already");
    }

    #[test]
    fn what_is_in_flight_is_lost_with_the_process() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = Disk::default();
        let done_at = disk.append(Time::ZERO, b"record", 1, 1, Vec::new(), &mut chance);
        disk.abandon();
        assert!(disk.synced(done_at).is_none());
    }
}
