//! What other nodes say: datagrams, frames of links, and what follows from them for the rooms that
//! do not know each other.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Node, context};
use crate::counters::MergeError;
use crate::delta::Delta;
use crate::effect::{Destination, Effect};
use crate::event::Event;
use crate::input::LinkId;
use crate::links::{Context, Outcome};
use crate::outbox::Effects;
use crate::peers::discovery::Heard;
use crate::peers::{Change, SwimError};
use crate::replication::digests::About;
use crate::time::Time;
use crate::wire::datagram::Datagram;
use crate::wire::error::{CodecError, Foreign};
use crate::wire::frame::{self, FRAME_LENGTH_BYTES, Goodbye, Message, Row};

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
        let without = crate::wire::datagram::Envelope::new(&self.cluster, None);
        #[cfg(feature = "planted-bugs")]
        let opened = match opened {
            Err(CodecError::Foreign(Foreign::Secret)) if self.has(crate::bug::Bug::MacIgnored) => {
                without.open(bytes)
            }
            opened => opened,
        };
        match opened {
            Ok(Datagram::Beacon(beacon)) => {
                match self.discovery.hear(now, from, &beacon, self.peers.me()) {
                    Heard::Nothing => {}
                    Heard::Limited => self.totals.beacons_limited += 1,
                    Heard::Rumour { answer } => {
                        self.totals.beacons_heard += 1;
                        let is_removed = self.peers.registry().is_removed(&beacon.identity);
                        let out = &mut effects.at_once;
                        // Before the answer: if we were removed, who asks because an operator
                        // registers us must know that there is something to lift.
                        self.peers.rumour(now, beacon.identity, &mut self.totals, out);
                        if let Some(answer) = answer
                            && !is_removed
                        {
                            self.totals.beacons_sent += 1;
                            let bytes = envelope.seal(&Datagram::Beacon(answer));
                            let to = Destination::Socket(from);
                            effects.at_once.push(Effect::Datagram { to, bytes });
                        }
                    }
                    Heard::Answer(sequence) => {
                        self.totals.beacons_heard += 1;
                        let out = &mut effects.at_once;
                        let identity = beacon.identity;
                        let totals = &mut self.totals;
                        let news = self.peers.answered(now, sequence, identity, totals, out);
                        self.tell_memberships(now, &news, effects);
                    }
                }
            }
            Ok(Datagram::Swim(packet)) => {
                self.totals.swim_received += 1;
                let out = &mut effects.at_once;
                match self.peers.handle_swim(now, packet, from, &mut self.totals, out) {
                    Ok(()) => {}
                    Err(SwimError::Malformed) => self.totals.datagrams_malformed += 1,
                    Err(SwimError::Removed) => self.totals.datagrams_removed += 1,
                    Err(SwimError::Limited) => self.totals.beacons_limited += 1,
                    // What is refused for want of room was counted where it was.
                    Err(SwimError::Full) => {}
                    Err(SwimError::Refused) => self.totals.swim_refused += 1,
                }
            }
            Ok(Datagram::Membership(memberships)) => {
                self.merge_memberships(now, &memberships, effects);
            }
            Err(CodecError::Foreign(foreign)) => {
                self.totals.datagrams_foreign += 1;
                self.tell_stranger(now, from, foreign, effects);
            }
            Err(CodecError::DatagramVersion(version)) => {
                self.totals.datagrams_malformed += 1;
                self.tell_stranger(now, from, Foreign::Version(version), effects);
            }
            Err(_) => self.totals.datagrams_malformed += 1,
        }
        self.settle_changes(now, effects);
    }

    fn tell_stranger(
        &mut self,
        now: Time,
        from: SocketAddr,
        reason: Foreign,
        effects: &mut Effects,
    ) {
        if self.strangers.allow(now) {
            let event = Event::Stranger { from: from.to_string(), reason };
            effects.at_once.push(Effect::Event(event));
        }
    }

    pub(super) fn frame(&mut self, now: Time, link: LinkId, frame: &Bytes, effects: &mut Effects) {
        let Some(is_established) = self.links.heard(link, now) else { return };
        self.totals.link_bytes_received += frame.len() as u64 + FRAME_LENGTH_BYTES;
        let message = match frame::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                let cx = context!(self, now, effects);
                let outcome = self.links.protocol_error(link, error.to_string(), cx);
                return self.settle(now, outcome, effects);
            }
        };
        if !is_established || matches!(message, Message::Goodbye(_)) {
            let outcome = self.links.handshake(link, frame, &message, context!(self, now, effects));
            return self.settle(now, outcome, effects);
        }
        self.message(now, link, frame, message, effects);
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
            Message::Push { after, batches, age_us, changes } => {
                let Some(origin) = self.replication.pusher(link) else { return };
                self.totals.deltas_received += 1;
                let delta = Delta { origin, after, upto: after + batches, changes };
                let upto = delta.upto;
                self.counters.meet_writer(origin);
                if self.merge(now, link, &delta, effects) == Ok(true) {
                    let (batch, age) = (self.batch + 1, Duration::from_micros(age_us));
                    self.arrivals.merged(now, batch, age, self.links.one_way(link));
                }
                self.replication.pushed(link, upto);
            }
            Message::Confirm(version) => {
                if version <= self.counters.our_version() {
                    self.replication.confirmed(now, link, version, &mut self.totals);
                } else {
                    self.tell_foreign_writer(now, link, effects);
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
                let (counters, totals) = (&self.counters, &mut self.totals);
                self.replication.asked(now, link, request, &wants, counters, totals);
            }
            Message::PullChunk { request, index, last, deltas } => {
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
            Message::MembershipAsk(parts) => self.tell_parts(link, &parts, effects),
            Message::MembershipTold => {
                self.comparison.told(link);
                self.compare(now, effects);
            }
            Message::Ping => self.links.send(link, &Message::Pong, context!(self, now, effects)),
            Message::Pong => self.links.pong(link, now),
            Message::Hello(_) | Message::Proof(_) | Message::Welcome | Message::Goodbye(_) => {
                let outcome =
                    self.links.handshake(link, frame, &message, context!(self, now, effects));
                self.settle(now, outcome, effects);
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
            // It has believed somebody, and will learn better on this very link.
            self.tell_foreign_writer(now, link, effects);
        }
        let (counters, totals) = (&mut self.counters, &mut self.totals);
        let replication = &mut self.replication;
        match message {
            Message::DigestHash(hash) => replication.hear_hash(now, link, hash),
            Message::DigestPart { first, last, rows } => {
                let range = (first, last);
                replication.hear_part(now, link, range, &rows, counters, totals, effects);
            }
            Message::Digest { recent, rest } => {
                replication.hear_digest(now, link, &recent, rest, counters, totals, effects);
            }
            Message::DigestAsk => replication.asked_about(link, About::Parts),
            Message::DigestHashes { recent, parts } => {
                replication.hear_hashes(now, link, &recent, &parts, counters, totals, effects);
            }
            Message::DigestPartsAsk(parts) => {
                replication.asked_about(link, About::Rows(parts));
            }
            Message::DigestTold => replication.hear_told(now, link, counters, totals, effects),
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
        let totals = &mut self.totals;
        let came = self.replication.part_came(now, link, part, slots, totals, effects);
        for mut delta in deltas {
            if delta.origin == self.counters.our_origin() {
                // What is said of our own changes is judged whoever asked (rule `one-writer`).
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
                self.replication.lack_room(now, link, delta.origin);
            }
        }
        let totals = &mut self.totals;
        self.replication.part_over(now, link, came, part.2, totals, effects);
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
                if merged.news && self.is_kept {
                    self.keep_delta(delta, effects);
                }
            }
            Err(MergeError::Full { news }) => {
                self.totals.refused_full += 1;
                #[cfg(feature = "planted-bugs")]
                let news = news && !self.has(crate::bug::Bug::FullForgets);
                // What is shown is kept.
                if news && self.is_kept {
                    self.keep_delta(&self.counters.held_of(delta), effects);
                }
            }
            Err(MergeError::ForeignWriter) => self.foreign_writer(now, link, effects),
        }
        merged.map(|merged| merged.news)
    }

    fn keep_delta(&self, delta: &Delta<'_>, effects: &mut Effects) {
        let record_bytes = self.limits.record_bytes;
        #[cfg(feature = "planted-bugs")]
        if self.has(crate::bug::Bug::RecordsClaimAll) {
            return effects.journal.add_delta_claimed(delta, record_bytes);
        }
        effects.journal.add_delta(delta, record_bytes);
    }

    /// A peer claims changes of ours that we never made.
    fn tell_foreign_writer(&mut self, now: Time, link: LinkId, effects: &mut Effects) {
        self.totals.foreign_writes += 1;
        if let Some(peer) = self.links.peer_of(link).map(|peer| peer.node)
            && self.foreign_writers.allow(now)
        {
            effects.at_once.push(Effect::Event(Event::ForeignWriter { peer }));
        }
    }

    fn foreign_writer(&mut self, now: Time, link: LinkId, effects: &mut Effects) {
        self.tell_foreign_writer(now, link, effects);
        let reason = MergeError::ForeignWriter.to_string();
        let outcome = self.links.protocol_error(link, reason, context!(self, now, effects));
        self.settle(now, outcome, effects);
    }

    /// Carries over to links what has changed about peers; tells whether something has.
    pub(super) fn settle_changes(&mut self, now: Time, effects: &mut Effects) -> bool {
        let changes = self.peers.take_changes();
        for change in &changes {
            if let Change::Up(node) = change
                && self.is_kept
                && let Some(identity) = self.peers.up_member(*node)
            {
                effects.journal.add_peer(identity);
            }
        }
        let ends_links = changes.contains(&Change::Removal);
        #[cfg(feature = "planted-bugs")]
        let ends_links = ends_links && !self.has(crate::bug::Bug::LinksOutliveRemoval);
        if ends_links {
            for (link, goodbye) in self.links.barred(&self.peers) {
                let outcome = self.links.leave(link, goodbye, context!(self, now, effects));
                self.settle(now, outcome, effects);
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
            // before anybody has heard of either.
            Outcome::Established(link, _) if self.links.peer_of(link).is_none() => {}
            Outcome::Established(link, peer) => {
                let version = self.links.version(link);
                self.replication.link_up(now, link, version, peer.node, peer.origin);
                self.begin_comparison(link, effects);
            }
            Outcome::Ended(link) => self.link_down(link),
            Outcome::OurIdIsInUse(link) => {
                self.link_down(link);
                self.take_fresh_id(now, effects);
            }
            Outcome::PeerLeaves(link, peer) => {
                self.link_down(link);
                self.peers.left(now, &peer, &mut self.totals, &mut effects.at_once);
            }
            Outcome::WeAreRemoved(link, memberships) => {
                self.link_down(link);
                self.merge_memberships(now, &memberships, effects);
            }
        }
    }

    fn link_down(&mut self, link: LinkId) {
        self.replication.link_down(link);
        self.comparison.link_down(link);
    }

    /// Another process answers under our NodeId.
    fn take_fresh_id(&mut self, now: Time, effects: &mut Effects) {
        if self.peers.am_removed() {
            // Nobody would find its removal under a fresh one.
            return;
        }
        // Those in their handshake, too: their other side has heard the old id.
        for link in self.links.all() {
            let goodbye = Goodbye::NotAMember;
            let outcome = self.links.leave(link, goodbye, context!(self, now, effects));
            self.settle(now, outcome, effects);
        }
        self.peers.take_fresh_id(now, &mut effects.at_once);
    }
}
