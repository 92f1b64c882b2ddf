//! Our own changes, from the first of a batch until the batch is synced.

use std::collections::VecDeque;

use crate::counters::LocalBatch;
use crate::time::Time;

/// A batch that waits for its sync.
#[derive(Debug)]
struct Unsynced {
    number: u64,
    /// When the first of its changes came.
    since: Time,
    versions: Vec<LocalBatch>,
}

/// The caller's batches, which have numbers, and the versions of our own that each holds.
#[derive(Debug, Default)]
pub(super) struct OpenBatches {
    /// The number of the batch that was closed last; the open one has the next.
    closed: u64,
    /// When the first change of the open batch came.
    since: Option<Time>,
    /// Versions that the open batch has closed.
    versions: Vec<LocalBatch>,
    /// As many as the driver has wait for the disk: it takes no more in while these are too many.
    unsynced: VecDeque<Unsynced>,
}

impl OpenBatches {
    /// The number of the batch that is open.
    pub(super) fn open(&self) -> u64 {
        self.closed + 1
    }

    /// Whether the open batch has closed versions.
    pub(super) fn has_versions(&self) -> bool {
        !self.versions.is_empty()
    }

    /// A client changes a counter.
    pub(super) fn change(&mut self, now: Time) {
        self.since.get_or_insert(now);
    }

    /// A version ends in the open batch.
    pub(super) fn add(&mut self, version: LocalBatch) {
        self.versions.push(version);
    }

    /// The open batch ends: its number.
    pub(super) fn close(&mut self, now: Time) -> u64 {
        self.closed += 1;
        let (number, since) = (self.closed, self.since.take().unwrap_or(now));
        if self.has_versions() {
            let versions = std::mem::take(&mut self.versions);
            self.unsynced.push_back(Unsynced { number, since, versions });
        }
        number
    }

    /// The next batch that is synced, where all up to `number` are, and when its first change came;
    /// to be called until there is none.
    pub(super) fn next_synced(&mut self, number: u64) -> Option<(Time, Vec<LocalBatch>)> {
        let synced = self.unsynced.pop_front_if(|batch| batch.number <= number)?;
        Some((synced.since, synced.versions))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::counters::Counters;
    use crate::identity::OriginId;

    fn version(counters: &mut Counters) -> LocalBatch {
        counters.add("x", 1).unwrap();
        counters.close().unwrap()
    }

    #[test]
    fn batches_are_synced_in_their_order_each_with_the_time_of_its_first_change() {
        let mut counters = Counters::new(OriginId(1), 0);
        let mut batches = OpenBatches::default();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        for (first, versions) in [(1, 2), (4, 0), (7, 1)] {
            batches.change(at(first));
            batches.change(at(first + 1));
            (0..versions).for_each(|_| batches.add(version(&mut counters)));
            assert_eq!(batches.has_versions(), versions > 0);
            assert_eq!(batches.open(), batches.close(at(first + 2)));
        }
        assert_eq!(batches.open(), 4);
        let mut synced =
            |number| batches.next_synced(number).map(|(since, versions)| (since, versions.len()));
        assert_eq!((synced(2), synced(2)), (Some((at(1), 2)), None), "2 changed nothing");
        assert_eq!((synced(3), synced(3)), (Some((at(7), 1)), None));
    }
}
