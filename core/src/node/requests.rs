//! Clients' operations on counters, and those that wait until this node has caught up.

use super::Node;
use crate::counters::{LOOKUPS_MAX, Lookup};
use crate::effect::Effect;
use crate::input::Token;
use crate::operation::{Behind, Op, Outcome, Refusal, Request};
use crate::outbox::Effects;
use crate::time::Time;
use crate::wire::versions::ENDINGS_SINCE;

/// Most operations that one request may hold: the node is busy with them for two or three
/// milliseconds, for which all other clients wait. The callers bound what they take from clients.
pub const REQUEST_OPS_MAX: usize = 20_000;

impl Node {
    pub(super) fn request(
        &mut self,
        now: Time,
        token: Token,
        request: Request,
        effects: &mut Effects,
    ) {
        debug_assert!(request.ops.len() <= REQUEST_OPS_MAX, "{} operations", request.ops.len());
        let waits = request.ops.iter().any(Op::waits_while_behind);
        if waits && let Some(behind) = self.behind(now) {
            if let Err(request) = self.parked.park(now, token, request) {
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
                    Err(Refusal::Removed | Refusal::OlderPeer(_)) => self.totals.refused_ends += 1,
                    Ok(_) => {}
                }
                results.push(result);
                if self.counters.has_closed() {
                    for batch in self.counters.take_closed() {
                        self.keep_version(batch, effects);
                    }
                }
                if self.counters.is_open_batch_full() {
                    self.close_version(effects);
                }
            }
        }
        // What the request changed is in the version that is open, or in the last one that closed.
        let is_write = self.totals.writes() > before;
        let newest = self.counters.versions_before() + self.counters.newest_version();
        let version = if is_write { newest } else { 0 };
        if is_write {
            self.batches.change(now);
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
                    true => added.map(|outcome| {
                        let twice = outcome.value.0 + i128::from(*by);
                        Outcome { value: crate::operation::Value(twice), ..outcome }
                    }),
                    false => added,
                };
                added
            }
            Op::Get { .. } => {
                self.totals.reads += 1;
                Ok(self.counters.read(lookup))
            }
            Op::Raise { to, .. } => {
                self.totals.raises += 1;
                if let Some(behind) = behind {
                    return Err(Refusal::Behind(behind));
                }
                let before = self.counters.read(lookup);
                let value = self.counters.raise_to(lookup, *to)?;
                let change = value.0 - before.value.0;
                Ok(Outcome { value, change, exists: before.exists || change > 0, ..before })
            }
            Op::Update { update, .. } => {
                self.totals.updates += 1;
                if update.ends() {
                    self.may_end()?;
                }
                match behind.filter(|_| update.waits_while_behind()) {
                    Some(behind) => Err(Refusal::Behind(behind)),
                    None => self.counters.update(lookup, update),
                }
            }
        }
    }

    /// Whether this node may end counters (rule `no-cover-while-behind`).
    fn may_end(&self) -> Result<(), Refusal> {
        if self.peers.am_removed() {
            return Err(Refusal::Removed);
        }
        match self.links.older_than(ENDINGS_SINCE) {
            Some(peer) => Err(Refusal::OlderPeer(peer)),
            None => Ok(()),
        }
    }

    /// Applies parked requests that need not wait any longer.
    pub(super) fn apply_parked(&mut self, now: Time, effects: &mut Effects) {
        if self.parked.is_empty() {
            return;
        }
        self.parked.looked_at(now);
        let behind = self.behind(now);
        while let Some((token, request)) = self.parked.take_due(now, behind.is_some()) {
            self.apply(now, token, &request, behind, effects);
        }
    }
}
