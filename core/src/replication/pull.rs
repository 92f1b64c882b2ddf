//! Catching up: asking one peer for what we lack, and answering those who ask us.
//!
//! One catch-up a link at a time in each direction, and one peer for each origin, so that a joiner
//! is not sent everything by everybody (rule `the-one-who-lacks-asks`). An answer goes as parts, of
//! which a few are on their way at a time: the asker takes each one when it has synced it. Only the
//! last part claims the ranges, and only if every part before it came over the same link (rule
//! `claim-the-beginning`); since a link loses nothing and the answer's state ends with the link,
//! that means: in order, from part 0.
//!
//! A walk over 100 million counters may find nothing to send for a long time. A part without any
//! slot says that it goes on: asked anew, it would start over, and so for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::counters::Counters;
use crate::digest::Want;
use crate::identity::OriginId;
use crate::replication::scan::Scan;
use crate::time::Time;
use crate::wire::frame::{FRAME_BYTES_MAX, Message};

/// Bytes of a part, about: large enough to be worth a sync, small enough that a step of the scan
/// takes well below a millisecond.
pub(crate) const PART_BYTES: usize = FRAME_BYTES_MAX / 8;

/// Slots that one step of a scan passes at most, whether or not it finds anything: some 0.2 ms.
const STEP_SLOTS: usize = 16_384;

/// Parts on their way at a time.
const PARTS_AHEAD: u32 = 4;

/// An answer of which nothing came for so long is given up; another peer may be asked then.
const PATIENCE: Duration = Duration::from_secs(5);

/// After so long without anything to send a part says that the walk goes on.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(1);

/// What we have asked for on a link.
#[derive(Debug)]
pub(crate) struct PullRequest {
    pub(crate) request: u32,
    /// Whose changes, and whether there was no room for some of them: those are not claimed.
    origins: BTreeMap<OriginId, bool>,
    next_part: u32,
    patience: Time,
    /// The batch that holds the part that came last; nothing is to be expected before it is synced,
    /// since only then is the peer told that it was taken.
    taken_in: u64,
    pub(crate) began: Time,
    pub(crate) slots: u64,
}

impl PullRequest {
    pub(crate) fn new(request: u32, wants: &[Want], now: Time) -> Self {
        PullRequest {
            request,
            origins: wants.iter().map(|want| (want.origin, false)).collect(),
            next_part: 0,
            patience: now + PATIENCE,
            taken_in: 0,
            began: now,
            slots: 0,
        }
    }

    /// When it is given up, if batches up to `synced` are synced and no part comes.
    pub(crate) fn next_deadline(&self, synced: u64) -> Option<Time> {
        (self.taken_in <= synced).then_some(self.patience)
    }

    /// Batches up to this one have been synced.
    pub(crate) fn synced(&mut self, now: Time, batch: u64) {
        if self.taken_in > 0 && self.taken_in <= batch {
            self.taken_in = 0;
            self.patience = now + PATIENCE;
        }
    }

    /// Whether the changes of an origin were asked for.
    pub(crate) fn is_for(&self, origin: OriginId) -> bool {
        self.origins.contains_key(&origin)
    }

    /// Whether all that came of an origin so far is here.
    pub(crate) fn has_all_of(&self, origin: OriginId) -> bool {
        self.origins.get(&origin) == Some(&false)
    }

    /// There was no room for some changes of an origin.
    pub(crate) fn lack_room(&mut self, origin: OriginId) {
        self.origins.insert(origin, true);
    }

    /// Whose changes were asked for.
    pub(crate) fn origins(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.origins.keys().copied()
    }

    /// Origins of which all that came is here.
    pub(crate) fn complete(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.origins.iter().filter(|(_, lacks)| !**lacks).map(|(origin, _)| *origin)
    }

    /// Takes a part, in this batch; tells whether it is the one that follows.
    pub(crate) fn take(&mut self, index: u32, slots: usize, now: Time, batch: u64) -> bool {
        self.taken_in = batch;
        let follows = index == self.next_part;
        self.next_part = index.saturating_add(1);
        self.patience = now + PATIENCE;
        self.slots += slots as u64;
        follows
    }
}

/// What we are sending on a link because we were asked.
#[derive(Debug)]
pub(crate) struct PullResponse {
    request: u32,
    part_bytes: usize,
    scan: Scan,
    next_part: u32,
    taken: u32,
    said: Time,
    is_over: bool,
}

impl PullResponse {
    pub(crate) fn new(
        now: Time,
        request: u32,
        wants: &[Want],
        part_bytes: usize,
        counters: &Counters,
    ) -> Self {
        PullResponse {
            request,
            part_bytes,
            scan: Scan::new(counters, wants),
            next_part: 0,
            taken: 0,
            said: now,
            is_over: false,
        }
    }

    /// Whether [`PullResponse::step`] would do something.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_over && self.next_part - self.taken < PARTS_AHEAD
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The asker has synced a part.
    pub(crate) fn taken(&mut self, request: u32, index: u32) {
        if request == self.request {
            self.taken = self.taken.max(index.saturating_add(1)).min(self.next_part);
        }
    }

    /// Walks on; the next part, if one is full or the walk has ended.
    pub(crate) fn step<'a>(
        &mut self,
        now: Time,
        counters: &'a Counters,
    ) -> Option<(Message<'a>, u64)> {
        let (deltas, last) = self.scan.step(counters, self.part_bytes, STEP_SLOTS);
        let slots: usize = deltas.iter().map(|delta| delta.changes.len()).sum();
        if !last && slots == 0 && now < self.said + SIGN_OF_LIFE_EVERY {
            return None;
        }
        self.said = now;
        let index = self.next_part;
        self.next_part += 1;
        self.is_over = last;
        Some((Message::PullChunk { request: self.request, index, last, deltas }, slots as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame;

    const SECOND: Duration = Duration::from_secs(1);

    /// `A walk over many counters finds nothing for a quarter of a minute.` After five seconds it was
    /// asked for anew, and started over.
    #[test]
    fn an_answer_that_takes_long_to_find_anything_says_that_it_goes_on() {
        let mut counters = Counters::new(OriginId(1), 0);
        for n in 0..8 * STEP_SLOTS {
            counters.add(&n.to_string(), 1).expect("there is room");
        }
        let version = counters.close().expect("it has changed").version;
        let wants = [Want { origin: OriginId(1), after: Some(version) }];
        let mut now = Time::ZERO;
        let mut serving = PullResponse::new(now, 7, &wants, PART_BYTES, &counters);
        let mut asking = PullRequest::new(7, &wants, now);
        let (mut steps, mut parts) = (0, 0);
        while !serving.is_over() {
            assert!(serving.is_ready(), "after {steps} steps and {parts} parts");
            assert!(asking.next_deadline(0).is_some_and(|at| now < at), "given up");
            if let Some((part, 0)) = serving.step(now, &counters) {
                let Message::PullChunk { index, last, ref deltas, .. } = part else { panic!() };
                assert_eq!(deltas.len(), usize::from(last), "no claim before the end");
                frame::decode(&frame::encode(&part)).expect("any release takes it");
                assert!(asking.take(index, 0, now, 1));
                asking.synced(now, 1);
                serving.taken(7, index);
                parts += 1;
            }
            steps += 1;
            now = now + 2 * SECOND;
        }
        assert_eq!((steps, parts), (8, 7));
    }

    #[test]
    fn nothing_is_expected_of_a_peer_while_this_nodes_own_disk_hangs() {
        let wants = [Want { origin: OriginId(1), after: Some(1) }];
        let mut asking = PullRequest::new(7, &wants, Time::ZERO);
        assert!(asking.take(0, 1, Time::ZERO + SECOND, 5));
        assert_eq!(asking.next_deadline(4), None, "the peer does not know that it was taken");
        let late = Time::ZERO + 100 * SECOND;
        asking.synced(late, 5);
        assert_eq!(asking.next_deadline(5), Some(late + PATIENCE));
    }
}
