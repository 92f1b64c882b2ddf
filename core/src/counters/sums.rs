//! What is kept of a counter that is not just a few slots: the sum of many, so that an increment does
//! not read them all, and what has been ended.

use crate::counters::ended::Ended;
use crate::counters::slots::Slots;
use crate::counters::writer::Writer;
use crate::identity::Version;
use crate::operation::Value;
use crate::slot::Contribution;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) slots: Slots,
    /// What is left of all slots adds up to.
    pub(super) all: Contribution,
    /// Whether the largest raise has been covered, and which one is the largest now must be found.
    pub(super) is_raise_stale: bool,
    pub(super) ended: Option<Box<Ended>>,
}

/// When a node changes counters, and as whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The version of our own that is open.
    pub(crate) open: Version,
    /// Our origin.
    pub(crate) ours: Writer,
    /// The wall clock, in milliseconds since 1970.
    pub(crate) wall_ms: u64,
}

impl Kept {
    /// Slots of which nothing has been ended.
    pub(super) fn of(slots: Slots) -> Self {
        Kept { all: slots.contribution(), slots, is_raise_stale: false, ended: None }
    }

    /// See [`Counter::count_up`]: the value after it, and what our slot had counted and its version
    /// before.
    ///
    /// [`Counter::count_up`]: super::counter::Counter::count_up
    pub(super) fn count_up(&mut self, by: u64, now: &Now) -> Option<(Value, u64, Version)> {
        let held = self.slots.ours_up(now.ours.index)?;
        let (plus, version) = (held.plus(), held.version());
        let covered = match &self.ended {
            // It ends before it begins anew.
            Some(ended) if ended.until().is_some_and(|until| until <= now.wall_ms) => return None,
            Some(ended) => ended.cover_on(now.ours.id).numbers.plus,
            None => 0,
        };
        // Only where something is left of our slot, what is left grows by as much as the slot.
        if plus <= covered {
            return None;
        }
        let all = Contribution { sum: self.all.sum + i128::from(by), ..self.all };
        i64::try_from(all.value()).ok()?;
        held.grow(plus.checked_add(by)?, version.max(now.open));
        self.all = all;
        Some((Value(all.value()), plus, version))
    }
}
