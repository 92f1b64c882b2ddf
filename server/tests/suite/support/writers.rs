//! Clients that count while nodes die under them, each on a counter of its own, so that what became
//! of each one's increments can be told afterwards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::chaos::Chance;
use super::http::Connection;

/// Rest between an answer and the next increment.
const PAUSE: Duration = Duration::from_millis(1);

/// Rest before another node is tried.
const PAUSE_ALONE: Duration = Duration::from_millis(10);

/// What one client may say of its counter.
#[derive(Clone, Debug)]
pub struct Written {
    pub counter: String,
    /// Increments that were answered with 200.
    pub acknowledged: u64,
    /// Increments that were sent, and of which nobody said what became of them.
    pub unanswered: u64,
}

/// Clients at work.
#[derive(Debug)]
pub struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Written>>,
}

impl Writers {
    /// So many clients, each of which stays with one of these nodes until it dies.
    pub fn on(nodes: &[SocketAddr], clients: u64, chance: &Chance) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let clients = (1..=clients)
            .map(|number| {
                let mut client = Client {
                    nodes: nodes.to_vec(),
                    chance: chance.apart(number),
                    written: Written {
                        counter: format!("client-{number}"),
                        acknowledged: 0,
                        unanswered: 0,
                    },
                    all: Arc::clone(&acknowledged),
                };
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Relaxed) {
                        client.stay_with_one(&stop);
                        thread::sleep(PAUSE_ALONE);
                    }
                    client.written
                })
            })
            .collect();
        Writers { stop, acknowledged, clients }
    }

    /// How many increments of all clients were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// Ends it.
    pub fn stop(self) -> Vec<Written> {
        self.stop.store(true, Relaxed);
        self.clients.into_iter().map(|client| client.join().expect("a client")).collect()
    }
}

struct Client {
    nodes: Vec<SocketAddr>,
    chance: Chance,
    written: Written,
    all: Arc<AtomicU64>,
}

impl Client {
    fn stay_with_one(&mut self, stop: &AtomicBool) {
        let node = self.nodes[self.chance.below(self.nodes.len() as u64) as usize];
        let Ok(mut connection) = Connection::open(node) else { return };
        let path = format!("/counters/{}/increment", self.written.counter);
        while !stop.load(Relaxed) {
            match connection.request("POST", &path, &[], "") {
                Ok(answer) if answer.status == 200 => {
                    self.written.acknowledged += 1;
                    self.all.fetch_add(1, Relaxed);
                }
                // It was turned away at the door.
                Ok(answer) if answer.body.contains("the node is starting") => return,
                _ => {
                    self.written.unanswered += 1;
                    return;
                }
            }
            thread::sleep(PAUSE);
        }
    }
}
