//! Whole commands, as the places of their arguments in the bytes in which they arrived.
//!
//! Places rather than slices: the same list serves every read of a connection, so a command costs
//! no allocation, and the bytes can be frozen and shared with the driver once they are known to
//! hold whole commands. Every argument takes at least five bytes on the wire ("$0\r\n\r\n" less
//! what an inline command saves), so the list is bounded by what has really arrived.

/// Where an argument stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// Commands, and the arguments of one that is not whole yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    spans: Vec<Span>,
    /// For each whole command, where its arguments end in `spans`.
    ends: Vec<u32>,
}

/// Places that are kept for the next read. More were needed by an unusual command, and ten
/// thousand idle connections would each keep them.
const SPANS_KEPT_MAX: usize = 1024;

impl Span {
    /// Of a buffer that is bounded far below 4 GiB; beyond it, an empty place.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) => Span { start, end },
            _ => Span { start: 0, end: 0 },
        }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Frames {
    /// How many whole commands there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The arguments of a whole command, its own name first. None are a blank line or an empty array.
    pub(crate) fn command(&self, at: usize) -> &[Span] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.spans[start..self.ends[at] as usize]
    }

    /// One more argument of the command that is being read.
    pub(crate) fn argument(&mut self, span: Span) {
        self.spans.push(span);
    }

    /// The command that was being read is whole.
    pub(crate) fn end_command(&mut self) {
        self.ends.push(u32::try_from(self.spans.len()).unwrap_or(u32::MAX));
    }

    /// Forgets the whole commands, which ended before `bytes`; what is left moves to the front.
    pub(crate) fn forget(&mut self, bytes: usize) {
        let whole = self.ends.last().copied().unwrap_or(0) as usize;
        self.ends.clear();
        self.spans.drain(..whole);
        for span in &mut self.spans {
            let range = span.range();
            *span = Span::new(range.start.saturating_sub(bytes), range.end.saturating_sub(bytes));
        }
        if self.spans.is_empty() {
            self.spans.shrink_to(SPANS_KEPT_MAX);
            self.ends.shrink_to(SPANS_KEPT_MAX);
        }
    }
}
