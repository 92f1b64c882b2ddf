//! What operations on a counter that may end come to, written once more and as plainly as can be.
//!
//! Nothing is kept beside slots, covers and lifetimes; all else is added up whenever it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use quipu_core::counters::Counters;
use quipu_core::ending::{Covered, Lifetime, MILLIS_MAX};
use quipu_core::identity::OriginId;
use quipu_core::operation::{Op, Outcome};
use quipu_core::slot::Numbers;
use quipu_core::update::{Expiry, Only, OnlyExpire, Update};

use super::numbers_of;
use super::said::Said;
use crate::settlements::{self, Families};

/// One counter as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    slots: BTreeMap<OriginId, Numbers>,
    said: BTreeMap<OriginId, Said>,
    /// Of the settlements that are covered, or that a reset would cover.
    families: Families,
    /// What a reset names instead of a slot.
    named: BTreeMap<OriginId, Vec<OriginId>>,
    /// Whether nothing may be covered.
    is_behind: bool,
}

/// What an operation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    before: Option<i128>,
    after: Option<i128>,
    until: Option<u64>,
    applied: bool,
}

impl Seen {
    /// What a table holds.
    pub fn read(counters: &Counters, name: &str, families: &Families) -> Self {
        let mut seen = Seen { is_behind: counters.covers_nothing(), ..Seen::default() };
        for view in counters.slots_of(name) {
            seen.slots.insert(view.origin, numbers_of(Some(view.slot)));
        }
        for view in counters.endings_of(name) {
            seen.said.entry(view.origin).or_default().add(view.ending);
        }
        if families.is_empty() {
            return seen;
        }
        let origins: BTreeSet<OriginId> =
            seen.slots.keys().chain(seen.said.keys()).copied().collect();
        for origin in origins {
            let named = counters.named_for(origin);
            if !named.is_empty() {
                seen.named.insert(origin, named);
            }
        }
        let covered: BTreeSet<OriginId> = seen
            .said
            .values()
            .flat_map(|said| &said.wholes)
            .chain(seen.named.values().flatten())
            .copied()
            .collect();
        let families = families.iter().filter(|(id, _)| covered.contains(id));
        seen.families = families.map(|(id, family)| (*id, family.clone())).collect();
        seen
    }

    /// The same, where these are the families of settlements.
    pub fn among(self, families: &Families) -> Self {
        Seen { families: families.clone(), ..self }
    }

    /// The same, but for this of one origin.
    pub fn with(mut self, origin: OriginId, numbers: Numbers, said: Said) -> Self {
        self.slots.insert(origin, numbers);
        self.said.insert(origin, said);
        self
    }

    /// An origin's slot.
    pub fn numbers_of(&self, origin: OriginId) -> Numbers {
        self.slots.get(&origin).copied().unwrap_or_default()
    }

    /// What an origin has said about the counter's end.
    pub fn said_by(&self, origin: OriginId) -> Said {
        self.said.get(&origin).cloned().unwrap_or_default()
    }

    /// How much of a slot is covered, by anybody.
    fn cover_on(&self, of: OriginId) -> Covered {
        settlements::cover_on(of, self.said.values(), &self.families)
    }

    /// What is left of each slot.
    fn left(&self) -> impl Iterator<Item = Numbers> + '_ {
        self.slots.iter().map(|(origin, slot)| {
            let cover = self.cover_on(*origin).numbers;
            Numbers {
                plus: slot.plus.max(cover.plus) - cover.plus,
                minus: slot.minus.max(cover.minus) - cover.minus,
                raise: slot.raise.max(cover.raise) - cover.raise,
            }
        })
    }

    fn sum(&self) -> i128 {
        self.left().map(|left| i128::from(left.plus) - i128::from(left.minus)).sum()
    }

    /// What it adds up to, if it had no lifetime.
    pub fn value(&self) -> i128 {
        self.sum() + i128::from(self.left().map(|left| left.raise).max().unwrap_or(0))
    }

    /// When it expires: by the newest lifetime that no cover has seen.
    fn until(&self) -> Option<u64> {
        let said = self.said.iter().filter_map(|(origin, said)| Some((said.lifetime?, *origin)));
        let uncovered = said.filter(|(life, origin)| life.stamp > self.cover_on(*origin).stamp);
        uncovered.map(|(life, _)| life).max()?.until
    }

    fn is_over(&self, wall_ms: u64) -> bool {
        self.until().is_some_and(|until| until <= wall_ms)
    }

    /// What a reader is shown at a time: nothing, if the counter does not exist.
    pub fn shown(&self, wall_ms: u64) -> Option<i128> {
        let is_live = self.left().any(|left| left != Numbers::default());
        (is_live && !self.is_over(wall_ms)).then(|| self.value())
    }

    /// An origin applies an operation at a time of its node's wall clock.
    pub fn apply(&mut self, ours: OriginId, wall_ms: u64, op: &Op) -> Expected {
        let before = self.shown(wall_ms);
        let mut turn = Turn { ours, wall_ms, seen: self };
        let applied = match op {
            Op::Get { .. } => true,
            Op::Add { by, .. } => {
                turn.add(*by);
                true
            }
            Op::Raise { to, .. } => {
                turn.raise(*to);
                true
            }
            Op::Update { update, .. } => turn.update(update),
        };
        let mut after = self.shown(wall_ms);
        if self.is_behind && after.is_none() && matches!(op, Op::Add { .. }) {
            // Nothing may take away what is over. Who only adds is told what it all adds up to.
            after = Some(self.value());
        }
        let until = self.until().filter(|_| after.is_some());
        Expected { before, after, until, applied }
    }
}

struct Turn<'a> {
    ours: OriginId,
    wall_ms: u64,
    seen: &'a mut Seen,
}

impl Turn<'_> {
    /// All that is seen is covered.
    fn reset(&mut self) {
        if self.seen.is_behind {
            return;
        }
        let origins: Vec<OriginId> =
            self.seen.slots.keys().chain(self.seen.said.keys()).copied().collect();
        for of in origins {
            if let Some(named) = self.seen.named.get(&of) {
                let named = named.clone();
                self.seen.said.entry(self.ours).or_default().wholes.extend(named);
                continue;
            }
            let stamp = self.seen.said_by(of).lifetime.map_or(0, |lifetime| lifetime.stamp);
            let covered = Covered { numbers: self.seen.numbers_of(of), stamp };
            self.seen.said.entry(self.ours).or_default().cover(of, covered);
        }
    }

    fn end_what_is_over(&mut self) {
        if self.seen.is_over(self.wall_ms) {
            self.reset();
        }
    }

    fn slot(&mut self) -> &mut Numbers {
        self.seen.slots.entry(self.ours).or_default()
    }

    fn add(&mut self, by: i64) {
        if by == 0 && self.seen.shown(self.wall_ms).is_some() {
            return;
        }
        self.end_what_is_over();
        match by {
            0 => {
                self.slot().plus += 1;
                self.slot().minus += 1;
            }
            1.. => self.slot().plus += by.unsigned_abs(),
            _ => self.slot().minus += by.unsigned_abs(),
        }
    }

    fn raise(&mut self, to: i64) {
        if self.seen.shown(self.wall_ms).unwrap_or(0) >= i128::from(to) {
            return;
        }
        self.end_what_is_over();
        let lift = i128::from(to) - self.seen.sum();
        if self.seen.value() < i128::from(to) {
            let covered = self.seen.cover_on(self.ours).numbers.raise;
            self.slot().raise = covered + u64::try_from(lift).unwrap_or(0);
        }
    }

    fn live_until(&mut self, until: Option<u64>) {
        let lifetimes = self.seen.said.values().filter_map(|said| said.lifetime);
        let latest = lifetimes.map(|lifetime| lifetime.stamp).max().unwrap_or(0);
        let stamp = self.wall_ms.max(latest + 1).min(MILLIS_MAX);
        let until = until.map(|until| until.min(MILLIS_MAX));
        self.seen.said.entry(self.ours).or_default().lifetime = Some(Lifetime { stamp, until });
    }

    /// Tells whether its condition held.
    fn update(&mut self, update: &Update) -> bool {
        let shown = self.seen.shown(self.wall_ms);
        let until = self.seen.until().filter(|_| shown.is_some());
        match *update {
            Update::Delete => {
                if shown.is_some() {
                    self.reset();
                }
                shown.is_some()
            }
            Update::Add { by, within, saturate, expiry } => {
                let value = shown.unwrap_or(0);
                let least = i128::from(within.0).min(value);
                let most = i128::from(within.1).max(value);
                let wanted = value + i128::from(by);
                let bounded = if by < 0 { wanted.max(least) } else { wanted.min(most) };
                if wanted != bounded && !saturate {
                    return false;
                }
                let lifetime = self.given(expiry, until);
                if !self.ends_at_once(lifetime) {
                    self.end_what_is_over();
                    self.add(i64::try_from(bounded - value).unwrap_or(by));
                    lifetime.into_iter().for_each(|until| self.live_until(until));
                }
                true
            }
            Update::Set { to, only, expiry } => {
                let holds = match only {
                    None => true,
                    Some(Only::Existing) => shown.is_some(),
                    Some(Only::Missing) => shown.is_none(),
                };
                if !holds {
                    return false;
                }
                // A reset takes the lifetime, so one that is kept is given anew.
                let lifetime = match expiry {
                    Expiry::Never => None,
                    other => self.given(other, until).or(until.map(Some)),
                };
                if !self.ends_at_once(lifetime) {
                    self.reset();
                    if to > 0 {
                        self.raise(to);
                    } else {
                        self.add(to);
                    }
                    lifetime.into_iter().for_each(|until| self.live_until(until));
                }
                true
            }
            Update::Expire { expiry, only } => {
                let Some(new) = self.given(expiry, until).filter(|_| shown.is_some()) else {
                    return false;
                };
                let (old_ms, new_ms) = (until.unwrap_or(u64::MAX), new.unwrap_or(u64::MAX));
                let holds = match only {
                    None => true,
                    Some(OnlyExpire::WithoutLifetime) => until.is_none(),
                    Some(OnlyExpire::WithLifetime) => until.is_some(),
                    Some(OnlyExpire::Later) => new_ms > old_ms,
                    Some(OnlyExpire::Sooner) => new_ms < old_ms,
                    Some(OnlyExpire::Shortened) => until.is_some() && new_ms < old_ms,
                };
                if holds && !self.ends_at_once(Some(new)) {
                    self.live_until(new);
                }
                holds
            }
        }
    }

    /// The lifetime that an operation gives a counter of this one, if it gives one.
    fn given(&self, expiry: Expiry, until: Option<u64>) -> Option<Option<u64>> {
        match expiry {
            Expiry::Keep => None,
            Expiry::Never => until.map(|_| None),
            Expiry::After(ms) => Some(Some(self.wall_ms + ms)),
            Expiry::At(at) => Some(Some(at)),
            Expiry::AfterIfNone(ms) => until.is_none().then(|| Some(self.wall_ms + ms)),
            Expiry::AtIfNone(at) => until.is_none().then_some(Some(at)),
        }
    }

    /// A lifetime that is over when it is given ends the counter, and nothing else is done.
    fn ends_at_once(&mut self, lifetime: Option<Option<u64>>) -> bool {
        let is_over = matches!(lifetime, Some(Some(until)) if until <= self.wall_ms);
        if is_over {
            self.reset();
        }
        is_over
    }
}

/// What is wrong with an outcome: it, and what it should be.
pub fn fault(op: &Op, outcome: &Outcome, expected: &Expected) -> Option<(String, String)> {
    let Expected { before, after, until, applied } = *expected;
    let value = after.unwrap_or(0);
    let is_right = match op {
        // Who only adds is told the value and nothing else.
        Op::Add { .. } => outcome.value.0 == value,
        Op::Get { .. } | Op::Raise { .. } => {
            outcome.value.0 == value
                && outcome.change == value - before.unwrap_or(0)
                && outcome.exists == after.is_some()
        }
        Op::Update { .. } => {
            outcome.value.0 == value
                && outcome.change == value - before.unwrap_or(0)
                && (outcome.existed, outcome.exists) == (before.is_some(), after.is_some())
                && (outcome.until, outcome.applied) == (until.and_then(NonZeroU64::new), applied)
        }
    };
    (!is_right).then(|| (format!("{outcome:?}"), format!("{expected:?} after {op:?}")))
}
