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
        if !request.only_if.is_empty()
            && let Err(refusal) = self.may_apply_all(request, behind)
        {
            self.count_refusal(&refusal);
            let results = vec![Err(refusal)];
            effects.after_sync.push(Effect::Reply { token, results, version: 0 });
            return;
        }
        let ops = &request.ops;
        let mut results = Vec::with_capacity(ops.len());
        let mut lookups = Vec::with_capacity(ops.len().min(LOOKUPS_MAX));
        let before = self.totals.writes();
        for ops in ops.chunks(LOOKUPS_MAX) {
            self.counters.prefetch(ops.iter().map(|op| op.name().as_bytes()), &mut lookups);
            for (op, lookup) in ops.iter().zip(&lookups) {
                let result = self.apply_one(op, lookup, behind);
                if let Err(refusal) = &result {
                    self.count_refusal(refusal);
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

    fn count_refusal(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::Overflow { .. } => self.totals.refused_overflow += 1,
            Refusal::Behind(_) => self.totals.refused_behind += 1,
            Refusal::TooManyCounters(_) => self.totals.refused_full += 1,
            Refusal::OutOfMemory => self.totals.refused_memory += 1,
            Refusal::Removed | Refusal::OlderPeer(_) => self.totals.refused_ends += 1,
            Refusal::Changed => {}
        }
    }

    /// Whether a request that is done as a whole or not at all may be done. Overflows are not looked
    /// for: who has seen the values has judged them.
    fn may_apply_all(&self, request: &Request, behind: Option<Behind>) -> Result<(), Refusal> {
        if !request.only_if.iter().all(|condition| self.counters.holds(condition)) {
            return Err(Refusal::Changed);
        }
        let ops = &request.ops;
        if let Some(behind) = behind.filter(|_| ops.iter().any(Op::waits_while_behind)) {
            return Err(Refusal::Behind(behind));
        }
        if ops.iter().any(|op| matches!(op, Op::Update { update, .. } if update.ends())) {
            self.may_end()?;
        }
        self.counters.look_for_room_for_all(ops)
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
    pub(super) fn may_end(&self) -> Result<(), Refusal> {
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
