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

mod behind;
pub mod limits;
mod messages;
mod parked;
mod questions;
mod records;
mod requests;
mod waiters;
mod watcher;

use std::collections::VecDeque;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::counters::order::Order;
use crate::counters::{Bounds, Counters, LocalBatch};
use crate::effect::{Destination, Effect};
use crate::identity::{Address, Identity, NodeId, OriginId};
use crate::input::Input;
use crate::limit::RateLimit;
use crate::links::{Context, Links};
use crate::node::limits::Limits;
use crate::outbox::Effects;
use crate::peers::Peers;
use crate::peers::comparison::Comparison;
use crate::peers::discovery::Discovery;
use crate::peers::registry::Registry;
use crate::query::{List, Page, Question};
use crate::replication::Replication;
use crate::replication::arrivals::Arrivals;
use crate::replication::window;
use crate::room::Room;
use crate::status::{PeerStatus, Status, Totals};
use crate::storage::record::Start;
use crate::storage::snapshot::Walk;
use crate::storage::state::Recovered;
use crate::time::Time;
use crate::wire::auth::Secret;
use crate::wire::datagram::{Datagram, Envelope};
use crate::wire::frame::Goodbye;

use self::behind::SETTLING;
pub(crate) use self::parked::PARKED_MAX;
use self::parked::Parked;
pub use self::questions::SCAN_NAMES_MAX;
pub use self::requests::REQUEST_OPS_MAX;
pub(crate) use self::waiters::WAITERS_MAX;
use self::waiters::Waiters;
use self::watcher::Watcher;

/// Beacons are numbered from a number of 48 bits of chance on: nobody guesses it, and it grows for
/// ever.
const SEQUENCE_SHIFT: u32 = 16;

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
    /// [`crate::wire::datagram::CLUSTER_BYTES_MAX`] bytes.
    pub cluster: String,
    /// The cluster's secret, if it has one.
    pub secret: Option<Secret>,
    /// Addresses to ask for the cluster, again and again: every second while no member is up there.
    pub seeds: Vec<Address>,
    /// Whether to call by broadcast and to answer those who do.
    pub discovery: bool,
    /// Whether what it changes is kept anywhere: without a journal no records are made for one.
    pub is_kept: bool,
    /// All the chance that the node will ever use. Must come from the operating system where
    /// there is a secret: nonces are made of it.
    pub chance: [u8; 32],
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
    comparison: Comparison,
    totals: Totals,
    /// When the first change came that no call of `close_batch` has followed.
    opened: Option<Time>,
    /// Own batches closed since the last call of `close_batch`.
    closed: Vec<LocalBatch>,
    /// Own batches that wait for their sync, by the number of the caller's batch, and when the
    /// first of their changes came.
    unsynced: VecDeque<(u64, Time, Vec<LocalBatch>)>,
    /// Pushes merged and not synced yet.
    arrivals: Arrivals,
    batch: u64,
    parked: Parked,
    waiters: Waiters,
    watcher: Watcher,
    strangers: RateLimit,
    limits: Limits,
    /// What is told of claims that cannot be.
    foreign_writers: RateLimit,
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
use context;

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
        let sequence = chance.next_u64() >> SEQUENCE_SHIFT;
        let kept = Start::from(&me);
        let mut peers =
            Peers::new(me, envelope.clone(), &config.seeds, ChaCha8Rng::from_seed(seed), now);
        peers.recover(now, recovered.registry, recovered.peers.into_values());
        let mut counters = recovered.counters;
        counters.rest_rows();
        Node {
            cluster: config.cluster,
            envelope,
            started: now,
            counters,
            is_kept: config.is_kept,
            kept,
            chance,
            order: Order::default(),
            discovery: Discovery::new(config.discovery, sequence, now),
            peers,
            links: Links::default(),
            replication: Replication::default(),
            comparison: Comparison::default(),
            totals: Totals::default(),
            opened: None,
            closed: Vec::new(),
            unsynced: VecDeque::new(),
            arrivals: Arrivals::default(),
            batch: 0,
            parked: Parked::new(now + SETTLING),
            waiters: Waiters::default(),
            watcher: Watcher::default(),
            strangers: RateLimit::new(1, 2, now),
            limits: Limits::default(),
            foreign_writers: RateLimit::new(1, 10, now),
        }
    }

    /// Has the table hold no more than this from now on, besides what it holds already.
    pub fn bound_table(&mut self, bounds: Bounds) {
        self.counters.bound(bounds);
    }

    /// Speaks no later version of the link protocol than this, as an earlier release does.
    pub fn speak_up_to(&mut self, version: u16) {
        self.links.speak_up_to(version);
    }

    /// Applies one input. What it causes is added to `effects`.
    pub fn handle(&mut self, now: Time, input: Input, effects: &mut Effects) {
        match input {
            Input::Request { token, request } => self.request(now, token, request, effects),
            Input::Query { token, query } => self.query(now, token, query, effects),
            Input::Watch { token, wait } => {
                self.watcher.watch(token, wait, &mut self.counters, effects);
            }
            Input::Unwatch { token } => self.watcher.unwatch(token, &mut self.counters, effects),
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
            Input::Room(room) => self.counters.make_room(room),
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
        self.replication.batch_closed(self.batch);
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

    /// How many bytes may still be taken; see [`Input::Room`].
    pub fn room(&self) -> Room {
        self.counters.room()
    }

    /// Begins a snapshot: the caller cuts the journal behind the batch that was closed last. To be
    /// called between batches, with nothing open.
    pub fn begin_snapshot(&self) -> Walk {
        let memberships = self.peers.registry().records();
        Walk::new(&self.counters, Some(&self.kept), memberships, self.peers.met())
    }

    /// The next records of a snapshot, of some `bytes` together. What they tell is in the journal
    /// once the batch that was closed last is synced. To be called between batches.
    pub fn snapshot_step(&self, walk: &mut Walk, bytes: usize) -> Vec<u8> {
        walk.step(&self.counters, bytes)
    }

    /// When [`Input::Tick`] is due next, if nothing else happens before.
    pub fn next_deadline(&self) -> Time {
        [
            self.discovery.next_deadline(),
            self.links.next_deadline(),
            self.replication.next_deadline(),
            self.comparison.next_deadline(),
            self.parked.next_deadline(),
            self.order.has_work().then_some(Time::ZERO),
            self.waiters.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .fold(self.peers.next_deadline(), Time::min)
    }

    /// What the node tells of itself. How much was counted it tells as it stands in the table: that
    /// may leave when the batch that is open is synced (rule `publish-after-sync`), and the rest at
    /// once.
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
            without_room: self.replication.without_room(),
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

    /// Has the node take no more than this from now on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        self.parked.limit(limits.raises);
        self.waiters.limit(limits.waits);
        self.order.limit(limits.listings);
        self.peers.limit_removals(limits.removals);
        let window = window::Bounds { bytes: limits.window_bytes, pushes: limits.window_pushes };
        self.replication.limit(window, limits.part_bytes);
    }

    /// Who it is now.
    pub fn identity(&self) -> &Identity {
        self.peers.me()
    }

    /// Who was removed and registered again, for those who look at a node from outside of the
    /// protocol.
    pub fn registry(&self) -> &Registry {
        self.peers.registry()
    }

    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: crate::bug::Bug) {
        self.counters.bug = Some(bug);
        self.replication.bug = Some(bug);
    }

    #[cfg(feature = "planted-bugs")]
    fn has(&self, bug: crate::bug::Bug) -> bool {
        self.counters.bug == Some(bug)
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
            self.replication.tick(now, &mut self.counters, &mut self.totals, effects);
        }
        if self.comparison.next_deadline().is_some_and(|at| at <= now) {
            self.compare(now, effects);
        }
        self.apply_parked(now, effects);
        self.answer_waiters(now, effects);
        if let Some((token, (rows, more))) = self.order.step(&self.counters) {
            #[cfg(feature = "planted-bugs")]
            let rows = match self.has(crate::bug::Bug::PageIsShort) {
                true => rows[..rows.len().saturating_sub(1)].to_vec(),
                false => rows,
            };
            let answer = List::answer(Ok(Page { rows, more }));
            effects.after_sync.push(Effect::Answer { token, answer });
        }
        // Last, so that the watcher also gets what has just been done.
        self.watcher.answer_due(&mut self.counters, effects);
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
        self.replication.batch_synced(now, batch);
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

#[cfg(test)]
mod tests;
