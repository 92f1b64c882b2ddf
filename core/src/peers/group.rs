//! This node among the members: what SWIM finds out, what the removals allow, and what follows.
//!
//! It carries news between those who judge each for itself: what foca finds out (`swim`), who lives
//! where (`members`), who was only heard of (`rumours`), who is out (`removals`), who this node is
//! (`own_id`) and when it comes back (`rejoin`). Removed nodes' messages, and the gossip about them,
//! are refused before foca sees them.
//!
//! Rejected: foca's own renewal of identities. A removed node would renew itself for ever.

use std::borrow::Cow;
use std::net::SocketAddr;

use rand_chacha::ChaCha8Rng;

use super::members::{DOWN_MAX, Members};
use super::news::{Change, SwimError};
use super::own_id::OwnId;
use super::registry::Registry;
use super::rejoin::Rejoin;
use super::removals::Removals;
use super::rumours::{RUMOURS_MAX, Rumours};
use super::swim::{Finding, Swim};
use super::swim_packet::{self, IsDown, SwimPacket};
use crate::absence::Absentee;
use crate::chance;
use crate::effect::Destination;
use crate::event::Event;
use crate::identity::{Address, Identity, NodeId, OriginId};
use crate::membership::{Key, MembershipRecord};
use crate::status::PeerState;
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::datagram::Envelope;

#[derive(Debug)]
pub(super) struct Group {
    own: OwnId,
    swim: Swim,
    members: Members,
    rumours: Rumours,
    removals: Removals,
    rejoin: Rejoin,
    /// Whether a member went down since this was last asked.
    has_lost_members: bool,
    changes: Vec<Change>,
}

impl Group {
    pub(super) fn new(me: Identity, envelope: Envelope, mut chance: ChaCha8Rng, now: Time) -> Self {
        Group {
            swim: Swim::new(&me, envelope.clone(), chance::split(&mut chance), now),
            members: Members::new(now),
            rumours: Rumours::default(),
            removals: Removals::new(envelope, me.boot, now),
            own: OwnId::new(me, chance::next_stream(&chance)),
            rejoin: Rejoin::new(chance, now),
            has_lost_members: false,
            changes: Vec::new(),
        }
    }

    /// Takes over what an earlier start of this node knew: who was removed, and whom it met.
    pub(super) fn recover(
        &mut self,
        registry: Registry,
        met: impl Iterator<Item = Identity>,
        now: Time,
    ) {
        self.removals.recover(registry);
        if self.own.raise_epoch(self.removals.epoch_of(self.own.me())) {
            self.swim.start_over(self.own.me());
        }
        let me = self.own.me();
        // An earlier release may have kept numbers that no node can have.
        for identity in met.filter(|met| met.node != me.node && met.is_sane()) {
            self.members.recover(identity, &me.address, now);
        }
    }

    pub(super) fn me(&self) -> &Identity {
        self.own.me()
    }

    pub(super) fn own(&self) -> &OwnId {
        &self.own
    }

    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    pub(super) fn rumours(&self) -> &Rumours {
        &self.rumours
    }

    pub(super) fn removals(&self) -> &Removals {
        &self.removals
    }

    pub(super) fn removals_mut(&mut self) -> &mut Removals {
        &mut self.removals
    }

    pub(super) fn am_removed(&self) -> bool {
        self.removals.is_removed(self.me())
    }

    /// Whether SWIM knows no member that is up.
    pub(super) fn is_alone(&self) -> bool {
        self.swim.members() == 0
    }

    pub(super) fn has_left(&self) -> bool {
        self.rejoin.is_over()
    }

    /// How the nodes are that were met, but for those whose address is another's now.
    pub(super) fn states(&self) -> impl Iterator<Item = (&Identity, PeerState)> {
        let suspects = self.swim.suspects();
        self.members.not_superseded().map(move |(identity, is_up)| {
            let state = match is_up {
                _ if self.removals.is_removed(identity) => PeerState::Removed,
                false => PeerState::Down,
                true if suspects.contains(&identity.node) => PeerState::Suspect,
                true => PeerState::Alive,
            };
            (identity, state)
        })
    }

    pub(super) fn take_has_lost_members(&mut self) -> bool {
        std::mem::take(&mut self.has_lost_members)
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// When [`Group::tick`] has something to do.
    pub(super) fn next_deadline(&self) -> Time {
        let (swim, rumours) = (self.swim.next_deadline(), self.rumours.next_deadline());
        let others = [swim, rumours, self.rejoin.next_deadline()].into_iter().flatten();
        others.fold(self.members.next_deadline(), Time::min)
    }

    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        while self.swim.handle_due_timer(turn.now) {
            self.flush(turn);
        }
        if let Some(boot) = self.rejoin.due(turn.now) {
            self.take_next_boot(boot, turn);
        }
        let rumours = self.rumours.due(turn.now);
        self.announce(rumours, turn);
        let (removals, me) = (&self.removals, self.own.me());
        // Who was away is looked for on: it may have heard that it was removed, and keep away.
        let is_barred = |peer: &Identity| {
            removals.is_removed(me) || removals.is_removed(peer) && !removals.is_absent(peer)
        };
        let down = self.members.due_announcements(is_barred, turn.now);
        self.announce(down, turn);
    }

    /// An address that was asked has answered where another process was said to live under our
    /// NodeId.
    pub(super) fn meet_our_id(&mut self, answer: &Identity, now: Time) {
        if !self.am_removed() && self.own.is_taken_by(answer, now) {
            self.changes.push(Change::IdInUse);
        }
    }

    /// A node is said to be there: announces us to it, unless it is known to answer. Answers where
    /// another process may live under our NodeId, and is to be asked.
    pub(super) fn rumour(&mut self, identity: Identity, turn: &mut Turn<'_>) -> Option<Address> {
        if self.has_left() {
            return None;
        }
        let to = Destination::Address(identity.address.clone());
        if identity.node == self.me().node {
            if self.am_removed() {
                // A copy that does not know it would take itself for a node of its own.
                self.removals.notify(self.own.me(), to, turn);
                return None;
            }
            return self.own.is_in_doubt(&identity, turn.now).then_some(identity.address);
        }
        if self.removals.is_removed(&identity) {
            if !self.meets_again(&identity) {
                self.removals.notify(&identity, to, turn);
            }
            return None;
        }
        self.removals.remind(self.own.me(), &identity, to, turn);
        if self.members.up_member(identity.node).is_some_and(|up| up.origin == identity.origin) {
            return None;
        }
        let is_met = self.members.identity(identity.node).is_some();
        if self.rumours.hear(identity, is_met, turn) {
            let due = self.rumours.due(turn.now);
            self.announce(due, turn);
        }
        None
    }

    /// Whether a node that speaks to us was removed because it was away: then it is to be taken back.
    fn meets_again(&mut self, identity: &Identity) -> bool {
        let is_back = self.removals.is_absent(identity) && !self.am_removed();
        let change = Change::MetAgain(identity.node);
        if is_back && !self.changes.contains(&change) {
            self.changes.push(change);
        }
        is_back
    }

    /// Takes a node back that was away and has spoken: the records that say so.
    pub(super) fn take_back(&mut self, node: NodeId, turn: &mut Turn<'_>) -> Vec<MembershipRecord> {
        let seen = self.members.identity(node).map_or(0, |identity| identity.epoch);
        let lifted = self.removals.lift(&[Key::Node(node)], seen, turn.now);
        if let Some(identity) = self.members.identity(node) {
            let to = Destination::Address(identity.address.clone());
            self.removals.report_lifted(&lifted, to, turn);
        }
        lifted
    }

    /// Removes a member that was away: the record that says so, if that is new here.
    pub(super) fn remove_absent(
        &mut self,
        absentee: &Absentee,
        turn: &mut Turn<'_>,
    ) -> Option<MembershipRecord> {
        let was_removed = self.am_removed();
        let record = self.removals.remove_absent(absentee)?;
        self.drop_removed(turn);
        if self.am_removed() && !was_removed {
            turn.event(Event::RemovedOurselves(record.clone()));
        }
        Some(record)
    }

    /// Merges records that others hold; those that were new here must be journaled and passed on.
    pub(super) fn merge_memberships(
        &mut self,
        records: &[MembershipRecord],
        turn: &mut Turn<'_>,
    ) -> Vec<MembershipRecord> {
        let was_removed = self.am_removed();
        let news = self.removals.merge(records, turn);
        if news.is_empty() {
            return news;
        }
        self.drop_removed(turn);
        if self.am_removed() {
            if !was_removed && let Some(ours) = news.iter().find(|new| self.own.is_about_us(new)) {
                turn.event(Event::RemovedOurselves(ours.clone()));
            }
        } else if self.removals.epoch_of(self.me()) > self.me().epoch {
            self.take_next_boot(0, turn);
        }
        news
    }

    /// Ends the membership of the nodes that are removed now.
    pub(super) fn drop_removed(&mut self, turn: &mut Turn<'_>) {
        let is_removed = |member: &&Identity| self.removals.is_removed(member);
        let removed: Vec<Identity> = self.members.up().filter(is_removed).cloned().collect();
        for member in removed {
            self.removals.report_removed(&member, turn);
            self.swim.declare_down(member);
        }
        // A link outlives its peer's being down, so one may stand to a peer that was not up.
        self.changes.push(Change::Removal);
        self.rumours.retain(|rumour| !self.removals.is_removed(rumour));
        self.flush(turn);
    }

    pub(super) fn handle_swim(
        &mut self,
        packet: &[u8],
        from: SocketAddr,
        turn: &mut Turn<'_>,
    ) -> Result<(), SwimError> {
        if self.has_left() {
            return Ok(());
        }
        let packet = swim_packet::parse(packet).ok_or(SwimError::Malformed)?;
        let (sender, from) = (packet.sender(), Destination::Socket(from));
        if self.removals.is_removed(sender) {
            if !self.meets_again(sender) {
                self.removals.notify(sender, from, turn);
            }
            return Err(SwimError::Removed);
        }
        if !self.members.may_speak(sender, turn.now) {
            return Err(SwimError::Limited);
        }
        if !self.members.has_room_for(sender.node, self.swim.members()) {
            turn.totals.members_refused += 1;
            return Err(SwimError::Full);
        }
        self.removals.remind(self.own.me(), sender, from, turn);
        if packet.is_obituary() && self.rejoin.is_planned() {
            // We know, and are about to return. foca would answer a sender that it holds for down
            // with the same message, and two nodes that do so never stop.
            return Ok(());
        }
        if let Some(newer) = packet.newer_incarnation_of(self.me())
            && !self.follow(newer, turn)
        {
            return Ok(());
        }
        let admitted = self.admitted(&packet, turn).ok_or(SwimError::Removed)?;
        let is_taken = self.swim.hears(&admitted);
        // What answers an announcement may answer that very word, which has been sent.
        if !packet.is_feed() && !self.members.is_up(sender.node) {
            self.swim.announce_newer_incarnation(sender);
        }
        self.flush(turn);
        if is_taken { Ok(()) } else { Err(SwimError::Refused) }
    }

    /// A newer incarnation of this node's id is known: comes back after it, or answers that none of
    /// ours can.
    fn follow(&mut self, newer: &Identity, turn: &mut Turn<'_>) -> bool {
        let epoch = self.me().epoch.max(self.removals.epoch_of(self.me()));
        // A removed node keeps its id: under another its removal would not be found.
        if newer.epoch > epoch && !self.am_removed() {
            // That of a copied disk at an address that was registered anew, as a rule. No boot of
            // ours comes after it, so this id is lost to us.
            self.changes.push(Change::NewerIncarnation);
            return false;
        }
        // A sender may say so a thousand times a second.
        if self.rejoin.may_be_at_once(turn.now) {
            self.take_next_boot(newer.boot, turn);
        } else {
            self.rejoin.plan_beyond(newer.boot, turn.now);
        }
        true
    }

    /// A packet without what foca must not see of it; `None` if nothing is left.
    fn admitted<'a>(&self, packet: &SwimPacket<'a>, turn: &mut Turn<'_>) -> Option<Cow<'a, [u8]>> {
        let up = self.swim.members();
        let is_welcome = |member: &Identity, IsDown(is_down): IsDown| {
            let has_room = is_down || self.members.has_room_for(member.node, up);
            let is_welcome = member.is_sane() && has_room;
            turn.totals.members_refused += u64::from(!is_welcome);
            is_welcome
        };
        packet.without(|member| self.removals.is_removed(member), is_welcome)
    }

    /// The peer said over its link that it leaves.
    pub(super) fn left(&mut self, identity: &Identity, turn: &mut Turn<'_>) {
        self.swim.declare_down(identity.clone());
        self.flush(turn);
    }

    pub(super) fn leave(&mut self, turn: &mut Turn<'_>) {
        self.swim.leave();
        self.flush(turn);
        self.rejoin.end();
        self.rumours.clear();
    }

    /// Another process answers under our NodeId: starts over under a fresh one.
    pub(super) fn take_fresh_id(&mut self, turn: &mut Turn<'_>) {
        let (old, new) = self.own.take_fresh();
        self.swim.start_over(self.own.me());
        for identity in self.members.forget_all() {
            self.rumours.note(identity, turn.now);
        }
        turn.event(Event::NodeIdTaken { old, new });
    }

    /// Goes on under a fresh origin, and announces it.
    pub(super) fn take_fresh_origin(&mut self, origin: OriginId, turn: &mut Turn<'_>) {
        self.own.take_origin(origin);
        self.take_next_boot(0, turn);
    }

    /// Takes the identity that comes after ours and after `boot`, and announces it.
    fn take_next_boot(&mut self, boot: u64, turn: &mut Turn<'_>) {
        if self.am_removed() || self.has_left() {
            return;
        }
        if !self.own.take_next_boot(boot, self.removals.epoch_of(self.own.me())) {
            // No boot comes after those that others know, so this id is lost to us.
            self.changes.push(Change::NewerIncarnation);
            return;
        }
        self.rejoin.done(turn.now);
        self.swim.come_back_as(self.own.me());
        let there = self.members.not_superseded().map(|(identity, _)| identity);
        let there = there.filter(|member| !self.removals.is_removed(member)).take(RUMOURS_MAX);
        self.announce(there.cloned().collect(), turn);
    }

    fn announce(&mut self, to: Vec<Identity>, turn: &mut Turn<'_>) {
        to.into_iter().for_each(|identity| self.swim.announce(identity));
        self.flush(turn);
    }

    /// Carries out what SWIM wants done, and carries on what it finds out.
    fn flush(&mut self, turn: &mut Turn<'_>) {
        while let Some(finding) = self.swim.next_finding(turn) {
            match finding {
                Finding::Up(identity) => self.comes_up(identity, turn),
                Finding::Down(identity) => {
                    self.rumours.forget(identity.node);
                    self.members.goes_down(identity, turn);
                    self.has_lost_members = true;
                }
                Finding::Renamed(identity) => {
                    if let Some(moved) = self.members.rename(identity, turn) {
                        self.comes_up(moved, turn);
                    }
                }
                Finding::WeAreDown => self.rejoin.plan(turn.now),
            }
        }
        self.members.suspect(&self.swim.suspects(), turn);
        self.members.forget_longest_down();
        self.swim.forget_down(DOWN_MAX, |node| self.members.identity(node).is_some());
        self.swim.report_faults(turn);
    }

    fn comes_up(&mut self, identity: Identity, turn: &mut Turn<'_>) {
        self.rumours.forget(identity.node);
        if identity.address == self.me().address {
            // What is sent to our address reaches us, so no other node lives there. The others decide
            // by the later start, and a wall clock may have been set back since the other's.
            if identity.boot > self.me().boot {
                self.rejoin.plan_beyond(identity.boot, turn.now);
            }
            return self.swim.declare_down(identity);
        }
        let node = identity.node;
        let settled = self.members.comes_up(identity, turn);
        if settled.is_there {
            self.changes.push(Change::Up(node));
        }
        settled.down.into_iter().for_each(|identity| self.swim.declare_down(identity));
    }
    #[cfg(test)]
    pub(super) fn known_to_swim(&self) -> usize {
        self.swim.remembered()
    }
}
