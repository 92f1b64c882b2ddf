//! What the slots of a counter add up to, kept so that an increment does not read them all.
//!
//! Most counters only count up and are never ended, for which 64 bits do; what others need stands in
//! a block of its own.

use crate::counters::ended::Ended;
use crate::counters::slots::HeldSlot;
use crate::counters::writer::Writer;
use crate::identity::Version;
use crate::operation::Value;
use crate::slot::{Contribution, Slot};

/// What is left of all slots adds up to.
#[derive(Debug)]
pub(super) enum Sums {
    /// Σ plus − Σ minus, where it fits and no client has raised or ended the counter.
    Narrow(i64),
    /// Any other; once it is here, it stays.
    Wide(Box<Wide>),
}

#[derive(Debug, Default)]
pub(super) struct Wide {
    pub(super) all: Contribution,
    /// Whether the largest raise has been covered, and which one is the largest now must be found.
    pub(super) is_raise_stale: bool,
    pub(super) ended: Option<Box<Ended>>,
}

impl Sums {
    pub(super) fn get(&self) -> Contribution {
        match self {
            Sums::Narrow(sum) => Contribution { sum: i128::from(*sum), raise: 0 },
            Sums::Wide(wide) => wide.all,
        }
    }

    /// What is left of a slot has become more.
    pub(super) fn grow(&mut self, before: &Slot, after: &Slot) {
        let mut all = self.get();
        all.replace(before, after);
        match (&mut *self, i64::try_from(all.sum)) {
            (Sums::Wide(wide), _) => wide.all = all,
            (Sums::Narrow(narrow), Ok(sum)) if all.raise == 0 => *narrow = sum,
            (Sums::Narrow(_), _) => *self = Sums::Wide(Box::new(Wide { all, ..Wide::default() })),
        }
    }

    /// Adds to a counter that exists, by way of our slot, of which something is left. `None`, and
    /// nothing has changed, if it is not that simple.
    #[inline]
    pub(super) fn count_up(&mut self, by: u64, held: &mut HeldSlot, now: &Now) -> Option<Value> {
        match self {
            Sums::Narrow(sum) if held.plus() > 0 => {
                let grown = sum.checked_add_unsigned(by)?;
                held.count_up(by)?;
                *sum = grown;
                Some(Value(i128::from(grown)))
            }
            Sums::Narrow(_) => None,
            Sums::Wide(wide) => wide.count_up(by, held, now),
        }
    }

    pub(super) fn widened(&mut self) -> &mut Wide {
        if let Sums::Narrow(_) = self {
            *self = Sums::Wide(Box::new(Wide { all: self.get(), ..Wide::default() }));
        }
        let Sums::Wide(wide) = self else { unreachable!("it was widened") };
        wide
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        match self {
            Sums::Narrow(_) => None,
            Sums::Wide(wide) => wide.ended.as_deref(),
        }
    }

    pub(super) fn ended_mut(&mut self) -> Option<&mut Ended> {
        match self {
            Sums::Narrow(_) => None,
            Sums::Wide(wide) => wide.ended.as_deref_mut(),
        }
    }
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

impl Wide {
    /// See [`Sums::count_up`].
    fn count_up(&mut self, by: u64, held: &mut HeldSlot, now: &Now) -> Option<Value> {
        if let Some(ended) = &self.ended {
            let has_expired = ended.until().is_some_and(|until| until <= now.wall_ms);
            // Only where something is left of our slot, what is left grows by as much as the slot.
            if has_expired || held.plus() <= ended.cover_on(now.ours.id).numbers.plus {
                return None;
            }
        }
        let all = Contribution { sum: self.all.sum + i128::from(by), ..self.all };
        i64::try_from(all.value()).ok()?;
        held.count_up(by)?;
        self.all = all;
        Some(Value(all.value()))
    }
}
