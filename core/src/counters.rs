//! The Counter Service: every counter by name, and what is known of every origin.
//!
//! Counters stand in a list that only grows, and a hash table maps names to places in it. A scan
//! walks the list in steps while the node serves; walking the table would skip slots at a rehash
//! (rule 5). Origins stand in a list of their own, ours first, so that a slot names its writer in
//! four bytes.

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use crate::changes::{CHANGES_ROWS_MAX, Changes};
use crate::counter::{Counter, HeldSlot, MergedSlot, OURS, OriginIndex, Slot};
use crate::delta::{Delta, ENTRY_BYTES_MAX, Entry};
use crate::effects::{Refusal, Row, Value};
use crate::fingerprint;
use crate::identity::{OriginId, Version};
use crate::list::List;
use crate::name::CounterName;
use crate::places::Places;
use crate::ranges::Ranges;
use crate::storage::record::OriginRow;

/// How many counters one node holds at most: at some 200 bytes each, 20 GB.
pub const COUNTERS_MAX: u32 = 100_000_000;

/// How many origins one node knows at most: one for each start of each node, ever. A hundred
/// nodes restarted daily take 28 years. Beyond it, deltas of new origins are refused.
pub const ORIGINS_MAX: u32 = 1 << 20;

/// When the changes of the open batch take this many bytes, it is closed in the middle of an
/// input: a delta must fit a frame, whatever a client sends at once (rule 5).
const OPEN_BYTES_MAX: usize = crate::codec::FRAME_BYTES_MAX / 4;

/// Names that are looked for at once: as many as a core has reads of memory under way, several
/// times over, and so few that what they read is still in its cache when it is used.
pub(crate) const SOUGHT_MAX: usize = 64;

/// Up to so many counters, all that is read of them stays in a core's cache anyway.
const SEEK_COUNTERS_MIN: usize = 4096;

/// What a node knows of an origin: a row of its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Everything up to this version is here, without a gap.
    pub version: Version,
    /// Of all slots of the origin that are here; see [`crate::fingerprint`].
    pub fingerprint: u64,
}

#[derive(Debug)]
struct Origin {
    id: OriginId,
    known: Known,
    beyond: Ranges,
    /// See [`Counters::counted`].
    counted: u64,
}

impl Origin {
    fn count(&mut self, merged: &MergedSlot) {
        let MergedSlot { before, after, .. } = merged;
        let grown = (after.plus - before.plus).wrapping_add(after.minus - before.minus);
        self.counted = self.counted.wrapping_add(grown);
    }
}

/// The batch of our own changes that is being gathered.
#[derive(Debug, Default)]
struct Open {
    /// Places of the counters that it changed.
    dirty: Vec<u32>,
    /// At most what its delta will take.
    bytes: usize,
    /// What the changed slots contributed to the fingerprint before it.
    outdated: u64,
}

/// Our own changes of one version, as they were when it closed.
#[derive(Clone, Debug)]
pub struct OwnBatch {
    /// The version.
    pub version: Version,
    /// The place of each changed counter, and our slot of it.
    pub entries: Vec<(u32, Slot)>,
}

/// What merging a delta did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Whether the delta lies beyond a gap, so that the digest waits.
    pub gap: bool,
    /// Whether anything here is different now, be it only a slot's version.
    pub news: bool,
}

/// Why a delta was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// It claims changes of our own origin that we never made (rule 9).
    #[error("changes of this node's own origin that it never made")]
    ForeignWriter,
    /// A new counter or origin would exceed a bound. What fits was merged; nothing is claimed.
    #[error("this node's table is full")]
    Full,
}

/// One slot, as the outside may look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotView<'a> {
    /// The counter.
    pub name: &'a str,
    /// Who wrote it.
    pub origin: OriginId,
    /// Not below the version that last changed it.
    pub version: Version,
    /// The numbers.
    pub slot: Slot,
}

/// A counter that is looked for: how far the search has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    /// As bytes: whether they are text was looked at when they came.
    name: &'a [u8],
    hash: u64,
    /// Where a counter of this hash stands, if it was looked up; it may have another name.
    guess: Option<u32>,
}

/// Every counter that a node holds.
#[derive(Debug)]
pub struct Counters {
    places: Places,
    list: List,
    origins: Vec<Origin>,
    origin_places: HashMap<OriginId, OriginIndex, FixedState>,
    open: Open,
    changes: Changes,
    #[cfg(feature = "planted-bugs")]
    pub(crate) bug: Option<crate::node::Bug>,
}

impl Counters {
    /// An empty table, written by `ours`. `seed` keeps clients from choosing names that collide.
    pub fn new(ours: OriginId, seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        let mut counters = Counters {
            places: Places::new(hasher.clone()),
            list: List::default(),
            origins: Vec::new(),
            origin_places: HashMap::with_hasher(hasher),
            open: Open::default(),
            changes: Changes::default(),
            #[cfg(feature = "planted-bugs")]
            bug: None,
        };
        counters.origin_index(ours);
        counters
    }

    /// The origin that this process writes under.
    pub fn our_origin(&self) -> OriginId {
        self.origins[OURS as usize].id
    }

    /// The last version of our own that has closed.
    pub fn our_version(&self) -> Version {
        self.origins[OURS as usize].known.version
    }

    /// The version that the next change will be in, or that the last one was in: the open one if
    /// it holds something, else the last that closed.
    pub fn newest_version(&self) -> Version {
        self.our_version() + u64::from(!self.open.dirty.is_empty())
    }

    /// How many counters there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.len() == 0
    }

    /// How many origins are known, ours included.
    pub fn origins(&self) -> usize {
        self.origins.len()
    }

    /// The value of a counter; 0 if nobody touched it.
    pub fn value(&self, name: &str) -> Value {
        self.value_of(&self.sought(name))
    }

    pub(crate) fn value_of(&self, sought: &Sought<'_>) -> Value {
        self.find(sought).map_or(Value(0), |place| self.list[place].value())
    }

    /// The value of a counter; `None` if nobody touched it.
    pub fn touched(&self, name: &str) -> Option<Value> {
        self.touched_of(&self.sought(name))
    }

    pub(crate) fn touched_of(&self, sought: &Sought<'_>) -> Option<Value> {
        let counter = &self.list[self.find(sought)?];
        // A refused operation leaves a name behind, but no slot.
        (!counter.slots().is_empty()).then(|| counter.value())
    }

    /// Adds `by` and tells the value after it. Adding nothing to a counter that nobody touched
    /// makes it one that somebody did.
    ///
    /// # Errors
    /// [`Refusal::Overflow`], [`Refusal::TooManyCounters`]; nothing has changed then.
    pub fn add(&mut self, name: &str, by: i64) -> Result<Value, Refusal> {
        self.add_to(&self.sought(name), by)
    }

    pub(crate) fn add_to(&mut self, sought: &Sought<'_>, by: i64) -> Result<Value, Refusal> {
        if by == 0
            && let Some(value) = self.touched_of(sought)
        {
            return Ok(value);
        }
        let place = self.find_or_insert(sought)?;
        let open = self.our_version() + 1;
        if let Ok(by @ 1..) = u64::try_from(by)
            && let Some(value) = self.list[place].add_again(by, open)
        {
            let origin = &mut self.origins[OURS as usize];
            origin.counted = origin.counted.wrapping_add(by);
            self.changes.note(place);
            return Ok(value);
        }
        let slot = self.list[place].added(by)?;
        Ok(self.write(place, &slot))
    }

    /// Brings the value to `to` if it is below, and tells the value after it.
    ///
    /// # Errors
    /// [`Refusal::Overflow`], [`Refusal::TooManyCounters`]; nothing has changed then.
    pub fn raise(&mut self, name: &str, to: i64) -> Result<Value, Refusal> {
        self.raise_to(&self.sought(name), to)
    }

    pub(crate) fn raise_to(&mut self, sought: &Sought<'_>, to: i64) -> Result<Value, Refusal> {
        let value = self.value_of(sought);
        if value.0 >= i128::from(to) {
            return Ok(value);
        }
        let place = self.find_or_insert(sought)?;
        match self.list[place].raised(to)? {
            Some(slot) => Ok(self.write(place, &slot)),
            None => Ok(self.list[place].value()),
        }
    }

    fn write(&mut self, place: u32, slot: &Slot) -> Value {
        let open_version = self.our_version() + 1;
        let counter = &self.list[place];
        let held = counter.slot_of(OURS);
        if held.is_none_or(|held| held.version < open_version) {
            let before = held.map_or(Slot::default(), HeldSlot::slot);
            self.open.outdated =
                self.open.outdated.wrapping_add(fingerprint::of_slot(counter.name_hash, &before));
            self.open.bytes += self.list.name_bytes(place) + ENTRY_BYTES_MAX;
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
    pub fn close(&mut self) -> Option<OwnBatch> {
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
                let summand = fingerprint::of_slot(counter.name_hash, &slot);
                known.fingerprint = known.fingerprint.wrapping_add(summand);
                entries.push((place, slot));
            }
        }
        self.open.dirty.clear();
        self.open.bytes = 0;
        self.open.outdated = 0;
        Some(OwnBatch { version: known.version, entries })
    }

    /// A closed batch as the value that goes into the journal.
    pub fn delta_of(&self, batch: &OwnBatch) -> Delta<'_> {
        let entry = |&(place, slot): &(u32, Slot)| Entry::new(self.name_at(place), slot);
        Delta {
            origin: self.our_origin(),
            after: batch.version - 1,
            upto: batch.version,
            entries: batch.entries.iter().map(entry).collect(),
        }
    }

    /// Merges what another node told, whoever's changes it holds.
    ///
    /// # Errors
    /// See [`MergeError`].
    pub fn merge(&mut self, delta: &Delta<'_>) -> Result<Merged, MergeError> {
        let is_ours = delta.origin == self.our_origin();
        #[cfg(feature = "planted-bugs")]
        let is_ours = is_ours && self.bug != Some(crate::node::Bug::OriginReused);
        if is_ours {
            return self.check_echo(delta);
        }
        let origin = self.origin_index(delta.origin).ok_or(MergeError::Full)?;
        let mut news = false;
        let mut full = false;
        let mut sought = Vec::new();
        for entries in delta.entries.chunks(SOUGHT_MAX) {
            self.seek(entries.iter().map(|entry| entry.name.as_bytes()), &mut sought);
            for (entry, sought) in entries.iter().zip(&sought) {
                let Ok(place) = self.find_or_insert(sought) else {
                    full = true;
                    continue;
                };
                news |= self.merge_slot(place, origin, &entry.slot(), delta.upto);
            }
        }
        if full {
            return Err(MergeError::Full);
        }
        let row = &mut self.origins[origin as usize];
        let before = row.known.version;
        let gap = delta.after > before;
        #[cfg(feature = "planted-bugs")]
        let gap = gap && self.bug != Some(crate::node::Bug::DigestOverGap);
        if gap {
            if delta.upto > delta.after {
                row.beyond.insert(delta.after, delta.upto);
            }
        } else if delta.upto > delta.after {
            row.known.version = row.beyond.join(before.max(delta.upto));
        }
        news |= row.known.version > before;
        Ok(Merged { gap, news })
    }

    fn merge_slot(&mut self, place: u32, origin: OriginIndex, slot: &Slot, upto: Version) -> bool {
        let counter = &mut self.list[place];
        #[cfg(feature = "planted-bugs")]
        let slot = &match self.bug {
            Some(crate::node::Bug::AddOnMerge) => counter.merge_by_adding(origin, slot),
            _ => *slot,
        };
        let merged = counter.merge(origin, slot, upto);
        let MergedSlot { before, after, is_newer } = merged;
        if before == after {
            return is_newer;
        }
        self.changes.note(place);
        let origin = &mut self.origins[origin as usize];
        origin.count(&merged);
        let known = &mut origin.known;
        known.fingerprint = known
            .fingerprint
            .wrapping_sub(fingerprint::of_slot(counter.name_hash, &before))
            .wrapping_add(fingerprint::of_slot(counter.name_hash, &after));
        true
    }

    /// What others tell of our own origin can only be what they have from us.
    fn check_echo(&self, delta: &Delta<'_>) -> Result<Merged, MergeError> {
        let known = |entry: &Entry<'_>| {
            self.find(&self.sought(entry.name))
                .and_then(|place| self.list[place].slot_of(OURS))
                .is_some_and(|held| entry.slot().is_within(&held.slot()))
        };
        if delta.upto > self.our_version() || !delta.entries.iter().all(known) {
            return Err(MergeError::ForeignWriter);
        }
        Ok(Merged { gap: false, news: false })
    }

    /// Takes down an origin that a snapshot tells of, with the version up to which it claims all:
    /// where it stands. `None` if there are too many.
    pub(crate) fn restore_origin(&mut self, id: OriginId, version: Version) -> Option<OriginIndex> {
        let index = self.origin_index(id)?;
        let known = &mut self.origins[index as usize].known;
        known.version = known.version.max(version);
        Some(index)
    }

    /// Takes back every claim to know all of an origin up to some version.
    pub(crate) fn disclaim(&mut self) {
        for origin in &mut self.origins {
            origin.known.version = 0;
        }
    }

    /// Takes down a counter that a snapshot tells of. `None` if there are too many.
    pub(crate) fn restore_counter(&mut self, name: &str) -> Option<u32> {
        self.find_or_insert(&self.sought(name)).ok()
    }

    /// Takes down a slot with its own version (rule 17).
    pub(crate) fn restore_slot(
        &mut self,
        place: u32,
        origin: OriginIndex,
        slot: &Slot,
        version: Version,
    ) {
        self.merge_slot(place, origin, slot, version);
    }

    /// The origins from a place on, and up to which version everything of each is here.
    pub(crate) fn origin_rows(&self, from: usize) -> impl Iterator<Item = OriginRow> + '_ {
        let row = |origin: &Origin| OriginRow { origin: origin.id, version: origin.known.version };
        self.origins.iter().skip(from).map(row)
    }

    /// What is known of an origin; zeros if nothing is.
    pub fn known(&self, origin: OriginId) -> Known {
        self.origin_places
            .get(&origin)
            .map_or(Known::default(), |&index| self.origins[index as usize].known)
    }

    /// How much an origin has added and subtracted, all counters together, as far as it is known
    /// here; modulo 2^64. What it grows by tells how busy that origin is.
    pub fn counted(&self, origin: OriginId) -> u64 {
        self.index_of(origin).map_or(0, |index| self.origins[index as usize].counted)
    }

    /// Keeps what changes from now on, until [`Counters::ignore_changes`].
    pub(crate) fn watch_changes(&mut self) {
        self.changes.watch();
    }

    /// Keeps it no longer, and forgets what was not taken.
    pub(crate) fn ignore_changes(&mut self) {
        self.changes.ignore();
    }

    /// Whether [`Counters::take_changes`] has something to tell.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Counters that have changed since they were taken last, with the values that they have now,
    /// and whether there are more.
    pub(crate) fn take_changes(&mut self) -> (Vec<Row>, bool) {
        let mut rows = Vec::new();
        while rows.len() < CHANGES_ROWS_MAX
            && let Some(place) = self.changes.take()
        {
            rows.push((CounterName::known(self.list.name(place)), self.list[place].value()));
        }
        (rows, self.has_changes())
    }

    /// The digest: what is known of each origin that has ever changed anything, in no order.
    pub fn digest(&self) -> impl Iterator<Item = (OriginId, Known)> + '_ {
        self.origins
            .iter()
            .filter(|origin| origin.known != Known::default())
            .map(|origin| (origin.id, origin.known))
    }

    /// Every slot of every counter.
    pub fn iter(&self) -> impl Iterator<Item = SlotView<'_>> + '_ {
        self.list.iter_from(0).flat_map(|(name, counter)| self.views(name, counter))
    }

    fn views<'a>(
        &'a self,
        name: &'a str,
        counter: &'a Counter,
    ) -> impl Iterator<Item = SlotView<'a>> + 'a {
        counter.slots().iter().map(move |held| SlotView {
            name,
            origin: self.origins[held.origin as usize].id,
            version: held.version,
            slot: held.slot(),
        })
    }

    /// The slots of one counter; none if nobody touched it.
    pub fn slots_of(&self, name: &str) -> impl Iterator<Item = SlotView<'_>> + '_ {
        let counter = self.find(&self.sought(name)).and_then(|place| self.list.get(place as usize));
        counter.into_iter().flat_map(|(name, counter)| self.views(name, counter))
    }

    /// The name of the counter at a place.
    pub(crate) fn name_at(&self, place: u32) -> &str {
        self.list.name(place)
    }

    /// Up to `count` names, from a place on.
    pub(crate) fn names_from(&self, place: usize, count: usize) -> Vec<CounterName> {
        let names = self.list.iter_from(place).take(count);
        names.map(|(name, _)| CounterName::known(name)).collect()
    }

    /// The name and the slots of the counter at a place; `None` beyond the list's end.
    pub(crate) fn slots_at(&self, place: usize) -> Option<(&str, &[HeldSlot])> {
        self.list.get(place).map(|(name, counter)| (name, counter.slots()))
    }

    /// The place of an origin, if it is known.
    pub(crate) fn index_of(&self, origin: OriginId) -> Option<OriginIndex> {
        self.origin_places.get(&origin).copied()
    }

    fn origin_index(&mut self, id: OriginId) -> Option<OriginIndex> {
        if let Some(&index) = self.origin_places.get(&id) {
            return Some(index);
        }
        let index = u32::try_from(self.origins.len()).ok().filter(|n| *n < ORIGINS_MAX)?;
        let (known, beyond) = (Known::default(), Ranges::default());
        self.origins.push(Origin { id, known, beyond, counted: 0 });
        self.origin_places.insert(id, index);
        Some(index)
    }

    /// Begins to look for many names at once, [`SOUGHT_MAX`] at most, and reads what finding them
    /// will need.
    ///
    /// A name out of millions lies in four places of memory, each known only from the one before,
    /// and none of them in a cache. One name after the other, the processor waits for all of them
    /// in turn; step by step over all names, it waits for many at a time.
    pub(crate) fn seek<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        found: &mut Vec<Sought<'a>>,
    ) {
        found.clear();
        found.extend(names.map(|name| self.sought_by(name)));
        if found.len() == 1 || self.list.len() < SEEK_COUNTERS_MIN {
            return;
        }
        for sought in found.iter_mut() {
            sought.guess = self.places.guess(sought.hash);
        }
        let guesses = || found.iter().filter_map(|sought| sought.guess);
        let near = guesses().fold(0, |sum, place| sum ^ self.list.touch(place));
        let beside = guesses().fold(0, |sum, place| sum ^ self.list.touch_beside(place));
        // Nobody wants the sums, but without a use they would not be read.
        std::hint::black_box((near, beside));
    }

    fn sought<'a>(&self, name: &'a str) -> Sought<'a> {
        self.sought_by(name.as_bytes())
    }

    fn sought_by<'a>(&self, name: &'a [u8]) -> Sought<'a> {
        Sought { name, hash: self.places.hash(name), guess: None }
    }

    fn find(&self, sought: &Sought<'_>) -> Option<u32> {
        let Sought { name, hash, guess } = *sought;
        guess
            .filter(|place| self.list.is_named(*place, name))
            .or_else(|| self.places.find(name, hash, &self.list))
    }

    fn find_or_insert(&mut self, sought: &Sought<'_>) -> Result<u32, Refusal> {
        let Sought { name, hash, guess } = *sought;
        if let Some(place) = guess
            && self.list.is_named(place, name)
        {
            return Ok(place);
        }
        let end = self.list.len();
        let next = u32::try_from(end).ok().filter(|place| *place < COUNTERS_MAX);
        let place = self
            .places
            .find_or_insert(name, hash, &self.list, next)
            .ok_or(Refusal::TooManyCounters(COUNTERS_MAX))?;
        if place as usize == end {
            // Nothing is lost: whoever sought it had a name, and names are text.
            let name = String::from_utf8_lossy(name);
            self.list.push(&name, Counter::new(fingerprint::of_name(&name)));
        }
        Ok(place)
    }
}
