//! Who has written a slot.

use crate::identity::OriginId;

/// The place of an origin in the table of origins: a slot names its writer in four bytes.
pub(crate) type OriginIndex = u32;

/// The place of this process's own origin.
pub(crate) const OURS: OriginIndex = 0;

/// Where an origin stands in the table of origins, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) index: OriginIndex,
    pub(crate) id: OriginId,
}
