//! What a room is handed at each step: the time, and where it counts and says what shall be done.
//!
//! All rooms are called in one way: what has happened, then the rooms that this one reads, then the
//! turn. One that counts nothing and has nothing done takes the time alone. What a room needs at
//! every step it has from its making: its chance, the cluster's secret.

use bytes::Bytes;

use crate::effect::{Destination, Effect};
use crate::event::Event;
use crate::input::LinkId;
use crate::status::Totals;
use crate::time::Time;
use crate::wire::frame::{self, FRAME_LENGTH_BYTES, Message};

/// One step of a node, made of [`Effects`](crate::outbox::Effects) but for the journal's records:
/// these are the node's own to write.
pub(crate) struct Turn<'a> {
    pub(crate) now: Time,
    pub(crate) totals: &'a mut Totals,
    pub(crate) at_once: &'a mut Vec<Effect>,
    pub(crate) after_sync: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    /// Reports something that an operator may want to read.
    pub(crate) fn event(&mut self, event: Event) {
        self.at_once.push(Effect::Event(event));
    }

    /// Sends a datagram, which holds nothing of the table.
    pub(crate) fn datagram(&mut self, to: Destination, bytes: Bytes) {
        self.at_once.push(Effect::Datagram { to, bytes });
    }

    /// Sends a frame that holds nothing of the table, or nothing that is not synced.
    pub(crate) fn frame_at_once(&mut self, links: Vec<LinkId>, bytes: Bytes) {
        self.count_frame(links.len(), &bytes);
        self.at_once.push(Effect::Frame { links, bytes });
    }

    /// Sends what was read from the table or from the records: it waits for the sync of the batch
    /// that is open (rule `publish-after-sync`). It is encoded once, for all links.
    pub(crate) fn frame_after_sync(&mut self, links: Vec<LinkId>, message: &Message<'_>) {
        let bytes = frame::encode(message);
        self.count_frame(links.len(), &bytes);
        self.after_sync.push(Effect::Frame { links, bytes });
    }

    fn count_frame(&mut self, links: usize, bytes: &Bytes) {
        let length = bytes.len() as u64 + FRAME_LENGTH_BYTES;
        self.totals.link_bytes_sent += length * links as u64;
    }
}
