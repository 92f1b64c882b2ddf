//! One counter: the slots of all origins, and the value that they add up to.
//!
//! A slot is what one origin has done to the counter. Only that origin writes it and each of its
//! numbers only grows, so two copies of a slot merge by maximum, number by number: a join
//! semilattice, and the counter with it (Shapiro, Preguiça, Baquero, Zawirski: "A comprehensive
//! study of Convergent and Commutative Replicated Data Types", INRIA RR-7506, 2011, section 3.1,
//! the PN-Counter). To that we add `raise`, of which the largest counts and not the sum: two
//! nodes that lift the counter to the same number at once must not add up.
//!
//! A node may hold 100 million counters, most of them idle and only counting up, so what those need
//! is kept at hand and the rest where it is needed: the forms in which slots are held are in `slots`, the
//! sums of many of them and what was ended in a block of its own (`sums`).
//!
//! Rejected: one number merged by maximum, which loses increments as soon as two nodes count.

use std::sync::Arc;

use crate::counters::ended::{self, Ended};
use crate::counters::families::Family;
use crate::counters::slots::{HeldSlot, HeldSlots, Slots};
use crate::counters::sums::{Kept, Now};
use crate::counters::writer::{OriginIndex, Writer};
use crate::ending::{Covered, Ending};
use crate::identity::{OriginId, Version};
use crate::operation::{Refusal, Value};
use crate::slot::{Contribution, Slot};
use crate::update::added;

/// What counting up has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) value: Value,
    /// What our slot had counted before, which is all that it held, if the open version had not
    /// changed it yet.
    pub(crate) outdated: Option<u64>,
}

/// What merging a copy of a slot did to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MergedSlot {
    pub(crate) before: Slot,
    pub(crate) after: Slot,
    /// Whether the slot is new or its version grew.
    pub(crate) is_newer: bool,
    /// Whether it is new.
    pub(crate) is_new: bool,
    /// Whether the counter counts among those that exist now, and did not before.
    pub(crate) appears: bool,
}

/// Slots of a counter of which nothing has been ended are added up when its value is asked for, if they
/// are no more than this: so many are read with the first of them, and keeping their sum would take
/// more than the sum.
const SUMMED_MAX: usize = 8;

/// One counter as one node holds it. Its name stands beside it in the list.
#[derive(Debug)]
pub(crate) struct Counter {
    /// The name's part of every fingerprint, so that a change hashes numbers only.
    pub(crate) name_hash: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Up to [`SUMMED_MAX`] slots, of which nothing has been ended.
    Bare(Slots),
    Kept(Box<Kept>),
}

impl Counter {
    pub(crate) fn new(name_hash: u64) -> Self {
        Counter { name_hash, body: Body::Bare(Slots::default()) }
    }

    fn all(&self) -> Contribution {
        match &self.body {
            Body::Bare(slots) => slots.contribution(),
            Body::Kept(kept) => kept.all,
        }
    }

    fn held(&self) -> &Slots {
        match &self.body {
            Body::Bare(slots) => slots,
            Body::Kept(kept) => &kept.slots,
        }
    }

    fn held_mut(&mut self) -> &mut Slots {
        match &mut self.body {
            Body::Bare(slots) => slots,
            Body::Kept(kept) => &mut kept.slots,
        }
    }

    /// Keeps what is not kept of every counter.
    fn kept(&mut self) -> &mut Kept {
        if let Body::Bare(slots) = &mut self.body {
            self.body = Body::Kept(Box::new(Kept::of(std::mem::take(slots))));
        }
        let Body::Kept(kept) = &mut self.body else { unreachable!("it is kept now") };
        kept
    }

    fn ended_mut(&mut self) -> Option<&mut Ended> {
        match &mut self.body {
            Body::Bare(_) => None,
            Body::Kept(kept) => kept.ended.as_deref_mut(),
        }
    }

    /// What has been ended of it, if anything has.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        match &self.body {
            Body::Bare(_) => None,
            Body::Kept(kept) => kept.ended.as_deref(),
        }
    }

    /// What it adds up to, as if it had no lifetime.
    pub(crate) fn value(&self) -> Value {
        Value(self.all().value())
    }

    /// Whether anything is left of any slot, as if it had no lifetime.
    pub(crate) fn is_live(&self) -> bool {
        match self.ended() {
            Some(ended) => ended.live > 0,
            None => self.written().next().is_some(),
        }
    }

    /// Whether it exists at a time of the wall clock: is live, and has not expired.
    pub(crate) fn exists(&self, wall_ms: u64) -> bool {
        self.is_live() && !self.has_expired(wall_ms)
    }

    /// Whether it has a lifetime that is over.
    pub(crate) fn has_expired(&self, wall_ms: u64) -> bool {
        self.until().is_some_and(|until| until <= wall_ms)
    }

    /// When it expires.
    pub(crate) fn until(&self) -> Option<u64> {
        self.ended().and_then(Ended::until)
    }

    /// Whether it counts among those that exist: an expired one does until that is noticed.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_live() && !self.ended().is_some_and(|ended| ended.has_lapsed)
    }

    /// Whether it has been noticed that its time is over.
    pub(crate) fn has_lapsed(&self) -> bool {
        self.ended().is_some_and(|ended| ended.has_lapsed)
    }

    /// That its time is over has been noticed, or that it is not any more.
    pub(crate) fn lapse(&mut self, has_lapsed: bool) {
        if let Some(ended) = self.ended_mut() {
            ended.has_lapsed = has_lapsed;
        }
    }

    /// Ours comes first, if there is one.
    pub(crate) fn slots(&self) -> HeldSlots<'_> {
        self.held().all()
    }

    pub(crate) fn slot_of(&self, origin: OriginIndex) -> Option<HeldSlot> {
        self.held().of_origin(origin)
    }

    /// How much of an origin's slot is covered.
    pub(crate) fn cover_on(&self, of: OriginId) -> Covered {
        self.ended().map_or(Covered::default(), |ended| ended.cover_on(of))
    }

    /// What our slot becomes by adding `by`.
    ///
    /// # Errors
    /// If the value seen here would leave i64, or a number of our slot u64.
    pub(crate) fn added(&self, by: i64, ours: OriginIndex) -> Result<Slot, Refusal> {
        added(self.value().0, by).ok_or_else(|| self.overflow())?;
        self.our_slot(ours).added(by).ok_or_else(|| self.overflow())
    }

    /// Adds to a counter that exists, of which something is left that we have counted, and that has
    /// only ever counted up here: what nearly all increments are. `None`, and nothing has changed, if
    /// it is not that simple.
    pub(crate) fn count_up(&mut self, by: u64, now: &Now) -> Option<Counted> {
        let (value, plus, version) = match &mut self.body {
            Body::Bare(slots) => {
                let (held, others) = slots.ours_among_ups(now.ours.index)?;
                let (plus, version) = (held.plus(), held.version());
                let grown = plus.checked_add(by)?;
                let value = i64::try_from(grown.checked_add(others)?).ok()?;
                if plus == 0 {
                    return None;
                }
                held.grow(grown, version.max(now.open));
                (Value(i128::from(value)), plus, version)
            }
            Body::Kept(kept) => kept.count_up(by, now)?,
        };
        Some(Counted { value, outdated: (version < now.open).then_some(plus) })
    }

    /// What our slot becomes by raising the value to `to`; `None` if it is there already. `ours` is
    /// our origin.
    ///
    /// # Errors
    /// If the lift does not fit a slot's number.
    pub(crate) fn raised(&self, to: i64, ours: &Writer) -> Result<Option<Slot>, Refusal> {
        if self.value().0 >= i128::from(to) {
            return Ok(None);
        }
        // Above the largest raise that is left, since the value is the sum plus that.
        let lift = u64::try_from(i128::from(to) - self.all().sum).map_err(|_| self.overflow())?;
        let covered = self.cover_on(ours.id).numbers.raise;
        let lifted = covered.checked_add(lift).ok_or_else(|| self.overflow())?;
        Ok(Some(self.our_slot(ours.index).lifted(lifted)))
    }

    fn overflow(&self) -> Refusal {
        Refusal::Overflow { found: self.value() }
    }

    fn our_slot(&self, ours: OriginIndex) -> Slot {
        self.held().ours(ours).map_or(Slot::default(), |held| held.slot())
    }

    /// Lets go of the slots of some origins and of all that they have said, whatever it was;
    /// [`Counter::recount`] must follow before the counter is read. Tells how many slots and endings
    /// those were.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(OriginIndex) -> bool) -> usize {
        if self.slots().iter().all(|held| is_kept(held.origin)) {
            return 0;
        }
        let held =
            |counter: &Counter| counter.slots().len() + counter.ended().map_or(0, Ended::len);
        let before = held(self);
        self.held_mut().retain(&is_kept);
        if let Body::Kept(kept) = &mut self.body
            && let Some(ended) = &mut kept.ended
            && !ended.retain(&is_kept)
        {
            kept.ended = None;
        }
        before - held(self)
    }

    /// Finds anew what is left of all slots, and keeps no more than it must. `id_of` tells an origin's
    /// id.
    pub(crate) fn recount(&mut self, id_of: impl Fn(OriginIndex) -> OriginId) {
        let Body::Kept(kept) = &mut self.body else { return };
        if let Some(ended) = &mut kept.ended {
            let left = |held: HeldSlot| ended.cover_on(id_of(held.origin)).rest_of(&held.slot());
            let left: Vec<Slot> = kept.slots.all().iter().map(left).collect();
            let live = left.iter().filter(|slot| **slot != Slot::default()).count();
            ended.live = u32::try_from(live).unwrap_or(u32::MAX);
            (kept.all, kept.is_raise_stale) = (Contribution::of(&left), false);
        } else {
            let slots = std::mem::take(&mut kept.slots);
            self.hold(slots);
        }
    }

    /// Holds these, of which nothing has been ended.
    fn hold(&mut self, slots: Slots) {
        self.body = if slots.all().len() > SUMMED_MAX {
            Body::Kept(Box::new(Kept::of(slots)))
        } else {
            Body::Bare(slots)
        };
    }

    /// Merges a copy of a slot and lifts its version to at least `version`, whether or not a number
    /// changed (rule `version-never-too-low`).
    pub(crate) fn merge(&mut self, writer: Writer, slot: &Slot, version: Version) -> MergedSlot {
        let (at, is_new) = self.find_or_insert(&writer);
        let held = self.held().get(at);
        let is_newer = is_new || held.version < version;
        let before = held.slot();
        let mut after = before;
        after.merge(slot);
        if is_newer || after != before {
            self.held_mut().set(at, held.version.max(version), &after);
        }
        let appears = after != before && self.grow(&writer, &before, &after);
        MergedSlot { before, after, is_newer, is_new, appears }
    }

    /// A slot has grown: tells whether the counter counts among those that exist now, and did not
    /// before.
    fn grow(&mut self, writer: &Writer, before: &Slot, after: &Slot) -> bool {
        let (mut left, mut more, mut appears) = (*before, *after, None);
        if let Some(ended) = self.ended_mut() {
            let cover = ended.cover_on(writer.id);
            (left, more) = (cover.rest_of(before), cover.rest_of(after));
            let is_first = left == Slot::default() && more != left;
            ended.live += u32::from(is_first);
            appears = Some(is_first && ended.live == 1 && !ended.has_lapsed);
        }
        if let Body::Kept(kept) = &mut self.body {
            kept.all.replace(&left, &more);
        }
        // Most slots that grow held something before, and so did their counters.
        appears.unwrap_or_else(|| *before == Slot::default() && self.written().nth(1).is_none())
    }

    /// Where the slot of an origin stands, and whether it is new.
    fn find_or_insert(&mut self, writer: &Writer) -> (usize, bool) {
        let found = self.held_mut().find_or_insert(writer);
        if let Body::Bare(slots) = &mut self.body
            && slots.all().len() > SUMMED_MAX
        {
            let slots = std::mem::take(slots);
            self.hold(slots);
        }
        found
    }

    /// Whether it is as if its name had never been heard.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.slots().is_empty() && self.ended().is_none()
    }

    /// Slots that anything was ever done in.
    fn written(&self) -> impl Iterator<Item = HeldSlot> {
        self.slots().iter().filter(|held| held.slot() != Slot::default())
    }

    /// Merges what an origin has said about the counter's end, and lifts its slot's version like
    /// [`Counter::merge`]. `of` is where the origin stands whose slot it covers, if it is known.
    ///
    /// [`Counter::find_largest_raise`] must follow before the value is read, and where a settlement is
    /// covered, whose family is `family`, [`Counter::recount`].
    pub(crate) fn merge_ending(
        &mut self,
        writer: Writer,
        ending: &Ending,
        of: Option<OriginIndex>,
        family: Option<Arc<Family>>,
        version: Version,
    ) -> (Option<ended::Change>, bool) {
        let (at, is_new) = self.find_or_insert(&writer);
        let held = self.held().get(at);
        let is_newer = is_new || held.version < version;
        self.held_mut().set(at, held.version.max(version), &held.slot());
        let (name_hash, live) = (self.name_hash, self.live_slots());
        let kept = self.kept();
        let ended = kept.ended.get_or_insert_with(|| Box::new(Ended::none_of(live)));
        let covered = match ending {
            Ending::Cover { of, .. } => Some((*of, ended.cover_on(*of))),
            Ending::Lifetime(_) | Ending::Whole(_) => None,
        };
        let change = ended.merge(writer.index, writer.id, name_hash, ending, family);
        if let Some((id, before)) = covered.filter(|_| change.is_some())
            && let Some(held) = of.and_then(|of| kept.slots.of_origin(of))
        {
            let slot = held.slot();
            let (before, after) = (before.rest_of(&slot), ended.cover_on(id).rest_of(&slot));
            ended.live -= u32::from(before != after && after == Slot::default());
            kept.all.sum += after.contribution().sum - before.contribution().sum;
            let raise = before.contribution().raise;
            kept.is_raise_stale |= raise > after.contribution().raise && raise == kept.all.raise;
        }
        (change, is_newer)
    }

    /// Finds the largest raise that is left, if it is not known. `id_of` tells an origin's id.
    pub(crate) fn find_largest_raise(&mut self, id_of: impl Fn(OriginIndex) -> OriginId) {
        let Body::Kept(kept) = &mut self.body else { return };
        if let Some(ended) = kept.ended.as_deref().filter(|_| kept.is_raise_stale) {
            let left = kept.slots.all().iter().map(|held| {
                ended.cover_on(id_of(held.origin)).rest_of(&held.slot()).contribution().raise
            });
            kept.all.raise = left.max().unwrap_or(0);
            kept.is_raise_stale = false;
        }
    }

    fn live_slots(&self) -> u32 {
        if self.ended().is_some() {
            return 0;
        }
        u32::try_from(self.written().count()).unwrap_or(u32::MAX)
    }

    /// Takes away of the sums by how much a cover exceeds the slot that it is on: the bug that the
    /// simulator must find.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn go_below_zero(&mut self, covered: &Covered, of: Option<OriginIndex>) {
        let held = of.and_then(|of| self.slot_of(of)).map_or(Slot::default(), |held| held.slot());
        let beyond = covered.numbers.plus.saturating_sub(held.numbers().plus);
        self.kept().all.sum -= i128::from(beyond);
    }

    /// Adds a copy of a slot's numbers instead of taking the larger ones: the bug that the
    /// simulator must find.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn merge_by_adding(&self, writer: Writer, slot: &Slot) -> Slot {
        use crate::slot::Numbers;
        let held = self.slot_of(writer.index).map_or(Slot::default(), |held| held.slot());
        let (held, told) = (held.numbers(), slot.numbers());
        Slot::from(Numbers { plus: held.plus.saturating_add(told.plus), ..told })
    }
}

#[cfg(test)]
mod tests;
