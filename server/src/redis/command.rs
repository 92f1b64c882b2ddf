//! One command as it arrived: its name and arguments, in the frozen bytes of one read.

use bytes::Bytes;
use quipu_core::name::{CounterName, NameError};

use super::frames::Span;
use super::number;

/// One command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command<'a> {
    bytes: &'a Bytes,
    /// Never empty: the first is the command's own name.
    spans: &'a [Span],
}

impl<'a> Command<'a> {
    pub(super) fn new(bytes: &'a Bytes, spans: &'a [Span]) -> Self {
        Command { bytes, spans }
    }

    /// How many arguments it has, its own name included.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// An argument; nothing if there is none.
    pub(super) fn argument(&self, at: usize) -> &'a [u8] {
        self.spans.get(at).map_or(&[], |span| &self.bytes[span.range()])
    }

    /// The arguments from `at` on.
    pub(super) fn arguments(&self, at: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().skip(at).map(move |span| &bytes[span.range()])
    }

    /// An argument that is kept for longer than the command.
    pub(super) fn shared(&self, at: usize) -> Bytes {
        self.spans.get(at).map_or(Bytes::new(), |span| self.bytes.slice(span.range()))
    }

    /// An argument as a counter's name; a long one is a slice of what arrived.
    pub(super) fn name(&self, at: usize) -> Result<CounterName, NameError> {
        CounterName::cut(self.bytes, self.spans.get(at).map_or(0..0, |span| span.range()))
    }

    /// An argument as an integer.
    pub(super) fn integer(&self, at: usize) -> Option<i64> {
        number::integer(self.argument(at))
    }

    /// Whether an argument is this word, in upper or lower case.
    pub(super) fn is(&self, at: usize, word: &str) -> bool {
        self.argument(at).eq_ignore_ascii_case(word.as_bytes())
    }
}
