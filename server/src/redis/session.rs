//! What a connection has said of itself, and what follows from its earlier commands.

use std::sync::Arc;

use bytes::Bytes;
use quipu_core::identity::Version;

use super::clients::{Client, Shown};
use super::database::Database;
use super::reply::Protocol;
use super::silence::Silence;
use super::state::State;
use super::subscriptions::Subscriptions;
use super::transaction::Transaction;
use super::watched::Watched;
use crate::access::Caller;

/// One client's state.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Who asks.
    pub(super) caller: Caller,
    /// What this connection shares with all others.
    pub(super) state: Arc<State>,
    /// What others see of it.
    pub(super) client: Arc<Client>,
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
    pub(super) fn new(state: Arc<State>, client: Arc<Client>, caller: Caller) -> Self {
        Session {
            caller,
            state,
            client,
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

    /// Writes down what others see of this connection.
    pub(super) fn tell_others(&self) {
        let mut shown = self.client.shown();
        let Shown { command, stays, .. } = *shown;
        *shown = Shown {
            name: self.name.clone(),
            database: self.database.number(),
            channels: self.subscriptions.channels(),
            patterns: self.subscriptions.patterns(),
            held: self.transaction.as_ref().map(Transaction::commands),
            protocol: self.protocol,
            command,
            stays,
        };
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
