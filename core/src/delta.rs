//! The value that everything shares: what one origin did in a range of its versions.
//!
//! A delta is the journal's record, the link's message and the merge's input. Its numbers are
//! absolute, so applying one twice, late or out of order does no harm. (Almeida, Shoker, Baquero:
//! "Delta state replicated data types", JPDC 111, 2018; ours are delta-intervals, section 5.)

use serde::{Deserialize, Serialize};

use crate::identity::{OriginId, Version};
use crate::slot::Slot;

/// Every slot of `origin` that changed in versions (`after`, `upto`], and maybe others.
///
/// A delta with `after == upto` claims nothing: it is a part of a range that is too large for one
/// frame, and only the last part claims the range (rule `claim-the-beginning`). Its entries still
/// hold all that `origin` did to them up to `upto`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta<'a> {
    /// Whose changes.
    pub origin: OriginId,
    /// The version after which the range begins.
    pub after: Version,
    /// The last version of the range.
    pub upto: Version,
    /// The slots.
    #[serde(borrow)]
    pub entries: Vec<Entry<'a>>,
}

/// One slot: what the delta's origin has done to one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The counter.
    pub name: &'a str,
    /// See [`Slot::plus`].
    pub plus: u64,
    /// See [`Slot::minus`].
    pub minus: u64,
    /// See [`Slot::raise`].
    pub raise: u64,
}

/// The bytes that an entry takes at most beside its name: its length and three numbers as varints.
pub(crate) const ENTRY_BYTES_MAX: usize = 2 + 3 * 10;

impl<'a> Entry<'a> {
    /// A slot of the counter `name`.
    pub fn new(name: &'a str, slot: Slot) -> Self {
        Entry { name, plus: slot.plus, minus: slot.minus, raise: slot.raise }
    }

    /// The numbers.
    pub fn slot(&self) -> Slot {
        Slot { plus: self.plus, minus: self.minus, raise: self.raise }
    }
}
