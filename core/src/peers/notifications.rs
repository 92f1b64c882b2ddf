//! What SWIM finds out about members, and what follows from it.

use std::time::Duration;

use foca::{OwnedNotification, State};
use rand_core::Rng;

use super::{Change, Peer, Peers};
use crate::effect::{Destination, Effect};
use crate::event::Event;
use crate::identity::{Identity, NodeId};
use crate::status::Totals;
use crate::time::Time;
use crate::wire::datagram::Datagram;

/// How long to wait before coming back after the others took us for dead, and what it grows to
/// when that happens again and again.
pub(super) const REJOIN_MIN: Duration = Duration::from_millis(100);

const REJOIN_MAX: Duration = Duration::from_secs(5);

/// Times in a second that a node which is told of a newer incarnation of its id comes back at once: each is
/// announced to all members. Such a word is a reason not to wait, unless it comes again and again.
pub(super) const NEWER_INCARNATIONS_PER_SECOND: u32 = 1;

impl Peers {
    /// Carries out what foca wants done.
    pub(super) fn flush(&mut self, now: Time, totals: &mut Totals, out: &mut Vec<Effect>) {
        loop {
            while let Some((after, timer)) = self.runtime.to_schedule() {
                self.timers_ever += 1;
                self.timers.insert((now + after, self.timers_ever), timer);
            }
            while let Some((to, packet)) = self.runtime.to_send() {
                totals.swim_sent += 1;
                let bytes = self.envelope.seal(&Datagram::Swim(&packet));
                out.push(Effect::Datagram { to: Destination::Address(to.address), bytes });
            }
            match self.runtime.to_notify() {
                Some(note) => self.note(now, note, out),
                None if self.runtime.backlog() == 0 => break,
                None => {}
            }
        }
        self.tell_suspects(out);
        self.forget_longest_down();
        self.tell_faults(now, totals, out);
    }

    /// Tells of whom is suspected since it was last looked, and of whom no more. foca tells of ups
    /// and downs only.
    fn tell_suspects(&mut self, out: &mut Vec<Effect>) {
        let members = self.swim.iter_members().filter(|member| member.state() == State::Suspect);
        let suspects: Vec<NodeId> = members.map(|member| member.id().node).collect();
        for (node, peer) in &mut self.peers {
            let is_member = peer.is_up && !peer.is_superseded;
            let is_suspect = is_member && !suspects.is_empty() && suspects.contains(node);
            if is_suspect && !peer.is_suspect {
                out.push(Effect::Event(Event::PeerSuspect(peer.identity.clone())));
            } else if !is_suspect && peer.is_suspect && is_member {
                out.push(Effect::Event(Event::PeerTrusted(peer.identity.clone())));
            }
            peer.is_suspect = is_suspect;
        }
    }

    fn note(&mut self, now: Time, note: OwnedNotification<Identity>, out: &mut Vec<Effect>) {
        match note {
            OwnedNotification::MemberUp(identity) => self.is_up(now, identity, out),
            OwnedNotification::MemberDown(identity) => {
                self.rumours.remove(&identity.node);
                if let Some(peer) = self.peers.get_mut(&identity.node) {
                    if peer.is_up && !peer.is_superseded {
                        out.push(Effect::Event(Event::PeerDown(identity.clone())));
                    }
                    peer.is_up = false;
                    peer.since = now;
                    peer.is_now(identity);
                }
                self.hasten_asks(now);
            }
            OwnedNotification::Rename(_, identity) => self.is_renamed(now, identity, out),
            OwnedNotification::Defunct => self.plan_rejoin(now),
            OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Rejoin(_) => {}
        }
    }

    /// A newer incarnation of a member takes the place of the one that was known. One that answers
    /// elsewhere is settled with whoever else does there; one that is down is when it comes up.
    fn is_renamed(&mut self, now: Time, identity: Identity, out: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(&identity.node) else { return };
        if !peer.is_up || peer.identity.address == identity.address {
            return peer.is_now(identity);
        }
        if !peer.is_superseded {
            out.push(Effect::Event(Event::PeerDown(peer.identity.clone())));
        }
        self.is_up(now, identity, out);
    }

    fn is_up(&mut self, now: Time, identity: Identity, out: &mut Vec<Effect>) {
        self.rumours.remove(&identity.node);
        if identity.address == self.me.address {
            // What is sent to our address reaches us, so nobody else lives there. Others decide
            // by the later start, and a wall clock may have been set back since the other's.
            if identity.boot > self.me.boot {
                self.boot_to_beat = self.boot_to_beat.max(identity.boot);
                self.plan_rejoin(now);
            }
            self.declare_down(identity);
            return;
        }
        // An answer from an address settles who lives there: of two nodes, the later start.
        let rivals: Vec<Identity> = self
            .peers
            .values()
            .filter(|peer| peer.identity.address == identity.address)
            .filter(|peer| peer.identity.node != identity.node && !peer.is_superseded)
            .map(|peer| peer.identity.clone())
            .collect();
        let is_late =
            |rival: &Identity| rival.boot > identity.boot && self.is_member_up(rival.node);
        if rivals.iter().any(is_late) {
            self.insert_up(now, identity.clone(), true);
            self.declare_down(identity);
            return;
        }
        for rival in rivals {
            if let Some(peer) = self.peers.get_mut(&rival.node) {
                peer.is_superseded = true;
                if peer.is_up {
                    out.push(Effect::Event(Event::PeerDown(rival.clone())));
                    self.declare_down(rival);
                }
            }
        }
        out.push(Effect::Event(Event::PeerUp(identity.clone())));
        self.changes.push(Change::Up(identity.node));
        self.insert_up(now, identity, false);
    }

    fn insert_up(&mut self, now: Time, identity: Identity, is_superseded: bool) {
        let node = identity.node;
        let peer = Peer {
            identity,
            is_up: true,
            since: now,
            announced: now,
            is_superseded,
            is_suspect: false,
        };
        self.peers.insert(node, peer);
    }

    pub(super) fn plan_rejoin(&mut self, now: Time) {
        if self.has_left || self.rejoin.is_some() {
            return;
        }
        let quiet = now.since(self.rejoined) > 2 * REJOIN_MAX;
        self.rejoin_wait = if quiet { REJOIN_MIN } else { (2 * self.rejoin_wait).min(REJOIN_MAX) };
        // Half of the wait is chance, so that two sides that declared each other down do not
        // return in step.
        let wait_ms = u32::try_from(self.rejoin_wait.as_millis()).unwrap_or(u32::MAX);
        let jitter = self.chance.next_u32() % wait_ms.max(1);
        self.rejoin =
            Some(now + self.rejoin_wait / 2 + Duration::from_millis(u64::from(jitter / 2)));
    }
}
