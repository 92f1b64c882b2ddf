//! The whole protocol as one value: inputs in, effects out.
//!
//! A node owns its counters, its peers, its links and their replication, and is the only one that
//! knows them all. It is handed what happens together with the time, and hands out what shall be
//! done, in two parts: what may leave at once, and what must wait until the batch that was open
//! when it was read is synced.
//!
//! The caller's loop:
//!
//! ```text
//! handle(now, input, &mut effects)      for everything that waits
//! close_batch(now, &mut effects)        does what is due, ends the batch
//! carry out effects.at_once
//! append effects.journal, sync          meanwhile the next batch may gather
//! carry out effects.after_sync
//! handle(now, Input::Synced{batch}, …)
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::arrivals::Arrivals;
use crate::auth::Secret;
use crate::codec::{self, CodecError, Datagram, Envelope, Goodbye, Message};
use crate::counters::{Counters, MergeError, OwnBatch, SOUGHT_MAX, Sought};
use crate::delta::Delta;
use crate::discovery::{Discovery, Heard};
use crate::effects::{
    Answer, Behind, Destination, Effect, Effects, Event, Input, LinkId, Op, Query, Refusal, Row,
    Share, Token, Value,
};
use crate::identity::{Address, Identity, NodeId, OriginId, Version};
use crate::limit::RateLimit;
use crate::links::{Context, FRAME_LENGTH_BYTES, Links, Outcome};
use crate::order::{Order, Window};
use crate::peers::{Change, Peers, SwimError};
use crate::registry::Standing;
use crate::replication::Replication;
use crate::status::{PeerStatus, Status, Totals};
use crate::storage::record::Start;
use crate::storage::snapshot::Walk;
use crate::storage::state::Recovered;
use crate::time::Time;

/// Most operations that one request may hold: as many as `POST /batch` takes.
pub const REQUEST_OPS_MAX: usize = 10_000;

/// Most names that one step of a scan tells.
pub const SCAN_NAMES_MAX: usize = 10_000;

/// Clients that wait for confirmations; more are answered at once.
const AWAITS_MAX: usize = 1024;

/// How long a raise may wait for this node to catch up.
const RAISE_PATIENCE: Duration = Duration::from_secs(2);

/// Raises that wait; more are refused at once.
const PARKED_MAX: usize = 1024;

/// How long after its start a node that looks for others holds itself for behind: the time in
/// which its first calls are answered.
const SETTLING: Duration = Duration::from_millis(1000);

/// Records in one frame: a quarter of a megabyte of them at most.
const STANDINGS_A_FRAME: usize = 512;

/// What a node is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its id.
    pub node: NodeId,
    /// A fresh random id for this start.
    pub origin: OriginId,
    /// Where others reach it.
    pub address: Address,
    /// Milliseconds of a wall clock, or the last start's number + 1, whichever is greater.
    pub boot: u64,
    /// The cluster's name: nodes of another name are not heard. At most
    /// [`codec::CLUSTER_BYTES_MAX`] bytes.
    pub cluster: String,
    /// The cluster's secret, if it has one.
    pub secret: Option<Secret>,
    /// Addresses to ask for the cluster, again and again while alone.
    pub seeds: Vec<Address>,
    /// Whether to call by broadcast and to answer those who do.
    pub discovery: bool,
    /// Whether what it changes is kept anywhere: without a journal no records are made for one.
    pub is_kept: bool,
    /// All the chance that the node will ever use. Must come from the operating system where
    /// there is a secret: nonces are made of it.
    pub chance: [u8; 32],
}

/// A request with a raise that waits until this node is not known to be behind.
#[derive(Debug)]
struct Parked {
    token: Token,
    ops: Vec<Op>,
    until: Time,
}

/// A client that waits until peers have confirmed a version of our own.
#[derive(Debug)]
struct Awaiting {
    token: Token,
    version: Version,
    peers: usize,
    until: Option<Time>,
}

/// One node of a cluster.
#[derive(Debug)]
pub struct Node {
    cluster: String,
    envelope: Envelope,
    chance: ChaCha8Rng,
    started: Time,
    counters: Counters,
    /// Whether there is a journal.
    is_kept: bool,
    /// Who we are as the journal says.
    kept: Start,
    order: Order,
    discovery: Discovery,
    peers: Peers,
    links: Links,
    replication: Replication,
    totals: Totals,
    /// When the first change came that no call of `close_batch` has followed.
    opened: Option<Time>,
    /// Own batches closed since the last call of `close_batch`.
    closed: Vec<OwnBatch>,
    /// Own batches that wait for their sync, by the number of the caller's batch, and when the
    /// first of their changes came.
    unsynced: VecDeque<(u64, Time, Vec<OwnBatch>)>,
    /// Pushes merged and not synced yet.
    arrivals: Arrivals,
    batch: u64,
    parked: VecDeque<Parked>,
    awaiting: Vec<Awaiting>,
    /// Who waits for changes.
    watcher: Option<Token>,
    /// When what is parked is to be looked at because the node has settled; `None` since then.
    settles: Option<Time>,
    strangers: RateLimit,
}

/// What the links need, out of a node's parts.
macro_rules! context {
    ($node:ident, $now:expr, $effects:expr) => {
        &mut Context {
            now: $now,
            cluster: &$node.cluster,
            secret: $node.envelope.secret(),
            peers: &mut $node.peers,
            chance: &mut $node.chance,
            totals: &mut $node.totals,
            out: &mut $effects.at_once,
        }
    };
}

impl Node {
    /// A node that has just started and knows nobody.
    pub fn new(config: Config, now: Time) -> Self {
        let mut chance = ChaCha8Rng::from_seed(config.chance);
        let recovered = Recovered::new(config.origin, chance.next_u64());
        Node::assembled(config, recovered, chance, now)
    }

    /// A node that has just started and found what it kept. Who it is, `config` has from
    /// [`Recovered::next_start`].
    pub fn recovered(config: Config, recovered: Recovered, now: Time) -> Self {
        let chance = ChaCha8Rng::from_seed(config.chance);
        Node::assembled(config, recovered, chance, now)
    }

    fn assembled(config: Config, recovered: Recovered, mut chance: ChaCha8Rng, now: Time) -> Self {
        let envelope = Envelope::new(&config.cluster, config.secret);
        let me = Identity {
            node: config.node,
            address: config.address,
            epoch: 0,
            boot: config.boot,
            origin: config.origin,
        };
        let mut seed = [0; 32];
        chance.fill_bytes(&mut seed);
        let kept = Start::from(&me);
        let mut peers =
            Peers::new(me, envelope.clone(), &config.seeds, ChaCha8Rng::from_seed(seed), now);
        peers.recover(now, recovered.registry, recovered.peers.into_values());
        Node {
            cluster: config.cluster,
            envelope,
            started: now,
            counters: recovered.counters,
            is_kept: config.is_kept,
            kept,
            chance,
            order: Order::default(),
            discovery: Discovery::new(config.discovery, now),
            peers,
            links: Links::default(),
            replication: Replication::default(),
            totals: Totals::default(),
            opened: None,
            closed: Vec::new(),
            unsynced: VecDeque::new(),
            arrivals: Arrivals::default(),
            batch: 0,
            parked: VecDeque::new(),
            awaiting: Vec::new(),
            watcher: None,
            settles: Some(now + SETTLING),
            strangers: RateLimit::new(1, 2, now),
        }
    }

    /// Applies one input. What it causes is added to `effects`.
    pub fn handle(&mut self, now: Time, input: Input, effects: &mut Effects) {
        match input {
            Input::Request { token, ops } => self.request(now, token, ops, effects),
            Input::Query { token, query } => {
                if matches!(query, Query::Changes { .. } | Query::IgnoreChanges) {
                    self.answer_watcher(Vec::new(), false, effects);
                }
                if let Some(answer) = self.answer(token, query) {
                    effects.after_sync.push(Effect::Answer { token, answer });
                }
            }
            Input::Await { token, version, peers, patience } => {
                let until = patience.map(|patience| now + patience);
                self.awaiting.push(Awaiting { token, version, peers, until });
                self.answer_awaiting(now, effects);
            }
            Input::Register { token, peer } => {
                let out = &mut effects.at_once;
                let news = self.peers.register(now, &peer, &mut self.totals, out);
                self.tell_standings(now, &news, effects);
                effects.after_sync.push(Effect::Reply { token, results: Vec::new(), version: 0 });
            }
            Input::Remove { token, peer } => {
                let out = &mut effects.at_once;
                let news = self.peers.remove(now, &peer, &mut self.totals, out);
                self.tell_standings(now, &news, effects);
                effects.after_sync.push(Effect::Reply { token, results: Vec::new(), version: 0 });
            }
            Input::Datagram { from, bytes } => self.datagram(now, from, &bytes, effects),
            Input::LinkOpened { link, dialed } => {
                self.links.opened(link, dialed, context!(self, now, effects));
            }
            Input::LinkFrame { link, frame } => self.frame(now, link, &frame, effects),
            Input::LinkClosed { link } => {
                let outcome = self.links.closed(link, context!(self, now, effects));
                self.settle(now, outcome, effects);
            }
            Input::DialFailed { node } => self.links.dial_failed(node, now),
            Input::Synced { batch } => self.synced(now, batch, effects),
            Input::Tick => {}
            Input::Leave => self.leave(now, effects),
        }
    }

    /// Does what is due, and ends the batch that the inputs since the last call make up:
    /// `effects.journal` then holds what it changed, and [`Input::Synced`] with the number
    /// returned here must follow once that is synced and `after_sync` has been carried out.
    /// Numbers go up by one.
    pub fn close_batch(&mut self, now: Time, effects: &mut Effects) -> u64 {
        self.do_due(now, effects);
        self.close_version(effects);
        self.keep_who_we_are(effects);
        self.batch += 1;
        let opened = self.opened.take().unwrap_or(now);
        if !self.closed.is_empty() {
            self.unsynced.push_back((self.batch, opened, std::mem::take(&mut self.closed)));
        }
        self.batch
    }

    /// Whether the open batch has changed counters, and that is to be kept: it costs a sync then,
    /// however much more it is given before it is closed.
    pub fn will_sync(&self) -> bool {
        self.is_kept && !(self.closed.is_empty() && self.counters.is_open_batch_empty())
    }

    /// Begins a snapshot: the caller cuts the journal behind the batch that was closed last. To be
    /// called between batches, with nothing open.
    pub fn begin_snapshot(&self) -> Walk {
        let standings = self.peers.registry().records();
        Walk::new(&self.counters, Some(&self.kept), standings, self.peers.met())
    }

    /// The next records of a snapshot, of some `bytes` together. What they tell is in the journal
    /// once the batch that was closed last is synced. To be called between batches.
    pub fn snapshot_step(&self, walk: &mut Walk, bytes: usize) -> Vec<u8> {
        walk.step(&self.counters, bytes)
    }

    /// When [`Input::Tick`] is due next, if nothing else happens before.
    pub fn next_deadline(&self) -> Time {
        let parked = self.parked.front().map(|parked| match self.settles {
            Some(settles) => parked.until.min(settles),
            None => parked.until,
        });
        [
            self.discovery.next_deadline(),
            self.links.next_deadline(),
            self.replication.next_deadline(),
            parked,
            self.order.has_work().then_some(Time::ZERO),
            self.awaiting.iter().filter_map(|awaiting| awaiting.until).min(),
        ]
        .into_iter()
        .flatten()
        .fold(self.peers.next_deadline(), Time::min)
    }

    /// What the node tells of itself.
    pub fn status(&self, now: Time) -> Status {
        let ours = self.counters.our_version();
        let peers = self
            .peers
            .list()
            .into_iter()
            .map(|listed| PeerStatus {
                counted: listed
                    .identity
                    .as_ref()
                    .map_or(0, |identity| self.counters.counted(identity.origin)),
                link: listed
                    .identity
                    .as_ref()
                    .and_then(|identity| self.links.to_peer(identity.node))
                    .and_then(|link| self.replication.status(link, now, ours)),
                address: listed.address,
                node: listed.identity.map(|identity| identity.node),
                state: listed.state,
                listed: listed.is_listed,
            })
            .collect();
        Status {
            identity: self.peers.me().clone(),
            version: ours,
            counters: self.counters.len(),
            origins: self.counters.origins(),
            counted: self.counters.counted(self.counters.our_origin()),
            removed: self.peers.am_removed(),
            peers,
        }
    }

    /// What it has counted of its own work.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The table, for those who look at a node from outside of the protocol.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: Bug) {
        self.counters.bug = Some(bug);
        self.replication.bug = Some(bug);
    }

    fn request(&mut self, now: Time, token: Token, ops: Vec<Op>, effects: &mut Effects) {
        let raises = ops.iter().any(|op| matches!(op, Op::Raise { .. }));
        if raises && let Some(behind) = self.behind(now) {
            if self.parked.len() < PARKED_MAX {
                self.parked.push_back(Parked { token, ops, until: now + RAISE_PATIENCE });
            } else {
                self.apply(now, token, &ops, Some(behind), effects);
            }
            return;
        }
        self.apply(now, token, &ops, None, effects);
    }

    fn apply(
        &mut self,
        now: Time,
        token: Token,
        ops: &[Op],
        behind: Option<Behind>,
        effects: &mut Effects,
    ) {
        let mut results = Vec::with_capacity(ops.len());
        let mut sought = Vec::with_capacity(ops.len().min(SOUGHT_MAX));
        let before = self.totals.writes();
        for ops in ops.chunks(SOUGHT_MAX) {
            self.counters.seek(ops.iter().map(|op| op.name().as_bytes()), &mut sought);
            for (op, sought) in ops.iter().zip(&sought) {
                let result = self.apply_one(op, sought, behind);
                match result {
                    Err(Refusal::Overflow) => self.totals.refused_overflow += 1,
                    Err(Refusal::Behind(_)) => self.totals.refused_behind += 1,
                    Err(Refusal::TooManyCounters(_)) => self.totals.refused_full += 1,
                    Ok(_) | Err(Refusal::Untouched) => {}
                }
                results.push(result);
                if self.counters.is_open_batch_full() {
                    self.close_version(effects);
                }
            }
        }
        // What the request changed is in the version that is open, or in the last one that closed.
        let is_write = self.totals.writes() > before;
        let version = if is_write { self.counters.newest_version() } else { 0 };
        if is_write {
            self.opened.get_or_insert(now);
        }
        effects.after_sync.push(Effect::Reply { token, results, version });
    }

    fn apply_one(
        &mut self,
        op: &Op,
        sought: &Sought<'_>,
        behind: Option<Behind>,
    ) -> Result<Value, Refusal> {
        match op {
            Op::Add { by, .. } => {
                self.totals.increments += 1;
                self.counters.add_to(sought, *by)
            }
            Op::Get { .. } => {
                self.totals.reads += 1;
                Ok(self.counters.value_of(sought))
            }
            Op::Find { .. } => {
                self.totals.reads += 1;
                self.counters.touched_of(sought).ok_or(Refusal::Untouched)
            }
            Op::Raise { to, .. } => {
                self.totals.raises += 1;
                match behind {
                    Some(behind) => Err(Refusal::Behind(behind)),
                    None => self.counters.raise_to(sought, *to),
                }
            }
        }
    }

    /// Answers a query, or has it wait.
    fn answer(&mut self, token: Token, query: Query) -> Option<Answer> {
        Some(match query {
            Query::Size => Answer::Size(self.counters.len()),
            Query::Scan { from, count } => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let names = self.counters.names_from(from, count.clamp(1, SCAN_NAMES_MAX));
                let next = from.saturating_add(names.len());
                let is_over = next >= self.counters.len();
                Answer::Scanned { names, next: if is_over { 0 } else { next as u64 } }
            }
            Query::Origins { name } => {
                let shares = self.counters.slots_of(name.as_str()).map(|view| Share {
                    origin: view.origin,
                    address: self.address_of(view.origin),
                    slot: view.slot,
                    version: view.version,
                });
                Answer::Origins(shares.collect())
            }
            Query::List { prefix, after, limit } => {
                let window = Window { prefix, after, limit };
                if self.order.ask(token, window, &self.counters) {
                    return None;
                }
                Answer::Busy
            }
            Query::Changes { wait: true } => {
                self.counters.watch_changes();
                self.watcher = Some(token);
                return None;
            }
            Query::Changes { wait: false } => {
                self.counters.watch_changes();
                let (rows, more) = self.counters.take_changes();
                Answer::Changes { rows, more }
            }
            Query::IgnoreChanges => {
                self.counters.ignore_changes();
                Answer::Changes { rows: Vec::new(), more: false }
            }
        })
    }

    /// Answers whoever waits for changes.
    fn answer_watcher(&mut self, rows: Vec<Row>, more: bool, effects: &mut Effects) {
        if let Some(token) = self.watcher.take() {
            let answer = Answer::Changes { rows, more };
            effects.after_sync.push(Effect::Answer { token, answer });
        }
    }

    fn address_of(&self, origin: OriginId) -> Option<Address> {
        let me = self.peers.me();
        std::iter::once(me)
            .chain(self.peers.up())
            .find(|identity| identity.origin == origin)
            .map(|identity| identity.address.clone())
    }

    /// Answers those whose version enough peers have confirmed, or whose patience is over.
    fn answer_awaiting(&mut self, now: Time, effects: &mut Effects) {
        let full = self.awaiting.len() > AWAITS_MAX;
        let replication = &self.replication;
        self.awaiting.retain(|awaiting| {
            let confirmed = replication.confirmed_by(awaiting.version);
            let is_over = awaiting.until.is_some_and(|until| until <= now);
            if confirmed < awaiting.peers && !is_over && !full {
                return true;
            }
            let answer = Answer::Confirmed(confirmed);
            effects.after_sync.push(Effect::Answer { token: awaiting.token, answer });
            false
        });
    }

    /// In what way this node is known to be behind its peers (rule 22).
    fn behind(&self, now: Time) -> Option<Behind> {
        if self.peers.am_removed() {
            return None;
        }
        let mut up = self.peers.up().peekable();
        let looks_for_others = self.discovery.next_deadline().is_some()
            || self.peers.has_seeds()
            || self.peers.has_met_anyone();
        if up.peek().is_none() && looks_for_others && now < self.started + SETTLING {
            return Some(Behind::Starting);
        }
        up.find(|peer| self.links.to_peer(peer.node).is_none())
            .map(|peer| Behind::NotCompared(peer.node))
            .or_else(|| self.replication.behind(&self.counters))
    }

    fn do_due(&mut self, now: Time, effects: &mut Effects) {
        if self.peers.next_deadline() <= now {
            self.peers.tick(now, &mut self.totals, &mut effects.at_once);
            for address in self.peers.due_asks(now) {
                let beacon = self.discovery.ask(self.peers.me());
                self.peers.asked(&address, beacon.sequence);
                self.totals.beacons_sent += 1;
                let bytes = self.envelope.seal(&Datagram::Beacon(beacon));
                let to = Destination::Address(address);
                effects.at_once.push(Effect::Datagram { to, bytes });
            }
        }
        if let Some(beacon) = self.discovery.due(now, self.peers.me(), &mut self.chance) {
            self.totals.beacons_sent += 1;
            let bytes = self.envelope.seal(&Datagram::Beacon(beacon));
            effects.at_once.push(Effect::Broadcast { bytes });
        }
        let has_news = self.settle_changes(now, effects);
        if has_news || self.links.next_deadline().is_some_and(|at| at <= now) {
            for outcome in self.links.tick(context!(self, now, effects)) {
                self.settle(now, outcome, effects);
            }
        }
        if self.replication.next_deadline().is_some_and(|at| at <= now) {
            self.replication.push(now, &self.counters, &mut self.totals, &mut effects.at_once);
            self.replication.tick(now, &self.counters, &mut self.totals, effects);
        }
        if !self.parked.is_empty() {
            self.retry_parked(now, effects);
        }
        if !self.awaiting.is_empty() {
            self.answer_awaiting(now, effects);
        }
        if let Some((token, (rows, more))) = self.order.step(&self.counters) {
            effects.after_sync.push(Effect::Answer { token, answer: Answer::Page { rows, more } });
        }
        // Last, so that what has just been done is told as well.
        if self.watcher.is_some() && self.counters.has_changes() {
            let (rows, more) = self.counters.take_changes();
            self.answer_watcher(rows, more, effects);
        }
    }

    fn retry_parked(&mut self, now: Time, effects: &mut Effects) {
        self.settles = self.settles.filter(|settles| *settles > now);
        let behind = self.behind(now);
        while let Some(first) = self.parked.front()
            && (behind.is_none() || first.until <= now)
            && let Some(parked) = self.parked.pop_front()
        {
            self.apply(now, parked.token, &parked.ops, behind, effects);
        }
    }

    /// Ends a version of our own: what changed since the last one becomes a delta.
    fn close_version(&mut self, effects: &mut Effects) {
        let Some(batch) = self.counters.close() else { return };
        self.totals.batches += 1;
        self.totals.batch_entries += batch.entries.len() as u64;
        if self.is_kept {
            effects.journal.add_own(&batch, &self.counters);
        }
        self.closed.push(batch);
    }

    /// Writes down an identity that has changed: after a restart it must be the later one still.
    fn keep_who_we_are(&mut self, effects: &mut Effects) {
        let now = Start::from(self.peers.me());
        if now != self.kept {
            if self.is_kept {
                effects.journal.add_start(&now);
            }
            self.kept = now;
        }
    }

    fn synced(&mut self, now: Time, batch: u64, effects: &mut Effects) {
        self.arrivals.synced(now, batch, &mut self.totals.convergence);
        while self.unsynced.front().is_some_and(|(number, ..)| *number <= batch)
            && let Some((_, accepted, batches)) = self.unsynced.pop_front()
        {
            for batch in &batches {
                let (totals, out) = (&mut self.totals, &mut effects.at_once);
                self.replication.synced(now, accepted, batch, &self.counters, totals, out);
            }
        }
        self.replication.push(now, &self.counters, &mut self.totals, &mut effects.at_once);
    }

    fn datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8], effects: &mut Effects) {
        let envelope = self.envelope.clone();
        match envelope.open(bytes) {
            Ok(Datagram::Beacon(beacon)) => {
                // Two alone would never find a third to tell them (rule 27).
                let is_copy = self.peers.is_ours_elsewhere(&beacon.identity);
                match self.discovery.hear(now, from, &beacon, self.peers.me()) {
                    Heard::Nothing => {}
                    Heard::Limited => self.totals.beacons_limited += 1,
                    Heard::Rumour { answer } => {
                        self.totals.beacons_heard += 1;
                        let is_removed = self.peers.registry().is_removed(&beacon.identity);
                        let out = &mut effects.at_once;
                        // Before the answer: if we were removed, who asks because an operator
                        // registers us must know that there is something to lift.
                        self.peers.rumour(now, beacon.identity, &mut self.totals, out);
                        if let Some(answer) = answer
                            && !is_removed
                        {
                            self.totals.beacons_sent += 1;
                            let bytes = envelope.seal(&Datagram::Beacon(answer));
                            let to = Destination::Socket(from);
                            effects.at_once.push(Effect::Datagram { to, bytes });
                        }
                    }
                    Heard::Answer(sequence) => {
                        self.totals.beacons_heard += 1;
                        let out = &mut effects.at_once;
                        let identity = beacon.identity;
                        let totals = &mut self.totals;
                        let news = self.peers.answered(now, sequence, identity, totals, out);
                        self.tell_standings(now, &news, effects);
                    }
                }
                if is_copy {
                    self.take_fresh_id(now, effects);
                }
            }
            Ok(Datagram::Swim(packet)) => {
                self.totals.swim_received += 1;
                let out = &mut effects.at_once;
                match self.peers.handle_swim(now, packet, from, &mut self.totals, out) {
                    Ok(()) => {}
                    Err(SwimError::Malformed) => self.totals.datagrams_malformed += 1,
                    Err(SwimError::Removed) => self.totals.datagrams_removed += 1,
                }
            }
            Ok(Datagram::Standing(standings)) => {
                self.merge_standings(now, &standings, effects);
            }
            Err(CodecError::Foreign(foreign)) => {
                self.totals.datagrams_foreign += 1;
                if self.strangers.allow(now) {
                    let event = Event::Stranger { from: from.to_string(), reason: foreign };
                    effects.at_once.push(Effect::Event(event));
                }
            }
            Err(_) => self.totals.datagrams_malformed += 1,
        }
        self.settle_changes(now, effects);
    }

    fn frame(&mut self, now: Time, link: LinkId, frame: &Bytes, effects: &mut Effects) {
        let Some(is_established) = self.links.heard(link, now) else { return };
        self.totals.link_bytes_received += frame.len() as u64 + FRAME_LENGTH_BYTES;
        let message = match codec::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                let cx = context!(self, now, effects);
                let outcome = self.links.protocol_error(link, error.to_string(), cx);
                return self.settle(now, outcome, effects);
            }
        };
        if !is_established || matches!(message, Message::Goodbye(_)) {
            let outcome = self.links.handshake(link, frame, &message, context!(self, now, effects));
            return self.settle(now, outcome, effects);
        }
        self.message(now, link, frame, message, effects);
    }

    fn message(
        &mut self,
        now: Time,
        link: LinkId,
        frame: &Bytes,
        message: Message<'_>,
        effects: &mut Effects,
    ) {
        match message {
            Message::Push { after, batches, age_us, entries } => {
                let Some(origin) = self.replication.pusher(link) else { return };
                self.totals.deltas_received += 1;
                let delta = Delta { origin, after, upto: after + batches, entries };
                if self.merge(now, link, &delta, effects) {
                    let (batch, age) = (self.batch + 1, Duration::from_micros(age_us));
                    self.arrivals.merged(now, batch, age, self.links.one_way(link));
                }
                self.replication.pushed(link);
            }
            Message::Confirm(version) => {
                if version > self.counters.our_version() {
                    return self.foreign_writer(now, link, effects);
                }
                self.replication.confirmed(now, link, version, &mut self.totals);
            }
            Message::DigestHash(hash) => self.replication.hear_hash(link, hash),
            Message::DigestPart { first, last, rows } => {
                let (ours, version) = (self.counters.our_origin(), self.counters.our_version());
                if rows.iter().any(|row| row.origin == ours && row.version > version) {
                    return self.foreign_writer(now, link, effects);
                }
                let (counters, totals) = (&self.counters, &mut self.totals);
                self.replication.hear_digest(
                    now,
                    link,
                    (first, last),
                    &rows,
                    counters,
                    totals,
                    effects,
                );
            }
            Message::Ask { request, wants } => {
                self.replication.asked(link, request, &wants, &self.counters, &mut self.totals);
            }
            Message::Part { request, index, last, deltas } => {
                let slots = deltas.iter().map(|delta| delta.entries.len()).sum();
                let part = (request, index, last);
                let may_claim =
                    self.replication.part_came(now, link, part, slots, &mut self.totals, effects);
                for mut delta in deltas {
                    if !may_claim {
                        delta.after = delta.upto;
                    }
                    self.merge(now, link, &delta, effects);
                }
            }
            Message::PartTaken { request, index } => {
                self.replication.part_taken(link, request, index);
            }
            Message::Membership(standings) => self.merge_standings(now, &standings, effects),
            Message::Ping => self.links.send(link, &Message::Pong, context!(self, now, effects)),
            Message::Pong => self.links.pong(link, now),
            Message::Hello(_) | Message::Proof(_) | Message::Welcome | Message::Goodbye(_) => {
                let outcome =
                    self.links.handshake(link, frame, &message, context!(self, now, effects));
                self.settle(now, outcome, effects);
            }
        }
    }

    /// Merges a delta that came over a link; tells whether it brought anything new.
    fn merge(&mut self, now: Time, link: LinkId, delta: &Delta<'_>, effects: &mut Effects) -> bool {
        match self.counters.merge(delta) {
            Ok(merged) => {
                self.totals.gaps += u64::from(merged.gap);
                if merged.news && self.is_kept {
                    effects.journal.add_delta(delta);
                }
                return merged.news;
            }
            Err(MergeError::Full) => self.totals.refused_full += 1,
            Err(MergeError::ForeignWriter) => self.foreign_writer(now, link, effects),
        }
        false
    }

    fn foreign_writer(&mut self, now: Time, link: LinkId, effects: &mut Effects) {
        self.totals.foreign_writes += 1;
        if let Some(peer) = self.links.peer_of(link).map(|peer| peer.node) {
            effects.at_once.push(Effect::Event(Event::ForeignWriter { peer }));
        }
        let reason = MergeError::ForeignWriter.to_string();
        let outcome = self.links.protocol_error(link, reason, context!(self, now, effects));
        self.settle(now, outcome, effects);
    }

    fn merge_standings(&mut self, now: Time, standings: &[Standing], effects: &mut Effects) {
        let out = &mut effects.at_once;
        let news = self.peers.merge_standings(now, standings, &mut self.totals, out);
        self.tell_standings(now, &news, effects);
    }

    /// Journals records that are new here and passes them on to every peer.
    fn tell_standings(&mut self, now: Time, news: &[Standing], effects: &mut Effects) {
        if self.is_kept {
            news.iter().for_each(|standing| effects.journal.add_standing(standing));
        }
        let links = self.links.established();
        self.send_standings(&links, news, effects);
        self.settle_changes(now, effects);
    }

    fn send_standings(&mut self, links: &[LinkId], all: &[Standing], effects: &mut Effects) {
        if links.is_empty() {
            return;
        }
        for standings in all.chunks(STANDINGS_A_FRAME) {
            let bytes = codec::encode(&Message::Membership(standings.to_vec()));
            let length = bytes.len() as u64 + FRAME_LENGTH_BYTES;
            self.totals.link_bytes_sent += length * links.len() as u64;
            effects.after_sync.push(Effect::Frame { links: links.to_vec(), bytes });
        }
    }

    /// Carries over to links what has changed about peers; tells whether something has.
    fn settle_changes(&mut self, now: Time, effects: &mut Effects) -> bool {
        let changes = self.peers.take_changes();
        for change in &changes {
            if let Change::Removed(node, standings) = change
                && let Some(link) = self.links.to_peer(*node)
            {
                let goodbye = Goodbye::Removed(standings.clone());
                let outcome = self.links.leave(link, goodbye, context!(self, now, effects));
                self.settle(now, outcome, effects);
            }
            if let Change::Up(node) = change
                && self.is_kept
                && let Some(identity) = self.peers.up_member(*node)
            {
                effects.journal.add_peer(identity);
            }
        }
        if !changes.is_empty() {
            self.links.look_again(now);
        }
        !changes.is_empty()
    }

    /// Carries over to replication and peers what has become of a link.
    fn settle(&mut self, now: Time, outcome: Outcome, effects: &mut Effects) {
        for link in self.links.take_replaced() {
            self.replication.link_down(link);
        }
        match outcome {
            Outcome::None => {}
            Outcome::Established(link, peer) => {
                self.replication.link_up(now, link, peer.node, peer.origin);
                let all: Vec<Standing> = self.peers.registry().records().collect();
                self.send_standings(&[link], &all, effects);
            }
            Outcome::Ended(link) => self.replication.link_down(link),
            Outcome::OurIdIsInUse(link) => {
                self.replication.link_down(link);
                self.take_fresh_id(now, effects);
            }
            Outcome::PeerLeaves(link, peer) => {
                self.replication.link_down(link);
                self.peers.left(now, &peer, &mut self.totals, &mut effects.at_once);
            }
            Outcome::WeAreRemoved(link, standings) => {
                self.replication.link_down(link);
                self.merge_standings(now, &standings, effects);
            }
        }
    }

    /// Another process answers under our NodeId.
    fn take_fresh_id(&mut self, now: Time, effects: &mut Effects) {
        // Those in their handshake, too: their other side has heard the old id.
        for link in self.links.all() {
            let goodbye = Goodbye::NotAMember;
            let outcome = self.links.leave(link, goodbye, context!(self, now, effects));
            self.settle(now, outcome, effects);
        }
        self.peers.take_fresh_id(now, &mut effects.at_once);
    }

    fn leave(&mut self, now: Time, effects: &mut Effects) {
        // What is synced and still gathers shall reach the peers before the links end.
        let soon = now + Duration::from_secs(1);
        self.replication.push(soon, &self.counters, &mut self.totals, &mut effects.at_once);
        for link in self.links.established() {
            let outcome = self.links.leave(link, Goodbye::Leaving, context!(self, now, effects));
            self.settle(now, outcome, effects);
        }
        self.peers.leave(now, &mut self.totals, &mut effects.at_once);
    }
}

/// A bug that the simulator must find. Test builds plant one to prove that it does.
#[cfg(feature = "planted-bugs")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Merging adds numbers instead of taking the larger.
    AddOnMerge,
    /// The digest advances over a gap.
    DigestOverGap,
    /// Different fingerprints at equal versions are not repaired.
    FingerprintsIgnored,
    /// A start counts on under the origin of an earlier one, as far as the disk remembers it.
    OriginReused,
    /// A start shows a recovered tail that is not synced yet.
    TailNotSynced,
    /// A snapshot removes what it replaces before it is synced itself.
    SegmentsGoFirst,
}
