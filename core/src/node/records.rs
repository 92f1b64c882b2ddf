//! Records of removals and registrations, from operators and from other nodes: journaled, passed on,
//! compared with each peer's.

use super::Node;
use crate::effect::Effect;
use crate::input::{LinkId, Token};
use crate::membership::{MembershipRecord, PeersRefusal};
use crate::outbox::Effects;
use crate::query::{PeerName, Question, Register, Remove};
use crate::time::Time;
use crate::wire::frame::{self, FRAME_LENGTH_BYTES, Message};

/// Records in one frame: a quarter of a megabyte of them at most.
const RECORDS_A_FRAME: usize = 512;

/// The protocol version since which records are compared by hashes. Before it, each side of a link
/// tells all that it has when the link stands.
const COMPARED_SINCE: u16 = 2;

impl Node {
    /// An operator takes a peer in (again).
    pub(super) fn register(
        &mut self,
        now: Time,
        token: Token,
        peer: &PeerName,
        effects: &mut Effects,
    ) {
        let out = &mut effects.at_once;
        let news = self.peers.register(now, peer, &mut self.totals, out);
        self.answer_operator::<Register>(now, token, news, effects);
    }

    /// An operator removes a peer from the cluster.
    pub(super) fn remove(
        &mut self,
        now: Time,
        token: Token,
        peer: &PeerName,
        effects: &mut Effects,
    ) {
        let out = &mut effects.at_once;
        let news = self.peers.remove(now, peer, &mut self.totals, out);
        #[cfg(feature = "planted-bugs")]
        let news = match self.has(crate::bug::Bug::RemovalBeyondRoom) {
            true => Ok(news.unwrap_or_default()),
            false => news,
        };
        self.answer_operator::<Remove>(now, token, news, effects);
    }

    /// Carries out what an operator asked for, and says so, or why not.
    fn answer_operator<Q: Question<Answer = Result<(), PeersRefusal>>>(
        &mut self,
        now: Time,
        token: Token,
        done: Result<Vec<MembershipRecord>, PeersRefusal>,
        effects: &mut Effects,
    ) {
        let done = done.map(|news| self.tell_memberships(now, &news, effects));
        effects.after_sync.push(Effect::Answer { token, answer: Q::answer(done) });
    }

    pub(super) fn merge_memberships(
        &mut self,
        now: Time,
        memberships: &[MembershipRecord],
        effects: &mut Effects,
    ) {
        let out = &mut effects.at_once;
        let news = self.peers.merge_memberships(now, memberships, &mut self.totals, out);
        self.tell_memberships(now, &news, effects);
    }

    /// Journals records that are new here and passes them on to every peer.
    pub(super) fn tell_memberships(
        &mut self,
        now: Time,
        news: &[MembershipRecord],
        effects: &mut Effects,
    ) {
        if self.is_kept {
            news.iter().for_each(|membership| effects.journal.add_membership(membership));
        }
        let mut links = self.links.established();
        if !self.comparison.pass_on(now, news.len()) {
            links.retain(|link| self.links.version(*link) < COMPARED_SINCE);
        }
        self.send_memberships(&links, news, effects);
        self.settle_changes(now, effects);
    }

    /// A link stands: each side tells what it has, or what that hashes to.
    pub(super) fn begin_comparison(&mut self, link: LinkId, effects: &mut Effects) {
        if self.links.version(link) >= COMPARED_SINCE {
            self.send_hashes(&[link], effects);
        } else {
            let all: Vec<MembershipRecord> = self.peers.registry().records().collect();
            self.send_memberships(&[link], &all, effects);
        }
    }

    /// Tells the records of some parts of the table to a peer that asked for them.
    pub(super) fn tell_parts(&mut self, link: LinkId, parts: &[u8], effects: &mut Effects) {
        let records = self.peers.registry().records_in(parts);
        self.send_memberships(&[link], &records, effects);
        self.send_records(&[link], &Message::MembershipTold, effects);
    }

    /// Goes on comparing.
    pub(super) fn compare(&mut self, now: Time, effects: &mut Effects) {
        if self.comparison.is_to_tell(now) {
            let mut links = self.links.established();
            links.retain(|link| self.links.version(*link) >= COMPARED_SINCE);
            self.send_hashes(&links, effects);
        }
        if let Some((link, parts)) = self.comparison.ask(now, self.peers.registry().hashes()) {
            self.send_records(&[link], &Message::MembershipAsk(parts), effects);
        }
    }

    fn send_hashes(&mut self, links: &[LinkId], effects: &mut Effects) {
        let hashes = self.peers.registry().hashes().to_vec();
        self.send_records(links, &Message::MembershipHashes(hashes), effects);
    }

    fn send_memberships(
        &mut self,
        links: &[LinkId],
        all: &[MembershipRecord],
        effects: &mut Effects,
    ) {
        for memberships in all.chunks(RECORDS_A_FRAME) {
            self.send_records(links, &Message::Membership(memberships.to_vec()), effects);
        }
    }

    /// What is said of the records waits for their sync, and so for its turn among them.
    fn send_records(&mut self, links: &[LinkId], message: &Message<'_>, effects: &mut Effects) {
        if links.is_empty() {
            return;
        }
        let bytes = frame::encode(message);
        let length = bytes.len() as u64 + FRAME_LENGTH_BYTES;
        self.totals.link_bytes_sent += length * links.len() as u64;
        effects.after_sync.push(Effect::Frame { links: links.to_vec(), bytes });
    }
}
