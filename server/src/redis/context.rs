//! The front end's context: what every connection has at hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::audience::Audience;
use super::script::shelf::Shelf;
use super::traffic::Traffic;
use crate::handle::Handle;
use crate::watch::Watch;

/// What every connection has at hand.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) handle: Handle,
    pub(super) watch: Watch,
    pub(super) audience: Audience,
    pub(super) traffic: Arc<Traffic>,
    /// The port that is listened on.
    pub(super) port: u16,
    pub(super) connections_max: usize,
    /// Bytes of replies that clients have not read, of all connections.
    pub(super) unread_bytes: AtomicUsize,
    pub(super) shelf: Arc<Shelf>,
    ids: AtomicU64,
}

impl Context {
    pub(super) fn new(
        handle: Handle,
        watch: Watch,
        traffic: Arc<Traffic>,
        port: u16,
        connections_max: usize,
    ) -> Self {
        let (unread_bytes, ids) = (AtomicUsize::new(0), AtomicU64::new(1));
        Context {
            handle,
            watch,
            audience: Audience::default(),
            traffic,
            port,
            connections_max,
            unread_bytes,
            shelf: Arc::default(),
            ids,
        }
    }

    /// The number of a new connection.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Relaxed)
    }
}
