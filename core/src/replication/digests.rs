//! How two nodes find what differs in their digests, each on its side of a link.
//!
//! ```text
//! every second   Digest (rows that changed lately, hash of the rest)   →
//! the rest's hash is ours:  nothing lacks but what the rows show
//! it is another:            ←   DigestAsk
//!                           DigestHashes (of 256 parts)   →
//!                           ←   DigestPartsAsk (of those that differ)
//!                           DigestPart …, DigestTold   →
//! ```
//!
//! A node of many years knows tens of thousands of origins, and under load some row differs on every
//! link all the time. Told whole each second on each of a hundred links, a digest of 36,500 rows was
//! 80 MB/s; what is told now is in proportion to what has changed.
//!
//! A node that joins differs from all its peers in everything. So a part is asked for on one link at a
//! time, and not again before what its rows showed to be lacking has come; the other links wait
//! for that, and then compare again. On a link one exchange is under way at a time, and none begins
//! while what this node said before still waits for its own disk, so nothing piles up while it
//! hangs.
//!
//! With a peer that speaks version 2 of the protocol or less each side tells the hash of its digest,
//! and the whole digest unless the hash was the other's too.

use std::time::Duration;

use crate::counters::rows::{PartHash, part_of};
use crate::counters::{Counters, rows};
use crate::digest::DIGEST_PARTS;
use crate::identity::OriginId;
use crate::input::LinkId;
use crate::replication::exchange::Stage;
use crate::replication::{Replication, Session};
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::frame::{Message, Row};

/// The time between exchanges.
pub(crate) const EXCHANGE_EVERY: Duration = Duration::from_secs(1);

/// The protocol version since which digests are compared by hashes.
pub(crate) const COMPARED_SINCE: u16 = 3;

/// Rows in one frame: some 200 KiB of them.
const ROWS_A_FRAME: usize = 8192;

/// Rows that are asked for at a time, about: as many as one catch-up can bring up to date.
const ROWS_ASKED: u32 = 4096;

/// Rows that are told for one ask, about. Whoever asks for more than that does not do as we do.
const ROWS_TOLD_MAX: usize = 1 << 16;

/// What a peer may ask about a digest.
#[derive(Debug)]
pub(crate) enum About {
    /// The hashes of its parts.
    Parts,
    /// The rows of some of them.
    Rows(Vec<u8>),
}

impl Session {
    /// Whether digests are compared by hashes on this link.
    fn compares(&self) -> bool {
        self.version >= COMPARED_SINCE
    }
}

impl Replication {
    /// When the next exchange is due; `None` while the last one waits for this node's disk.
    pub(crate) fn next_exchange(&self) -> Option<Time> {
        if self.exchanged_in > self.synced || self.sessions.is_empty() {
            return None;
        }
        let is_all_told = self.sessions.values().all(|session| session.has_told);
        Some(if is_all_told { self.exchange_at } else { Time::ZERO })
    }

    /// Tells the peers what this node holds, if it is time.
    pub(crate) fn tell_digest(&mut self, counters: &mut Counters, turn: &mut Turn<'_>) {
        if self.next_exchange().is_none_or(|at| at > turn.now) {
            return;
        }
        let is_time = self.exchange_at <= turn.now;
        self.exchanged_in = self.open;
        let mut due: Vec<LinkId> = Vec::new();
        let mut due_before_3 = Vec::new();
        for (link, session) in &mut self.sessions {
            if is_time || !session.has_told {
                // A push may have come before this node took any on the link, or what one lacked by
                // another link.
                session.owes_confirm |=
                    counters.known(session.peer_origin).version > session.told_confirmed;
                if session.compares() { &mut due } else { &mut due_before_3 }.push(*link);
                session.is_first_told |= session.has_told;
                session.has_told = true;
            }
        }
        counters.settle_rows();
        if is_time {
            self.exchange_at = turn.now + EXCHANGE_EVERY;
        }
        if !due.is_empty() {
            let recent = counters.recent_rows();
            let rest = counters.hash_without(&recent);
            turn.frame_after_sync(due, &Message::Digest { recent, rest });
        }
        if !due_before_3.is_empty() {
            self.tell_whole_digest(due_before_3, counters, turn);
        }
        if is_time {
            counters.turn_rows();
        }
    }

    fn tell_whole_digest(&self, mut links: Vec<LinkId>, counters: &Counters, turn: &mut Turn<'_>) {
        let hash = counters.hash_without(&[]);
        turn.frame_after_sync(links.clone(), &Message::DigestHash(hash));
        // The first time the digest goes even if the peer's hash, already here, is the same: the
        // peer takes itself to be behind until it has read one whole.
        links.retain(|link| {
            let session = &self.sessions[link];
            session.peer_hash != Some(hash) || !session.is_first_told
        });
        if !links.is_empty() {
            let all = (OriginId(0), OriginId(u64::MAX));
            for part in parts(all, &counters.all_rows()) {
                turn.frame_after_sync(links.clone(), &part);
            }
        }
    }

    /// The hash of the digest of a peer that speaks an earlier version.
    pub(crate) fn hear_hash(&mut self, link: LinkId, hash: u64, now: Time) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.told = now;
            session.peer_hash = Some(hash);
        }
    }

    /// What a peer tells each second.
    pub(crate) fn hear_digest(
        &mut self,
        link: LinkId,
        recent: &[Row],
        rest: u64,
        counters: &mut Counters,
        turn: &mut Turn<'_>,
    ) {
        counters.settle_rows();
        self.judge(link, recent, counters, turn);
        let Some(session) = self.sessions.get_mut(&link).filter(|session| session.compares())
        else {
            return;
        };
        session.told = turn.now;
        if !matches!(session.exchange.stage, Stage::Idle) {
            return;
        }
        let writer = session.peer_origin;
        let claimed = counters.known(writer).version;
        if row_of(recent, writer).is_some_and(|row| row.version < claimed) {
            // It may have left before what we have heard elsewhere, so the peer is asked.
            if session.asking.is_none() && session.asked_in <= self.synced {
                let part = (writer.0 >> 56) as u8;
                self.ask_rows(link, vec![part], counters, turn);
            }
        } else if counters.hash_without(recent) == rest {
            session.exchange.keep_only(recent);
            session.exchange.round.has_skipped = false;
            session.exchange.end_round();
            self.ask_for_lacking(link, counters, turn);
        } else {
            self.ask_hashes(link, turn);
        }
    }

    /// Begins to compare part by part, unless something is under way on the link.
    pub(crate) fn ask_hashes(&mut self, link: LinkId, turn: &mut Turn<'_>) {
        let Some(session) = self.sessions.get_mut(&link).filter(|session| session.compares())
        else {
            return;
        };
        let is_free = matches!(session.exchange.stage, Stage::Idle)
            && session.asking.is_none()
            && session.asked_in <= self.synced;
        if is_free {
            session.waits_for_others = false;
            session.exchange.ask_hashes(turn.now);
            session.asked_in = self.open;
            turn.frame_after_sync(vec![link], &Message::DigestAsk);
        }
    }

    /// A peer asks about our digest. One answer at a time waits for this node's disk, and one is owed.
    pub(crate) fn asked_about(&mut self, link: LinkId, about: About) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.owes_answer = Some(about);
        }
    }

    /// Answers the peers that have asked about our digest.
    pub(crate) fn answer_asks(&mut self, counters: &mut Counters, turn: &mut Turn<'_>) {
        let (open, synced) = (self.open, self.synced);
        for (link, session) in &mut self.sessions {
            if session.answered_in <= synced
                && let Some(about) = session.owes_answer.take()
            {
                session.answered_in = open;
                counters.settle_rows();
                match about {
                    About::Parts => tell_hashes(*link, counters, turn),
                    About::Rows(parts) => tell_rows(*link, &parts, counters, turn),
                }
            }
        }
    }

    /// The hashes of a peer's parts: asks for the rows of those that differ.
    pub(crate) fn hear_hashes(
        &mut self,
        link: LinkId,
        recent: &[Row],
        theirs: &[(u64, u32)],
        counters: &mut Counters,
        turn: &mut Turn<'_>,
    ) {
        counters.settle_rows();
        let Some(session) = self.sessions.get(&link) else { return };
        if !matches!(session.exchange.stage, Stage::Hashes { .. }) {
            return;
        }
        let mut next = session.exchange.round.next;
        self.judge(link, recent, counters, turn);
        let ours = counters.parts_without(recent);
        // Where they have nothing, there is nothing to be asked for.
        let differs = |part: usize| ours[part].hash != theirs[part].0 && theirs[part].1 > 0;
        let (mut parts, mut rows) = (Vec::new(), 0_u32);
        let mut has_skipped = false;
        while let Ok(part) = u8::try_from(next) {
            if differs(next) {
                let (_, theirs) = theirs[next];
                if self.is_asked_elsewhere(link, part) {
                    has_skipped = true;
                } else if parts.is_empty() || rows.saturating_add(theirs) <= ROWS_ASKED {
                    rows = rows.saturating_add(theirs);
                    parts.push(part);
                } else {
                    break;
                }
            }
            next += 1;
        }
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let exchange = &mut session.exchange;
        if exchange.round.next == 0 {
            exchange.begin_round();
        }
        exchange.round.next = next;
        exchange.round.has_skipped |= has_skipped;
        let is_recent =
            |origin: OriginId| recent.binary_search_by_key(&origin, |row| row.origin).is_ok();
        exchange.forget(|origin| !is_recent(origin) && !differs(part_of(origin)));
        if parts.is_empty() {
            exchange.stage = Stage::Idle;
            session.waits_for_others = !exchange.end_round();
            self.ask_for_lacking(link, counters, turn);
        } else {
            self.ask_rows(link, parts, counters, turn);
        }
    }

    /// Rows of a peer's digest: those that we have asked for, or a part of the whole.
    pub(crate) fn hear_part(
        &mut self,
        link: LinkId,
        range: (OriginId, OriginId),
        rows: &[Row],
        counters: &mut Counters,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.sessions.get(&link) else { return };
        let (compares, (first, last)) = (session.compares(), range);
        if compares && !session.exchange.awaits(first, last) {
            return;
        }
        self.check_claim(link, range, rows, counters, turn);
        self.judge(link, rows, counters, turn);
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let is_told =
            |origin: OriginId| rows.binary_search_by_key(&origin, |row| row.origin).is_ok();
        // What the peer does not mention, it does not have.
        session.exchange.forget(|origin| (first..=last).contains(&origin) && !is_told(origin));
        if !compares {
            if last == OriginId(u64::MAX) {
                session.exchange.is_first_over = true;
            }
            self.ask_for_lacking(link, counters, turn);
        }
    }

    /// All rows that we have asked for are told.
    pub(crate) fn hear_told(&mut self, link: LinkId, counters: &Counters, turn: &mut Turn<'_>) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        if !matches!(session.exchange.stage, Stage::Rows { .. }) {
            return;
        }
        session.exchange.stage = Stage::Idle;
        if session.exchange.round.next >= DIGEST_PARTS {
            session.waits_for_others = !session.exchange.end_round();
        }
        self.ask_for_lacking(link, counters, turn);
        if self.sessions.get(&link).is_some_and(|session| session.asking.is_none()) {
            self.release(link, turn);
        }
    }

    /// What a link has asked for is here, or given up: it goes on with its round, and others with
    /// what they have passed over.
    pub(crate) fn release(&mut self, link: LinkId, turn: &mut Turn<'_>) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let has_released = !std::mem::take(&mut session.parts).is_empty();
        let goes_on = |(at, session): (&LinkId, &Session)| {
            let is_next = *at == link && session.exchange.round.next > 0;
            (is_next || session.waits_for_others && has_released).then_some(*at)
        };
        let next: Vec<LinkId> = self.sessions.iter().filter_map(goes_on).collect();
        for link in next {
            self.ask_hashes(link, turn);
        }
    }

    fn is_asked_elsewhere(&self, link: LinkId, part: u8) -> bool {
        self.sessions.iter().any(|(other, session)| *other != link && session.parts.contains(&part))
    }

    fn judge(&mut self, link: LinkId, rows: &[Row], counters: &Counters, turn: &mut Turn<'_>) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        if let Some(row) = row_of(rows, session.peer_origin) {
            self.writers.insert(session.peer_origin, row.version);
        }
        let writers = &self.writers;
        session.exchange.judge(rows, counters, |origin| writers.get(&origin).copied());
        let ours = row_of(rows, counters.our_origin()).map_or(0, |row| row.version);
        // What is beyond our own changes is a peer's invention, and confirms nothing. Nor does this tell
        // whether the peer has all that we wrote under other origins before: it confirms that itself.
        if ours <= counters.our_version() && counters.versions_before() == 0 {
            session.window.confirm(turn.now, ours, &mut turn.totals.confirmation);
            self.knowledge.confirm(session.peer, session.peer_origin, ours);
        }
    }

    /// Where a peer, asked after what we claim of its own changes, has not come so far, the claim is
    /// taken back. We have believed somebody who invented it, and would miss what the peer changes
    /// until it comes so far.
    fn check_claim(
        &self,
        link: LinkId,
        range: (OriginId, OriginId),
        rows: &[Row],
        counters: &mut Counters,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.sessions.get(&link) else { return };
        let writer = session.peer_origin;
        if !session.compares() || !(range.0..=range.1).contains(&writer) {
            return;
        }
        let version = row_of(rows, writer).map_or(0, |row| row.version);
        if version < session.claimed {
            turn.totals.claims_taken_back += 1;
            counters.take_back(writer);
        }
    }

    /// Asks for the rows of some parts.
    fn ask_rows(&mut self, link: LinkId, parts: Vec<u8>, counters: &Counters, turn: &mut Turn<'_>) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        session.exchange.ask_rows(turn.now, parts.clone());
        session.parts.clone_from(&parts);
        session.claimed = counters.known(session.peer_origin).version;
        session.asked_in = self.open;
        turn.frame_after_sync(vec![link], &Message::DigestPartsAsk(parts));
    }
}

fn tell_hashes(link: LinkId, counters: &Counters, turn: &mut Turn<'_>) {
    let recent = counters.recent_rows();
    let parts = counters.parts_without(&recent);
    let parts = parts.iter().map(|PartHash { hash, rows }| (*hash, *rows)).collect();
    turn.frame_after_sync(vec![link], &Message::DigestHashes { recent, parts });
}

fn tell_rows(link: LinkId, asked: &[u8], counters: &Counters, turn: &mut Turn<'_>) {
    let mut told = 0;
    for part in asked {
        let rows = counters.rows_in(*part);
        told += rows.len();
        for message in parts(rows::range_of(*part), &rows) {
            turn.frame_after_sync(vec![link], &message);
        }
        if told > ROWS_TOLD_MAX {
            break;
        }
    }
    turn.frame_after_sync(vec![link], &Message::DigestTold);
}

/// An origin's row among sorted ones.
fn row_of(rows: &[Row], origin: OriginId) -> Option<&Row> {
    rows.binary_search_by_key(&origin, |row| row.origin).ok().map(|at| &rows[at])
}

/// Sorted rows as frames whose ranges together are `range`.
fn parts(range: (OriginId, OriginId), rows: &[Row]) -> Vec<Message<'static>> {
    let (mut first, end) = range;
    let mut parts = Vec::new();
    let mut rest = rows;
    loop {
        let (part, after) = rest.split_at(rest.len().min(ROWS_A_FRAME));
        let last = after.first().map_or(end, |next| OriginId(next.origin.0 - 1));
        parts.push(Message::DigestPart { first, last, rows: part.to_vec() });
        let Some(next) = after.first() else { return parts };
        first = next.origin;
        rest = after;
    }
}

#[cfg(test)]
mod tests;
