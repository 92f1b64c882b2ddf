//! What a connection has said of itself, and what follows from its earlier commands.

use bytes::Bytes;
use quipu_core::identity::Version;

use super::reply::Protocol;
use super::transaction::Transaction;

/// One client's state.
#[derive(Debug)]
pub(super) struct Session {
    /// Never given to another connection.
    pub(super) id: u64,
    pub(super) protocol: Protocol,
    pub(super) name: Option<Bytes>,
    /// Since `MULTI`.
    pub(super) transaction: Option<Transaction>,
    /// This node's version that holds the connection's last change; 0 if it made none.
    pub(super) version: Version,
}

impl Session {
    pub(super) fn new(id: u64) -> Self {
        Session { id, protocol: Protocol::Two, name: None, transaction: None, version: 0 }
    }

    /// Forgets what `RESET` forgets. What was changed stays changed.
    pub(super) fn reset(&mut self) {
        self.protocol = Protocol::Two;
        self.name = None;
        self.transaction = None;
    }
}
