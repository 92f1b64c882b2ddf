//! What came and went on the network, for `/metrics`.

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use quipu_core::status::Totals;

use super::Counts;
use crate::metrics::by_reason;

/// What came and went, and what of it was not used: the node drops what is wrong, the network what
/// is too much.
pub(crate) fn register(registry: &mut Registry, totals: &Totals, counts: &Counts) {
    for (name, help, total) in [
        ("datagrams_received", "Datagrams received", &counts.datagrams_received),
        ("datagrams_sent", "Datagrams sent", &counts.datagrams_sent),
        (
            "datagrams_unsent",
            "Datagrams that could not be sent: no route, a full socket, an unknown name",
            &counts.datagrams_unsent,
        ),
        ("link_connections_opened", "Connections for links, by either side", &counts.links_opened),
        ("link_connections_ended", "Connections for links that have ended", &counts.links_ended),
        ("link_dials_failed", "Connections for links that came to nothing", &counts.dials_failed),
    ] {
        registry.register(name, help, ConstCounter::new(total.get()));
    }
    by_reason(
        registry,
        "link_refusals",
        "Links refused or ended for what the other side did",
        &[
            ("bad_frame", totals.bad_frames),
            ("frame_too_long", counts.frames_too_long.get()),
            ("hello", totals.hellos_refused),
            ("foreign_write", totals.foreign_writes),
            ("too_many", counts.links_refused.get()),
            ("unread", counts.links_overflowed.get()),
        ],
    );
    by_reason(
        registry,
        "datagrams_dropped",
        "Datagrams received and not used",
        &[
            ("malformed", totals.datagrams_malformed),
            ("too_long", counts.datagrams_too_long.get()),
            ("foreign", totals.datagrams_foreign),
            ("removed", totals.datagrams_removed),
            ("rate", totals.beacons_limited),
            ("refused", totals.swim_refused),
            ("overrun", counts.datagrams_overrun.get()),
        ],
    );
}
