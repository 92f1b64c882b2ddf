//! The front end's context: what every connection has at hand.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::audience::Audience;
use super::script::shelf::Shelf;
use super::state::State;
use super::traffic::Traffic;
use crate::handle::Handle;
use crate::watch::Watch;

/// What every connection has at hand.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) handle: Handle,
    pub(super) watch: Watch,
    pub(super) audience: Audience,
    pub(super) state: Arc<State>,
    /// Bytes of replies that clients have not read, of all connections.
    pub(super) unread_bytes: AtomicUsize,
    pub(super) shelf: Arc<Shelf>,
}

impl Context {
    pub(super) fn new(
        handle: Handle,
        watch: Watch,
        traffic: Arc<Traffic>,
        port: u16,
        connections_max: usize,
    ) -> Self {
        Context {
            handle,
            watch,
            audience: Audience::default(),
            state: Arc::new(State::new(traffic, port, connections_max)),
            unread_bytes: AtomicUsize::new(0),
            shelf: Arc::default(),
        }
    }
}
