//! The list of all counters, by their places.
//!
//! A counter keeps its place for as long as it is held, and a new one comes behind all others, or takes
//! a place that another has left. The list stands in chunks of a fixed size, so that growing never moves
//! a counter. One block for all, grown by doubling, leaves up to half of it empty and stalls the node
//! while it copies: measured, 2 s at 8 million counters. Shrinking rewrites one chunk at a time.
//!
//! Rejected: moving the last counter into a place that has become vacant, which leaves none. A walk
//! over the list would miss what moves, and each room that knows a place would have to be told.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};

pub(super) use crate::counters::chunk::CHUNK;
use crate::counters::chunk::Chunk;
use crate::counters::counter::Counter;

/// Every counter and its name, by place.
#[derive(Debug, Default)]
pub(crate) struct List {
    chunks: Vec<Chunk>,
    len: usize,
    /// Chunks of which half was vacant, and that are not full again: new counters come into these.
    /// One of which fewer places are vacant would move more counters for each.
    roomy: BTreeSet<usize>,
}

impl List {
    /// How many counters there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How far it is to behind the last place that is taken.
    pub(crate) fn end(&self) -> usize {
        self.chunks.last().map_or(0, |last| CHUNK * (self.chunks.len() - 1) + last.end())
    }

    /// The place that the next new counter takes.
    pub(crate) fn next_place(&self) -> usize {
        let roomy = self
            .roomy
            .first()
            .and_then(|chunk| self.chunks[*chunk].first_vacant().map(|at| CHUNK * chunk + at));
        roomy.unwrap_or_else(|| self.end())
    }

    /// Takes in a counter; it takes [`List::next_place`].
    pub(crate) fn insert(&mut self, name: &str, counter: Counter) {
        let (chunk, at) = split(self.next_place());
        if chunk == self.chunks.len() {
            self.chunks.push(Chunk::new());
        }
        self.chunks[chunk].insert(at, name, counter);
        if self.chunks[chunk].len() == CHUNK {
            self.roomy.remove(&chunk);
        }
        self.len += 1;
    }

    /// Lets go of the counters at some places of one chunk.
    pub(crate) fn vacate(&mut self, places: &[u32]) {
        let Some(first) = places.first() else { return };
        let (number, _) = split(*first as usize);
        let chunk = &mut self.chunks[number];
        let before = chunk.len();
        chunk.vacate(places.iter().map(|place| split(*place as usize).1));
        self.len -= before - chunk.len();
        if chunk.len() <= CHUNK / 2 {
            self.roomy.insert(number);
        }
        while self.chunks.last().is_some_and(|last| last.len() == 0) {
            self.chunks.pop();
            self.roomy.remove(&self.chunks.len());
        }
        if self.chunks.capacity() > 4 * self.chunks.len() {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
    }

    /// The name of the counter at a place.
    pub(crate) fn name(&self, place: u32) -> &str {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].name(at)
    }

    /// How long the name of the counter at a place is.
    pub(crate) fn name_bytes(&self, place: u32) -> usize {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].name_bytes(at)
    }

    /// Whether the counter at a place has this name.
    pub(crate) fn is_named(&self, place: u32, name: &[u8]) -> bool {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].is_named(at, name)
    }

    /// Where the name of the counter at a place begins, read for having been read.
    pub(crate) fn prefetch(&self, place: u32) -> u64 {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].prefetch(at)
    }

    /// The same for the first bytes of what lies beside it: its name, and its slots.
    pub(crate) fn prefetch_beside(&self, place: u32) -> u64 {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].prefetch_beside(at)
    }

    /// The counters from a place on, with their places and names; none beyond the list's end.
    pub(crate) fn iter_from(&self, place: usize) -> impl Iterator<Item = (usize, &str, &Counter)> {
        let (first, from) = split(place);
        let chunks = self.chunks.iter().enumerate().skip(first);
        chunks.flat_map(move |(number, chunk)| {
            let rows = chunk.iter_from(if number == first { from } else { 0 });
            rows.map(move |(at, name, counter)| (CHUNK * number + at, name, counter))
        })
    }

    /// The counter at a place and its name; `None` if there is none.
    pub(crate) fn get(&self, place: usize) -> Option<(&str, &Counter)> {
        let (chunk, at) = split(place);
        self.chunks.get(chunk)?.get(at)
    }
}

fn split(place: usize) -> (usize, usize) {
    (place / CHUNK, place % CHUNK)
}

impl Index<u32> for List {
    type Output = Counter;

    fn index(&self, place: u32) -> &Counter {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].counter(at)
    }
}

impl IndexMut<u32> for List {
    fn index_mut(&mut self, place: u32) -> &mut Counter {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].counter_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(len: usize) -> List {
        let mut list = List::default();
        for n in 0..len {
            list.insert(&name(n), Counter::new(n as u64));
        }
        list
    }

    /// Names of many lengths, some of them in more bytes than characters.
    fn name(n: usize) -> String {
        format!("{}{n}", "ä".repeat(n % 40))
    }

    #[test]
    fn every_counter_keeps_its_place_and_name_over_the_borders_of_chunks() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let list = list(len);
            assert_eq!(list.len(), len);
            for n in 0..len {
                let place = u32::try_from(n).unwrap();
                assert_eq!(list.name(place), name(n));
                assert_eq!(list.name_bytes(place), name(n).len());
                assert!(list.is_named(place, name(n).as_bytes()));
                assert!(!list.is_named(place, name(n + 1).as_bytes()));
                assert_eq!(list[place].name_hash, n as u64);
                assert_eq!(list.get(n).unwrap().0, name(n));
            }
            assert!(list.get(len).is_none(), "{len}");
        }
    }

    #[test]
    fn a_walk_from_any_place_meets_the_rest_in_order() {
        let len = 2 * CHUNK + 7;
        let list = list(len);
        for from in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, len - 1, len, len + CHUNK] {
            let met: Vec<&str> = list.iter_from(from).map(|(_, name, _)| name).collect();
            let expected: Vec<String> = (from..len).map(name).collect();
            assert_eq!(met, expected, "from {from}");
        }
    }

    #[test]
    fn a_counter_is_changed_where_it_stands() {
        let mut list = list(CHUNK + 1);
        let (last, before) = (u32::try_from(CHUNK).unwrap(), list.name(3).to_owned());
        list[last].name_hash = 99;
        assert_eq!(list.get(CHUNK).unwrap().1.name_hash, 99);
        assert_eq!(list.name(3), before);
    }

    #[test]
    fn a_full_chunk_of_the_longest_names_fits() {
        let mut list = List::default();
        let name = "x".repeat(crate::name::NAME_BYTES_MAX);
        for _ in 0..=CHUNK {
            list.insert(&name, Counter::new(0));
        }
        assert_eq!(list.iter_from(0).filter(|(_, found, _)| *found == name).count(), CHUNK + 1);
    }

    /// What is at each place, however it came to be there.
    #[track_caller]
    fn assert_held(list: &List, expected: &std::collections::BTreeMap<usize, String>) {
        assert_eq!(
            (list.len(), list.end()),
            (expected.len(), expected.last_key_value().map_or(0, |(last, _)| last + 1),)
        );
        let found = list.iter_from(0).map(|(place, name, _)| (place, name.to_owned()));
        assert!(found.eq(expected.clone()), "in the order of their places");
        for place in (0..list.end() + 2).step_by(7) {
            let found = list.get(place).map(|(name, _)| name.to_owned());
            assert_eq!(found.as_ref(), expected.get(&place), "{place}");
            let rest = list.iter_from(place).map(|(place, ..)| place).next();
            assert_eq!(rest, expected.range(place..).next().map(|(place, _)| *place));
        }
    }

    #[test]
    fn counters_that_stay_keep_their_places_and_new_ones_take_those_that_are_vacant() {
        let len = 4 * CHUNK + 9;
        let mut list = list(len);
        let mut expected: std::collections::BTreeMap<usize, String> =
            (0..len).map(|n| (n, name(n))).collect();
        let vacate = |list: &mut List,
                      expected: &mut std::collections::BTreeMap<_, _>,
                      is_gone: &dyn Fn(usize) -> bool| {
            for chunk in (0..=list.end() / CHUNK).rev() {
                let places = CHUNK * chunk..CHUNK * (chunk + 1);
                let gone: Vec<usize> = places
                    .filter(|place| expected.contains_key(place) && is_gone(*place))
                    .collect();
                gone.iter().for_each(|place| drop(expected.remove(place)));
                let gone: Vec<u32> =
                    gone.iter().map(|place| u32::try_from(*place).unwrap()).collect();
                list.vacate(&gone);
            }
            assert_held(list, expected);
        };
        vacate(&mut list, &mut expected, &|place| place % 3 != 0 && place < 2 * CHUNK);
        vacate(&mut list, &mut expected, &|place| place >= 3 * CHUNK && place % 64 > 1);
        for n in 0..5 * CHUNK {
            let place = list.next_place();
            assert!(expected.insert(place, name(n)).is_none(), "it was vacant");
            list.insert(&name(n), Counter::new(n as u64));
        }
        assert_held(&list, &expected);
        assert!(list.end() <= len + 3 * CHUNK, "places serve again");
        vacate(&mut list, &mut expected, &|place| place >= CHUNK);
        assert!(list.chunks.capacity() <= 4 * list.chunks.len().max(1));
        vacate(&mut list, &mut expected, &|_| true);
        assert_eq!((list.chunks.len(), list.next_place()), (0, 0));
    }
}
