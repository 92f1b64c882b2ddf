//! Who listens to what, on this node: what `PUBSUB` tells.
//!
//! Each connection that has subscriptions leaves a copy of them here, and takes it away when it has
//! none any more or ends. Nothing is kept beside: a client that asks has them counted, which is a
//! matter of milliseconds in the worst case, since there is a bound to all of them together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::subscriptions::{Subscriptions, Topic};

/// Most subscriptions of all connections together. Those to counters are some 50,000 at most by the
/// bound of those who watch; silent ones take no more than these would: some 30 MB of usual channels,
/// 110 MB where each is as long as the longest.
const SUBSCRIPTIONS_MAX: usize = 50_000;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Audience(Mutex<Listeners>);

#[derive(Debug, Default)]
struct Listeners {
    by_connection: BTreeMap<u64, Subscriptions>,
    subscriptions: usize,
}

/// More subscriptions than a node has room for.
#[derive(Debug, thiserror::Error)]
#[error("expected at most {SUBSCRIPTIONS_MAX} subscriptions of all connections, found more")]
pub(super) struct TooManySubscriptions;

impl Audience {
    /// What a connection has subscribed to from now on; refused if it is more than before and there
    /// is no room for it.
    pub(super) fn note(
        &self,
        connection: u64,
        subscriptions: &Subscriptions,
    ) -> Result<(), TooManySubscriptions> {
        let mut listeners = self.listeners();
        let before = listeners.by_connection.get(&connection).map_or(0, Subscriptions::count);
        let after = listeners.subscriptions - before + subscriptions.count();
        if after > SUBSCRIPTIONS_MAX && subscriptions.count() > before {
            return Err(TooManySubscriptions);
        }
        match subscriptions.is_empty() {
            true => listeners.by_connection.remove(&connection),
            false => listeners.by_connection.insert(connection, subscriptions.clone()),
        };
        listeners.subscriptions = after;
        Ok(())
    }

    /// A connection has ended, or listens no more.
    pub(super) fn forget(&self, connection: u64) {
        let mut listeners = self.listeners();
        if let Some(subscriptions) = listeners.by_connection.remove(&connection) {
            listeners.subscriptions -= subscriptions.count();
        }
    }

    /// What is subscribed to, each with the number of connections.
    pub(super) fn of(&self, topic: Topic) -> BTreeMap<Bytes, usize> {
        let mut found = BTreeMap::new();
        for subscriptions in self.listeners().by_connection.values() {
            for name in subscriptions.names(topic) {
                *found.entry(name.clone()).or_default() += 1;
            }
        }
        found
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        // No code that holds it can panic between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
