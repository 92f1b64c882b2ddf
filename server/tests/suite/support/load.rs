//! Clients that increment all the time, each over one kept connection, and remember how long the
//! slowest answer took.
//!
//! Paced: a client that never rests would measure how it shares the processor with the nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::http::Connection;
use super::node::Node;

/// Rest between an answer and the next increment: it paces the load, so there is no condition to
/// wait for.
const PAUSE: Duration = Duration::from_millis(1);

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What one client saw, or several.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Increments that were answered, each with 200.
    pub acknowledged: u64,
    /// How long each took, in order.
    pub times: Vec<Duration>,
}

impl Load {
    /// One client for each of these nodes.
    pub fn on(nodes: &[&Node]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = nodes
            .iter()
            .map(|node| {
                let connection = node.connect().expect("a node that runs takes connections");
                let stop = Arc::clone(&stop);
                thread::spawn(move || increment_until(&stop, connection))
            })
            .collect();
        Load { stop, clients }
    }

    /// Ends it. Panics if any increment was not answered with 200.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.join().expect("every increment is answered");
            all.acknowledged += tally.acknowledged;
            all.times.extend(tally.times);
        }
        all.times.sort_unstable();
        all
    }
}

impl Tally {
    /// The longest that an answer took.
    pub fn slowest(&self) -> Duration {
        self.times.last().copied().unwrap_or_default()
    }

    /// What so many of a thousand answers did not exceed.
    pub fn quantile(&self, of_1000: usize) -> Duration {
        let place = self.times.len() * of_1000 / 1000;
        self.times.get(place).copied().unwrap_or_else(|| self.slowest())
    }
}

fn increment_until(stop: &AtomicBool, mut connection: Connection) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Relaxed) {
        let start = Instant::now();
        let answer = connection.request("POST", "/increment", &[], "").expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        tally.times.push(start.elapsed());
        tally.acknowledged += 1;
        thread::sleep(PAUSE);
    }
    tally
}
