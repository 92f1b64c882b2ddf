//! Questions about the table as a whole, and their answers; they change nothing.

use crate::identity::{Address, OriginId, Version};
use crate::membership::PeersRefusal;
use crate::name::CounterName;
use crate::operation::Value;
use crate::slot::Slot;

/// Most rows that a page holds: some 300 KiB of names at worst, gathered in 0.6 ms (measured).
pub const PAGE_ROWS_MAX: usize = 1000;

/// Most rows that one answer tells: as many as a page of a listing, for the same reason.
pub const CHANGES_ROWS_MAX: usize = PAGE_ROWS_MAX;

/// A counter's name, and its value when it was listed.
pub type Row = (CounterName, Value);

/// A question about the table as a whole; it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// How many counters there are. Answered by [`Answer::Size`].
    Size,
    /// Names in the order in which this node first heard of them. A counter that was there when
    /// the first call of a walk was answered is named exactly once by the walk. Answered by
    /// [`Answer::Scanned`].
    Scan {
        /// 0 to begin with, then what the last answer said.
        from: u64,
        /// How many names at most; [`crate::node::SCAN_NAMES_MAX`] bounds it.
        count: usize,
    },
    /// Counters in the order of their names, byte by byte; those that were there when it was asked
    /// and come next, and perhaps some that came since. Answered by [`Answer::Page`], later than
    /// what is asked after it where there are many new names to be put in order, or by
    /// [`Answer::Busy`].
    List {
        /// What the names begin with; anything if there is none.
        prefix: Option<CounterName>,
        /// The last name that is known already: it and what stands before it are left out.
        after: Option<CounterName>,
        /// How many rows at most; [`crate::query::PAGE_ROWS_MAX`] bounds it.
        limit: usize,
    },
    /// Who has contributed what to a counter. Answered by [`Answer::Origins`].
    Origins {
        /// Which counter.
        name: CounterName,
    },
    /// Which counters have changed since this was answered last; from the first time that it is
    /// asked on, until [`Query::IgnoreChanges`]. For one who asks: somebody who asked before and
    /// still waits is answered at once, with nothing. Answered by [`Answer::Changes`].
    Changes {
        /// Whether to wait until there are any.
        wait: bool,
    },
    /// Nobody wants to know what changes any more. Answered by [`Answer::Changes`] without any, as
    /// is who still waits for them.
    IgnoreChanges,
}

/// The answer to a [`Query`], to [`Input::Await`], or to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// How many counters there are.
    Size(usize),
    /// Names, and where to go on; 0 when all have been told.
    Scanned {
        /// The next names.
        names: Vec<CounterName>,
        /// What to ask from next.
        next: u64,
    },
    /// Counters in the order of their names.
    Page {
        /// The next ones.
        rows: Vec<Row>,
        /// Whether there is at least one more behind them.
        more: bool,
    },
    /// Too many wait for the same already; nothing was asked.
    Busy,
    /// Every origin's share of a counter; empty if it does not exist.
    Origins(Vec<Share>),
    /// How many peers have confirmed what was awaited: have merged it, and synced it if they keep
    /// anything.
    Confirmed(usize),
    /// The same as of now: too many wait already.
    TooManyWait(usize),
    /// A peer was registered or removed, or why not.
    Peers(Result<(), PeersRefusal>),
    /// Counters that have changed.
    Changes {
        /// Each once, with its value when this was read; at most
        /// [`crate::query::CHANGES_ROWS_MAX`] of them.
        rows: Vec<Row>,
        /// Whether there are more already.
        more: bool,
    },
}

/// What one origin has contributed to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub origin: OriginId,
    /// Where the origin answers, if it is this node or a peer that is alive.
    pub address: Option<Address>,
    /// The numbers.
    pub slot: Slot,
    /// Not below the origin's version that last changed them.
    pub version: Version,
}
