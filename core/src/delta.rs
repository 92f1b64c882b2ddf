//! The value that everything shares: what one origin did in a range of its versions.
//!
//! A delta is the journal's record, the link's message and the merge's input. Its numbers are
//! absolute, so applying one twice, late or out of order does no harm. (Almeida, Shoker, Baquero:
//! "Delta state replicated data types", JPDC 111, 2018; ours are delta-intervals, section 5.)

use crate::ending::Ending;
use crate::identity::{OriginId, Version};
use crate::slot::Slot;

/// Every slot of `origin` that changed in versions (`after`, `upto`], and maybe others.
///
/// A delta with `after == upto` claims nothing: it is a part of a range that is too large for one
/// frame, and only the last part claims the range (rule `claim-the-beginning`). Its changes still
/// hold all that `origin` did to them up to `upto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta<'a> {
    /// Whose changes.
    pub origin: OriginId,
    /// The version after which the range begins.
    pub after: Version,
    /// The last version of the range.
    pub upto: Version,
    /// What changed.
    pub changes: Vec<Change<'a>>,
}

/// One thing that the delta's origin has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// All that it has done to one counter.
    Slot {
        /// The counter.
        name: &'a str,
        /// The numbers, absolute.
        slot: Slot,
    },
    /// One thing that it has said about the end of one counter.
    Ending {
        /// The counter.
        name: &'a str,
        /// What, absolute.
        ending: Ending,
    },
}

/// The bytes that a slot takes at most beside its name: its length and three numbers as varints.
pub(crate) const CHANGE_BYTES_MAX: usize = 2 + 3 * 10;

/// The same of an ending: its length, its kind, an origin and four numbers.
pub(crate) const ENDING_BYTES_MAX: usize = 2 + 1 + 5 * 10;

impl<'a> Change<'a> {
    /// All that the delta's origin has done to a counter.
    pub fn slot(name: &'a str, slot: Slot) -> Self {
        Change::Slot { name, slot }
    }

    /// The counter that it is about.
    pub fn name(&self) -> &'a str {
        match self {
            Change::Slot { name, .. } | Change::Ending { name, .. } => name,
        }
    }
}
