//! The list of all counters, in the order in which they came; it only grows.
//!
//! It stands in chunks of a fixed size, so that growing never moves a counter. One block for all,
//! grown by doubling, leaves up to half of it empty and stalls the node while it copies: measured,
//! 2 s at 8 million counters. The names of a chunk stand end to end in one text, since a block of
//! its own for each would take as much again as the name and one more allocation per counter.

use std::ops::{Index, IndexMut, Range};

use crate::counters::counter::Counter;

/// Counters in one chunk: large enough that the table of chunks stays small (100 million counters
/// have 2.4 MB of it, which is all that is copied when it grows), small enough that an almost
/// empty node does not notice its first chunk of 48 KiB.
const CHUNK: usize = 1024;

/// Every counter and its name, by place.
#[derive(Debug, Default)]
pub(crate) struct List {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    counters: Vec<Named>,
    names: String,
}

#[derive(Debug)]
struct Named {
    /// Where in the chunk's names this one's begins.
    name_start: u32,
    name_bytes: u32,
    counter: Counter,
}

impl Named {
    fn span(&self) -> Range<usize> {
        let start = self.name_start as usize;
        start..start + self.name_bytes as usize
    }
}

impl Chunk {
    fn new() -> Self {
        Chunk { counters: Vec::with_capacity(CHUNK), names: String::new() }
    }

    fn name(&self, named: &Named) -> &str {
        &self.names[named.span()]
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Counter)> {
        self.counters.iter().map(|named| (self.name(named), &named.counter))
    }
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends a counter.
    pub(crate) fn push(&mut self, name: &str, counter: Counter) {
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Chunk::new());
        }
        let Some(chunk) = self.chunks.last_mut() else { return };
        let bytes = |text: &str| u32::try_from(text.len()).expect("1024 names have a MiB at most");
        let (name_start, name_bytes) = (bytes(&chunk.names), bytes(name));
        chunk.names.push_str(name);
        chunk.counters.push(Named { name_start, name_bytes, counter });
        self.len += 1;
        if self.len.is_multiple_of(CHUNK) {
            chunk.names.shrink_to_fit();
        }
    }

    /// The name of the counter at a place.
    pub(crate) fn name(&self, place: u32) -> &str {
        let (chunk, at) = split(place as usize);
        let chunk = &self.chunks[chunk];
        chunk.name(&chunk.counters[at])
    }

    /// How long the name of the counter at a place is.
    pub(crate) fn name_bytes(&self, place: u32) -> usize {
        let (chunk, at) = split(place as usize);
        self.chunks[chunk].counters[at].name_bytes as usize
    }

    /// Whether the counter at a place has this name.
    pub(crate) fn is_named(&self, place: u32, name: &[u8]) -> bool {
        let (chunk, at) = split(place as usize);
        let chunk = &self.chunks[chunk];
        // As bytes: a text is cut only after a look at whether a character begins there.
        chunk.names.as_bytes()[chunk.counters[at].span()] == *name
    }

    /// Where the name of the counter at a place begins, read for having been read.
    pub(crate) fn prefetch(&self, place: u32) -> u64 {
        let (chunk, at) = split(place as usize);
        u64::from(self.chunks[chunk].counters[at].name_start)
    }

    /// The same for the first bytes of what lies beside it: its name, and its slots.
    pub(crate) fn prefetch_beside(&self, place: u32) -> u64 {
        let (chunk, at) = split(place as usize);
        let chunk = &self.chunks[chunk];
        let named = &chunk.counters[at];
        let name = chunk.names.as_bytes().get(named.name_start as usize);
        let slot = named.counter.slots().get(0);
        name.map_or(0, |byte| u64::from(*byte)) ^ slot.map_or(0, |slot| slot.version)
    }

    /// The counters from a place on, with their names; none beyond the list's end.
    pub(crate) fn iter_from(&self, place: usize) -> impl Iterator<Item = (&str, &Counter)> {
        let (chunk, at) = split(place);
        self.chunks.iter().skip(chunk).flat_map(Chunk::iter).skip(at)
    }

    /// The counter at a place and its name; `None` beyond the list's end.
    pub(crate) fn get(&self, place: usize) -> Option<(&str, &Counter)> {
        let (chunk, at) = split(place);
        let chunk = self.chunks.get(chunk)?;
        let named = chunk.counters.get(at)?;
        Some((chunk.name(named), &named.counter))
    }
}

fn split(place: usize) -> (usize, usize) {
    (place / CHUNK, place % CHUNK)
}

impl Index<u32> for List {
    type Output = Counter;

    fn index(&self, place: u32) -> &Counter {
        let (chunk, at) = split(place as usize);
        &self.chunks[chunk].counters[at].counter
    }
}

impl IndexMut<u32> for List {
    fn index_mut(&mut self, place: u32) -> &mut Counter {
        let (chunk, at) = split(place as usize);
        &mut self.chunks[chunk].counters[at].counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(len: usize) -> List {
        let mut list = List::default();
        for n in 0..len {
            list.push(&name(n), Counter::new(n as u64));
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
            let met: Vec<&str> = list.iter_from(from).map(|(name, _)| name).collect();
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
            list.push(&name, Counter::new(0));
        }
        assert_eq!(list.iter_from(0).filter(|(found, _)| *found == name).count(), CHUNK + 1);
    }
}
