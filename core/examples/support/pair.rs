//! Two nodes and all that passes between them, in virtual time and without a disk: what is measured
//! is what they do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use quipu_core::effect::Effect;
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::input::{Input, LinkId};
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::outbox::{Effects, Outbox, Released};
use quipu_core::storage::state::Recovered;
use quipu_core::time::Time;

/// How long everything that is sent takes to arrive.
const LATENCY: Duration = Duration::from_micros(50);

/// Two nodes that find each other by broadcast.
pub(crate) struct Pair {
    pub(crate) now: Time,
    pub(crate) nodes: [Node; 2],
    /// Bytes of records that each had for its journal.
    pub(crate) journaled: [usize; 2],
    /// What may not leave each yet: without a disk all is safe as soon as it is closed.
    outboxes: [Outbox; 2],
    arrivals: VecDeque<(Time, usize, Input)>,
    links: LinkId,
}

/// The node of this number, 0 or 1, under an origin.
pub(crate) fn config(number: u8, origin: OriginId) -> Config {
    Config {
        node: NodeId(u64::from(number) + 1),
        origin,
        address: Address::from(socket(number)),
        boot: 1,
        cluster: "measured".to_owned(),
        secret: None,
        seeds: Vec::new(),
        discovery: true,
        is_kept: true,
        settles: true,
        removes_after: RemovesAfter::default(),
        chance: [number; 32],
    }
}

fn socket(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number + 1], 8088))
}

impl Pair {
    /// Two nodes that have just started and found this.
    pub(crate) fn start(found: [Recovered; 2]) -> Self {
        let now = Time::ZERO;
        let mut numbers = 0..;
        let nodes = found.map(|found| {
            let config = config(numbers.next().unwrap_or_default(), found.counters().our_origin());
            Node::recovered(config, found, now)
        });
        let (outboxes, arrivals) = ([Outbox::default(), Outbox::default()], VecDeque::new());
        let mut pair = Pair { now, nodes, journaled: [0; 2], outboxes, arrivals, links: 0 };
        (0..2).for_each(|at| pair.step(at, Input::Tick));
        pair
    }

    /// Whether both have all that the other has.
    pub(crate) fn agree(&self) -> bool {
        let [one, other] = &self.nodes;
        let has_all = |of: &Node, at: &Node| {
            of.counters().digest().all(|(origin, known)| at.counters().known(origin) == known)
        };
        has_all(one, other) && has_all(other, one)
    }

    /// Bytes of frames that each has sent so far.
    pub(crate) fn sent(&self) -> [u64; 2] {
        [0, 1].map(|at: usize| self.nodes[at].totals().link_bytes_sent)
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.advance(end) {}
        self.now = end;
    }

    /// Lets time pass until something is so, looked at every so often; tells whether it came so.
    pub(crate) fn run_until(
        &mut self,
        look_every: Duration,
        limit: Duration,
        is_so: impl Fn(&Pair) -> bool,
    ) -> bool {
        let end = self.now + limit;
        while !is_so(self) {
            if self.now >= end {
                return false;
            }
            self.run(look_every);
        }
        true
    }

    /// Does the next thing, if it happens before `end`.
    fn advance(&mut self, end: Time) -> bool {
        let wake = |at: usize| (self.nodes[at].next_deadline(), at);
        let (wake, sleeper) = wake(0).min(wake(1));
        match self.arrivals.front() {
            Some((at, ..)) if *at <= end && *at <= wake => {
                let Some((at, to, input)) = self.arrivals.pop_front() else { return false };
                self.now = self.now.max(at);
                self.step(to, input);
                true
            }
            _ if wake <= end => {
                self.now = self.now.max(wake);
                self.step(sleeper, Input::Tick);
                true
            }
            _ => false,
        }
    }

    fn step(&mut self, at: usize, input: Input) {
        let (now, mut effects) = (self.now, Effects::default());
        self.nodes[at].handle(now, input, &mut effects);
        loop {
            let batch = self.nodes[at].close_batch(now, &mut effects);
            self.carry_out_at_once(at, &mut effects);
            if let Some(records) = self.outboxes[at].close(batch, &mut effects) {
                self.journaled[at] += records.bytes();
                self.outboxes[at].safe(batch);
            }
            while let Some(Released { effects: after, batch }) = self.outboxes[at].release() {
                after.into_iter().for_each(|effect| self.carry_out(at, effect));
                self.nodes[at].handle(now, Input::Synced { batch }, &mut effects);
                self.carry_out_at_once(at, &mut effects);
            }
            if !effects.must_wait() {
                return;
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
            Effect::Datagram { bytes, .. } | Effect::Broadcast { bytes } => {
                let from = socket(u8::try_from(at).unwrap_or_default());
                self.arrive(other, Input::Datagram { from, bytes });
            }
            Effect::Dial { node, .. } => {
                self.links += 1;
                let link = self.links;
                self.arrive(other, Input::LinkOpened { link, dialed: None });
                self.arrive(at, Input::LinkOpened { link, dialed: Some(node) });
            }
            Effect::Frame { links, bytes } => {
                for link in links {
                    self.arrive(other, Input::LinkFrame { link, frame: bytes.clone() });
                }
            }
            Effect::CloseLink { link } => self.arrive(other, Input::LinkClosed { link }),
            _ => {}
        }
    }

    fn arrive(&mut self, to: usize, input: Input) {
        self.arrivals.push_back((self.now + LATENCY, to, input));
    }
}
