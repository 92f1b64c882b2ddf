//! What other nodes say: datagrams, frames of links, and what follows from them for the rooms that
//! do not know each other.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::Node;
use crate::counters::MergeError;
use crate::delta::Delta;
use crate::effect::Destination;
use crate::input::LinkId;
use crate::links::{self, Outcome};
use crate::outbox::Effects;
use crate::peers::discovery::Heard;
use crate::peers::{Change, SwimError};
use crate::replication::digests::About;
use crate::time::Time;
use crate::wire::datagram::{Beacon, Datagram};
use crate::wire::error::{CodecError, Foreign};
use crate::wire::frame::{self, FRAME_LENGTH_BYTES, Goodbye, Message, Row};
use crate::wire::versions::{CLOCKS_SINCE, ENDINGS_SINCE};

impl Node {
    pub(super) fn datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        bytes: &[u8],
        effects: &mut Effects,
    ) {
        let envelope = self.envelope.clone();
        let opened = envelope.open(bytes);
        #[cfg(feature = "planted-bugs")]
        let without = crate::wire::datagram::Envelope::new(self.links.cluster(), None);
        #[cfg(feature = "planted-bugs")]
        let opened = match opened {
            Err(CodecError::Foreign(Foreign::Secret)) if self.has(crate::bug::Bug::MacIgnored) => {
                without.open(bytes)
            }
            opened => opened,
        };
        match opened {
            Ok(Datagram::Beacon(beacon)) => self.beacon(now, from, beacon, effects),
            Ok(Datagram::Swim(packet)) => self.swim(now, from, packet, effects),
            Ok(Datagram::Membership(memberships)) => {
                self.merge_memberships(now, &memberships, effects);
            }
            Err(CodecError::Foreign(foreign)) => {
                self.totals.datagrams_foreign += 1;
                self.warnings.stranger(from, foreign, &mut effects.turn(now, &mut self.totals));
            }
            Err(CodecError::DatagramVersion(version)) => {
                self.totals.datagrams_malformed += 1;
                let turn = &mut effects.turn(now, &mut self.totals);
                self.warnings.stranger(from, Foreign::Version(version), turn);
            }
            Err(_) => self.totals.datagrams_malformed += 1,
        }
        self.settle_changes(now, effects);
    }

    fn beacon(&mut self, now: Time, from: SocketAddr, beacon: Beacon, effects: &mut Effects) {
        let turn = &mut effects.turn(now, &mut self.totals);
        match self.discovery.hear(now, from, &beacon, self.peers.me()) {
            Heard::Nothing => {}
            Heard::Limited => turn.totals.beacons_limited += 1,
            Heard::Rumour { answer } => {
                turn.totals.beacons_heard += 1;
                let is_removed = self.peers.registry().is_removed(&beacon.identity);
                // Before the answer: if we were removed, a node that asks because an operator
                // registers us must know that there is something to lift.
                self.peers.rumour(beacon.identity, turn);
                if let Some(answer) = answer
                    && !is_removed
                {
                    turn.totals.beacons_sent += 1;
                    let bytes = self.envelope.seal(&Datagram::Beacon(answer));
                    turn.datagram(Destination::Socket(from), bytes);
                }
            }
            Heard::Answer(sequence) => {
                turn.totals.beacons_heard += 1;
                let news = self.peers.answered(sequence, beacon.identity, turn);
                self.pass_on_memberships(now, &news, effects);
            }
        }
    }

    fn swim(&mut self, now: Time, from: SocketAddr, packet: &[u8], effects: &mut Effects) {
        self.totals.swim_received += 1;
        let turn = &mut effects.turn(now, &mut self.totals);
        match self.peers.handle_swim(packet, from, turn) {
            Ok(()) => {}
            Err(SwimError::Malformed) => turn.totals.datagrams_malformed += 1,
            Err(SwimError::Removed) => turn.totals.datagrams_removed += 1,
            Err(SwimError::Limited) => turn.totals.beacons_limited += 1,
            // What is refused for want of room was counted where it was.
            Err(SwimError::Full) => {}
            Err(SwimError::Refused) => turn.totals.swim_refused += 1,
        }
    }

    pub(super) fn frame(&mut self, now: Time, link: LinkId, frame: &Bytes, effects: &mut Effects) {
        let Some(is_established) = self.links.heard(link, now) else { return };
        self.totals.link_bytes_received += frame.len() as u64 + FRAME_LENGTH_BYTES;
        let message = match frame::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                let turn = &mut effects.turn(now, &mut self.totals);
                let (links, reason) = (&mut self.links, error.to_string());
                let outcome = links.protocol_error(link, reason, &self.peers, turn);
                return self.settle(now, outcome, effects);
            }
        };
        if !is_established || matches!(message, Message::Goodbye(_)) {
            return self.handshake(now, link, frame, &message, effects);
        }
        self.message(now, link, frame, message, effects);
    }

    fn handshake(
        &mut self,
        now: Time,
        link: LinkId,
        frame: &Bytes,
        message: &Message<'_>,
        effects: &mut Effects,
    ) {
        let turn = &mut effects.turn(now, &mut self.totals);
        let outcome = self.links.handshake(link, frame, message, &self.peers, turn);
        self.settle(now, outcome, effects);
    }

    fn message(
        &mut self,
        now: Time,
        link: LinkId,
        frame: &Bytes,
        message: Message<'_>,
        effects: &mut Effects,
    ) {
        match message {
            Message::Push { after, batches, age_us, changes }
            | Message::EndingPush { after, batches, age_us, changes } => {
                let Some(origin) = self.replication.pusher(link) else { return };
                self.totals.deltas_received += 1;
                let delta = Delta { origin, after, upto: after + batches, changes };
                let upto = delta.upto;
                self.counters.meet_writer(origin);
                if self.merge(now, link, &delta, effects) == Ok(true) {
                    let (batch, age) = (self.batches.open(), Duration::from_micros(age_us));
                    self.arrivals.merged(now, batch, age, self.links.one_way(link));
                }
                self.replication.pushed(link, upto);
            }
            Message::Confirm(_) if !self.replication.confirms_ours(link) => {}
            Message::Confirm(version) => {
                if version <= self.counters.our_version() {
                    let turn = &mut effects.turn(now, &mut self.totals);
                    let version = self.counters.versions_before() + version;
                    self.replication.confirmed(link, version, turn);
                } else {
                    self.warn_of_foreign_writer(now, link, effects);
                }
            }
            Message::DigestHash(_)
            | Message::DigestPart { .. }
            | Message::Digest { .. }
            | Message::DigestAsk
            | Message::DigestHashes { .. }
            | Message::DigestPartsAsk(_)
            | Message::DigestTold => self.digest(now, link, message, effects),
            Message::PullRequest { request, wants } => {
                let turn = &mut effects.turn(now, &mut self.totals);
                self.replication.asked(link, request, &wants, &self.counters, turn);
            }
            Message::PullChunk { request, index, last, deltas }
            | Message::EndingPullChunk { request, index, last, deltas } => {
                self.part(now, link, (request, index, last), deltas, effects);
            }
            Message::ChunkTaken { request, index } => {
                self.replication.part_taken(link, request, index);
            }
            Message::Membership(memberships) => self.merge_memberships(now, &memberships, effects),
            Message::MembershipHashes(hashes) => {
                self.comparison.heard(link, hashes);
                self.compare(now, effects);
            }
            Message::MembershipAsk(parts) => self.answer_parts(now, link, &parts, effects),
            Message::MembershipTold => {
                self.comparison.answered(link);
                self.compare(now, effects);
            }
            Message::SettlementHashes { .. }
            | Message::Settlement(_)
            | Message::SettlementTold
            | Message::FreshOrigin(_)
            | Message::OriginTaken(_) => self.settlement_message(now, link, message, effects),
            Message::AbsenceHash(_) | Message::Absences(_) | Message::Roll(_) => {
                self.absence_message(now, link, message, effects);
            }
            Message::Ping => {
                let tells_time = self.links.version(link) >= CLOCKS_SINCE;
                let pong = match tells_time {
                    true => Message::TimedPong(self.wall_clock.read(now)),
                    false => Message::Pong,
                };
                links::send(link, &pong, &mut effects.turn(now, &mut self.totals));
            }
            Message::Pong => self.links.pong(link, now, None),
            Message::TimedPong(theirs) => {
                let ahead = self.wall_clock.how_far_ahead(theirs, now);
                self.links.pong(link, now, Some(ahead));
                let offsets = self.links.clock_offsets();
                self.clock_check.look(offsets, &mut effects.turn(now, &mut self.totals));
            }
            Message::Hello(_) | Message::Proof(_) | Message::Welcome | Message::Goodbye(_) => {
                self.handshake(now, link, frame, &message, effects);
            }
        }
    }

    /// What is said about digests.
    fn digest(&mut self, now: Time, link: LinkId, message: Message<'_>, effects: &mut Effects) {
        let (ours, version) = (self.counters.our_origin(), self.counters.our_version());
        let is_beyond_us = |row: &Row| row.origin == ours && row.version > version;
        let rows = match &message {
            Message::DigestPart { rows, .. } => rows.as_slice(),
            Message::Digest { recent, .. } | Message::DigestHashes { recent, .. } => recent,
            _ => &[],
        };
        if rows.iter().any(is_beyond_us) {
            // It has believed another node, and will learn better on this very link.
            self.warn_of_foreign_writer(now, link, effects);
        }
        let turn = &mut effects.turn(now, &mut self.totals);
        let (counters, replication) = (&mut self.counters, &mut self.replication);
        match message {
            Message::DigestHash(hash) => replication.hear_hash(link, hash, now),
            Message::DigestPart { first, last, rows } => {
                let range = (first, last);
                replication.hear_part(link, range, &rows, counters, turn);
            }
            Message::Digest { recent, rest } => {
                replication.hear_digest(link, &recent, rest, counters, turn);
            }
            Message::DigestAsk => replication.asked_about(link, About::Parts),
            Message::DigestHashes { recent, parts } => {
                replication.hear_hashes(link, &recent, &parts, counters, turn);
            }
            Message::DigestPartsAsk(parts) => {
                replication.asked_about(link, About::Rows(parts));
            }
            Message::DigestTold => replication.hear_told(link, counters, turn),
            _ => {}
        }
    }

    fn part(
        &mut self,
        now: Time,
        link: LinkId,
        part: (u32, u32, bool),
        deltas: Vec<Delta<'_>>,
        effects: &mut Effects,
    ) {
        let slots = deltas.iter().map(|delta| delta.changes.len()).sum();
        let turn = &mut effects.turn(now, &mut self.totals);
        let came = self.replication.part_came(link, part, slots, turn);
        for mut delta in deltas {
            if delta.origin == self.counters.our_origin() {
                // What is said of our own changes is judged whether it was asked for or not (rule `one-writer`).
                if self.merge(now, link, &delta, effects).is_err() {
                    return;
                }
                continue;
            }
            let Some(may_claim) = self.replication.may_take(link, came, &delta) else {
                continue;
            };
            if self.replication.is_writer(delta.origin) {
                self.counters.meet_writer(delta.origin);
            }
            if !may_claim {
                delta.after = delta.upto;
            }
            if let Err(MergeError::Full { .. }) = self.merge(now, link, &delta, effects) {
                self.replication.lack_room(link, delta.origin, now);
            }
        }
        let turn = &mut effects.turn(now, &mut self.totals);
        self.replication.part_over(link, came, part.2, turn);
    }

    /// Merges a delta that came over a link; tells whether it brought anything new.
    fn merge(
        &mut self,
        now: Time,
        link: LinkId,
        delta: &Delta<'_>,
        effects: &mut Effects,
    ) -> Result<bool, MergeError> {
        let merged = self.counters.merge(delta);
        match merged {
            Ok(merged) => {
                self.totals.gaps += u64::from(merged.gap);
                if merged.news {
                    self.journal.add_delta(delta, effects);
                }
            }
            Err(MergeError::Full { news }) => {
                self.totals.refused_full += 1;
                #[cfg(feature = "planted-bugs")]
                let news = news && !self.has(crate::bug::Bug::FullForgets);
                // What is shown is kept.
                if news && self.journal.is_kept() {
                    self.journal.add_delta(&self.counters.held_of(delta), effects);
                }
            }
            Err(MergeError::ForeignWriter) => self.foreign_writer(now, link, effects),
        }
        merged.map(|merged| merged.news)
    }

    /// A peer claims changes of ours that we never made.
    pub(super) fn warn_of_foreign_writer(
        &mut self,
        now: Time,
        link: LinkId,
        effects: &mut Effects,
    ) {
        let peer = self.links.peer_of(link).map(|peer| peer.node);
        self.warnings.foreign_writer(peer, &mut effects.turn(now, &mut self.totals));
    }

    fn foreign_writer(&mut self, now: Time, link: LinkId, effects: &mut Effects) {
        self.warn_of_foreign_writer(now, link, effects);
        let turn = &mut effects.turn(now, &mut self.totals);
        let (links, reason) = (&mut self.links, MergeError::ForeignWriter.to_string());
        let outcome = links.protocol_error(link, reason, &self.peers, turn);
        self.settle(now, outcome, effects);
    }

    /// Carries over to links what has changed about peers; tells whether something has.
    pub(super) fn settle_changes(&mut self, now: Time, effects: &mut Effects) -> bool {
        let changes = self.peers.take_changes();
        for change in &changes {
            if let Change::Up(node) = change
                && let Some(identity) = self.peers.up_member(*node)
            {
                self.journal.add_peer(identity, effects);
            }
        }
        let ends_links = changes.contains(&Change::Removal);
        #[cfg(feature = "planted-bugs")]
        let ends_links = ends_links && !self.has(crate::bug::Bug::LinksOutliveRemoval);
        if ends_links {
            for (link, goodbye) in self.links.barred(&self.peers) {
                self.leave_link(now, link, goodbye, effects);
            }
        }
        for change in &changes {
            if let Change::MetAgain(node) = change {
                self.take_back(now, *node, effects);
            }
        }
        if changes.contains(&Change::NewerIncarnation) || changes.contains(&Change::IdInUse) {
            self.take_fresh_id(now, effects);
        }
        if !changes.is_empty() {
            self.links.look_again(now);
        }
        !changes.is_empty()
    }

    /// Carries over to replication and peers what has become of a link.
    pub(super) fn settle(&mut self, now: Time, outcome: Outcome, effects: &mut Effects) {
        for link in self.links.take_replaced() {
            self.link_down(link);
        }
        match outcome {
            Outcome::None => {}
            // Two of one peer may be let in at the same moment, and the later one replaces the other
            // before any other room has heard of either.
            Outcome::Established(link, _) if self.links.peer_of(link).is_none() => {}
            Outcome::Established(link, peer) => {
                let version = self.links.version(link);
                if self.speaks_of_settlements(link) {
                    self.begin_telling(now, link, peer, effects);
                } else {
                    self.replication.link_up(link, version, peer.node, peer.origin, now);
                }
                self.begin_absences(now, link, effects);
                self.begin_comparison(now, link, effects);
            }
            Outcome::Ended(link) => self.link_down(link),
            Outcome::OurIdIsInUse(link) => {
                self.link_down(link);
                self.take_fresh_id(now, effects);
            }
            Outcome::NoMember(link, identity) => {
                self.peers.rumour(identity, &mut effects.turn(now, &mut self.totals));
                self.leave_link(now, link, Goodbye::NotAMember, effects);
            }
            Outcome::PeerLeaves(link, peer) => {
                self.link_down(link);
                self.peers.left(&peer, &mut effects.turn(now, &mut self.totals));
            }
            Outcome::WeAreRemoved(link, memberships) => {
                self.link_down(link);
                self.merge_memberships(now, &memberships, effects);
            }
        }
        self.counters.set_older_peer(self.links.older_than(ENDINGS_SINCE));
    }

    fn link_down(&mut self, link: LinkId) {
        self.replication.link_down(link);
        self.comparison.link_down(link);
        self.end_telling(link);
        self.absentees.link_down(link);
    }

    /// Another process answers under our NodeId.
    fn take_fresh_id(&mut self, now: Time, effects: &mut Effects) {
        if self.peers.am_removed() {
            // No node would find its removal under a fresh one.
            return;
        }
        // Those in their handshake, too: their other side has heard the old id.
        for link in self.links.all() {
            self.leave_link(now, link, Goodbye::NotAMember, effects);
        }
        self.peers.take_fresh_id(&mut effects.turn(now, &mut self.totals));
    }

    /// Says goodbye on a link, and carries on that it ends.
    pub(super) fn leave_link(
        &mut self,
        now: Time,
        link: LinkId,
        goodbye: Goodbye,
        effects: &mut Effects,
    ) {
        let turn = &mut effects.turn(now, &mut self.totals);
        let outcome = self.links.leave(link, goodbye, &self.peers, turn);
        self.settle(now, outcome, effects);
    }
}
