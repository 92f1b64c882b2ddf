//! Finding counters by their names, one or many at a time.
//!
//! A name out of millions lies in four places of memory, each known only from the one before,
//! and none of them in a cache. One name after the other, the processor waits for all of them
//! in turn; step by step over all names, it waits for many at a time.

use super::Counters;
use crate::counters::counter::Counter;
use crate::fingerprint;
use crate::name::EARLIER_NAME_BYTES_MAX;
use crate::operation::Refusal;
use crate::room::Room;

/// Names that are looked for at once: as many as a core has reads of memory under way, several
/// times over, and so few that what they read is still in its cache when it is used.
pub(crate) const LOOKUPS_MAX: usize = 64;

/// Up to so many counters, all that is read of them stays in a core's cache anyway.
const PREFETCH_COUNTERS_MIN: usize = 4096;

/// A counter that is looked for: how far the search has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'a> {
    /// As bytes: whether they are text was looked at when they came.
    name: &'a [u8],
    hash: u64,
    /// Where a counter of this hash stands, if it was looked up; it may have another name.
    guess: Option<u32>,
}

impl Counters {
    /// Begins to look for many names at once, [`LOOKUPS_MAX`] at most, and reads what finding them
    /// will need; see the file.
    pub(crate) fn prefetch<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        found: &mut Vec<Lookup<'a>>,
    ) {
        found.clear();
        found.extend(names.map(|name| self.lookup_bytes(name)));
        if found.len() == 1 || self.list.len() < PREFETCH_COUNTERS_MIN {
            return;
        }
        for lookup in found.iter_mut() {
            lookup.guess = self.places.guess(lookup.hash);
        }
        let guesses = || found.iter().filter_map(|lookup| lookup.guess);
        let near = guesses().fold(0, |sum, place| sum ^ self.list.prefetch(place));
        let beside = guesses().fold(0, |sum, place| sum ^ self.list.prefetch_beside(place));
        // Nobody wants the sums, but without a use they would not be read.
        std::hint::black_box((near, beside));
    }

    pub(super) fn lookup<'a>(&self, name: &'a str) -> Lookup<'a> {
        self.lookup_bytes(name.as_bytes())
    }

    pub(super) fn lookup_bytes<'a>(&self, name: &'a [u8]) -> Lookup<'a> {
        Lookup { name, hash: self.places.hash(name), guess: None }
    }

    pub(super) fn find(&self, lookup: &Lookup<'_>) -> Option<u32> {
        let Lookup { name, hash, guess } = *lookup;
        guess
            .filter(|place| self.list.is_named(*place, name))
            .or_else(|| self.places.find(name, hash, &self.list))
    }

    /// As [`Counters::find_or_insert`], for a client. A name that not all linked peers would understand is
    /// not made.
    pub(super) fn find_or_make(&mut self, lookup: &Lookup<'_>) -> Result<u32, Refusal> {
        if lookup.name.len() > EARLIER_NAME_BYTES_MAX
            && let Some(peer) = self.older_peer
            && self.find(lookup).is_none()
        {
            return Err(Refusal::OlderPeer(peer));
        }
        self.find_or_insert(lookup)
    }

    pub(super) fn find_or_insert(&mut self, lookup: &Lookup<'_>) -> Result<u32, Refusal> {
        match self.find(lookup) {
            Some(place) => Ok(place),
            None => self.insert(lookup),
        }
    }

    /// By itself, so that finding a name does not carry what taking one in needs.
    #[inline(never)]
    fn insert(&mut self, lookup: &Lookup<'_>) -> Result<u32, Refusal> {
        let Lookup { name, hash, .. } = *lookup;
        let next = self.list.next_place();
        let bytes = Room::of_name(name);
        let has_room = self.room.has_for_name(bytes);
        let is_within = self.list.len() < self.bounds.counters as usize;
        let free = u32::try_from(next).ok().filter(|_| is_within && has_room);
        let place =
            self.places.find_or_insert(name, hash, &self.list, free).ok_or(if has_room {
                Refusal::TooManyCounters(self.bounds.counters)
            } else {
                Refusal::OutOfMemory
            })?;
        if free == Some(place) {
            self.room.take_name(bytes);
            self.has_long_names |= name.len() > EARLIER_NAME_BYTES_MAX;
            // Nothing is lost: who looked it up had a name, and names are text.
            let name = String::from_utf8_lossy(name);
            if next < self.list.end() {
                self.vacating.reused.push(place);
            }
            self.list.insert(&name, Counter::new(fingerprint::of_name(&name)));
        }
        Ok(place)
    }
}
