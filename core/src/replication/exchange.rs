//! Exchanging digests on one link, and judging what they show.
//!
//! About once a second each side sends a hash of its digest, and unless that was the other's too,
//! the digest itself, in parts by range of origins, each judged alone (rule
//! `exchange-every-second`).
//!
//! *What is lacking* is judged against what the peer held at its previous exchange (rule
//! `the-one-who-lacks-asks`): all that it has sent until then has been read by now, so what is
//! still missing will not come by itself. At the first exchange of a link there is nothing on its
//! way yet, and the peer's word counts at once.
//!
//! *What differs*: equal versions with different fingerprints, at two exchanges with nothing
//! changed between (rule `equal-versions-compare-fingerprints`). Someone died after telling one of
//! us and not the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::counters::Counters;
use crate::digest::{Known, Want};
use crate::fingerprint;
use crate::identity::OriginId;
use crate::time::Time;
use crate::wire::frame::{Message, Row};

/// The time between exchanges on one link.
const EXCHANGE_EVERY: Duration = Duration::from_secs(1);

/// Rows in one part: some 200 KiB of them.
const ROWS_MAX: usize = 8192;

/// One side's memory of a link's exchanges.
#[derive(Debug)]
pub(crate) struct Exchange {
    next: Time,
    /// What the peer held at its last exchange.
    heard: BTreeMap<OriginId, Known>,
    /// Whether its first exchange is complete.
    is_first_over: bool,
    /// Differences at equal versions seen at the last exchange: what we and the peer had.
    differences: BTreeMap<OriginId, (Known, Known)>,
    peer_hash: Option<u64>,
    /// Whether our digest has gone to the peer at all.
    has_told: bool,
}

/// What a part of a digest shows.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// To be asked for.
    pub(crate) wants: Vec<Want>,
    /// What the peer has confirmed of our own changes.
    pub(crate) ours: Option<Known>,
}

impl Exchange {
    pub(crate) fn new(now: Time) -> Self {
        Exchange {
            next: now,
            heard: BTreeMap::new(),
            is_first_over: false,
            differences: BTreeMap::new(),
            peer_hash: None,
            has_told: false,
        }
    }

    pub(crate) fn next_deadline(&self) -> Time {
        self.next
    }

    /// Whether the peer's first digest has been read.
    pub(crate) fn is_first_over(&self) -> bool {
        self.is_first_over
    }

    /// Whether the peer, when last heard, held changes that are not here.
    pub(crate) fn shows_lack(&self, counters: &Counters) -> bool {
        self.heard.iter().any(|(origin, theirs)| theirs.version > counters.known(*origin).version)
    }

    /// The messages of our exchange, if one is due.
    pub(crate) fn due(&mut self, now: Time, counters: &Counters) -> Vec<Message<'static>> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now + EXCHANGE_EVERY;
        let hash = hash(counters);
        let mut messages = vec![Message::DigestHash(hash)];
        // The first time the digest goes even if the peer's hash, already here, is the same: the
        // peer takes itself to be behind until it has read one whole.
        if self.peer_hash != Some(hash) || !self.has_told {
            messages.extend(parts(counters));
            self.has_told = true;
        }
        messages
    }

    /// Notes the hash of the peer's digest.
    pub(crate) fn hear_hash(&mut self, hash: u64) {
        self.peer_hash = Some(hash);
    }

    /// Judges a part of the peer's digest.
    pub(crate) fn judge(
        &mut self,
        first: OriginId,
        last: OriginId,
        rows: &[Row],
        counters: &Counters,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        let mut theirs: BTreeMap<OriginId, Known> =
            rows.iter().map(|row| (row.origin, row.known())).collect();
        // What we hold and the peer does not mention, it does not have.
        for (origin, _) in counters.digest() {
            if (first..=last).contains(&origin) {
                theirs.entry(origin).or_default();
            }
        }
        for (origin, theirs) in theirs {
            if origin == counters.our_origin() {
                judgement.ours = Some(theirs);
                continue;
            }
            let ours = counters.known(origin);
            if ours.version < theirs.version {
                let before = self.heard.get(&origin).map_or(0, |known| known.version);
                if !self.is_first_over || ours.version < before {
                    judgement.wants.push(Want { origin, after: Some(ours.version) });
                }
                self.differences.remove(&origin);
            } else if ours.version == theirs.version && ours.fingerprint != theirs.fingerprint {
                let seen = self.differences.insert(origin, (ours, theirs));
                if seen == Some((ours, theirs)) {
                    judgement.wants.push(Want { origin, after: None });
                }
            } else {
                self.differences.remove(&origin);
            }
            self.heard.insert(origin, theirs);
        }
        if last == LAST {
            self.is_first_over = true;
        }
        judgement
    }
}

const FIRST: OriginId = OriginId(0);
const LAST: OriginId = OriginId(u64::MAX);

/// The whole digest, in parts whose ranges together hold every origin.
fn parts(counters: &Counters) -> Vec<Message<'static>> {
    let mut rows: Vec<Row> = counters
        .digest()
        .map(|(origin, known)| Row {
            origin,
            version: known.version,
            fingerprint: known.fingerprint,
        })
        .collect();
    rows.sort_unstable_by_key(|row| row.origin);
    let mut parts = Vec::new();
    let mut first = FIRST;
    let mut rest = rows.as_slice();
    loop {
        let (part, after) = rest.split_at(rest.len().min(ROWS_MAX));
        let last = after.first().map_or(LAST, |next| OriginId(next.origin.0 - 1));
        parts.push(Message::DigestPart { first, last, rows: part.to_vec() });
        let Some(next) = after.first() else { return parts };
        first = next.origin;
        rest = after;
    }
}

/// A hash of the whole digest; the same wherever the digest is.
fn hash(counters: &Counters) -> u64 {
    counters.digest().fold(0, |sum, (origin, known)| {
        sum.wrapping_add(fingerprint::of_row(origin, known.version, known.fingerprint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_exchange_tells_the_digest_though_the_peers_hash_came_first_and_agrees() {
        let counters = Counters::new(OriginId(1), 0);
        let mut exchange = Exchange::new(Time::ZERO);
        exchange.hear_hash(hash(&counters));
        let [Message::DigestHash(_), Message::DigestPart { first: FIRST, last: LAST, .. }] =
            exchange.due(Time::ZERO, &counters)[..]
        else {
            panic!("expected the hash and the whole digest in one part");
        };
        let calm = exchange.due(Time::ZERO + EXCHANGE_EVERY, &counters);
        assert!(matches!(calm[..], [Message::DigestHash(_)]), "{calm:?}");
    }
}
