//! A part of the list: up to [`CHUNK`] counters and their names.
//!
//! The names stand end to end in one text, since a block of its own for each would take as much again
//! as the name and one more allocation per counter. A counter that goes leaves its place, and no hole:
//! the others close up, in the order of their places, and a bit for each place tells which they are.

use std::ops::Range;

use super::counter::Counter;

/// Places in one chunk: large enough that the table of chunks stays small (100 million counters
/// have 6 MB of it, which is all that is copied when it grows), small enough that an almost
/// empty node does not notice its first chunk of 40 KiB, and that one is rewritten in some microseconds.
pub(super) const CHUNK: usize = 1024;

/// Counters for which room is made at once where others have gone before.
const ROOM_MIN: usize = 16;

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

/// A bit for each place.
#[derive(Clone, Debug)]
struct Bits([u64; CHUNK / 64]);

impl Bits {
    /// The first places.
    fn first(count: usize) -> Self {
        let mut bits = Bits([0; CHUNK / 64]);
        (0..count).for_each(|at| bits.set(at, true));
        bits
    }

    fn set(&mut self, at: usize, is_set: bool) {
        let bit = 1 << (at % 64);
        if is_set {
            self.0[at / 64] |= bit;
        } else {
            self.0[at / 64] &= !bit;
        }
    }

    fn has(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word & 1 << (at % 64) != 0)
    }

    /// How many are set below a place.
    fn rank(&self, at: usize) -> usize {
        let below = self.0[at / 64] & ((1 << (at % 64)) - 1);
        let words = self.0[..at / 64].iter().chain([&below]);
        words.map(|word| word.count_ones() as usize).sum()
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..CHUNK).filter(|at| self.has(*at))
    }

    fn first_unset(&self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != u64::MAX)?;
        Some(64 * word + self.0[word].trailing_ones() as usize)
    }

    /// How far it is to behind the last that is set.
    fn end(&self) -> usize {
        let word = self.0.iter().rposition(|word| *word != 0);
        word.map_or(0, |word| 64 * (word + 1) - self.0[word].leading_zeros() as usize)
    }
}

#[derive(Debug)]
pub(super) struct Chunk {
    /// Those of the first places; none while other places are taken.
    rows: Vec<Named>,
    names: String,
    sparse: Option<Box<Sparse>>,
}

/// The rows of a chunk in which places are vacant between others.
#[derive(Debug)]
struct Sparse {
    taken: Bits,
    /// In the order of their places.
    rows: Vec<Named>,
}

impl Chunk {
    pub(super) fn new() -> Self {
        Chunk { rows: Vec::with_capacity(CHUNK), names: String::new(), sparse: None }
    }

    pub(super) fn len(&self) -> usize {
        self.sparse.as_ref().map_or(self.rows.len(), |sparse| sparse.rows.len())
    }

    /// How far it is to behind the last place that is taken.
    pub(super) fn end(&self) -> usize {
        self.sparse.as_ref().map_or(self.rows.len(), |sparse| sparse.taken.end())
    }

    pub(super) fn first_vacant(&self) -> Option<usize> {
        match &self.sparse {
            None => Some(self.rows.len()).filter(|len| *len < CHUNK),
            Some(sparse) => sparse.taken.first_unset(),
        }
    }

    #[inline]
    fn row(&self, at: usize) -> &Named {
        match self.rows.get(at) {
            Some(named) => named,
            None => self.sparse_row(at),
        }
    }

    /// By itself, so that finding a counter costs nothing more where none are gone.
    #[cold]
    #[inline(never)]
    fn sparse_row(&self, at: usize) -> &Named {
        let row = self.sparse.as_ref().and_then(|sparse| sparse.get(at));
        row.expect("a counter stands there")
    }

    #[cold]
    #[inline(never)]
    fn sparse_row_mut(&mut self, at: usize) -> &mut Named {
        let sparse = self.sparse.as_mut().filter(|sparse| sparse.taken.has(at));
        let row = sparse.and_then(|sparse| sparse.rows.get_mut(sparse.taken.rank(at)));
        row.expect("a counter stands there")
    }

    pub(super) fn counter(&self, at: usize) -> &Counter {
        &self.row(at).counter
    }

    pub(super) fn counter_mut(&mut self, at: usize) -> &mut Counter {
        if at < self.rows.len() {
            return &mut self.rows[at].counter;
        }
        &mut self.sparse_row_mut(at).counter
    }

    pub(super) fn get(&self, at: usize) -> Option<(&str, &Counter)> {
        let sparse = || self.sparse.as_ref()?.get(at);
        let named = self.rows.get(at).or_else(sparse)?;
        Some((self.name_of(named), &named.counter))
    }

    pub(super) fn name(&self, at: usize) -> &str {
        self.name_of(self.row(at))
    }

    pub(super) fn name_bytes(&self, at: usize) -> usize {
        self.row(at).name_bytes as usize
    }

    /// Where the name begins, read for having been read.
    pub(super) fn prefetch(&self, at: usize) -> u64 {
        u64::from(self.row(at).name_start)
    }

    /// The same for the first bytes of what lies beside the counter: its name, and its slots.
    pub(super) fn prefetch_beside(&self, at: usize) -> u64 {
        let named = self.row(at);
        let name = self.names.as_bytes().get(named.name_start as usize);
        let slot = named.counter.slots().get(0);
        name.map_or(0, |byte| u64::from(*byte)) ^ slot.map_or(0, |slot| slot.version)
    }

    /// As bytes: a text is cut only after a look at whether a character begins there.
    pub(super) fn is_named(&self, at: usize, name: &[u8]) -> bool {
        self.names.as_bytes()[self.row(at).span()] == *name
    }

    fn name_of(&self, named: &Named) -> &str {
        &self.names[named.span()]
    }

    /// The counters from a place on, each with its place.
    pub(super) fn iter_from(&self, at: usize) -> impl Iterator<Item = (usize, &str, &Counter)> {
        let first = self.rows.iter().enumerate().skip(at);
        let sparse = self.sparse.iter().flat_map(move |sparse| sparse.iter_from(at));
        first.chain(sparse).map(|(at, named)| (at, self.name_of(named), &named.counter))
    }

    /// Takes in a counter at a place that is vacant; the first such one, or one behind all others.
    pub(super) fn insert(&mut self, at: usize, name: &str, counter: Counter) {
        let bytes = |text: &str| u32::try_from(text.len()).expect("1024 names have a MiB at most");
        let (name_start, name_bytes) = (bytes(&self.names), bytes(name));
        self.names.push_str(name);
        let named = Named { name_start, name_bytes, counter };
        if at != self.rows.len() && self.sparse.is_none() {
            let taken = Bits::first(self.rows.len());
            self.sparse = Some(Box::new(Sparse { taken, rows: std::mem::take(&mut self.rows) }));
        }
        match &mut self.sparse {
            Some(sparse) => sparse.insert(at, named),
            None => {
                make_room(&mut self.rows);
                self.rows.push(named);
            }
        }
        if self.len() == CHUNK {
            self.names.shrink_to_fit();
            if let Some(sparse) = self.sparse.take() {
                self.rows = sparse.rows;
            }
        }
    }

    /// Lets go of the counters at some places, and of the memory that they and their names took.
    pub(super) fn vacate(&mut self, gone: impl Iterator<Item = usize>) {
        let first = std::mem::take(&mut self.rows);
        let (before, rows) = match self.sparse.take() {
            None => (Bits::first(first.len()), first),
            Some(sparse) => (sparse.taken, sparse.rows),
        };
        let mut taken = before.clone();
        gone.for_each(|at| taken.set(at, false));
        let names = std::mem::take(&mut self.names);
        let mut left = Vec::with_capacity(taken.count());
        for (_, mut named) in before.iter().zip(rows).filter(|(at, _)| taken.has(*at)) {
            let name = &names[named.span()];
            named.name_start = u32::try_from(self.names.len()).expect("it has become shorter");
            self.names.push_str(name);
            left.push(named);
        }
        self.names.shrink_to_fit();
        if taken.end() == left.len() {
            self.rows = left;
        } else {
            self.sparse = Some(Box::new(Sparse { taken, rows: left }));
        }
    }
}

impl Sparse {
    fn get(&self, at: usize) -> Option<&Named> {
        if self.taken.has(at) { self.rows.get(self.taken.rank(at)) } else { None }
    }

    fn iter_from(&self, at: usize) -> impl Iterator<Item = (usize, &Named)> {
        self.taken.iter().zip(&self.rows).skip_while(move |(place, _)| *place < at)
    }

    fn insert(&mut self, at: usize, named: Named) {
        make_room(&mut self.rows);
        self.rows.insert(self.taken.rank(at), named);
        self.taken.set(at, true);
    }
}

/// Makes room for one more, and for some, where others have gone before.
fn make_room(rows: &mut Vec<Named>) {
    if rows.len() == rows.capacity() {
        rows.reserve_exact(rows.len().max(ROOM_MIN).min(CHUNK - rows.len()));
    }
}
