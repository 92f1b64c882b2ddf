//! The Counter Service: every counter by name, and what is known of every origin.
//!
//! Counters stand in a list, each at one place for as long as it is held, and a hash table maps names to places. A scan
//! walks the list in steps while the node serves; walking the table would skip slots at a rehash
//! (rule `batch-fits-a-frame`). Origins stand in a list of their own, ours first, so that a slot
//! names its writer in four bytes.
//!
//! `own` is what this node changes itself, `merge` what it is told, `prefetch` how both find a counter,
//! `room` how much memory all of it may take.

pub(crate) mod changes;
mod chunk;
pub(crate) mod coalesced;
pub mod counter;
pub(crate) mod ended;
mod expiry;
pub(crate) mod families;
pub(crate) mod folding;
pub(crate) mod list;
mod local;
mod lookup;
mod merge;
pub mod order;
pub(crate) mod places;
pub(crate) mod ranges;
pub(crate) mod rows;
pub(crate) mod slots;
mod stamp;
mod sums;
mod vacating;
pub(crate) mod writer;

use std::num::NonZeroU64;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use crate::counters::changes::Changes;
use crate::counters::counter::{Counter, MergedSlot};
use crate::counters::ended::Ended;
use crate::counters::expiry::Expiry;
use crate::counters::families::{Families, Standing};
use crate::counters::folding::Folding;
use crate::counters::list::List;
use crate::counters::places::Places;
use crate::counters::ranges::Ranges;
use crate::counters::slots::HeldSlots;
use crate::counters::vacating::Vacating;
use crate::counters::writer::{OriginIndex, Writer};
use crate::delta::{Change, Delta};
use crate::digest::DigestEntry;
use crate::ending::Ending;
use crate::identity::{NodeId, OriginId, Version};
use crate::name::CounterName;
use crate::operation::{Outcome, Value};
use crate::query::Sizes;
use crate::slot::Slot;

use crate::room::Room;
pub use local::LocalBatch;
use local::Open;
pub(crate) use lookup::{LOOKUPS_MAX, Lookup};
pub use merge::{MergeError, Merged};
use rows::{Hashed, Rows};

/// How many counters one node holds at most: at some 100 bytes each, 10 GB.
pub const COUNTERS_MAX: u32 = 100_000_000;

/// How many origins one node knows at most: one for each start of each node, ever. A hundred
/// nodes restarted daily take 28 years. Beyond it, deltas of new origins are refused; but a start
/// has a place for its own, and for all that it finds on its disk, which each start makes one more.
pub const ORIGINS_MAX: u32 = 1 << 20;

/// Places beyond the bound on origins for those that a link's peer writes under itself: were all
/// others taken by what somebody invented, live nodes could still count together. As many as there
/// are starts of a thousand nodes in two months, each restarted daily.
const PEERS_ORIGINS_MAX: u32 = 1 << 16;

/// How much a table may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Counters; see [`COUNTERS_MAX`].
    pub counters: u32,
    /// Origins; see [`ORIGINS_MAX`].
    pub origins: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { counters: COUNTERS_MAX, origins: ORIGINS_MAX }
    }
}

#[derive(Debug)]
struct Origin {
    id: OriginId,
    known: DigestEntry,
    beyond: Ranges,
    /// See [`Counters::counted`].
    counted: u64,
    /// How many slots it has here.
    slots: u32,
    /// Whether it has gone into a settlement that is here, so that nothing of it is taken any more.
    is_gone: bool,
    hashed: Hashed,
}

/// Where an origin stood that is gone, until another one takes its place.
const VACATED: OriginId = OriginId(0);

impl Origin {
    fn count(&mut self, merged: &MergedSlot) {
        let MergedSlot { before, after, .. } = merged;
        self.counted = self.counted.wrapping_add(after.counted_since(before));
    }
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
    /// What is left of them (rule `cover`); nothing if the counter's time is over.
    pub left: Slot,
}

/// One thing that an origin has said about a counter's end, as the outside may look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndingView<'a> {
    /// The counter.
    pub name: &'a str,
    /// Who said it.
    pub origin: OriginId,
    /// What.
    pub ending: Ending,
}

/// Every counter that a node holds.
#[derive(Debug)]
pub struct Counters {
    places: Places,
    list: List,
    origins: Vec<Origin>,
    origin_places: HashMap<OriginId, OriginIndex, FixedState>,
    /// Where the origin stands that this process writes under.
    ours: OriginIndex,
    /// See [`Counters::versions_before`].
    versions_before: Version,
    families: Families,
    folding: Folding,
    vacating: Vacating,
    open: Open,
    /// See [`Counters::take_closed`].
    closed: Vec<LocalBatch>,
    changes: Changes,
    rows: Rows,
    expiry: Expiry,
    /// Whether anything was ever said here about the end of a counter.
    has_endings: bool,
    /// Whether a name was ever held that earlier releases do not know.
    has_long_names: bool,
    /// See [`Counters::set_older_peer`].
    older_peer: Option<NodeId>,
    bounds: Bounds,
    /// See [`Counters::make_room`].
    room: Room,
    #[cfg(feature = "planted-bugs")]
    pub(crate) bug: Option<crate::bug::Bug>,
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
            ours: 0,
            versions_before: 0,
            families: Families::default(),
            folding: Folding::default(),
            vacating: Vacating::default(),
            open: Open::default(),
            closed: Vec::new(),
            changes: Changes::default(),
            rows: Rows::default(),
            expiry: Expiry::default(),
            has_endings: false,
            has_long_names: false,
            older_peer: None,
            bounds: Bounds::default(),
            room: Room::default(),
            #[cfg(feature = "planted-bugs")]
            bug: None,
        };
        counters.add_origin(ours);
        counters
    }

    /// Has the table hold no more than this from now on.
    pub(crate) fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// So much may be taken from now on; without end before this is called first. Beyond it new
    /// counters are refused like those beyond [`COUNTERS_MAX`], and known ones count on.
    pub(crate) fn make_room(&mut self, room: Room) {
        self.room = room;
    }

    /// How much of it is left.
    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// The origin that this process writes under.
    pub fn our_origin(&self) -> OriginId {
        self.origins[self.ours as usize].id
    }

    /// The last version of our own that has closed.
    pub fn our_version(&self) -> Version {
        self.origins[self.ours as usize].known.version
    }

    /// How many counters exist.
    pub fn len(&self) -> usize {
        self.expiry.existing
    }

    /// The same for each database, and how many of them are to expire.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes(Box::new(self.expiry.sizes))
    }

    /// Whether none exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many names are held: of counters that exist, and of those that did.
    pub fn names(&self) -> usize {
        self.list.len()
    }

    /// How far it is to behind the last place at which a counter stands.
    pub(crate) fn places_end(&self) -> usize {
        self.list.end()
    }

    /// How many origins are known, ours included.
    pub fn origins(&self) -> usize {
        self.origin_places.len() - usize::from(self.origin_places.contains_key(&VACATED))
    }

    /// How many places origins have, those included that are free for others.
    pub(crate) fn origin_places(&self) -> usize {
        self.origins.len()
    }

    /// The value of a counter; 0 if it does not exist.
    pub fn value(&self, name: &str) -> Value {
        self.existing(name).unwrap_or(Value(0))
    }

    /// The value of a counter; `None` if it does not exist: if nothing is left of what any origin
    /// that is known here has done to it, or its time is over.
    pub fn existing(&self, name: &str) -> Option<Value> {
        self.existing_of(&self.lookup(name))
    }

    fn existing_of(&self, lookup: &Lookup<'_>) -> Option<Value> {
        self.existing_at(self.find(lookup)?)
    }

    fn existing_at(&self, place: u32) -> Option<Value> {
        let counter = &self.list[place];
        self.is_existing(counter).then(|| counter.value())
    }

    fn is_existing(&self, counter: &Counter) -> bool {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::ExpiryJudgedEarly) {
            return counter.is_counted();
        }
        counter.exists(self.expiry.wall_ms)
    }

    /// What reading a counter comes to.
    pub(crate) fn read(&self, lookup: &Lookup<'_>) -> Outcome {
        let counter = self.find(lookup).map(|place| &self.list[place]);
        let existing = counter.filter(|counter| self.is_existing(counter));
        let exists = existing.is_some();
        Outcome {
            value: existing.map_or(Value(0), Counter::value),
            change: 0,
            exists,
            existed: exists,
            until: existing.and_then(Counter::until).and_then(NonZeroU64::new),
            applied: true,
        }
    }

    /// Takes down an origin that was found on our disk, with the version up to which it claims all:
    /// where it stands. Once it was let in or was our own, so no more than [`ORIGINS_MAX`] is no
    /// matter here; `None` if its place could not be told in 32 bits.
    pub(crate) fn restore_origin(&mut self, id: OriginId, version: Version) -> Option<OriginIndex> {
        let id = if self.families.is_gone(id) { VACATED } else { id };
        let index = match self.index_of(id) {
            Some(index) => index,
            None => self.add_origin(id)?,
        };
        if id != VACATED {
            let known = &mut self.origins[index as usize].known;
            known.version = known.version.max(version);
            self.note_row(index);
            if version > 0 && self.families.standing(id) == Some(Standing::Takes) {
                self.hold(id);
            }
        }
        Some(index)
    }

    /// Takes down a counter that a snapshot tells of. `None` if there are too many.
    pub(crate) fn restore_counter(&mut self, name: &str) -> Option<u32> {
        self.find_or_insert(&self.lookup(name)).ok()
    }

    /// Takes down a slot with its own version (rule `snapshot-keeps-slot-versions`).
    pub(crate) fn restore_slot(
        &mut self,
        place: u32,
        origin: OriginIndex,
        slot: &Slot,
        version: Version,
    ) {
        if !self.is_gone_at(origin) {
            self.merge_slot(place, origin, slot, version);
        }
    }

    /// Takes down what a snapshot tells of a counter's end; [`Counters::restored`] must follow.
    pub(crate) fn restore_ending(&mut self, place: u32, origin: OriginIndex, ending: &Ending) {
        if !self.is_gone_at(origin) {
            self.merge_ending(place, origin, ending, 0);
        }
    }

    fn is_gone_at(&self, origin: OriginIndex) -> bool {
        let origin = &self.origins[origin as usize];
        origin.is_gone || origin.id == VACATED
    }

    /// All that was to be restored of a counter's end has been.
    pub(crate) fn restored(&mut self, place: u32) {
        self.find_largest_raise(place);
    }

    /// The origins from a place on, and up to which version everything of each is here.
    pub(crate) fn versions_from(
        &self,
        from: usize,
    ) -> impl Iterator<Item = (OriginId, Version)> + '_ {
        self.origins.iter().skip(from).map(|origin| (origin.id, origin.known.version))
    }

    /// What is known of an origin; zeros if nothing is.
    pub fn known(&self, origin: OriginId) -> DigestEntry {
        self.origin_places
            .get(&origin)
            .map_or(DigestEntry::default(), |&index| self.origins[index as usize].known)
    }

    /// How much an origin has added and subtracted, all counters together, as far as it is known
    /// here; modulo 2^64. What it grows by tells how busy that origin is.
    pub fn counted(&self, origin: OriginId) -> u64 {
        self.index_of(origin).map_or(0, |index| self.origins[index as usize].counted)
    }

    /// The digest: what is known of each origin that has ever changed anything, in no order.
    pub fn digest(&self) -> impl Iterator<Item = (OriginId, DigestEntry)> + '_ {
        self.origins
            .iter()
            .filter(|origin| origin.known != DigestEntry::default())
            .map(|origin| (origin.id, origin.known))
    }

    /// Every slot of every counter.
    pub fn iter(&self) -> impl Iterator<Item = SlotView<'_>> + '_ {
        self.list.iter_from(0).flat_map(|(_, name, counter)| self.views(name, counter))
    }

    fn views<'a>(
        &'a self,
        name: &'a str,
        counter: &'a Counter,
    ) -> impl Iterator<Item = SlotView<'a>> + 'a {
        let exists = counter.exists(self.expiry.wall_ms);
        counter.slots().iter().map(move |held| {
            let (origin, slot) = (self.origins[held.origin as usize].id, held.slot());
            let left =
                if exists { counter.cover_on(origin).rest_of(&slot) } else { Slot::default() };
            SlotView { name, origin, version: held.version, slot, left }
        })
    }

    /// The slots of one counter; none if it does not exist.
    pub fn slots_of(&self, name: &str) -> impl Iterator<Item = SlotView<'_>> + '_ {
        let counter = self.find(&self.lookup(name)).and_then(|place| self.list.get(place as usize));
        counter.into_iter().flat_map(|(name, counter)| self.views(name, counter))
    }

    /// What was said about the ends of counters.
    pub fn endings(&self) -> impl Iterator<Item = EndingView<'_>> + '_ {
        let any = self.has_endings.then(|| self.list.iter_from(0));
        any.into_iter().flatten().flat_map(|(_, name, counter)| self.ending_views(name, counter))
    }

    /// What was said about the end of one counter.
    pub fn endings_of(&self, name: &str) -> impl Iterator<Item = EndingView<'_>> + '_ {
        let counter = self.find(&self.lookup(name)).and_then(|place| self.list.get(place as usize));
        counter.into_iter().flat_map(|(name, counter)| self.ending_views(name, counter))
    }

    fn ending_views<'a>(
        &'a self,
        name: &'a str,
        counter: &'a Counter,
    ) -> impl Iterator<Item = EndingView<'a>> + 'a {
        let endings = counter.ended().into_iter().flat_map(Ended::endings);
        endings.map(move |(index, ending)| EndingView {
            name,
            origin: self.origins[index as usize].id,
            ending,
        })
    }

    /// The name of the counter at a place.
    pub(crate) fn name_at(&self, place: u32) -> &str {
        self.list.name(place)
    }

    /// Of up to `count` names from a place on those of counters that exist, and the place behind
    /// them; `None` behind the last.
    pub(crate) fn names_from(
        &self,
        place: usize,
        count: usize,
    ) -> (Vec<CounterName>, Option<usize>) {
        let (mut names, mut next) = (Vec::new(), place);
        for (at, name, counter) in self.list.iter_from(place).take(count) {
            if self.is_existing(counter) {
                names.push(CounterName::known(name));
            }
            next = at + 1;
        }
        (names, Some(next).filter(|next| *next > place && *next < self.places_end()))
    }

    /// Whether peers of earlier releases would not understand all that is held here: something was said
    /// about the end of a counter, or a name is longer than they know.
    pub(crate) fn needs_newer_peers(&self) -> bool {
        self.has_endings || self.has_long_names
    }

    /// A linked peer of an earlier release, if there is one: no name that it would not understand is made
    /// meanwhile. What others have made is merged all the same, and such a peer is left then.
    pub(crate) fn set_older_peer(&mut self, peer: Option<NodeId>) {
        self.older_peer = peer;
    }

    /// What has been ended of the counter at a place, if anything has.
    pub(crate) fn ended_at(&self, place: usize) -> Option<&Ended> {
        self.list.get(place)?.1.ended()
    }

    /// The first counter that stands at a place or behind it: its place, name and slots.
    pub(crate) fn slots_from(&self, place: usize) -> Option<(usize, &str, HeldSlots<'_>)> {
        let here = || self.list.get(place).map(|(name, counter)| (place, name, counter));
        let (place, name, counter) = here().or_else(|| self.list.iter_from(place).next())?;
        Some((place, name, counter.slots()))
    }

    /// Whether a counter stands at a place.
    pub(crate) fn has_at(&self, place: usize) -> bool {
        self.list.get(place).is_some()
    }

    fn writer(&self, index: OriginIndex) -> Writer {
        Writer { index, id: self.origins[index as usize].id, is_ours: index == self.ours }
    }

    /// The place of an origin, if it is known.
    pub(crate) fn index_of(&self, origin: OriginId) -> Option<OriginIndex> {
        self.origin_places.get(&origin).copied()
    }

    /// Takes down the origin that a link's peer writes under, unless there are far too many.
    pub(crate) fn meet_writer(&mut self, id: OriginId) {
        let most = self.bounds.origins.saturating_add(PEERS_ORIGINS_MAX);
        if self.index_of(id).is_none() && self.origins.len() < most as usize {
            self.add_origin(id);
        }
    }

    /// Takes back what is claimed of an origin: its writer never came so far. What is here of it stays,
    /// and all of it is to be asked for again.
    pub(crate) fn take_back(&mut self, id: OriginId) {
        if let Some(index) = self.index_of(id) {
            let origin = &mut self.origins[index as usize];
            origin.known.version = 0;
            origin.beyond = Ranges::default();
            self.note_row(index);
        }
    }

    /// Of a delta for which there was no room: what of it is here, claiming nothing.
    pub(crate) fn held_of<'a>(&self, delta: &Delta<'a>) -> Delta<'a> {
        let (origin, upto) = (delta.origin, delta.upto);
        let is_held = |change: &&Change<'_>| self.find(&self.lookup(change.name())).is_some();
        let is_known = self.index_of(origin).is_some();
        let held = delta.changes.iter().filter(|_| is_known).filter(is_held);
        Delta { origin, after: upto, upto, changes: held.cloned().collect() }
    }

    /// The place of an origin that others tell of. `None` if there are too many.
    fn origin_index(&mut self, id: OriginId) -> Option<OriginIndex> {
        match self.index_of(id) {
            None if self.origins.len() < self.bounds.origins as usize => self.add_origin(id),
            known => known,
        }
    }

    fn add_origin(&mut self, id: OriginId) -> Option<OriginIndex> {
        let (known, beyond) = (DigestEntry::default(), Ranges::default());
        let (hashed, is_gone) = (Hashed::default(), self.families.is_gone(id));
        let origin = Origin { id, known, beyond, counted: 0, slots: 0, is_gone, hashed };
        let index = match self.folding.take_vacant() {
            Some(index) => {
                self.origins[index as usize] = origin;
                index
            }
            None => {
                let index = u32::try_from(self.origins.len()).ok()?;
                self.origins.push(origin);
                index
            }
        };
        self.rows.add(id, index);
        self.origin_places.insert(id, index);
        Some(index)
    }
}

#[cfg(test)]
mod tests;
