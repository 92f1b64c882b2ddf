//! One who watches: a position in the record that moves on, as fast as it reads and no faster than
//! it wants.

use std::sync::Arc;
use std::time::Duration;

use quipu_core::identity::OriginId;
use quipu_core::query::Row;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::hub::{Shared, TICK};
use super::record::{Change, Filter, Forgotten, LogLine, Peer, Position};
use crate::access::{Allowed, Door};
use crate::handle::Unavailable;

/// Counters that all watchers together are told of in a second. Each costs some 50 ns and as many
/// bytes on a socket, so this is what keeps a crowd of them at a few hundredths of a machine; one
/// watcher alone is hardly ever held back by it.
pub(super) const ROWS_PER_SECOND_MAX: u32 = 500_000;

/// Counters that are told in one go, some 50 KB.
const ROWS_MAX: usize = 1000;

/// The longest that a watcher may want to be told nothing.
pub(crate) const EVERY_MAX: Duration = Duration::from_secs(60);

/// Why a client may not watch.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("expected at most {0} who watch at a time, found as many already")]
    TooMany(usize),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What a watcher is told first.
#[derive(Debug)]
pub(crate) struct Begin {
    /// This process's origin: positions of others mean nothing here.
    pub(crate) origin: OriginId,
    /// From where the changes go on.
    pub(crate) position: Position,
    /// Whether it wanted to go on from a position that is no longer known.
    pub(crate) is_reset: bool,
    /// The counters as they are, up to a bound, and whether there are more; `None` if it goes on
    /// where it was.
    pub(crate) snapshot: Option<(Vec<Row>, bool)>,
    pub(crate) peers: Arc<[Peer]>,
    /// The last of the log.
    pub(crate) lines: Vec<Arc<LogLine>>,
}

/// See the file. It counts as a watcher until it is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    door: Door,
    filter: Filter,
    shared: Arc<Shared>,
    last: watch::Receiver<Position>,
    /// All up to here was told.
    position: Position,
    /// Up to where the turn that is under way goes. What changes meanwhile has the next one, so
    /// that no counter is told twice in one turn.
    upto: Position,
    /// When it may be told more.
    not_before: Instant,
    /// When the turn that is under way began.
    turn: Instant,
    _slot: OwnedSemaphorePermit,
}

/// What became of reading on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Some has been told, or there was nothing for this watcher.
    Up,
    /// It was so slow that the record has gone on without it.
    Outrun,
    /// The node stops.
    Ended,
}

impl Watcher {
    pub(super) fn new(
        door: Door,
        filter: Filter,
        shared: Arc<Shared>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        shared.gauge.enter(door);
        let (last, now) = (shared.last.clone(), Instant::now());
        Watcher {
            door,
            filter,
            last,
            position: 0,
            upto: 0,
            not_before: now,
            turn: now,
            _slot: slot,
            shared,
        }
    }

    pub(super) fn begin(&mut self, position: Position) {
        (self.position, self.upto) = (position, position);
    }

    /// Watches for other counters from here on.
    pub(crate) fn look_for(&mut self, filter: Allowed<Filter>) {
        self.filter = filter.into_inner();
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// All up to here was told.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Waits until there is something to tell and it is time to, and shows it. Each counter at most
    /// once in `every`. Nothing is lost when it is not waited for to the end.
    pub(crate) async fn read(
        &mut self,
        every: Duration,
        show: impl FnMut(Position, &Change),
    ) -> Read {
        let position = self.position;
        if self.last.wait_for(|last| *last > position).await.is_err() {
            return Read::Ended;
        }
        sleep_until(self.not_before).await;
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let record = shared.record();
        if self.position == self.upto {
            (self.upto, self.turn) = (record.last(), now);
        }
        let read = record.read(self.position, self.upto, &self.filter, ROWS_MAX, show);
        drop(record);
        let (position, shown) = match read {
            Ok(read) => read,
            Err(Forgotten) => return Read::Outrun,
        };
        self.position = position;
        // A long turn is paced by what all watchers share, a short one ends with the rest.
        let watchers = u32::try_from(self.shared.gauge.size()).unwrap_or(u32::MAX);
        let shown = u32::try_from(shown).unwrap_or(u32::MAX);
        let share = Duration::from_secs(1) * shown / ROWS_PER_SECOND_MAX * watchers.max(1);
        self.not_before = now + share;
        if self.position == self.upto {
            self.not_before = self.not_before.max(self.turn + every.clamp(TICK, EVERY_MAX));
        }
        Read::Up
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.gauge.leave(self.door);
        self.shared.left.notify_one();
    }
}
