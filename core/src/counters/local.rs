//! What this node changes itself: gathered in an open batch, closed as one version.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use super::{Counters, Lookup};
use crate::counters::coalesced::CoalescedEndings;
use crate::counters::counter::{Counted, Counter};
use crate::counters::ended::Ended;
use crate::counters::slots::HeldSlot;
use crate::counters::sums::Now;
use crate::delta::{CHANGE_BYTES_MAX, Change, Delta, ENDING_BYTES_MAX};
use crate::ending::{Covered, Ending, EndingKey, Lifetime, MILLIS_MAX};
use crate::identity::{OriginId, Version};
use crate::name::NAME_BYTES_MAX;
use crate::operation::{Op, Outcome, Refusal, Value};
use crate::room::Room;
use crate::slot::{Numbers, Slot};
use crate::update::{Seen, Update, judge};

/// When the changes of the open batch take this many bytes, it is closed in the middle of an
/// input: a delta must fit a frame, whatever a client sends at once (rule `batch-fits-a-frame`).
pub(super) const OPEN_BYTES_MAX: usize = crate::wire::frame::FRAME_BYTES_MAX / 4;

/// Slots that are covered before it is asked whether the open batch is full: as many as make it half
/// full at most, under the longest name.
const COVERS_A_STEP: usize = OPEN_BYTES_MAX / 2 / (NAME_BYTES_MAX + ENDING_BYTES_MAX);

/// The batch of our own changes that is being gathered.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Places of the counters that it changed.
    pub(super) dirty: Vec<u32>,
    /// At most what its delta will take.
    pub(super) bytes: usize,
    /// What the changed slots contributed to the fingerprint before it.
    pub(super) outdated: u64,
    /// What it said about the ends of counters.
    pub(super) endings: CoalescedEndings,
    /// What those added to the fingerprint.
    pub(super) endings_hash: u64,
}

/// Our own changes of one version, as they were when it closed.
#[derive(Clone, Debug)]
pub struct LocalBatch {
    /// Under which origin.
    pub origin: OriginId,
    /// The version.
    pub version: Version,
    /// The place of each changed counter, and our slot of it.
    pub entries: Vec<(u32, Slot)>,
    /// What it said about the ends of counters, by their places; each of them is among `entries`.
    pub endings: Vec<((u32, EndingKey), Ending)>,
}

/// What adding to a counter has come to.
fn added(by: i64, value: Value, counter: &Counter) -> Outcome {
    Outcome {
        value,
        change: i128::from(by),
        exists: true,
        existed: true,
        until: counter.until().and_then(NonZeroU64::new),
        applied: true,
    }
}

impl Counters {
    /// The version that the next change will be in, or that the last one was in: the open one if
    /// it holds something, else the last that closed.
    pub fn newest_version(&self) -> Version {
        self.our_version() + u64::from(!self.open.dirty.is_empty())
    }

    /// How many versions this process closed under the origins that it wrote under before: what
    /// clients are told of versions goes on where those ended.
    pub fn versions_before(&self) -> Version {
        self.versions_before
    }

    /// Adds `by` and tells the value after it. Adding nothing to a counter that does not
    /// exist makes it exist.
    ///
    /// # Errors
    /// [`Refusal::Overflow`], [`Refusal::TooManyCounters`], [`Refusal::OutOfMemory`]; nothing has
    /// changed then.
    pub fn add(&mut self, name: &str, by: i64) -> Result<Value, Refusal> {
        self.add_to(&self.lookup(name), by).map(|outcome| outcome.value)
    }

    pub(crate) fn add_to(&mut self, lookup: &Lookup<'_>, by: i64) -> Result<Outcome, Refusal> {
        let place = self.find_or_make(lookup)?;
        let wall_ms = self.wall_clock();
        let ours = self.writer(self.ours);
        let origin = &mut self.origins[ours.index as usize];
        let now = Now { open: origin.known.version + 1, ours, wall_ms };
        let counter = &mut self.list[place];
        if let Ok(more @ 1..) = u64::try_from(by)
            && let Some(Counted { value, outdated }) = counter.count_up(more, &now)
        {
            let outcome = added(by, value, counter);
            origin.counted = origin.counted.wrapping_add(more);
            self.changes.note(place);
            if let Some(plus) = outdated {
                self.make_dirty(place, &Slot::from(Numbers { plus, ..Numbers::default() }));
            }
            return Ok(outcome);
        }
        if by != 0 || !counter.exists(wall_ms) {
            self.add_anew(lookup, place, by)?;
        }
        let counter = &self.list[place];
        Ok(added(by, counter.value(), counter))
    }

    /// Adds to a counter of which there is nothing of ours, or more than what was added. One that only ever was added nothing to holds that it was added to and subtracted from (rule `cover`).
    fn add_anew(&mut self, lookup: &Lookup<'_>, place: u32, by: i64) -> Result<(), Refusal> {
        self.look_for_room(place)?;
        if self.list[place].has_expired(self.wall_clock()) {
            self.reset(lookup);
        }
        let counter = &self.list[place];
        let slot = match by {
            0 => {
                let overflow = Refusal::Overflow { found: counter.value() };
                counter.added(1, self.ours)?.added(-1).ok_or(overflow)?
            }
            by => counter.added(by, self.ours)?,
        };
        self.write(place, &slot);
        Ok(())
    }

    /// Takes away what is seen of a counter (rule `reset`). What that takes may be more than fits one
    /// version; see [`Counters::take_closed`].
    pub(crate) fn reset(&mut self, lookup: &Lookup<'_>) {
        if let Some(place) = self.find(lookup) {
            self.reset_at(place);
        }
    }

    pub(super) fn reset_at(&mut self, place: u32) {
        if self.families.is_behind() {
            // Only what expired is taken away here unasked: it goes when this node has caught up.
            return;
        }
        for endings in self.uncovered(place).chunks(COVERS_A_STEP) {
            self.end(place, endings);
            if self.is_open_batch_full() {
                let closed = self.close();
                self.closed.extend(closed);
            }
        }
    }

    /// Carries out what an update comes to, and tells it.
    ///
    /// # Errors
    /// [`Refusal::Overflow`], [`Refusal::TooManyCounters`], [`Refusal::OutOfMemory`].
    pub(crate) fn update(
        &mut self,
        lookup: &Lookup<'_>,
        update: &Update,
    ) -> Result<Outcome, Refusal> {
        let before = self.read(lookup);
        let seen = Seen {
            value: before.exists.then_some(before.value.0),
            until: before.until.map(NonZeroU64::get),
        };
        let steps = judge(update, &seen, self.wall_clock());
        if !steps.applied {
            return Ok(Outcome { applied: false, ..before });
        }
        // Also what is expired: it ends before it begins anew.
        if steps.reset || self.has_expired(lookup) {
            self.reset(lookup);
        }
        if let Some(by) = steps.add {
            self.add_to(lookup, by)?;
        }
        if let Some(to) = steps.raise {
            self.raise_to(lookup, to)?;
        }
        if let Some(until) = steps.lifetime {
            self.set_lifetime(lookup, until);
        }
        let after = self.read(lookup);
        let change = after.value.0 - before.value.0;
        Ok(Outcome { change, existed: before.exists, applied: true, ..after })
    }

    /// The same of the counter of a name.
    ///
    /// # Errors
    /// See [`Counters::add`]; a part of the update may have been made if it overflows.
    pub fn apply(&mut self, name: &str, update: &Update) -> Result<Outcome, Refusal> {
        self.update(&self.lookup(name), update)
    }

    fn has_expired(&self, lookup: &Lookup<'_>) -> bool {
        self.find(lookup).is_some_and(|place| self.list[place].has_expired(self.wall_clock()))
    }

    /// Brings the value to `to` if it is below, and tells the value after it.
    ///
    /// # Errors
    /// [`Refusal::Overflow`], [`Refusal::TooManyCounters`], [`Refusal::OutOfMemory`]; nothing has
    /// changed then.
    pub fn raise(&mut self, name: &str, to: i64) -> Result<Value, Refusal> {
        self.raise_to(&self.lookup(name), to)
    }

    pub(crate) fn raise_to(&mut self, lookup: &Lookup<'_>, to: i64) -> Result<Value, Refusal> {
        let before = self.read(lookup);
        if before.value.0 >= i128::from(to) {
            return Ok(before.value);
        }
        let place = self.find_or_make(lookup)?;
        self.look_for_room(place)?;
        if self.list[place].has_expired(self.wall_clock()) {
            self.reset(lookup);
        }
        match self.list[place].raised(to, &self.writer(self.ours))? {
            Some(slot) => Ok(self.write(place, &slot)),
            None => Ok(self.list[place].value()),
        }
    }

    /// What a reset of the counter must cover: of each slot what our own cover has not seen yet, in
    /// the order in which it is to be told (rule `reset`). Nothing if all of it is covered.
    fn uncovered(&self, place: u32) -> Vec<Ending> {
        let counter = &self.list[place];
        let ended = counter.ended();
        let mut wholes = BTreeSet::new();
        let mut of_slot = |held: HeldSlot| {
            let of = self.origins[held.origin as usize].id;
            #[cfg(feature = "planted-bugs")]
            let names_none = self.bug == Some(crate::bug::Bug::ResetNamesNothing);
            #[cfg(not(feature = "planted-bugs"))]
            let names_none = false;
            if !self.families.is_empty() && !names_none {
                let named = self.families.named_for(of);
                if !named.is_empty() {
                    wholes.extend(named);
                    return None;
                }
            }
            let lifetime = ended.and_then(|ended| ended.lifetime_by(held.origin));
            let stamp = lifetime.map_or(0, |lifetime| lifetime.stamp);
            #[cfg(feature = "planted-bugs")]
            let stamp = match self.bug {
                Some(crate::bug::Bug::ResetSparesLifetimes) => 0,
                Some(crate::bug::Bug::ResetSparesOwn) if held.origin == self.ours => return None,
                _ => stamp,
            };
            let covered = Covered { numbers: held.slot().numbers(), stamp };
            let known = ended.map_or(Covered::default(), |ended| ended.cover_by(self.ours, of));
            (!covered.is_within(&known)).then_some(Ending::Cover { of, covered })
        };
        let mut endings: Vec<Ending> = counter.slots().iter().filter_map(&mut of_slot).collect();
        let is_new = |ending: &Ending| !ended.is_some_and(|ended| ended.has(self.ours, ending));
        endings.extend(wholes.into_iter().map(Ending::Whole).filter(is_new));
        endings.sort_unstable_by_key(Ending::key);
        endings
    }

    /// Says about a counter's end what is to be said at once.
    fn end(&mut self, place: u32, endings: &[Ending]) {
        for ending in endings {
            self.write_ending(place, *ending);
        }
        self.find_largest_raise(place);
    }

    /// Has a counter expire at a time, or never. Nothing if it has no name here.
    pub(crate) fn set_lifetime(&mut self, lookup: &Lookup<'_>, until: Option<u64>) {
        let Some(place) = self.find(lookup) else { return };
        let latest = self.list[place].ended().map_or(0, Ended::latest_stamp);
        let stamp = self.wall_clock().max(latest.saturating_add(1)).min(MILLIS_MAX);
        let until = until.map(|until| until.min(MILLIS_MAX));
        self.write_ending(place, Ending::Lifetime(Lifetime { stamp, until }));
    }

    pub(super) fn write_ending(&mut self, place: u32, ending: Ending) {
        self.begin_change(place);
        let version = self.our_version() + 1;
        let of = match ending {
            Ending::Cover { of, .. } => self.index_of(of),
            Ending::Lifetime(_) | Ending::Whole(_) => None,
        };
        let (writer, tracked) = (self.writer(self.ours), self.tracked(place));
        let change = self.merge_ending_into(place, writer, &ending, of, version).0;
        let Some(change) = change else { return };
        self.has_endings = true;
        if change.is_new {
            self.room.take_slot();
        }
        self.track(place, tracked);
        self.changes.note(place);
        #[cfg(feature = "planted-bugs")]
        let change = self.hashed(change);
        let hash = &mut self.open.endings_hash;
        *hash = hash.wrapping_sub(change.before).wrapping_add(change.after);
        if self.open.endings.set((place, ending.key()), ending) {
            self.open.bytes += self.list.name_bytes(place) + ENDING_BYTES_MAX;
        }
    }

    /// Whether we have a slot of the counter, or there is room for one. One that is new has none, and
    /// its room was taken with its name's.
    fn look_for_room(&self, place: u32) -> Result<(), Refusal> {
        let counter = &self.list[place];
        let has_room = self.room.has_for_slot()
            || counter.slots().is_empty()
            || counter.slot_of(self.ours).is_some();
        if has_room { Ok(()) } else { Err(Refusal::OutOfMemory) }
    }

    /// Whether there is room for all that operations may make anew, if each makes what it can.
    pub(crate) fn look_for_room_for_all(&self, ops: &[Op]) -> Result<(), Refusal> {
        let grows = |op: &&Op| match op {
            Op::Get { .. } => false,
            Op::Add { .. } | Op::Raise { .. } => true,
            Op::Update { update, .. } => {
                matches!(**update, Update::Add { .. } | Update::Set { .. })
            }
        };
        let names: BTreeSet<&str> = ops.iter().filter(grows).map(|op| op.name().as_str()).collect();
        let (mut names_bytes, mut new_names, mut new_slots) = (0, 0, 0);
        for name in names {
            match self.find(&self.lookup(name)).map(|place| &self.list[place]) {
                None => {
                    new_names += 1;
                    names_bytes += Room::of_name(name.as_bytes());
                }
                Some(counter) => {
                    let has_ours =
                        counter.slots().is_empty() || counter.slot_of(self.ours).is_some();
                    new_slots += u64::from(!has_ours);
                }
            }
        }
        if self.list.len() + new_names > self.bounds.counters as usize {
            return Err(Refusal::TooManyCounters(self.bounds.counters));
        }
        let has_room = self.room.has_for(names_bytes, new_slots);
        if has_room { Ok(()) } else { Err(Refusal::OutOfMemory) }
    }

    fn write(&mut self, place: u32, slot: &Slot) -> Value {
        self.begin_change(place);
        let writer = self.writer(self.ours);
        let origin = &mut self.origins[writer.index as usize];
        let counter = &mut self.list[place];
        let merged = counter.merge(writer, slot, origin.known.version + 1);
        origin.count(&merged);
        let value = counter.value();
        if merged.appears {
            self.note_appeared(place);
        }
        self.changes.note(place);
        value
    }

    /// Has a counter be one of those that the open batch changes.
    fn begin_change(&mut self, place: u32) {
        let open_version = self.our_version() + 1;
        let counter = &self.list[place];
        let held = counter.slot_of(self.ours);
        if held.is_none() {
            if !counter.slots().is_empty() {
                self.room.take_slot();
            }
            self.origins[self.ours as usize].slots += 1;
        }
        if held.is_none_or(|held| held.version < open_version) {
            let before = held.map_or(Slot::default(), |held| held.slot());
            self.make_dirty(place, &before);
        }
    }

    /// The open batch changes a counter for the first time; our slot was this before.
    fn make_dirty(&mut self, place: u32, before: &Slot) {
        let hash = before.hash(self.list[place].name_hash);
        self.open.outdated = self.open.outdated.wrapping_add(hash);
        self.open.bytes += self.list.name_bytes(place) + CHANGE_BYTES_MAX;
        self.open.dirty.push(place);
    }

    /// Whether the open batch has changed nothing yet.
    pub(crate) fn is_open_batch_empty(&self) -> bool {
        self.open.dirty.is_empty()
    }

    /// Whether the open batch must be closed before another operation.
    pub fn is_open_batch_full(&self) -> bool {
        self.open.bytes >= OPEN_BYTES_MAX
    }

    /// Whether [`Counters::take_closed`] has any.
    pub(crate) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Batches that had to be closed in the middle of an operation, in their order: to be taken after
    /// each.
    pub(crate) fn take_closed(&mut self) -> Vec<LocalBatch> {
        std::mem::take(&mut self.closed)
    }

    /// Closes the batch of our own changes; `None` if there are none.
    pub fn close(&mut self) -> Option<LocalBatch> {
        if self.open.dirty.is_empty() {
            return None;
        }
        let known = &mut self.origins[self.ours as usize].known;
        known.version += 1;
        known.fingerprint = known.fingerprint.wrapping_sub(self.open.outdated);
        known.fingerprint = known.fingerprint.wrapping_add(self.open.endings_hash);
        let mut entries = Vec::with_capacity(self.open.dirty.len());
        for &place in &self.open.dirty {
            let counter = &self.list[place];
            if let Some(held) = counter.slot_of(self.ours) {
                let slot = held.slot();
                let summand = slot.hash(counter.name_hash);
                known.fingerprint = known.fingerprint.wrapping_add(summand);
                entries.push((place, slot));
            }
        }
        let version = known.version;
        self.note_row(self.ours);
        self.open.dirty.clear();
        self.open.bytes = 0;
        self.open.outdated = 0;
        self.open.endings_hash = 0;
        let endings = std::mem::take(&mut self.open.endings).into_entries();
        Some(LocalBatch { origin: self.our_origin(), version, entries, endings })
    }

    /// A closed batch as the value that goes into the journal.
    pub fn delta_of(&self, batch: &LocalBatch) -> Delta<'_> {
        let slot = |&(place, slot): &(u32, Slot)| Change::slot(self.name_at(place), slot);
        let ending = |&((place, _), ending): &((u32, EndingKey), Ending)| Change::Ending {
            name: self.name_at(place),
            ending,
        };
        Delta {
            origin: batch.origin,
            after: batch.version - 1,
            upto: batch.version,
            changes: batch
                .entries
                .iter()
                .map(slot)
                .chain(batch.endings.iter().map(ending))
                .collect(),
        }
    }
}
