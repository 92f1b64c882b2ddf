//! Catching up: asking one peer for what we lack, and answering those who ask us.
//!
//! One catch-up a link at a time in each direction, and one peer for each origin, so that a joiner
//! is not sent everything by everybody (rule `the-one-who-lacks-asks`). An answer goes as parts, of
//! which a few are on their way at a time: the asker takes each one when it has synced it. Only the
//! last part claims the ranges, and only if every part before it came over the same link (rule
//! `claim-the-beginning`); since a link loses nothing and the answer's state ends with the link,
//! that means: in order, from part 0.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::counters::Counters;
use crate::digest::Want;
use crate::identity::OriginId;
use crate::replication::scan::Scan;
use crate::time::Time;
use crate::wire::frame::{FRAME_BYTES_MAX, Message};

/// Bytes of a part, about: large enough to be worth a sync, small enough that a step of the scan
/// takes well below a millisecond. One more counter's slots of 256 origins still fit the frame.
const PART_BYTES: usize = FRAME_BYTES_MAX / 8;

/// Counters that one step of a scan passes at most, whether or not it finds anything: some 0.2 ms.
const STEP_PLACES: usize = 8192;

/// Parts on their way at a time.
const PARTS_AHEAD: u32 = 4;

/// An answer of which nothing came for so long is given up; another peer may be asked then.
const PATIENCE: Duration = Duration::from_secs(5);

/// What we have asked for on a link.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) request: u32,
    /// Whose changes, and whether there was no room for some of them: those are not claimed.
    origins: BTreeMap<OriginId, bool>,
    next_part: u32,
    patience: Time,
    pub(crate) began: Time,
    pub(crate) slots: u64,
}

impl Asking {
    pub(crate) fn new(request: u32, wants: &[Want], now: Time) -> Self {
        Asking {
            request,
            origins: wants.iter().map(|want| (want.origin, false)).collect(),
            next_part: 0,
            patience: now + PATIENCE,
            began: now,
            slots: 0,
        }
    }

    pub(crate) fn next_deadline(&self) -> Time {
        self.patience
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

    /// Origins of which all that came is here.
    pub(crate) fn complete(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.origins.iter().filter(|(_, lacks)| !**lacks).map(|(origin, _)| *origin)
    }

    /// Takes a part; tells whether it is the one that follows.
    pub(crate) fn take(&mut self, index: u32, slots: usize, now: Time) -> bool {
        let follows = index == self.next_part;
        self.next_part = index.saturating_add(1);
        self.patience = now + PATIENCE;
        self.slots += slots as u64;
        follows
    }
}

/// What we are sending on a link because we were asked.
#[derive(Debug)]
pub(crate) struct Serving {
    request: u32,
    scan: Scan,
    next_part: u32,
    taken: u32,
    is_over: bool,
}

impl Serving {
    pub(crate) fn new(request: u32, wants: &[Want], counters: &Counters) -> Self {
        Serving {
            request,
            scan: Scan::new(counters, wants),
            next_part: 0,
            taken: 0,
            is_over: false,
        }
    }

    /// Whether [`Serving::step`] would do something.
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
    pub(crate) fn step<'a>(&mut self, counters: &'a Counters) -> Option<(Message<'a>, u64)> {
        let (deltas, last) = self.scan.step(counters, PART_BYTES, STEP_PLACES);
        let slots: usize = deltas.iter().map(|delta| delta.entries.len()).sum();
        if !last && slots == 0 {
            return None;
        }
        let index = self.next_part;
        self.next_part += 1;
        self.is_over = last;
        Some((Message::Part { request: self.request, index, last, deltas }, slots as u64))
    }
}
