//! Names of peers to addresses, off the driver.
//!
//! The system's resolver may take seconds and holds a thread meanwhile, and names are asked for
//! again and again: seeds every second while the node is alone. So one question is asked once at a
//! time, its answer (also that there is none) serves for some seconds, and only so many threads are
//! held. A DNS client of our own was rejected: it would not know `/etc/hosts` nor what else the
//! system is set up with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quipu_core::identity::Address;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

/// How long an answer serves. Short, since it is the names whose addresses change (containers,
/// Kubernetes services) for which names are used at all.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(3);

/// How long a caller waits for an answer. A later one still serves those who ask then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lookups under way at a time; each holds a thread of the runtime's 512.
const LOOKUPS_MAX: usize = 16;

/// Names remembered, more than any cluster has seeds. Clients choose them too: `/register`.
const ANSWERS_MAX: usize = 1024;

/// Addresses of one name that are used: a seed name of a service stands for its every node, but a
/// datagram to each is all it takes to find one.
const SOCKETS_MAX: usize = 32;

type Sockets = Arc<[SocketAddr]>;

/// Resolves names, and remembers for a while.
#[derive(Debug)]
pub(crate) struct Resolver {
    answers: Mutex<HashMap<Address, Answer>>,
    lookups: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Answer {
    asked: Instant,
    /// `None` while the lookup is under way.
    sockets: watch::Receiver<Option<Sockets>>,
}

impl Answer {
    /// One that is under way is kept however long it takes: asking again would not be quicker.
    fn serves(&self, now: Instant) -> bool {
        let is_under_way = self.sockets.borrow().is_none() && self.sockets.has_changed().is_ok();
        is_under_way || now - self.asked < ANSWER_AGE_MAX
    }
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Resolver {
            answers: Mutex::new(HashMap::new()),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }

    /// Where an address is: itself if it is no name; nowhere if no answer comes in time.
    pub(crate) async fn resolve(&self, address: &Address) -> Vec<SocketAddr> {
        if let Some(socket) = address.ip() {
            return vec![socket];
        }
        let Some(mut answer) = self.ask(address) else { return Vec::new() };
        match timeout(PATIENCE, answer.wait_for(Option::is_some)).await {
            Ok(Ok(sockets)) => sockets.as_deref().unwrap_or_default().to_vec(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// The answer that is there or under way; `None` if too many lookups are.
    fn ask(&self, address: &Address) -> Option<watch::Receiver<Option<Sockets>>> {
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(address).filter(|answer| answer.serves(now)) {
            return Some(answer.sockets.clone());
        }
        let permit = Arc::clone(&self.lookups).try_acquire_owned().ok()?;
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, answer| answer.serves(now));
        }
        if answers.len() >= ANSWERS_MAX {
            return None;
        }
        let (found, sockets) = watch::channel(None);
        answers.insert(address.clone(), Answer { asked: now, sockets: sockets.clone() });
        let address = address.clone();
        tokio::spawn(async move {
            found.send_replace(Some(look_up(&address).await));
            drop(permit);
        });
        Some(sockets)
    }
}

async fn look_up(address: &Address) -> Sockets {
    match tokio::net::lookup_host(address.as_str()).await {
        Ok(sockets) => sockets.take(SOCKETS_MAX).collect(),
        Err(error) => {
            tracing::debug!(%address, %error, "a name was not resolved");
            Sockets::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text, 8088).unwrap()
    }

    #[tokio::test]
    async fn an_address_that_is_no_name_is_not_looked_up() {
        let resolver = Resolver::new();
        let found = resolver.resolve(&address("127.0.0.1:9")).await;
        assert_eq!(found, ["127.0.0.1:9".parse().unwrap()]);
        assert!(resolver.answers.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_and_then_remembered() {
        let resolver = Resolver::new();
        let name = address("localhost:7");
        let (one, two) = tokio::join!(resolver.resolve(&name), resolver.resolve(&name));
        assert!(one.iter().all(|socket| socket.ip().is_loopback() && socket.port() == 7));
        assert!(!one.is_empty());
        assert_eq!(one, two);
        let asked = resolver.answers.lock().unwrap()[&name].asked;
        resolver.resolve(&name).await;
        assert_eq!(resolver.answers.lock().unwrap()[&name].asked, asked);
    }

    #[tokio::test]
    async fn an_answer_is_forgotten_after_some_seconds_unless_it_is_still_awaited() {
        let asked = Instant::now();
        let (found, sockets) = watch::channel(None);
        let answer = Answer { asked, sockets };
        assert!(answer.serves(asked + 10 * ANSWER_AGE_MAX), "under way");
        found.send_replace(Some(Sockets::default()));
        assert!(answer.serves(asked));
        assert!(!answer.serves(asked + ANSWER_AGE_MAX));
    }

    #[tokio::test]
    async fn when_all_lookups_are_taken_a_name_is_nowhere() {
        let resolver = Resolver::new();
        let all = u32::try_from(LOOKUPS_MAX).unwrap();
        let _taken = Arc::clone(&resolver.lookups).acquire_many_owned(all).await.unwrap();
        assert!(resolver.resolve(&address("localhost:7")).await.is_empty());
    }
}
