//! What one side of a link knows of the other's digest, and how it judges what it is told.
//!
//! *What is lacking* of an origin that pushes to us itself is judged against what the peer held when
//! it told of it before (rule `the-one-who-lacks-asks`): all that it had sent until then has been
//! read by now, so what is still missing will not come by itself. At the first exchange of a link
//! there is nothing on its way yet, and the peer's word counts at once; and so it does for every
//! other origin, since what others hold of those comes by asking alone.
//!
//! *What differs*: equal versions with different fingerprints, at two exchanges with nothing
//! changed between (rule `equal-versions-compare-fingerprints`). Someone died after telling one of
//! us and not the other.
//!
//! How the rows come here is the business of [`crate::replication::digests`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::counters::Counters;
use crate::digest::{DigestEntry, Want};
use crate::identity::{OriginId, Version};
use crate::time::Time;
use crate::wire::frame::{Row, WANTS_MAX};

/// How long an answer may take before it is given up. As for a catch-up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Versions that a peer may hold of an origin beyond what the origin's writer, whose link stands, has
/// told itself: at 100,000 batches a second, half a day of them. Whoever holds more has believed
/// somebody who invented them, and is not to be believed by others.
const UNHEARD_MAX: Version = 1 << 32;

/// Whether a version may be that of a writer that has told up to which it has come itself.
pub(crate) fn is_possible(version: Version, word: Option<Version>) -> bool {
    word.is_none_or(|word| version <= word.saturating_add(UNHEARD_MAX))
}

/// Origins of which the peer holds more that are remembered: the lives of all members that there may
/// be, and as many that have ended. Of more than that it is known that there are some.
const AHEAD_MAX: usize = 4096;

/// Differences that are remembered from one exchange to the next. Others have their turn when these
/// are mended.
const DIFFERENCES_MAX: usize = 1024;

/// What we have asked the peer about its digest.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nothing.
    Idle,
    /// The hashes of its parts.
    Hashes { until: Time },
    /// The rows of these parts.
    Rows { until: Time, parts: Vec<u8> },
}

/// How far the comparison of the parts has come: some are compared at a time.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// The next part; 0 when a new round begins.
    pub(crate) next: usize,
    /// Whether one was passed over because its rows are asked for on another link.
    pub(crate) has_skipped: bool,
}

/// One side's memory of a link's exchanges.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) stage: Stage,
    pub(crate) round: Round,
    /// What is to be asked for when all that was asked about is told.
    wants: BTreeMap<OriginId, Option<Version>>,
    /// Up to which version the peer held more than we, when it was last heard of that origin.
    ahead: BTreeMap<OriginId, Version>,
    /// Whether it holds more of others beside them.
    is_ahead_of_more: bool,
    /// Differences at equal versions seen at the last exchange: what we and the peer had.
    differences: BTreeMap<OriginId, (DigestEntry, DigestEntry)>,
    /// Whether the peer's first digest has been read whole.
    pub(crate) is_first_over: bool,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Exchange {
            stage: Stage::Idle,
            round: Round::default(),
            wants: BTreeMap::new(),
            ahead: BTreeMap::new(),
            is_ahead_of_more: false,
            differences: BTreeMap::new(),
            is_first_over: false,
        }
    }

    /// When what was asked is given up.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::Idle => None,
            Stage::Hashes { until } | Stage::Rows { until, .. } => Some(until),
        }
    }

    /// Notes that the hashes of the parts are asked for.
    pub(crate) fn ask_hashes(&mut self, now: Time) {
        self.stage = Stage::Hashes { until: now + PATIENCE };
    }

    /// Notes that the rows of some parts are asked for.
    pub(crate) fn ask_rows(&mut self, now: Time, parts: Vec<u8>) {
        self.stage = Stage::Rows { until: now + PATIENCE, parts };
    }

    /// All parts of a round are compared, or passed over: tells whether none was.
    pub(crate) fn end_round(&mut self) -> bool {
        let has_all = !self.round.has_skipped;
        self.is_first_over |= has_all;
        self.round = Round::default();
        has_all
    }

    /// Whether rows of this range were asked for.
    pub(crate) fn awaits(&self, first: OriginId, last: OriginId) -> bool {
        let Stage::Rows { parts, .. } = &self.stage else { return false };
        let part = |origin: OriginId| (origin.0 >> 56) as u8;
        part(first) == part(last) && parts.contains(&part(first))
    }

    /// Whether the peer, when last heard, held changes that are not here.
    pub(crate) fn shows_lack(&self, counters: &Counters) -> bool {
        let lacks =
            |(origin, version): (&OriginId, &Version)| *version > counters.known(*origin).version;
        self.is_ahead_of_more || self.ahead.iter().any(lacks)
    }

    /// The wants that have gathered; none are left.
    pub(crate) fn take_wants(&mut self) -> Vec<Want> {
        let wants = std::mem::take(&mut self.wants).into_iter();
        wants.map(|(origin, after)| Want { origin, after }).collect()
    }

    /// Judges some rows of the peer's digest: what is to be asked for gathers. `word` tells up to
    /// which version its writer itself has spoken of an origin, if its changes come by themselves.
    pub(crate) fn judge(
        &mut self,
        rows: &[Row],
        counters: &Counters,
        word: impl Fn(OriginId) -> Option<Version>,
    ) {
        let ours = counters.our_origin();
        // What has gone into a settlement, or is one that this node folds itself, lacks nothing.
        let is_judged = |row: &&Row| row.origin != ours && !counters.is_untaken(row.origin);
        for row in rows.iter().filter(is_judged) {
            let (origin, theirs, ours) = (row.origin, row.known(), counters.known(row.origin));
            if ours.version < theirs.version {
                let word = word(origin);
                if !is_possible(theirs.version, word) {
                    continue;
                }
                let before = self.ahead.get(&origin).copied().unwrap_or(0);
                let is_late = word.is_none() || !self.is_first_over || ours.version < before;
                self.note_ahead(origin, theirs.version);
                if is_late {
                    self.want(origin, Some(ours.version));
                }
                self.differences.remove(&origin);
                continue;
            }
            self.ahead.remove(&origin);
            if ours.version != theirs.version || ours.fingerprint == theirs.fingerprint {
                self.differences.remove(&origin);
                continue;
            }
            let seen = self.differences.get(&origin).copied();
            if seen.is_some() || self.differences.len() < DIFFERENCES_MAX {
                self.differences.insert(origin, (ours, theirs));
            }
            if seen == Some((ours, theirs)) {
                self.want(origin, None);
            }
        }
    }

    fn note_ahead(&mut self, origin: OriginId, version: Version) {
        if self.ahead.len() < AHEAD_MAX || self.ahead.contains_key(&origin) {
            self.ahead.insert(origin, version);
        } else {
            self.is_ahead_of_more = true;
        }
    }

    fn want(&mut self, origin: OriginId, after: Option<Version>) {
        if self.wants.len() < WANTS_MAX {
            self.wants.insert(origin, after);
        }
    }

    /// Nothing is known to differ but what these rows told: forgets what earlier ones did.
    pub(crate) fn keep_only(&mut self, rows: &[Row]) {
        self.is_ahead_of_more = false;
        self.forget(|origin| rows.binary_search_by_key(&origin, |row| row.origin).is_err());
    }

    /// A round begins: whether the peer holds more than can be remembered will show anew.
    pub(crate) fn begin_round(&mut self) {
        self.is_ahead_of_more = false;
    }

    /// Forgets what is remembered of some origins: their rows are the same on both sides, or the
    /// peer has none.
    pub(crate) fn forget(&mut self, is_settled: impl Fn(OriginId) -> bool) {
        self.ahead.retain(|origin, _| !is_settled(*origin));
        self.differences.retain(|origin, _| !is_settled(*origin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(origins: std::ops::Range<u64>, version: Version, fingerprint: u64) -> Vec<Row> {
        let row = |origin| Row { origin: OriginId(origin), version, fingerprint };
        origins.map(row).collect()
    }

    /// `A peer tells of origins that it has invented, a million of them.` All were remembered, for each
    /// link.
    #[test]
    fn what_is_remembered_of_a_digest_is_bounded_and_that_there_is_more_is_known() {
        let counters = Counters::new(OriginId(u64::MAX), 0);
        let mut exchange = Exchange::new();
        for first in (0..100_000).step_by(10_000) {
            exchange.judge(&rows(first..first + 10_000, 1, 7), &counters, |_| None);
            exchange.judge(&rows(first..first + 10_000, 0, 7), &counters, |_| None);
            exchange.judge(&rows(first..first + 10_000, 1, 7), &counters, |_| None);
        }
        assert_eq!(exchange.ahead.len(), AHEAD_MAX);
        assert!(exchange.differences.len() <= DIFFERENCES_MAX);
        assert_eq!(exchange.take_wants().len(), WANTS_MAX);
        exchange.forget(|_| true);
        assert!(exchange.shows_lack(&counters), "there are others");
        exchange.keep_only(&[]);
        assert!(!exchange.shows_lack(&counters));
    }

    #[test]
    fn what_its_writer_pushes_is_asked_for_at_the_second_exchange_and_all_else_at_once() {
        let counters = Counters::new(OriginId(u64::MAX), 0);
        let pushes = |origin: OriginId| (origin.0 == 1).then_some(5);
        let mut exchange = Exchange::new();
        exchange.is_first_over = true;
        let wanted = |exchange: &mut Exchange| -> Vec<u64> {
            exchange.take_wants().iter().map(|want| want.origin.0).collect()
        };
        exchange.judge(&rows(1..3, 5, 7), &counters, pushes);
        assert_eq!(wanted(&mut exchange), [2]);
        exchange.judge(&rows(1..3, 6, 7), &counters, pushes);
        assert_eq!(wanted(&mut exchange), [1, 2]);
        // Not what the writer cannot have come to.
        exchange.judge(&rows(1..3, 1 << 40, 7), &counters, pushes);
        assert_eq!(wanted(&mut exchange), [2]);
    }
}
