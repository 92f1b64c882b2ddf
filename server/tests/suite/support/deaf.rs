//! A peer that is alive in every respect but one: it reads nothing from its links.
//!
//! A process that is stopped loses its links after three seconds, and so costs little. This one
//! answers probes, joins, opens links, gives signs of life on them: the protocol is the real one,
//! `quipu_core::node::Node`, behind the least driver that will do. Only what comes over a link that
//! stands is left in the socket, and a sign of life handed to the node instead.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quipu_core::effect::{Destination, Effect};
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::input::{Input, LinkId};
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::outbox::Effects;
use quipu_core::time::Time;
use quipu_core::wire::datagram::DATAGRAM_BYTES_MAX;
use quipu_core::wire::frame::{self, Message};

use super::http::Connection;

/// How long it waits for a datagram before it looks at all else.
const STEP: Duration = Duration::from_millis(5);

/// The time between the signs of life that its node is made to believe in.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_millis(500);

/// Lives as long as this does.
#[derive(Debug)]
pub struct DeafPeer {
    id: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DeafPeer {
    /// One that joins these nodes.
    pub fn join(nodes: &[SocketAddr], cluster: &str) -> DeafPeer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_read_timeout(Some(STEP)).expect("a socket has a timeout");
        let id = socket.local_addr().expect("a bound socket has an address").to_string();
        let seeds = nodes.iter().map(ToString::to_string).map(address).collect();
        let mut chance = [0; 32];
        getrandom::fill(&mut chance).expect("the system has chance");
        let config = Config {
            // The smaller id dials: no other node has to be let in.
            node: NodeId(0),
            origin: OriginId(getrandom::u64().expect("the system has chance")),
            address: address(id.clone()),
            boot: 1,
            cluster: cluster.to_owned(),
            secret: None,
            seeds,
            discovery: false,
            is_kept: true,
            settles: true,
            removes_after: RemovesAfter::default(),
            chance,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || Driver::new(socket, config).run(&stopped));
        DeafPeer { id, stop, thread: Some(thread) }
    }

    /// As the others list it.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for DeafPeer {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; a second one here would end the whole test process.
            let _ = thread.join();
        }
    }
}

fn address(text: String) -> Address {
    Address::parse(&text, 1).expect("an address with a port")
}

struct Driver {
    socket: UdpSocket,
    node: Node,
    started: Instant,
    links: BTreeMap<LinkId, Link>,
    links_ever: LinkId,
}

struct Link {
    connection: Connection,
    /// Set once it stands: nothing is read any more, and so long ago the node was told otherwise.
    deaf_since: Option<Instant>,
}

impl Driver {
    fn new(socket: UdpSocket, config: Config) -> Driver {
        let node = Node::new(config, Time::ZERO);
        Driver { socket, node, started: Instant::now(), links: BTreeMap::new(), links_ever: 0 }
    }

    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Relaxed) {
            let mut inputs = vec![Input::Tick];
            let mut buffer = [0; DATAGRAM_BYTES_MAX];
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                inputs.push(Input::Datagram {
                    from,
                    bytes: Bytes::copy_from_slice(&buffer[..length]),
                });
            }
            for link in self.links.keys().copied().collect::<Vec<_>>() {
                inputs.extend(self.heard(link));
            }
            while !inputs.is_empty() {
                inputs = self.step(inputs);
            }
        }
    }

    /// Hands inputs to the node, and carries out what it wants. What that leads to at once.
    fn step(&mut self, inputs: Vec<Input>) -> Vec<Input> {
        let now = Time::ZERO + self.started.elapsed();
        let mut effects = Effects::default();
        for input in inputs {
            self.node.handle(now, input, &mut effects);
        }
        let batch = self.node.close_batch(now, &mut effects);
        let mut next = Vec::new();
        // It has no journal, as a node in memory has none.
        let has_changed = !effects.journal.is_empty() || !effects.after_sync.is_empty();
        for effect in effects.at_once.into_iter().chain(effects.after_sync) {
            next.extend(self.carry_out(effect));
        }
        next.extend(has_changed.then_some(Input::Synced { batch }));
        next
    }

    /// What the node shall believe to have come over a link.
    fn heard(&mut self, link: LinkId) -> Option<Input> {
        match self.links.get_mut(&link)?.next()? {
            Ok(frame) => Some(Input::LinkFrame { link, frame }),
            Err(_) => Some(self.lost(link)),
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Datagram { to, bytes } => {
                let to = match to {
                    Destination::Socket(socket) => Some(socket),
                    Destination::Address(address) => address.ip(),
                };
                // One that cannot leave is lost, as any may be.
                let _ = self.socket.send_to(&bytes, to?);
                None
            }
            Effect::Dial { node, address } => match dial(address.ip()?) {
                Ok(connection) => {
                    self.links_ever += 1;
                    let link = self.links_ever;
                    self.links.insert(link, Link { connection, deaf_since: None });
                    Some(Input::LinkOpened { link, dialed: Some(node) })
                }
                Err(_) => Some(Input::DialFailed { node }),
            },
            Effect::Frame { links, bytes } => {
                for link in &links {
                    if let Some(link) = self.links.get_mut(link) {
                        // One that is broken is found when it is read, or by the other side.
                        let _ = link.connection.send(&framed(&bytes));
                    }
                }
                None
            }
            Effect::LinkEstablished { link } => {
                self.links.get_mut(&link)?.deaf_since = Some(Instant::now());
                None
            }
            Effect::CloseLink { link } => {
                self.links.remove(&link);
                None
            }
            // No node hears its calls, and no client asks it anything.
            _ => None,
        }
    }

    fn lost(&mut self, link: LinkId) -> Input {
        self.links.remove(&link);
        Input::LinkClosed { link }
    }
}

impl Link {
    /// The next frame, or what takes its place.
    fn next(&mut self) -> Option<io::Result<Bytes>> {
        match &mut self.deaf_since {
            None => Some(self.frame()),
            Some(since) if since.elapsed() < SIGN_OF_LIFE_EVERY => None,
            Some(since) => {
                *since = Instant::now();
                Some(Ok(frame::encode(&Message::Pong)))
            }
        }
    }

    fn frame(&mut self) -> io::Result<Bytes> {
        let length = self.connection.take(3)?;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.connection.take(length).map(Bytes::from)
    }
}

fn dial(to: SocketAddr) -> io::Result<Connection> {
    let mut connection = Connection::open(to)?;
    let answer =
        connection.request("GET", "/link", &["Connection: Upgrade", "Upgrade: quipu/1"], "")?;
    match answer.status {
        101 => Ok(connection),
        other => Err(io::Error::other(format!("expected 101, found {other}"))),
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short frame");
    [&length.to_be_bytes()[1..], bytes].concat()
}
