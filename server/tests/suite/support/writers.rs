//! Clients that count while nodes die under them, each on a counter of its own, so that what became
//! of each one's increments can be told afterwards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::chaos::Chance;
use super::http::Connection;
use super::resp;

/// Rest between an answer and the next increment: it paces the load, so there is no condition to
/// wait for.
const PAUSE: Duration = Duration::from_millis(1);

/// Rest before another node is tried: the same, so that a dead node is not dialed without end.
const PAUSE_ALONE: Duration = Duration::from_millis(10);

/// Where a client comes in.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    Http(SocketAddr),
    Redis(SocketAddr),
}

/// What one client may say of its counter.
#[derive(Clone, Debug)]
pub struct Written {
    pub counter: String,
    /// Increments that were answered with 200, or with a number.
    pub acknowledged: u64,
    /// Increments that were sent, and of which no answer said what became of them.
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
        let doors: Vec<Door> = nodes.iter().copied().map(Door::Http).collect();
        Writers::through((0..clients).map(|_| doors.clone()), chance)
    }

    /// So many clients for each door, each of which comes back to it whatever becomes of the node.
    pub fn at_each(doors: &[Door], clients: usize, chance: &Chance) -> Writers {
        let each = doors.iter().flat_map(|door| vec![vec![*door]; clients]);
        Writers::through(each, chance)
    }

    /// A client for each list of doors.
    fn through(clients: impl Iterator<Item = Vec<Door>>, chance: &Chance) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let clients = (1..)
            .zip(clients)
            .map(|(number, doors)| {
                let mut client = Client {
                    doors,
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
    doors: Vec<Door>,
    chance: Chance,
    written: Written,
    all: Arc<AtomicU64>,
}

/// What became of an increment.
enum Fate {
    Counted,
    /// It was turned away at the door.
    Refused,
    Unknown,
}

impl Client {
    fn stay_with_one(&mut self, stop: &AtomicBool) {
        match self.doors[self.chance.below(self.doors.len() as u64) as usize] {
            Door::Http(node) => {
                let Ok(mut connection) = Connection::open(node) else { return };
                let path = format!("/counters/{}/increment", self.written.counter);
                self.count(stop, || match connection.request("POST", &path, &[], "") {
                    Ok(answer) if answer.status == 200 => Fate::Counted,
                    Ok(answer) if answer.body.contains("the node is starting") => Fate::Refused,
                    _ => Fate::Unknown,
                });
            }
            Door::Redis(node) => {
                let Ok(mut connection) = resp::Client::try_open(node) else { return };
                let command = resp::framed(&["INCR", &self.written.counter]);
                self.count(stop, || {
                    let mut reply = Vec::new();
                    let sent = connection.try_send(&command);
                    let read = sent.and_then(|()| connection.read_reply(&mut reply));
                    match reply.first() {
                        Some(b':') if read.is_ok() => Fate::Counted,
                        Some(b'-') if read.is_ok() => Fate::Refused,
                        _ => Fate::Unknown,
                    }
                });
            }
        }
    }

    /// Counts until an increment is not answered as it should be.
    fn count(&mut self, stop: &AtomicBool, mut increment: impl FnMut() -> Fate) {
        while !stop.load(Relaxed) {
            match increment() {
                Fate::Counted => {
                    self.written.acknowledged += 1;
                    self.all.fetch_add(1, Relaxed);
                }
                Fate::Refused => return,
                Fate::Unknown => {
                    self.written.unanswered += 1;
                    return;
                }
            }
            thread::sleep(PAUSE);
        }
    }
}
