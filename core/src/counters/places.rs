//! Where in the list a name's counter stands: a hash table in shards.
//!
//! A hash table grows by hashing all of it again, at once. In one piece that stalled the node for
//! 1.4 s at 7 million counters, so the table is cut by the hash into shards, each of which grows
//! when it is full: what grows at once is 1/256 of all. Each entry keeps 32 bits of its name's
//! hash, so that growing reads neither names nor counters, and looking up reads them only where
//! the hash agrees.
//!
//! Rejected: growing one table step by step, which keeps two tables and asks both meanwhile; and
//! linear hashing (Litwin, 1980), which evens out even the shards' growth, for more code. Room made
//! up front saves no time that could be measured, since growing is so cheap.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::counters::list::List;

/// Shards. At [`crate::counters::COUNTERS_MAX`] each holds 400,000 places and grows in some 5 ms;
/// an empty table takes 8 KiB.
const SHARDS: usize = 256;

/// Shards of no more places stay as they are.
const SHRINK_MIN: usize = 28;

/// The place of each name.
#[derive(Debug)]
pub(crate) struct Places {
    hasher: FixedState,
    shards: Box<[HashTable<Place>]>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    place: u32,
}

/// What is made of a name's hash: the shard, and what is kept.
fn cut(hash: u64) -> (usize, u32) {
    ((hash >> 32) as usize % SHARDS, hash as u32)
}

/// What a shard works with. It takes buckets by the lowest bits and tells entries of neighbouring
/// buckets apart by the highest seven.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Places {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Places { hasher, shards: (0..SHARDS).map(|_| HashTable::new()).collect() }
    }

    /// What a name is looked for by.
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    /// A place whose name has this hash, or at least half of it: nearly always the one that is
    /// looked for. Reads no name.
    pub(crate) fn guess(&self, hash: u64) -> Option<u32> {
        let (shard, hash) = cut(hash);
        self.shards[shard].find(spread(hash), |held| held.hash == hash).map(|held| held.place)
    }

    /// The place of a name with its hash.
    pub(crate) fn find(&self, name: &[u8], hash: u64, list: &List) -> Option<u32> {
        let (shard, hash) = cut(hash);
        let is_it = |held: &Place| held.hash == hash && list.is_named(held.place, name);
        self.shards[shard].find(spread(hash), is_it).map(|held| held.place)
    }

    /// The name with this hash has a place no more. A shard that has become far too large becomes
    /// smaller.
    pub(crate) fn remove(&mut self, hash: u64, place: u32) {
        let (shard, hash) = cut(hash);
        let shard = &mut self.shards[shard];
        if let Ok(held) = shard.find_entry(spread(hash), |held| held.place == place) {
            held.remove();
        }
        if shard.capacity() > SHRINK_MIN && shard.len() < shard.capacity() / 4 {
            shard.shrink_to(2 * shard.len(), |held| spread(held.hash));
        }
    }

    /// The place of a name with its hash, which is `next` from now on if it has none yet; `None` if
    /// it has none and there is no next.
    pub(crate) fn find_or_insert(
        &mut self,
        name: &[u8],
        hash: u64,
        list: &List,
        next: Option<u32>,
    ) -> Option<u32> {
        let (shard, hash) = cut(hash);
        let is_it = |held: &Place| held.hash == hash && list.is_named(held.place, name);
        match self.shards[shard].entry(spread(hash), is_it, |held| spread(held.hash)) {
            Entry::Occupied(held) => Some(held.get().place),
            Entry::Vacant(free) => {
                free.insert(Place { hash, place: next? });
                next
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::counter::Counter;

    fn filled(count: u32) -> (Places, List) {
        let (mut places, mut list) = (Places::new(FixedState::with_seed(7)), List::default());
        for place in 0..count {
            let name = place.to_string();
            let hash = places.hash(name.as_bytes());
            assert_eq!(places.find_or_insert(name.as_bytes(), hash, &list, None), None);
            assert_eq!(
                places.find_or_insert(name.as_bytes(), hash, &list, Some(place)),
                Some(place)
            );
            list.insert(&name, Counter::new(0));
        }
        (places, list)
    }

    #[test]
    fn every_name_is_found_where_it_was_put_however_the_shards_grew() {
        let (mut places, list) = filled(20_000);
        for place in 0..20_000 {
            let name = place.to_string();
            let hash = places.hash(name.as_bytes());
            assert_eq!(places.find(name.as_bytes(), hash, &list), Some(place));
            assert_eq!(places.guess(hash), Some(place), "no two of these agree in half a hash");
            assert_eq!(places.find_or_insert(name.as_bytes(), hash, &list, Some(77)), Some(place));
        }
        assert_eq!(places.find(b"20000", places.hash(b"20000"), &list), None);
    }

    #[test]
    fn names_that_go_give_their_memory_back_and_the_others_are_found() {
        let (mut places, list) = filled(20_000);
        let capacity =
            |places: &Places| -> usize { places.shards.iter().map(HashTable::capacity).sum() };
        let before = capacity(&places);
        let hash = |places: &Places, place: u32| places.hash(place.to_string().as_bytes());
        for place in (0..20_000).filter(|place| place % 20 != 0) {
            places.remove(hash(&places, place), place);
        }
        for place in 0..20_000 {
            let found = places.find(place.to_string().as_bytes(), hash(&places, place), &list);
            assert_eq!(found, (place % 20 == 0).then_some(place));
        }
        assert!(capacity(&places) < before / 3, "{before}, {}", capacity(&places));
    }

    #[test]
    fn names_spread_over_all_shards() {
        let (places, _) = filled(20_000);
        let share = 20_000 / SHARDS;
        for shard in &places.shards {
            assert!((share / 2..2 * share).contains(&shard.len()), "{} of {share}", shard.len());
        }
    }

    #[test]
    fn names_of_one_hash_are_told_apart() {
        // One bucket, one tag and one kept hash for all: what is left to tell them by is the name.
        let (mut places, mut list) = (Places::new(FixedState::with_seed(7)), List::default());
        let whole = places.hash(b"a");
        let (shard, hash) = cut(whole);
        list.insert("b", Counter::new(0));
        places.shards[shard]
            .insert_unique(spread(hash), Place { hash, place: 0 }, |held| spread(held.hash));
        assert_eq!(places.guess(whole), Some(0));
        assert_eq!(places.find(b"a", whole, &list), None);
        assert_eq!(places.find_or_insert(b"a", whole, &list, Some(1)), Some(1));
        list.insert("a", Counter::new(0));
        assert_eq!(places.find(b"a", whole, &list), Some(1));
    }
}
