//! What clients ask: operations on counters, queries, and what has to wait for its answer.

use std::time::Duration;

use super::Node;
use crate::counters::order::Window;
use crate::counters::{LOOKUPS_MAX, Lookup};
use crate::effect::Effect;
use crate::identity::{Address, OriginId, Version};
use crate::input::Token;
use crate::operation::{Behind, Op, Outcome, Refusal, Request};
use crate::outbox::Effects;
use crate::query::{Answer, Query, Row, Share};
use crate::time::Time;

/// Most operations that one request may hold: the node is busy with them for two or three
/// milliseconds, for which everybody else waits. The callers bound what they take from clients.
pub const REQUEST_OPS_MAX: usize = 20_000;

/// Most names that one step of a scan tells.
pub const SCAN_NAMES_MAX: usize = 10_000;

/// Clients that wait for confirmations; one beyond them is answered at once, with the count of that
/// moment. All are looked at whenever a peer confirms.
pub(crate) const AWAITS_MAX: usize = 1024;

/// How long a raise may wait for this node to catch up.
const RAISE_PATIENCE: Duration = Duration::from_secs(2);

/// Raises that wait; more are refused at once.
pub(crate) const PARKED_MAX: usize = 1024;

/// How long a member without a link holds up raises: as long as dials from both sides take to begin
/// and to come to nothing.
const UNLINKED_MAX: Duration = Duration::from_secs(5);

/// How long after its start a node that looks for others holds itself for behind: the time in
/// which its first calls are answered.
pub(super) const SETTLING: Duration = Duration::from_millis(1000);

/// A request with a raise that waits until this node is not known to be behind.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) token: Token,
    pub(super) request: Request,
    pub(super) until: Time,
}

/// A client that waits until peers have confirmed a version of our own.
#[derive(Debug)]
pub(super) struct Awaiting {
    pub(super) token: Token,
    pub(super) version: Version,
    pub(super) peers: usize,
    pub(super) until: Option<Time>,
}

impl Awaiting {
    fn is_due(&self, now: Time, confirmed: usize) -> bool {
        confirmed >= self.peers || self.until.is_some_and(|until| until <= now)
    }

    fn answered(&self, confirmed: usize) -> Effect {
        Effect::Answer { token: self.token, answer: Answer::Confirmed(confirmed) }
    }
}

impl Node {
    pub(super) fn request(
        &mut self,
        now: Time,
        token: Token,
        request: Request,
        effects: &mut Effects,
    ) {
        debug_assert!(request.ops.len() <= REQUEST_OPS_MAX, "{} operations", request.ops.len());
        let raises = request.ops.iter().any(|op| matches!(op, Op::Raise { .. }));
        if raises && let Some(behind) = self.behind(now) {
            if self.parked.len() < self.limits.raises {
                self.parked.push_back(Parked { token, request, until: now + RAISE_PATIENCE });
            } else {
                self.apply(now, token, &request, Some(behind), effects);
            }
            return;
        }
        self.apply(now, token, &request, None, effects);
    }

    fn apply(
        &mut self,
        now: Time,
        token: Token,
        request: &Request,
        behind: Option<Behind>,
        effects: &mut Effects,
    ) {
        let ops = &request.ops;
        let mut results = Vec::with_capacity(ops.len());
        let mut lookups = Vec::with_capacity(ops.len().min(LOOKUPS_MAX));
        let before = self.totals.writes();
        for ops in ops.chunks(LOOKUPS_MAX) {
            self.counters.prefetch(ops.iter().map(|op| op.name().as_bytes()), &mut lookups);
            for (op, lookup) in ops.iter().zip(&lookups) {
                let result = self.apply_one(op, lookup, behind);
                match result {
                    Err(Refusal::Overflow { .. }) => self.totals.refused_overflow += 1,
                    Err(Refusal::Behind(_)) => self.totals.refused_behind += 1,
                    Err(Refusal::TooManyCounters(_)) => self.totals.refused_full += 1,
                    Err(Refusal::OutOfMemory) => self.totals.refused_memory += 1,
                    Ok(_) => {}
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
        lookup: &Lookup<'_>,
        behind: Option<Behind>,
    ) -> Result<Outcome, Refusal> {
        match op {
            Op::Add { by, .. } => {
                self.totals.increments += 1;
                let added = self.counters.add_to(lookup, *by);
                #[cfg(feature = "planted-bugs")]
                let added = match self.has(crate::bug::Bug::RepliesTwice) {
                    true => added.map(|value| crate::operation::Value(value.0 + i128::from(*by))),
                    false => added,
                };
                added.map(|value| Outcome { value, change: i128::from(*by), exists: true })
            }
            Op::Get { .. } => {
                self.totals.reads += 1;
                Ok(self.counters.read(lookup))
            }
            Op::Raise { to, .. } => {
                self.totals.raises += 1;
                match behind {
                    Some(behind) => Err(Refusal::Behind(behind)),
                    None => self.counters.raise_to(lookup, *to),
                }
            }
        }
    }

    /// Answers a query, or has it wait.
    pub(super) fn answer(&mut self, token: Token, query: Query) -> Option<Answer> {
        Some(match query {
            Query::Size => Answer::Size(self.counters.len()),
            Query::Scan { from, count } => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let names = self.counters.names_from(from, count.clamp(1, SCAN_NAMES_MAX));
                let next = from.saturating_add(names.len());
                #[cfg(feature = "planted-bugs")]
                let next = next + usize::from(self.has(crate::bug::Bug::ScanSkips));
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
    pub(super) fn answer_watcher(&mut self, rows: Vec<Row>, more: bool, effects: &mut Effects) {
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

    /// Has a client wait, unless it need not or too many do already.
    pub(super) fn await_peers(&mut self, now: Time, client: Awaiting, effects: &mut Effects) {
        #[cfg(feature = "planted-bugs")]
        let client = match self.has(crate::bug::Bug::WaitCountsLinks) {
            true => Awaiting { version: 0, ..client },
            false => client,
        };
        let confirmed = confirmed_by(&self.confirmations(), client.version);
        if client.is_due(now, confirmed) {
            effects.after_sync.push(client.answered(confirmed));
        } else if self.awaiting.len() < self.limits.waits {
            self.awaiting.push(client);
        } else {
            #[cfg(feature = "planted-bugs")]
            if self.has(crate::bug::Bug::WaitEndsAll) {
                let all = self.awaiting.drain(..).map(|client| client.answered(0));
                effects.after_sync.extend(all);
            }
            let (token, answer) = (client.token, Answer::TooManyWait(confirmed));
            effects.after_sync.push(Effect::Answer { token, answer });
        }
    }

    fn confirmations(&self) -> Vec<Version> {
        self.replication.confirmations(|node| self.peers.up_member(node).is_some())
    }

    /// Answers those whose version enough peers have confirmed, or whose patience is over.
    pub(super) fn answer_awaiting(&mut self, now: Time, effects: &mut Effects) {
        let confirmations = self.confirmations();
        self.awaiting.retain(|client| {
            let confirmed = confirmed_by(&confirmations, client.version);
            let is_due = client.is_due(now, confirmed);
            if is_due {
                effects.after_sync.push(client.answered(confirmed));
            }
            !is_due
        });
    }

    /// In what way this node is known to be behind its peers (rule `no-raise-while-behind`).
    fn behind(&self, now: Time) -> Option<Behind> {
        #[cfg(feature = "planted-bugs")]
        if self.has(crate::bug::Bug::RaisesBehind) {
            return None;
        }
        if self.peers.am_removed() {
            return None;
        }
        let mut up = self.peers.up().peekable();
        let looks_for_others = self.discovery.next_deadline().is_some()
            || self.peers.has_seeds()
            || self.peers.has_met_anyone()
            // It has let go of its list, and heard of no one yet.
            || self.peers.has_left();
        if up.peek().is_none() && looks_for_others && now < self.started + SETTLING {
            return Some(Behind::Starting);
        }
        let mut unreached = None;
        for peer in up.filter(|peer| self.links.to_peer(peer.node).is_none()) {
            let since = self.links.missing_since(peer.node);
            if since.is_none_or(|since| now < since + UNLINKED_MAX) {
                return Some(Behind::NotCompared(peer.node));
            }
            unreached = Some(peer.node);
        }
        self.replication.behind(now, &self.counters, unreached)
    }

    pub(super) fn retry_parked(&mut self, now: Time, effects: &mut Effects) {
        self.settles = self.settles.filter(|settles| *settles > now);
        let behind = self.behind(now);
        while let Some(first) = self.parked.front()
            && (behind.is_none() || first.until <= now)
            && let Some(parked) = self.parked.pop_front()
        {
            self.apply(now, parked.token, &parked.request, behind, effects);
        }
    }
}

fn confirmed_by(confirmations: &[Version], version: Version) -> usize {
    confirmations.iter().filter(|confirmed| **confirmed >= version).count()
}
