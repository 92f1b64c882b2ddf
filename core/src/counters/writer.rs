//! Who has written a slot.

use crate::identity::OriginId;

/// The place of an origin in the table of origins: a slot names its writer in four bytes.
pub(crate) type OriginIndex = u32;

/// Where an origin stands in the table of origins, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) index: OriginIndex,
    pub(crate) id: OriginId,
    /// Whether it is what this process writes under.
    pub(crate) is_ours: bool,
}
