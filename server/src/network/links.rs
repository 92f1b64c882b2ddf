//! All links of this process: who has one, and how many there may be.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::input::LinkId;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::Counts;
use super::link::{self, CLOSING_TIME_MAX, Link, Phase};
use super::outbox::Overflow;
use crate::inbox::Arrival;
use crate::transport::link::Connection;

/// Most links at a time, those included that are being closed. A full mesh of so many nodes would
/// be out of reason for other causes; an idle link costs some 20 KiB.
const LINKS_MAX: usize = 1024;

/// Accepted links whose other side has not proved who it is. A handshake takes milliseconds; the
/// oldest is cut for the newest, so that strangers who hold these places do not keep peers out.
const UNPROVED_MAX: usize = 64;

/// Bytes of frames that have been read from links and wait for the driver.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// What is left to be done for a link may take this much longer than the link itself.
const DRAIN_TIME_MAX: Duration = CLOSING_TIME_MAX.saturating_add(Duration::from_millis(200));

/// The table of links. Owned by the driver, so there is no lock on it.
#[derive(Debug)]
pub(super) struct Links {
    links: HashMap<LinkId, Link>,
    last: LinkId,
    /// Accepted and not established, in the order in which they came.
    unproved: VecDeque<LinkId>,
    places: Arc<Semaphore>,
    shared: link::Shared,
}

impl Links {
    pub(super) fn new(arrivals: mpsc::Sender<Arrival>, counts: Arc<Counts>) -> Self {
        let waiting_bytes = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
        Links {
            links: HashMap::new(),
            last: 0,
            unproved: VecDeque::new(),
            places: Arc::new(Semaphore::new(LINKS_MAX)),
            shared: link::Shared { arrivals, waiting_bytes, counts },
        }
    }

    /// Takes a connection that was accepted; `None` if there are too many.
    pub(super) fn accept(&mut self, connection: Connection) -> Option<LinkId> {
        if self.unproved.len() >= UNPROVED_MAX
            && let Some(oldest) = self.unproved.pop_front()
        {
            self.shared.counts.links_refused.add(1);
            self.set(oldest, Phase::Cut);
        }
        let link = self.open(connection)?;
        self.unproved.push_back(link);
        Some(link)
    }

    /// Takes a connection; `None` if there are too many.
    pub(super) fn open(&mut self, connection: Connection) -> Option<LinkId> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.shared.counts.links_refused.add(1);
            return None;
        };
        self.last += 1;
        self.shared.counts.links_opened.add(1);
        let link = link::start(self.last, connection, place, self.shared.clone());
        self.links.insert(self.last, link);
        Some(self.last)
    }

    /// Queues a frame on some links; those that are gone or full are left out.
    pub(super) fn send(&mut self, links: &[LinkId], frame: &Bytes) {
        for id in links {
            let Some(link) = self.links.get(id) else { continue };
            if link.outbox.push(frame.clone()) == Err(Overflow) {
                self.shared.counts.links_overflowed.add(1);
                self.set(*id, Phase::Cut);
            }
        }
    }

    /// The other side has proved who it is.
    pub(super) fn establish(&mut self, link: LinkId) {
        self.unproved.retain(|unproved| *unproved != link);
        self.set(link, Phase::Established);
    }

    /// Closes a link when all that is queued is written.
    pub(super) fn close(&mut self, link: LinkId) {
        self.set(link, Phase::Closing);
        self.forget(link);
    }

    /// Drops what is known of a link that has ended.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.unproved.retain(|unproved| *unproved != link);
    }

    /// Lets every link write what is queued, and waits for that.
    pub(super) async fn drain(&mut self) {
        self.links.clear();
        let all = u32::try_from(LINKS_MAX).unwrap_or(u32::MAX);
        if timeout(DRAIN_TIME_MAX, self.places.acquire_many(all)).await.is_err() {
            tracing::debug!("some links did not take all that was to be said to them");
        }
    }

    fn set(&self, link: LinkId, phase: Phase) {
        if let Some(link) = self.links.get(&link) {
            // A task that has ended has no use for it.
            let _ = link.phase.send(phase);
        }
    }
}
