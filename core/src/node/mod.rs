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

mod absences;
mod batches;
mod behind;
mod clock_check;
mod config;
mod journal;
pub mod limits;
mod messages;
mod parked;
mod questions;
mod reaper;
mod records;
mod report;
mod requests;
mod settlements;
mod waiters;
mod wall_clock;
mod warnings;
mod watcher;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::chance;
use crate::counters::order::Order;
use crate::counters::{Bounds, Counters, LocalBatch};
use crate::effect::{Destination, Effect};
use crate::identity::Identity;
use crate::input::Input;
use crate::links::Links;
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
use crate::status::Totals;
use crate::storage::snapshot::Walk;
use crate::storage::state::Recovered;
use crate::time::Time;
use crate::wire::datagram::{Datagram, Envelope};
use crate::wire::frame::Goodbye;
use crate::wire::versions::{ENDINGS_SINCE, PROTOCOL_VERSIONS, SETTLEMENTS_SINCE};

use self::absences::Absentees;
use self::batches::OpenBatches;
use self::behind::SETTLING;
use self::clock_check::ClockCheck;
pub use self::config::{Config, IN_MEMORY_REMOVED_AFTER, RemovesAfter};
use self::journal::Journal;
pub(crate) use self::parked::PARKED_MAX;
use self::parked::Parked;
pub use self::questions::SCAN_NAMES_MAX;
pub(crate) use self::reaper::REAPED_AFTER;
pub use self::requests::REQUEST_OPS_MAX;
use self::settlements::Settlements;
pub(crate) use self::settlements::{SETTLE_EVERY, SLOTS_WORTH};
pub(crate) use self::waiters::WAITERS_MAX;
use self::waiters::Waiters;
use self::wall_clock::WallClock;
use self::warnings::Warnings;
use self::watcher::Watcher;

/// One node of a cluster.
#[derive(Debug)]
pub struct Node {
    envelope: Envelope,
    started: Time,
    wall_clock: WallClock,
    clock_check: ClockCheck,
    counters: Counters,
    journal: Journal,
    batches: OpenBatches,
    order: Order,
    discovery: Discovery,
    peers: Peers,
    links: Links,
    replication: Replication,
    settlements: Settlements,
    absentees: Absentees,
    /// When expired counters were last taken away.
    reaped: Time,
    comparison: Comparison,
    totals: Totals,
    /// Pushes merged and not synced yet.
    arrivals: Arrivals,
    parked: Parked,
    waiters: Waiters,
    watcher: Watcher,
    warnings: Warnings,
    limits: Limits,
}

impl Node {
    /// A node that has just started and knows no other.
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
        let journal = Journal::new(config.is_kept, &me);
        let last_start = recovered.last_start();
        let mut peers =
            Peers::new(me, envelope.clone(), &config.seeds, chance::split(&mut chance), now);
        peers.recover(recovered.registry, recovered.peers.into_values(), now);
        peers.recover_absent(recovered.absences.removed());
        let links_chance = chance::next_stream(&chance);
        let settling_chance = chance::next_stream(&links_chance);
        let mut ledger = recovered.ledger;
        if last_start.is_some_and(|last| last.node != config.node) {
            // What another node has opened is not this one's to close (rule `copies-close-nothing`).
            ledger.forget_all_opened();
        }
        let absentees_chance = chance::next_stream(&settling_chance);
        let absentees =
            Absentees::new(recovered.absences, config.removes_after, absentees_chance, now);
        let settlements = Settlements::new(ledger, config.settles, settling_chance, now);
        let secret = envelope.secret().cloned();
        let mut counters = recovered.counters;
        counters.rest_rows();
        counters.set_wall_clock(config.boot);
        let mut links = Links::new(config.cluster, secret, links_chance);
        if counters.needs_newer_peers() {
            links.speak_from(ENDINGS_SINCE);
        }
        if settlements.ledger().has_proposals() {
            links.speak_from(SETTLEMENTS_SINCE);
        }
        Node {
            envelope,
            started: now,
            wall_clock: WallClock::set(now, config.boot),
            clock_check: ClockCheck::default(),
            counters,
            journal,
            batches: OpenBatches::default(),
            order: Order::default(),
            discovery: Discovery::new(config.discovery, chance, now),
            peers,
            links,
            replication: Replication::default(),
            settlements,
            absentees,
            reaped: now,
            comparison: Comparison::default(),
            totals: Totals::default(),
            arrivals: Arrivals::default(),
            parked: Parked::new(now + SETTLING),
            waiters: Waiters::default(),
            watcher: Watcher::default(),
            warnings: Warnings::new(now),
            limits: Limits::default(),
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
        self.counters.set_wall_clock(self.wall_clock.read(now));
        match input {
            Input::Request { token, request } => self.request(now, token, request, effects),
            Input::Query { token, query } => self.query(now, token, query, effects),
            Input::Watch { token, wait } => {
                self.watcher.watch(token, wait, &mut self.counters, effects);
            }
            Input::Unwatch { token } => self.watcher.unwatch(token, &mut self.counters, effects),
            Input::Datagram { from, bytes } => self.datagram(now, from, &bytes, effects),
            Input::LinkOpened { link, dialed } => {
                let turn = &mut effects.turn(now, &mut self.totals);
                self.links.opened(link, dialed, &self.peers, turn);
            }
            Input::LinkFrame { link, frame } => self.frame(now, link, &frame, effects),
            Input::LinkClosed { link } => {
                let turn = &mut effects.turn(now, &mut self.totals);
                let outcome = self.links.closed(link, &self.peers, turn);
                self.settle(now, outcome, effects);
            }
            Input::DialFailed { node } => self.links.dial_failed(node, now),
            Input::Synced { batch } => self.synced(now, batch, effects),
            Input::Room(room) => self.counters.make_room(room),
            Input::WallClock(ms) => {
                self.wall_clock = WallClock::set(now, ms);
                self.counters.set_wall_clock(ms);
            }
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
        self.journal.keep_identity(self.peers.me(), effects);
        let batch = self.batches.close(now);
        self.replication.batch_closed(batch);
        batch
    }

    /// Whether the open batch has changed counters, and that is to be kept: it costs a sync then,
    /// however much more it is given before it is closed.
    pub fn will_sync(&self) -> bool {
        let has_changes = self.batches.has_versions() || !self.counters.is_open_batch_empty();
        self.journal.is_kept() && has_changes
    }

    /// How many bytes may still be taken; see [`Input::Room`].
    pub fn room(&self) -> Room {
        self.counters.room()
    }

    /// Begins a snapshot: the caller cuts the journal behind the batch that was closed last. To be
    /// called between batches, with nothing open.
    /// Not while [`Node::is_folding`]; [`Node::end_snapshot`] must follow.
    pub fn begin_snapshot(&mut self) -> Walk {
        self.counters.walk(true);
        self.settlements.begin_snapshot();
        let memberships = self.peers.registry().records();
        let settlements = self.settlements.ledger().kept(&self.counters);
        let start = Some(self.journal.start());
        let absences = self.absentees.records().entries();
        Walk::new(&self.counters, start, memberships, self.peers.met(), settlements)
            .with_absences(absences)
    }

    /// The next records of a snapshot, of some `bytes` together. What they say is in the journal
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
            self.counters.has_vacant_rows().then_some(Time::ZERO),
            self.counters.next_expiry().map(|ms| self.wall_clock.when(ms)),
            self.waiters.next_deadline(),
            self.settlements_due(),
            Some(self.absentees.next_deadline()),
            self.next_reaping(),
        ]
        .into_iter()
        .flatten()
        .fold(self.peers.next_deadline(), Time::min)
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
        self.journal.limit(limits.record_bytes);
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
        self.journal.plant(bug);
        self.replication.bug = Some(bug);
    }

    #[cfg(feature = "planted-bugs")]
    fn has(&self, bug: crate::bug::Bug) -> bool {
        self.counters.bug == Some(bug)
    }

    fn do_due(&mut self, now: Time, effects: &mut Effects) {
        self.counters.set_wall_clock(self.wall_clock.read(now));
        self.counters.expire();
        if self.counters.needs_newer_peers() {
            self.leave_older_peers(now, effects);
        }
        let turn = &mut effects.turn(now, &mut self.totals);
        if self.peers.next_deadline() <= now {
            self.peers.tick(turn);
            for address in self.peers.due_asks(now) {
                let beacon = self.discovery.ask(self.peers.me());
                self.peers.asked(&address, beacon.sequence);
                turn.totals.beacons_sent += 1;
                let bytes = self.envelope.seal(&Datagram::Beacon(beacon));
                turn.datagram(Destination::Address(address), bytes);
            }
        }
        if let Some(beacon) = self.discovery.due(now, self.peers.me()) {
            turn.totals.beacons_sent += 1;
            let bytes = self.envelope.seal(&Datagram::Beacon(beacon));
            turn.at_once.push(Effect::Broadcast { bytes });
        }
        let has_news = self.settle_changes(now, effects);
        self.settle_on(now, effects);
        self.watch_absent(now, effects);
        self.reap(now, effects);
        if has_news || self.links.next_deadline().is_some_and(|at| at <= now) {
            let turn = &mut effects.turn(now, &mut self.totals);
            for outcome in self.links.tick(&self.peers, turn) {
                self.settle(now, outcome, effects);
            }
        }
        if self.replication.next_deadline().is_some_and(|at| at <= now) {
            let turn = &mut effects.turn(now, &mut self.totals);
            self.replication.push(&self.counters, turn);
            self.replication.tick(&mut self.counters, turn);
        }
        if self.comparison.next_deadline().is_some_and(|at| at <= now) {
            self.compare(now, effects);
        }
        self.apply_parked(now, effects);
        self.answer_waiters(now, effects);
        if self.counters.has_vacant_rows() {
            self.counters.vacate_step();
            self.order.forget(&self.counters);
        } else if let Some((token, (rows, more))) = self.order.step(&self.counters) {
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
        if let Some(batch) = self.counters.close() {
            self.keep_version(batch, effects);
        }
    }

    /// A version of our own is to be kept.
    fn keep_version(&mut self, batch: LocalBatch, effects: &mut Effects) {
        self.totals.batches += 1;
        self.totals.batch_entries += batch.entries.len() as u64;
        self.journal.add_own(&batch, &self.counters, effects);
        self.batches.add(batch);
    }

    /// Ends the links to peers that would not understand what was said about the ends of counters, or
    /// their names.
    fn leave_older_peers(&mut self, now: Time, effects: &mut Effects) {
        for link in self.links.speak_from(ENDINGS_SINCE) {
            let goodbye = Goodbye::Versions(ENDINGS_SINCE, PROTOCOL_VERSIONS.1);
            self.leave_link(now, link, goodbye, effects);
        }
    }

    fn synced(&mut self, now: Time, batch: u64, effects: &mut Effects) {
        self.arrivals.synced(now, batch, &mut self.totals.convergence);
        self.replication.batch_synced(batch, now);
        self.end_tellings(now, effects);
        let turn = &mut effects.turn(now, &mut self.totals);
        while let Some((accepted, versions)) = self.batches.next_synced(batch) {
            for version in &versions {
                self.replication.synced(accepted, version, &self.counters, turn);
            }
        }
        self.replication.push(&self.counters, turn);
    }

    fn leave(&mut self, now: Time, effects: &mut Effects) {
        // What is synced and still gathers shall reach the peers before the links end.
        let soon = now + Duration::from_secs(1);
        self.replication.push(&self.counters, &mut effects.turn(soon, &mut self.totals));
        for link in self.links.established() {
            self.leave_link(now, link, Goodbye::Leaving, effects);
        }
        self.peers.leave(&mut effects.turn(now, &mut self.totals));
    }
}

#[cfg(test)]
mod tests;
