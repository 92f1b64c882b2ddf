//! What this node changes itself: gathered in an open batch, closed as one version.

use super::{Counters, Lookup};
use crate::counters::counter::OURS;
use crate::counters::slots::HeldSlot;
use crate::delta::{CHANGE_BYTES_MAX, Change, Delta};
use crate::identity::Version;
use crate::operation::{Outcome, Refusal, Value};
use crate::slot::Slot;

/// When the changes of the open batch take this many bytes, it is closed in the middle of an
/// input: a delta must fit a frame, whatever a client sends at once (rule `batch-fits-a-frame`).
pub(super) const OPEN_BYTES_MAX: usize = crate::wire::frame::FRAME_BYTES_MAX / 4;

/// The batch of our own changes that is being gathered.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Places of the counters that it changed.
    pub(super) dirty: Vec<u32>,
    /// At most what its delta will take.
    pub(super) bytes: usize,
    /// What the changed slots contributed to the fingerprint before it.
    pub(super) outdated: u64,
}

/// Our own changes of one version, as they were when it closed.
#[derive(Clone, Debug)]
pub struct LocalBatch {
    /// The version.
    pub version: Version,
    /// The place of each changed counter, and our slot of it.
    pub entries: Vec<(u32, Slot)>,
}

impl Counters {
    /// The version that the next change will be in, or that the last one was in: the open one if
    /// it holds something, else the last that closed.
    pub fn newest_version(&self) -> Version {
        self.our_version() + u64::from(!self.open.dirty.is_empty())
    }

    /// Adds `by` and tells the value after it. Adding nothing to a counter that does not
    /// exist makes it exist.
    ///
    /// # Errors
    /// [`Refusal::Overflow`], [`Refusal::TooManyCounters`], [`Refusal::OutOfMemory`]; nothing has
    /// changed then.
    pub fn add(&mut self, name: &str, by: i64) -> Result<Value, Refusal> {
        self.add_to(&self.lookup(name), by)
    }

    pub(crate) fn add_to(&mut self, lookup: &Lookup<'_>, by: i64) -> Result<Value, Refusal> {
        if by == 0
            && let Some(value) = self.existing_of(lookup)
        {
            return Ok(value);
        }
        let place = self.find_or_insert(lookup)?;
        let open = self.our_version() + 1;
        if let Ok(by @ 1..) = u64::try_from(by)
            && let Some(value) = self.list[place].add_again(by, open)
        {
            let origin = &mut self.origins[OURS as usize];
            origin.counted = origin.counted.wrapping_add(by);
            self.changes.note(place);
            return Ok(value);
        }
        self.look_for_room(place)?;
        let slot = self.list[place].added(by)?;
        Ok(self.write(place, &slot))
    }

    /// Brings the value to `to` if it is below, and tells the value after it.
    ///
    /// # Errors
    /// [`Refusal::Overflow`], [`Refusal::TooManyCounters`], [`Refusal::OutOfMemory`]; nothing has
    /// changed then.
    pub fn raise(&mut self, name: &str, to: i64) -> Result<Value, Refusal> {
        Ok(self.raise_to(&self.lookup(name), to)?.value)
    }

    pub(crate) fn raise_to(&mut self, lookup: &Lookup<'_>, to: i64) -> Result<Outcome, Refusal> {
        let Outcome { value: before, exists, .. } = self.read(lookup);
        if before.0 >= i128::from(to) {
            return Ok(Outcome { value: before, change: 0, exists });
        }
        let place = self.find_or_insert(lookup)?;
        self.look_for_room(place)?;
        let value = match self.list[place].raised(to)? {
            Some(slot) => self.write(place, &slot),
            None => self.list[place].value(),
        };
        Ok(Outcome { value, change: value.0 - before.0, exists: true })
    }

    /// Whether we have a slot of the counter, or there is room for one. One that is new has none, and
    /// its room was taken with its name's.
    fn look_for_room(&self, place: u32) -> Result<(), Refusal> {
        let counter = &self.list[place];
        let has_room = self.room.has_for_slot()
            || counter.slots().is_empty()
            || counter.slot_of(OURS).is_some();
        if has_room { Ok(()) } else { Err(Refusal::OutOfMemory) }
    }

    fn write(&mut self, place: u32, slot: &Slot) -> Value {
        let open_version = self.our_version() + 1;
        let counter = &self.list[place];
        let held = counter.slot_of(OURS);
        if held.is_none() && !counter.slots().is_empty() {
            self.room.take_slot();
        }
        if held.is_none_or(|held| held.version < open_version) {
            let before = held.map_or(Slot::default(), HeldSlot::slot);
            self.open.outdated = self.open.outdated.wrapping_add(before.hash(counter.name_hash));
            self.open.bytes += self.list.name_bytes(place) + CHANGE_BYTES_MAX;
            self.open.dirty.push(place);
        }
        let counter = &mut self.list[place];
        let merged = counter.merge(OURS, slot, open_version);
        self.origins[OURS as usize].count(&merged);
        self.changes.note(place);
        counter.value()
    }

    /// Whether the open batch has changed nothing yet.
    pub(crate) fn is_open_batch_empty(&self) -> bool {
        self.open.dirty.is_empty()
    }

    /// Whether the open batch must be closed before another operation.
    pub fn is_open_batch_full(&self) -> bool {
        self.open.bytes >= OPEN_BYTES_MAX
    }

    /// Closes the batch of our own changes; `None` if there are none.
    pub fn close(&mut self) -> Option<LocalBatch> {
        if self.open.dirty.is_empty() {
            return None;
        }
        let known = &mut self.origins[OURS as usize].known;
        known.version += 1;
        known.fingerprint = known.fingerprint.wrapping_sub(self.open.outdated);
        let mut entries = Vec::with_capacity(self.open.dirty.len());
        for &place in &self.open.dirty {
            let counter = &self.list[place];
            if let Some(held) = counter.slot_of(OURS) {
                let slot = held.slot();
                let summand = slot.hash(counter.name_hash);
                known.fingerprint = known.fingerprint.wrapping_add(summand);
                entries.push((place, slot));
            }
        }
        let version = known.version;
        self.note_row(OURS);
        self.open.dirty.clear();
        self.open.bytes = 0;
        self.open.outdated = 0;
        Some(LocalBatch { version, entries })
    }

    /// A closed batch as the value that goes into the journal.
    pub fn delta_of(&self, batch: &LocalBatch) -> Delta<'_> {
        let change = |&(place, slot): &(u32, Slot)| Change::slot(self.name_at(place), slot);
        Delta {
            origin: self.our_origin(),
            after: batch.version - 1,
            upto: batch.version,
            changes: batch.entries.iter().map(change).collect(),
        }
    }
}
