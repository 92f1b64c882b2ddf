//! What a connection has said of itself, and what follows from its earlier commands.

use bytes::Bytes;
use quipu_core::identity::Version;

use super::database::Database;
use super::reply::Protocol;
use super::silence::Silence;
use super::subscriptions::Subscriptions;
use super::transaction::Transaction;
use super::watched::Watched;
use crate::access::Caller;

/// One client's state.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Who asks.
    pub(super) caller: Caller,
    /// Never given to another connection.
    pub(super) id: u64,
    pub(super) protocol: Protocol,
    pub(super) name: Option<Bytes>,
    /// Which one was chosen.
    pub(super) database: Database,
    /// Counters as they were at `WATCH`.
    pub(super) watched: Watched,
    /// Since `MULTI`.
    pub(super) transaction: Option<Transaction>,
    pub(super) subscriptions: Subscriptions,
    pub(super) silence: Silence,
    /// This node's version that holds the connection's last change; 0 if it made none.
    pub(super) version: Version,
}

impl Session {
    pub(super) fn new(id: u64, caller: Caller) -> Self {
        Session {
            caller,
            id,
            protocol: Protocol::Two,
            name: None,
            database: Database::default(),
            watched: Watched::default(),
            transaction: None,
            subscriptions: Subscriptions::default(),
            silence: Silence::default(),
            version: 0,
        }
    }

    /// Whether what arrives next may be a message, so that version 2 could not tell it from the
    /// reply to a command.
    pub(super) fn only_listens(&self) -> bool {
        self.protocol == Protocol::Two && !self.subscriptions.is_empty()
    }

    /// Forgets what `RESET` forgets. What was changed stays changed.
    pub(super) fn reset(&mut self) {
        self.protocol = Protocol::Two;
        self.name = None;
        self.database = Database::default();
        self.watched = Watched::default();
        self.transaction = None;
        self.subscriptions = Subscriptions::default();
        self.silence.reset();
    }
}
