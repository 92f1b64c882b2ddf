//! What the network has sent, received, dropped and refused since the start.

use crate::count::Count;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) datagrams_received: Count,
    pub(crate) datagrams_sent: Count,
    /// Dropped because the driver had not yet read those before.
    pub(crate) datagrams_overrun: Count,
    /// Dropped because they were longer than any that a node sends.
    pub(crate) datagrams_too_long: Count,
    /// Not sent: no route, a full socket, a name without an address.
    pub(crate) datagrams_unsent: Count,
    /// Connections for links opened, by either side.
    pub(crate) links_opened: Count,
    /// Connections for links that have ended.
    pub(crate) links_ended: Count,
    /// Connections for links that were turned away or cut short because there were too many.
    pub(crate) links_refused: Count,
    /// Links ended because the other side left too much unread.
    pub(crate) links_overflowed: Count,
    /// Links ended because of a frame longer than allowed.
    pub(crate) frames_too_long: Count,
    pub(crate) dials_failed: Count,
}
