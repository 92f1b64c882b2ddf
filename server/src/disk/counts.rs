//! What the disk has done, for `/metrics`.

use crate::count::Count;

/// Totals since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Bytes of records appended to the journal.
    pub(crate) journal_bytes: Count,
    /// Records in batches: appends that one sync may have shared.
    pub(crate) journal_batches: Count,
    /// Syncs of the journal.
    pub(crate) syncs: Count,
    /// How long they took together.
    pub(crate) sync_micros: Count,
    /// Snapshots that became valid.
    pub(crate) snapshots: Count,
    /// Their bytes.
    pub(crate) snapshot_bytes: Count,
    /// Snapshots that came to nothing.
    pub(crate) snapshots_failed: Count,
}
