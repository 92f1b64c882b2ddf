//! The connections of this front end, for those commands that tell of them or end them.
//!
//! A connection writes down what has become of it, once a read, and a plain increment changes nothing
//! of that but when it was last heard of. Who asks reads it all; no connection waits for another.
//!
//! Rejected: asking each connection. One that is busy would be waited for, and all would have one
//! more thing to wait for at each of their reads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::reply::Protocol;
use crate::os::coarse_clock;

/// All connections that are open: as many as the front end takes.
#[derive(Debug, Default)]
pub(super) struct Clients {
    last_id: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) descriptor: i32,
}

/// One connection, as others may see it.
#[derive(Debug)]
pub(super) struct Client {
    /// Never given to another one.
    pub(super) id: u64,
    pub(super) socket: Socket,
    /// By the coarse clock.
    since: Duration,
    heard_ms: AtomicU64,
    shown: Mutex<Shown>,
    /// What serves it, by which it can be ended.
    task: OnceLock<AbortHandle>,
    pub(super) wait: Wait,
}

/// What has become of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) name: Option<Bytes>,
    pub(super) database: u8,
    pub(super) channels: usize,
    pub(super) patterns: usize,
    /// Commands that are held back since `MULTI`.
    pub(super) held: Option<usize>,
    pub(super) protocol: Protocol,
    /// The last one, with its second word.
    pub(super) command: &'static str,
    /// By `CLIENT NO-EVICT`. No client is ever evicted for its memory.
    pub(super) stays: bool,
}

impl Clients {
    /// A connection was taken. It is forgotten when what is returned goes.
    pub(super) fn admit(&self, socket: Socket) -> Arc<Client> {
        let now = coarse_clock::now();
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Relaxed) + 1,
            socket,
            since: now,
            heard_ms: AtomicU64::new(milliseconds(now)),
            shown: Mutex::default(),
            task: OnceLock::new(),
            wait: Wait::default(),
        });
        self.all().insert(client.id, Arc::clone(&client));
        client
    }

    /// A connection has ended.
    pub(super) fn forget(&self, id: u64) {
        self.all().remove(&id);
    }

    /// The one with this number.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Client>> {
        self.all().get(&id).cloned()
    }

    /// All that are open, those that came first before the others.
    pub(super) fn open(&self) -> Vec<Arc<Client>> {
        self.all().values().cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        // No code that holds it can panic between two changes that belong together.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// It has sent something.
    pub(super) fn hear(&self) {
        self.heard_ms.store(milliseconds(coarse_clock::now()), Relaxed);
    }

    /// How long it has been open.
    pub(super) fn age(&self) -> Duration {
        coarse_clock::now().saturating_sub(self.since)
    }

    /// How long it has sent nothing.
    pub(super) fn idle(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_ms.load(Relaxed));
        coarse_clock::now().saturating_sub(heard)
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What serves it.
    pub(super) fn is_served_by(&self, task: AbortHandle) {
        // There is one task for each.
        let _ = self.task.set(task);
    }

    /// Ends it; false if what serves it is not known yet.
    pub(super) fn end(&self) -> bool {
        self.task.get().map(AbortHandle::abort).is_some()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A client that waits in `WAIT`, and what ends that before its time.
#[derive(Debug, Default)]
pub(super) struct Wait {
    state: AtomicU8,
    ended: Notify,
}

const WAITS_NOT: u8 = 0;
const WAITS: u8 = 1;
const TIMED_OUT: u8 = 2;
const FAILED: u8 = 3;

/// How another client ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unblocked {
    /// As if its time were over.
    AsTimedOut,
    WithError,
}

impl Wait {
    /// It begins to wait.
    pub(super) fn begin(&self) {
        self.state.store(WAITS, Relaxed);
    }

    /// Ends when another client ended its waiting.
    pub(super) async fn unblocked(&self) -> Unblocked {
        loop {
            match self.state.load(Relaxed) {
                TIMED_OUT => return Unblocked::AsTimedOut,
                FAILED => return Unblocked::WithError,
                _ => self.ended.notified().await,
            }
        }
    }

    /// It waits no more.
    pub(super) fn end(&self) {
        self.state.store(WAITS_NOT, Relaxed);
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.state.load(Relaxed) == WAITS
    }

    /// Ends its waiting; false if it does not wait.
    pub(super) fn unblock(&self, how: Unblocked) -> bool {
        let to = match how {
            Unblocked::AsTimedOut => TIMED_OUT,
            Unblocked::WithError => FAILED,
        };
        let did = self.state.compare_exchange(WAITS, to, Relaxed, Relaxed).is_ok();
        if did {
            self.ended.notify_one();
        }
        did
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Socket {
        let address = "127.0.0.1:1".parse().unwrap();
        Socket { peer: address, local: address, descriptor: 1 }
    }

    #[test]
    fn those_that_are_open_are_told_in_the_order_in_which_they_came() {
        let clients = Clients::default();
        let [one, two, three] = [(); 3].map(|()| clients.admit(socket()));
        clients.forget(two.id);
        let open: Vec<u64> = clients.open().iter().map(|client| client.id).collect();
        assert_eq!(open, [one.id, three.id]);
        assert!(clients.find(two.id).is_none() && clients.find(three.id).is_some());
        assert!(clients.admit(socket()).id > three.id, "no number is given twice");
    }

    #[tokio::test]
    async fn one_that_waits_is_unblocked_once_and_one_that_does_not_never() {
        let wait = Wait::default();
        assert!(!wait.unblock(Unblocked::WithError), "it does not wait");
        wait.begin();
        assert!(wait.is_blocked() && wait.unblock(Unblocked::WithError));
        assert!(!wait.unblock(Unblocked::AsTimedOut), "it was unblocked already");
        assert_eq!(wait.unblocked().await, Unblocked::WithError);
        wait.end();
        wait.begin();
        assert!(wait.unblock(Unblocked::AsTimedOut));
        assert_eq!(wait.unblocked().await, Unblocked::AsTimedOut);
    }
}
