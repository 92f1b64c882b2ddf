//! Whom to announce to: those of whom was only heard, and those that are down.

use std::time::Duration;

use super::{Peer, Peers};
use crate::effect::{Destination, Effect};
use crate::event::Event;
use crate::identity::Identity;
use crate::status::Totals;
use crate::time::Time;

/// The time between announcements to a member that is down. A partition may heal after hours and
/// shall be healed within seconds, so this never grows.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

/// Announcements to down members at one time; the others' turns come later.
const ANNOUNCE_AT_ONCE: usize = 16;

/// How often a rumour is announced to before it is forgotten, and the time between.
const RUMOUR_TRIES: u32 = 4;

const RUMOUR_EVERY: Duration = Duration::from_millis(250);

/// Rumours at one time. They come from beacons and hellos, whose number strangers choose.
pub(super) const RUMOURS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Rumour {
    pub(super) identity: Identity,
    pub(super) tries: u32,
    pub(super) next: Time,
}

impl Peers {
    /// Someone is said to be there: announces us to it, unless it is known to answer.
    pub fn rumour(
        &mut self,
        now: Time,
        identity: Identity,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) {
        if self.has_left {
            return;
        }
        if identity.node == self.me.node {
            return self.meet_our_id(now, &identity, out);
        }
        if self.registry.is_removed(&identity) {
            let to = Destination::Address(identity.address.clone());
            self.notify(now, &identity, to, out);
            return;
        }
        let to = Destination::Address(identity.address.clone());
        self.tell_what_it_missed(now, &identity, to, out);
        let known = self.peers.get(&identity.node);
        if known.is_some_and(|peer| peer.is_up && peer.identity.origin == identity.origin) {
            return;
        }
        if !self.rumours.contains_key(&identity.node) && self.rumours.len() < RUMOURS_MAX {
            let node = identity.node;
            if known.is_none() {
                self.tell_joining(&identity, out);
            }
            self.rumours.insert(node, Rumour { identity, tries: 0, next: now });
            self.announce_rumours(now, totals, out);
        }
    }

    fn tell_joining(&mut self, identity: &Identity, out: &mut Vec<Effect>) {
        if self.joining.len() == RUMOURS_MAX {
            self.joining.clear();
        }
        if self.joining.insert(identity.origin) {
            out.push(Effect::Event(Event::PeerJoining(identity.address.to_string())));
        }
    }

    pub(super) fn announce_rumours(
        &mut self,
        now: Time,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) {
        let mut due = Vec::new();
        self.rumours.retain(|_, rumour| {
            if rumour.next > now {
                return true;
            }
            if rumour.tries >= RUMOUR_TRIES {
                return false;
            }
            rumour.tries += 1;
            rumour.next = now + RUMOUR_EVERY * rumour.tries;
            due.push(rumour.identity.clone());
            true
        });
        for identity in due {
            let done = self.swim.announce(identity, &mut self.runtime);
            self.check("announcing", done);
        }
        self.flush(now, totals, out);
    }

    pub(super) fn announce_to_down(
        &mut self,
        now: Time,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) {
        if self.am_removed() {
            return;
        }
        let mut down: Vec<&mut Peer> = self
            .peers
            .values_mut()
            .filter(|peer| !peer.is_up && !peer.is_superseded)
            .filter(|peer| !self.registry.is_removed(&peer.identity))
            .collect();
        down.sort_by_key(|peer| peer.announced);
        let mut due = Vec::new();
        for peer in down.into_iter().take(ANNOUNCE_AT_ONCE) {
            peer.announced = now;
            due.push(peer.identity.clone());
        }
        for identity in due {
            let done = self.swim.announce(identity, &mut self.runtime);
            self.check("announcing", done);
        }
        self.flush(now, totals, out);
    }
}
