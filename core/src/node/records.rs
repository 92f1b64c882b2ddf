//! Records of removals and registrations, from operators and from other nodes: journaled, passed on,
//! compared with each peer's.

use super::Node;
use crate::effect::Effect;
use crate::input::{LinkId, Token};
use crate::membership::{MembershipRecord, PeersRefusal};
use crate::outbox::Effects;
use crate::query::{PeerName, Question, Register, Remove};
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::frame::Message;

/// Records in one frame: a quarter of a megabyte of them at most.
const RECORDS_A_FRAME: usize = 512;

/// The protocol version since which records are compared by hashes. Before it, each side of a link
/// sends all that it has when the link stands.
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
        let news = self.peers.register(peer, &mut effects.turn(now, &mut self.totals));
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
        let news = self.peers.remove(peer, &mut effects.turn(now, &mut self.totals));
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
        let done = done.map(|news| self.pass_on_memberships(now, &news, effects));
        effects.after_sync.push(Effect::Answer { token, answer: Q::answer(done) });
    }

    pub(super) fn merge_memberships(
        &mut self,
        now: Time,
        memberships: &[MembershipRecord],
        effects: &mut Effects,
    ) {
        let turn = &mut effects.turn(now, &mut self.totals);
        let news = self.peers.merge_memberships(memberships, turn);
        self.pass_on_memberships(now, &news, effects);
    }

    /// Journals records that are new here and passes them on to every peer.
    pub(super) fn pass_on_memberships(
        &mut self,
        now: Time,
        news: &[MembershipRecord],
        effects: &mut Effects,
    ) {
        self.journal.add_memberships(news, effects);
        let mut links = self.links.established();
        if !self.comparison.pass_on(now, news.len()) {
            links.retain(|link| self.links.version(*link) < COMPARED_SINCE);
        }
        send_memberships(&links, news, &mut effects.turn(now, &mut self.totals));
        self.settle_changes(now, effects);
    }

    /// A link stands: each side sends what it has, or what that hashes to.
    pub(super) fn begin_comparison(&mut self, now: Time, link: LinkId, effects: &mut Effects) {
        let turn = &mut effects.turn(now, &mut self.totals);
        let registry = self.peers.registry();
        if self.links.version(link) >= COMPARED_SINCE {
            send(&[link], &Message::MembershipHashes(registry.hashes().to_vec()), turn);
        } else {
            let all: Vec<MembershipRecord> = registry.records().collect();
            send_memberships(&[link], &all, turn);
        }
    }

    /// Sends the records of some parts of the table to a peer that asked for them.
    pub(super) fn answer_parts(
        &mut self,
        now: Time,
        link: LinkId,
        parts: &[u8],
        effects: &mut Effects,
    ) {
        let turn = &mut effects.turn(now, &mut self.totals);
        send_memberships(&[link], &self.peers.registry().records_in(parts), turn);
        send(&[link], &Message::MembershipTold, turn);
    }

    /// Goes on comparing.
    pub(super) fn compare(&mut self, now: Time, effects: &mut Effects) {
        let turn = &mut effects.turn(now, &mut self.totals);
        let hashes = self.peers.registry().hashes();
        if self.comparison.is_to_begin_again(now) {
            let mut links = self.links.established();
            links.retain(|link| self.links.version(*link) >= COMPARED_SINCE);
            send(&links, &Message::MembershipHashes(hashes.to_vec()), turn);
        }
        self.comparison.go_on(hashes, turn);
    }
}

fn send_memberships(links: &[LinkId], all: &[MembershipRecord], turn: &mut Turn<'_>) {
    for memberships in all.chunks(RECORDS_A_FRAME) {
        send(links, &Message::Membership(memberships.to_vec()), turn);
    }
}

/// What is said of the records waits for their sync, and so for its turn among them.
fn send(links: &[LinkId], message: &Message<'_>, turn: &mut Turn<'_>) {
    if !links.is_empty() {
        turn.frame_after_sync(links.to_vec(), message);
    }
}
