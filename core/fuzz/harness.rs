//! One input, put through every door at which a stranger's bytes come in.
//!
//! Fuzzing (`fuzz_targets/node.rs`) and the ordinary test over the corpus
//! (`tests/fuzz_corpus.rs`) call the same [`feed`]. Nothing may panic, or go on for ever. Beyond
//! that, bytes that are not a peer's on its own link may not count anything, and bytes that are may
//! not touch what this node itself has counted (rule `one-writer`).
//!
//! The bytes are taken as they are, without a script that tells what they stand for: so the corpus
//! is frames and datagrams, and what a fuzzer finds can be replayed with netcat.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::effect::Effect;
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::input::{Input, LinkId};
use quipu_core::name::CounterName;
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::operation::{Op, Request};
use quipu_core::outbox::{Effects, Outbox, Released};
use quipu_core::time::Time;
use quipu_core::wire::auth::Secret;
use quipu_core::wire::datagram::{Datagram, Envelope};
use quipu_core::wire::frame::{self, FRAME_BYTES_MAX};
use quipu_core::wire::versions;

const CLUSTER: &str = "fuzz";
const SECRET: &[u8] = b"a secret that no fuzzer will ever guess";

/// Bytes of a datagram before its body: "QPU", version, cluster tag.
const HEAD_BYTES: usize = 8;

/// Inputs that a node may ask for in one instant before it counts as spinning.
const SPINS_MAX: usize = 10_000;

/// Puts one input through every door.
pub(crate) fn feed(bytes: &[u8]) {
    if bytes.len() > FRAME_BYTES_MAX {
        return;
    }
    decode(bytes);
    for secret in [None, Some(SECRET)] {
        open(bytes, secret);
        to_a_stranger(bytes, secret);
    }
    on_a_link(bytes);
}

fn decode(bytes: &[u8]) {
    if let Ok(message) = frame::decode(bytes) {
        let again = frame::encode(&message);
        assert_eq!(frame::decode(&again), Ok(message), "what was taken can be told again");
    }
}

fn open(bytes: &[u8], secret: Option<&[u8]>) {
    let envelope = envelope(secret);
    for datagram in datagrams(bytes, &envelope) {
        if let Ok(datagram) = envelope.open(&datagram) {
            let again = envelope.seal(&datagram);
            assert_eq!(envelope.open(&again), Ok(datagram), "what was taken can be told again");
        }
    }
}

/// The bytes as a datagram, as the body of one, and as a message of the membership protocol.
fn datagrams(bytes: &[u8], envelope: &Envelope) -> [Bytes; 3] {
    let packet = envelope.seal(&Datagram::Swim(bytes));
    let mut body = packet[..HEAD_BYTES].to_vec();
    body.extend_from_slice(bytes);
    [Bytes::copy_from_slice(bytes), body.into(), packet]
}

/// As datagrams, and on connections that have not proved anything.
fn to_a_stranger(bytes: &[u8], secret: Option<&[u8]>) {
    let mut pair = Pair::new(secret, 1);
    pair.count();
    let envelope = envelope(secret);
    for (from, bytes) in (1..).zip(datagrams(bytes, &envelope)) {
        let from = SocketAddr::from(([10, 0, 0, 9], from));
        pair.step(0, Input::Datagram { from, bytes });
    }
    let frame = Bytes::copy_from_slice(bytes);
    for (link, greets) in [(1001, false), (1002, true)] {
        pair.step(0, Input::LinkOpened { link, dialed: None });
        if greets {
            let hello = pair.hello();
            pair.step(0, Input::LinkFrame { link, frame: hello });
        }
        for _ in 0..2 {
            pair.step(0, Input::LinkFrame { link, frame: frame.clone() });
        }
        pair.step(0, Input::LinkClosed { link });
    }
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.nodes[0].counters().len(), 1, "nobody has proved anything");
    pair.assert_own_count();
}

/// As a peer's, on the link that stands between two nodes.
fn on_a_link(bytes: &[u8]) {
    let mut pair = Pair::new(None, 2);
    pair.count();
    pair.run(Duration::from_millis(100));
    let link = pair.established.expect("two nodes that hear each other link up");
    for _ in 0..2 {
        let frame = Bytes::copy_from_slice(bytes);
        pair.step(0, Input::LinkFrame { link, frame });
    }
    pair.run(Duration::from_secs(2));
    pair.assert_own_count();
}

fn envelope(secret: Option<&[u8]>) -> Envelope {
    Envelope::new(CLUSTER, secret.map(|bytes| Secret::new(bytes).expect("long enough")))
}

/// One node or two, and all that passes between them at once and without loss.
struct Pair {
    now: Time,
    nodes: Vec<Node>,
    /// What may not leave each node yet: their disks are safe as soon as they are asked to be.
    outboxes: Vec<Outbox>,
    inputs: VecDeque<(usize, Input)>,
    /// The first node's link to the second.
    established: Option<LinkId>,
}

impl Pair {
    fn new(secret: Option<&[u8]>, nodes: u8) -> Self {
        let now = Time::ZERO;
        let node = |n| Node::new(config(n, secret), now);
        let nodes: Vec<Node> = (0..nodes).map(node).collect();
        let outboxes = nodes.iter().map(|_| Outbox::default()).collect();
        Pair { now, nodes, outboxes, inputs: VecDeque::new(), established: None }
    }

    /// The first node counts something that only it may change.
    fn count(&mut self) {
        let ops = vec![Op::Add { name: CounterName::DEFAULT, by: 5 }];
        self.step(0, Input::Request { token: 1, request: Request::from(ops) });
    }

    fn assert_own_count(&self) {
        let counters = self.nodes[0].counters();
        let ours = counters.iter().filter(|view| view.origin == counters.our_origin());
        let ours: Vec<(&str, u64)> =
            ours.map(|view| (view.name, view.slot.numbers().plus)).collect();
        assert_eq!(ours, [("default", 5)], "nobody else writes our slots");
    }

    /// A hello that is not refused before its proof.
    fn hello(&self) -> Bytes {
        frame::encode(&frame::Message::Hello(frame::Hello {
            versions: versions::PROTOCOL_VERSIONS,
            cluster: CLUSTER,
            identity: Node::new(config(7, None), self.now).status(self.now).identity,
            nonce: [1; 16],
            has_secret: false,
        }))
    }

    /// Does one thing, and all that follows from it at once.
    fn step(&mut self, at: usize, input: Input) {
        self.inputs.push_back((at, input));
        let mut spins = 0;
        while let Some((at, input)) = self.inputs.pop_front() {
            let mut effects = Effects::default();
            self.nodes[at].handle(self.now, input, &mut effects);
            loop {
                spins += 1;
                assert!(spins < SPINS_MAX, "a node never comes to rest");
                let batch = self.nodes[at].close_batch(self.now, &mut effects);
                self.carry_out_at_once(at, &mut effects);
                if self.outboxes[at].close(batch, &mut effects).is_some() {
                    self.outboxes[at].safe(batch);
                }
                while let Some(Released { effects: after, batch }) = self.outboxes[at].release() {
                    after.into_iter().for_each(|effect| self.carry_out(at, effect));
                    self.nodes[at].handle(self.now, Input::Synced { batch }, &mut effects);
                    self.carry_out_at_once(at, &mut effects);
                }
                if !effects.must_wait() {
                    break;
                }
            }
        }
    }

    fn carry_out_at_once(&mut self, at: usize, effects: &mut Effects) {
        let at_once = std::mem::take(&mut effects.at_once);
        at_once.into_iter().for_each(|effect| self.carry_out(at, effect));
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        let other = 1 - at;
        match effect {
            Effect::Datagram { bytes, .. } | Effect::Broadcast { bytes }
                if self.nodes.len() > 1 =>
            {
                let from = socket(u8::try_from(at).expect("two nodes"));
                self.inputs.push_back((other, Input::Datagram { from, bytes }));
            }
            Effect::Dial { node, .. } if self.nodes.len() > 1 => {
                let link = 1;
                self.inputs.push_back((other, Input::LinkOpened { link, dialed: None }));
                self.inputs.push_back((at, Input::LinkOpened { link, dialed: Some(node) }));
            }
            Effect::Frame { links, bytes } if self.nodes.len() > 1 => {
                for link in links.into_iter().filter(|link| *link < 1000) {
                    let frame = bytes.clone();
                    self.inputs.push_back((other, Input::LinkFrame { link, frame }));
                }
            }
            Effect::LinkEstablished { link } if at == 0 => self.established = Some(link),
            Effect::CloseLink { link } if self.nodes.len() > 1 => {
                self.inputs.push_back((other, Input::LinkClosed { link }));
            }
            _ => {}
        }
    }

    /// Lets time pass, waking the nodes when they ask for it.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut spins = 0;
        loop {
            let wake = |at: &usize| self.nodes[*at].next_deadline();
            let Some(at) = (0..self.nodes.len()).min_by_key(wake).filter(|at| wake(at) <= end)
            else {
                break;
            };
            spins = if wake(&at) > self.now { 0 } else { spins + 1 };
            assert!(spins < SPINS_MAX, "a node never stops asking for the time");
            self.now = self.now.max(wake(&at));
            self.step(at, Input::Tick);
        }
        self.now = end;
    }
}

fn socket(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n + 1], 8088))
}

fn config(n: u8, secret: Option<&[u8]>) -> Config {
    Config {
        node: NodeId(u64::from(n) + 1),
        origin: OriginId(100 * (u64::from(n) + 1)),
        address: Address::from(socket(n)),
        boot: 1,
        cluster: CLUSTER.to_owned(),
        secret: secret.map(|bytes| Secret::new(bytes).expect("long enough")),
        seeds: Vec::new(),
        discovery: true,
        is_kept: true,
        settles: true,
        removes_after: RemovesAfter::default(),
        chance: [n; 32],
    }
}
