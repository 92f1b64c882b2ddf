//! The Peers Manager: who is a member, who answers, who is out.
//!
//! Each matter is judged by a value of its own, which knows nothing of the others. [`Peers`] carries
//! news between this node's place in the cluster (`group`), the addresses that are asked who is
//! there (`asks`), and the names that operators gave to nodes (`aliases`).

mod aliases;
mod asks;
pub(crate) mod comparison;
pub mod discovery;
mod faults;
mod group;
mod listed;
mod members;
mod news;
mod own_id;
pub mod registry;
mod rejoin;
mod removals;
mod rumours;
mod swim;
mod swim_packet;

use std::net::SocketAddr;

use rand_chacha::ChaCha8Rng;

use crate::absence::Absentee;
use crate::effect::Destination;
use crate::identity::{Address, Identity, NodeId, OriginId};
use crate::membership::{Key, MembershipRecord, PeersRefusal};
use crate::peers::registry::Registry;
use crate::query::PeerName;
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::datagram::Envelope;

use aliases::Aliases;
use asks::{ASKS_MAX, Answered, Asks};
use group::Group;
use listed::Listed;
pub(crate) use members::DOWN_MAX;
pub(crate) use news::{Change, SwimError};

/// All nodes that this one has heard of.
#[derive(Debug)]
pub(crate) struct Peers {
    group: Group,
    asks: Asks,
    aliases: Aliases,
}

impl Peers {
    /// A node that knows only its seeds.
    pub(crate) fn new(
        me: Identity,
        envelope: Envelope,
        seeds: &[Address],
        chance: ChaCha8Rng,
        now: Time,
    ) -> Self {
        let asks = Asks::of_seeds(seeds, &me.address, now);
        Peers { group: Group::new(me, envelope, chance, now), asks, aliases: Aliases::default() }
    }

    /// Takes over what an earlier start of this node knew: who was removed, and whom it met.
    pub(crate) fn recover(
        &mut self,
        registry: Registry,
        met: impl Iterator<Item = Identity>,
        now: Time,
    ) {
        self.group.recover(registry, met, now);
    }

    /// All nodes that this one has met and not forgotten.
    pub(crate) fn met(&self) -> impl Iterator<Item = &Identity> {
        self.group.members().identities()
    }

    pub(crate) fn has_met_anyone(&self) -> bool {
        self.met().next().is_some()
    }

    /// Who this node is.
    pub(crate) fn me(&self) -> &Identity {
        self.group.me()
    }

    /// Removals and registrations.
    pub(crate) fn registry(&self) -> &Registry {
        self.group.removals().registry()
    }

    /// Takes as many removals from operators at most.
    pub(crate) fn limit_removals(&mut self, removals: usize) {
        self.group.removals_mut().limit(removals);
    }

    /// Whether the cluster has removed this node.
    pub(crate) fn am_removed(&self) -> bool {
        self.group.am_removed()
    }

    /// Whether there are addresses to ask.
    pub(crate) fn has_seeds(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether this node has said goodbye to the members.
    pub(crate) fn has_left(&self) -> bool {
        self.group.has_left()
    }

    /// The members that answer, in the order of their ids. A removed node has none.
    pub(crate) fn up(&self) -> impl Iterator<Item = &Identity> {
        let am_removed = self.am_removed();
        self.group.members().up().filter(move |_| !am_removed)
    }

    /// The member with this id, if it answers.
    pub(crate) fn up_member(&self, node: NodeId) -> Option<&Identity> {
        self.group.members().up_member(node).filter(|_| !self.am_removed())
    }

    /// Whether no link to this identity may stand: it is removed, or we are.
    pub(crate) fn bars(&self, identity: &Identity) -> bool {
        self.group.removals().bars(self.me(), identity)
    }

    /// The same for a node of which no more is known than its id.
    pub(crate) fn bars_node(&self, node: NodeId) -> bool {
        let known = self.group.members().identity(node);
        known.map_or_else(|| self.am_removed(), |identity| self.bars(identity))
    }

    /// The records of a node and of its address.
    pub(crate) fn memberships_of(&self, identity: &Identity) -> Vec<MembershipRecord> {
        self.group.removals().records_of(identity)
    }

    /// What has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        self.group.take_changes()
    }

    /// Every peer with its state.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let (members, am_removed) = (self.group.members(), self.am_removed());
        let met = self.group.states().map(|(identity, state)| {
            let listed = Listed::met(identity, state);
            Listed { is_listed: listed.is_listed && !am_removed, ..listed }
        });
        let is_unknown = |rumour: &&Identity| members.identity(rumour.node).is_none();
        let rumours = self.group.rumours().identities().filter(is_unknown);
        let registered = self.asks.registrations().map(Listed::registered);
        let mut list: Vec<Listed> =
            registered.chain(rumours.map(Listed::rumoured)).chain(met).collect();
        list.sort_by(|a, b| a.address.cmp(&b.address));
        list
    }

    /// When [`Peers::tick`] or [`Peers::due_asks`] has something to do.
    pub(crate) fn next_deadline(&self) -> Time {
        self.asks.next_deadline().into_iter().fold(self.group.next_deadline(), Time::min)
    }

    /// Does what is due but for the asks.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>) {
        self.group.tick(turn);
        self.hasten_asks(turn.now);
        self.asks.give_up(turn);
    }

    /// The addresses that are to be asked now.
    pub(crate) fn due_asks(&mut self, now: Time) -> Vec<Address> {
        let (members, is_alone) = (self.group.members(), self.group.is_alone());
        self.asks.due(is_alone, |address, answered| members.is_met(address, answered), now)
    }

    /// Notes the beacon with which an address was asked.
    pub(crate) fn asked(&mut self, address: &Address, sequence: u64) {
        self.asks.asked(address, sequence);
    }

    /// A node has answered the beacon with this sequence number: the records of removals that this
    /// lifts, to be journaled and passed on.
    pub(crate) fn answered(
        &mut self,
        sequence: u64,
        identity: Identity,
        turn: &mut Turn<'_>,
    ) -> Vec<MembershipRecord> {
        let mut lifted = Vec::new();
        match self.asks.answered(sequence, identity.node) {
            Answered::Seed => {}
            Answered::OurId => {
                self.group.meet_our_id(&identity, turn.now);
                return lifted;
            }
            Answered::Registered { given, address } => {
                self.aliases.note(given, identity.node);
                let removals = self.group.removals_mut();
                if removals.is_removed(&identity) {
                    // It has moved since it was removed: the operator registered it where it is now.
                    let keys = [Key::Node(identity.node)];
                    lifted = removals.lift(&keys, identity.epoch, turn.now);
                    removals.notify(&identity, Destination::Address(address), turn);
                }
            }
        }
        self.rumour(identity, turn);
        lifted
    }

    /// A node is said to be there: announces us to it, unless it is known to answer.
    pub(crate) fn rumour(&mut self, identity: Identity, turn: &mut Turn<'_>) {
        if let Some(address) = self.group.rumour(identity, turn) {
            self.asks.doubt(&address, turn.now);
        }
        self.hasten_asks(turn.now);
    }

    /// An operator registers a peer: the records that must be journaled and passed on.
    ///
    /// # Errors
    /// [`PeersRefusal::TooManyAsked`]; nothing has changed then.
    pub(crate) fn register(
        &mut self,
        name: &PeerName,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        if self.group.own().is_named(name) {
            return Ok(Vec::new());
        }
        let alias = self.aliases.node(&name.given);
        let known: Vec<_> = self.group.members().named(name, alias).collect();
        let mut keys = vec![Key::Address(name.address.clone())];
        keys.extend(name.resolved.iter().map(|socket| Key::Address((*socket).into())));
        keys.extend(known.iter().map(|(identity, _)| Key::Node(identity.node)));
        if let Some((identity, _)) = known.iter().find(|(_, is_up)| *is_up)
            && !self.group.removals().is_any_removed(&keys)
        {
            self.aliases.note(name.given.clone(), identity.node);
            return Ok(Vec::new());
        }
        if !self.asks.may_register(&name.address) {
            return Err(PeersRefusal::TooManyAsked(ASKS_MAX));
        }
        let seen = known.iter().map(|(identity, _)| identity.epoch).max().unwrap_or(0);
        let removals = self.group.removals_mut();
        let lifted = removals.lift(&keys, seen, turn.now);
        removals.report_lifted(&lifted, Destination::Address(name.address.clone()), turn);
        self.asks.register(name.given.clone(), name.address.clone(), turn);
        Ok(lifted)
    }

    /// An operator removes a peer: the records that must be journaled and passed on.
    ///
    /// # Errors
    /// See [`Registry::remove`].
    pub(crate) fn remove(
        &mut self,
        name: &PeerName,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        if self.group.own().is_named(name) {
            return Ok(Vec::new());
        }
        self.asks.unregister(&name.address);
        let named = self.group.members().named(name, self.aliases.node(&name.given));
        let found: Vec<Identity> = named
            .filter(|(identity, _)| {
                // Who was away only would come back by itself.
                let removals = self.group.removals();
                !removals.is_removed(identity) || removals.is_absent(identity)
            })
            .map(|(identity, _)| identity.clone())
            .collect();
        let records = self.group.removals_mut().remove(&found, turn.now)?;
        self.group.drop_removed(turn);
        self.hasten_asks(turn.now);
        Ok(records)
    }

    /// Merges records that others hold; those that were new here must be journaled and passed on.
    pub(crate) fn merge_memberships(
        &mut self,
        records: &[MembershipRecord],
        turn: &mut Turn<'_>,
    ) -> Vec<MembershipRecord> {
        let news = self.group.merge_memberships(records, turn);
        self.hasten_asks(turn.now);
        news
    }

    /// The epoch of a removal that comes after all that is known of a node.
    pub(crate) fn next_epoch(&self, node: NodeId, now: Time) -> u64 {
        self.group.removals().next_epoch(node, self.group.members().identity(node), now)
    }

    /// Removes a member that was away: the record that says so, if that is new here.
    pub(crate) fn remove_absent(
        &mut self,
        absentee: &Absentee,
        turn: &mut Turn<'_>,
    ) -> Option<MembershipRecord> {
        let record = self.group.remove_absent(absentee, turn);
        self.hasten_asks(turn.now);
        record
    }

    /// Who was removed because it was away, as an earlier start knew.
    pub(crate) fn recover_absent<'a>(&mut self, absent: impl Iterator<Item = &'a Absentee>) {
        for absentee in absent {
            self.group.removals_mut().remove_absent(absentee);
        }
    }

    /// Takes a node back that was away and has spoken: the records that say so, to be journaled and
    /// passed on.
    pub(crate) fn take_back(&mut self, node: NodeId, turn: &mut Turn<'_>) -> Vec<MembershipRecord> {
        self.group.take_back(node, turn)
    }

    /// The address of a node that was met.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<&Address> {
        self.group.members().identity(node).map(|identity| &identity.address)
    }

    /// A message of the membership protocol has arrived.
    pub(crate) fn handle_swim(
        &mut self,
        packet: &[u8],
        from: SocketAddr,
        turn: &mut Turn<'_>,
    ) -> Result<(), SwimError> {
        let done = self.group.handle_swim(packet, from, turn);
        self.hasten_asks(turn.now);
        done
    }

    /// The peer said over its link that it leaves.
    pub(crate) fn left(&mut self, identity: &Identity, turn: &mut Turn<'_>) {
        self.group.left(identity, turn);
        self.hasten_asks(turn.now);
    }

    /// Says goodbye to the members.
    pub(crate) fn leave(&mut self, turn: &mut Turn<'_>) {
        self.group.leave(turn);
        self.hasten_asks(turn.now);
        self.asks.clear();
    }

    /// Goes on under a fresh origin, and announces it.
    pub(crate) fn take_fresh_origin(&mut self, origin: OriginId, turn: &mut Turn<'_>) {
        self.group.take_fresh_origin(origin, turn);
    }

    /// Another process answers under our NodeId: starts over under a fresh one.
    pub(crate) fn take_fresh_id(&mut self, turn: &mut Turn<'_>) {
        self.group.take_fresh_id(turn);
    }

    fn hasten_asks(&mut self, now: Time) {
        if self.group.take_has_lost_members() {
            self.asks.hasten(now);
        }
    }
}

#[cfg(test)]
mod tests;
