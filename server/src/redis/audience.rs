//! Who listens to what, on this node: what `PUBSUB` tells.
//!
//! Each connection that has subscriptions leaves a copy of them here, and takes it away when it has
//! none any more or ends. Nothing is kept beside: whoever asks has them counted, which is a matter of
//! milliseconds in the worst case, since few may listen and each to a bounded number.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::subscriptions::{Subscriptions, Topic};

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Audience(Mutex<BTreeMap<u64, Subscriptions>>);

impl Audience {
    /// What a connection has subscribed to from now on.
    pub(super) fn note(&self, connection: u64, subscriptions: &Subscriptions) {
        let mut all = self.all();
        match subscriptions.is_empty() {
            true => all.remove(&connection),
            false => all.insert(connection, subscriptions.clone()),
        };
    }

    /// A connection has ended, or listens no more.
    pub(super) fn forget(&self, connection: u64) {
        self.all().remove(&connection);
    }

    /// What is subscribed to, each with the number of connections.
    pub(super) fn of(&self, topic: Topic) -> BTreeMap<Bytes, usize> {
        let mut found = BTreeMap::new();
        for subscriptions in self.all().values() {
            for name in subscriptions.names(topic) {
                *found.entry(name.clone()).or_default() += 1;
            }
        }
        found
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Subscriptions>> {
        // Whoever panicked with it left it whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
