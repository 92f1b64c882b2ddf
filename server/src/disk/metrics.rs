//! What was made safe, for `/metrics`.

use std::time::Duration;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::{Registry, Unit};

use super::counts::Counts;

/// What was made safe, and how long that took. All zero where everything stays in memory.
pub(crate) fn register(registry: &mut Registry, counts: &Counts) {
    for (name, help, total) in [
        (
            "journal_batches",
            "Batches appended to the journal; several share a sync",
            &counts.journal_batches,
        ),
        ("journal_syncs", "Times that the journal was synced", &counts.syncs),
        ("snapshots", "Snapshots that became valid", &counts.snapshots),
        ("snapshots_failed", "Snapshots that came to nothing", &counts.snapshots_failed),
    ] {
        registry.register(name, help, ConstCounter::new(total.get()));
    }
    for (name, help, total) in [
        ("journal_written", "Records appended to the journal", &counts.journal_bytes),
        ("snapshots_written", "Snapshots that became valid", &counts.snapshot_bytes),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, ConstCounter::new(total.get()));
    }
    registry.register_with_unit(
        "journal_sync",
        "Time that syncs of the journal took together",
        Unit::Seconds,
        ConstCounter::new(Duration::from_micros(counts.sync_micros.get()).as_secs_f64()),
    );
}
