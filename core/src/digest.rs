//! What nodes know of origins, and ask of each other.

use crate::identity::{OriginId, Version};

/// A digest is compared in so many parts: one for each first byte of an origin, which is random.
pub const DIGEST_PARTS: usize = 256;

/// What a node knows of an origin: a row of its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestEntry {
    /// Everything up to this version is here, without a gap.
    pub version: Version,
    /// Of all slots of the origin that are here; see [`crate::fingerprint`].
    pub fingerprint: u64,
}

/// What one peer asks of another: the changes of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Whose.
    pub origin: OriginId,
    /// After which version; `None` asks for every slot, whatever its version (rule
    /// `equal-versions-compare-fingerprints`).
    pub after: Option<Version>,
}
