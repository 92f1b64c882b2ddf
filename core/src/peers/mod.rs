//! The Peers Manager: who is a member, who answers, who is out.
//!
//! Failure detection and its gossip are SWIM (Das, Gupta, Motivala: "SWIM: Scalable
//! Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002), by the crate
//! foca. This room decides what foca leaves open: whom to announce to and how often, what becomes
//! of a node that the others took for dead, and (in `removals`) that a removed node is met by nobody:
//! its messages and the gossip about it are refused before foca sees them.
//!
//! Rejected: foca's own renewal of identities. A removed node would renew itself for ever.

mod asks;
pub(crate) mod comparison;
pub mod discovery;
mod faults;
mod members;
mod notifications;
mod own_id;
pub mod registry;
mod removals;
mod rumours;
mod swim_packet;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, Member, PostcardCodec, State, Timer};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::effect::{Destination, Effect};
use crate::identity::{Address, BOOT_MAX, Identity, NodeId, OriginId};
use crate::limit::RateLimit;
use crate::peers::registry::Registry;
use crate::query::PeerName;
use crate::status::{PeerState, Totals};
use crate::time::Time;
use crate::wire::datagram::{DATAGRAM_BYTES_MAX, ENVELOPE_BYTES, Envelope};

pub(crate) use members::DOWN_MAX;

use asks::{ASKS_MAX, Ask, Reason};
use faults::{FAULTS_PER_SECOND, Faults};
use members::STRANGERS_PER_SECOND;
use notifications::{NEWER_INCARNATIONS_PER_SECOND, REJOIN_MIN};
use removals::NOTICES_PER_SECOND;
use rumours::{ANNOUNCE_EVERY, RUMOURS_MAX, Rumour};

fn config() -> foca::Config {
    // A crash is seen by its first failed probe, at most two periods and a bit later at three
    // nodes, and declared when the suspicion ends: some 4 s. (foca's own LAN settings: 6 to 12 s.)
    let one = NonZeroUsize::MIN;
    let three = one.saturating_add(2);
    foca::Config {
        probe_period: Duration::from_millis(700),
        probe_rtt: Duration::from_millis(250),
        num_indirect_probes: three,
        max_transmissions: NonZeroU8::MIN.saturating_add(9),
        suspect_to_down_after: Duration::from_secs(2),
        // Never forgotten by time; `forget_longest_down` bounds their number.
        remove_down_after: None,
        max_packet_size: one.saturating_add(DATAGRAM_BYTES_MAX - ENVELOPE_BYTES - 8 - 1),
        notify_down_members: true,
        periodic_announce: Some(foca::PeriodicParams {
            frequency: Duration::from_secs(5),
            num_members: one,
        }),
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(foca::PeriodicParams {
            frequency: Duration::from_millis(200),
            num_members: three,
        }),
    }
}

type Swim = Foca<Identity, PostcardCodec, ChaCha8Rng, foca::NoCustomBroadcast>;

/// What has changed about a peer, for those who keep links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It answers.
    Up(NodeId),
    /// Somebody was removed, perhaps this node: see [`Peers::bars`].
    Removal,
    /// Others know a life of this node's id that none of ours can follow.
    NewerIncarnation,
    /// Another process answers under this node's id.
    IdInUse,
}

/// A row of the table of peers.
#[derive(Clone, Debug)]
pub struct Listed {
    /// As it was given by hand, or where it answers.
    pub address: String,
    /// Unknown until it has answered.
    pub identity: Option<Identity>,
    /// How it is.
    pub state: PeerState,
    /// Whether `GET /peers` lists it.
    pub is_listed: bool,
}

#[derive(Debug)]
struct Peer {
    identity: Identity,
    is_up: bool,
    since: Time,
    announced: Time,
    /// Another node answers at its address: nobody is there to announce to.
    is_superseded: bool,
    /// Whether it was told to be suspect and has not been told to be anything else since.
    is_suspect: bool,
}

impl Peer {
    /// Takes another identity. What was found out about the address does not go with it to another.
    fn is_now(&mut self, identity: Identity) {
        self.is_superseded &= identity.address == self.identity.address;
        self.identity = identity;
    }
}

/// Everyone that this node has been told of.
pub struct Peers {
    me: Identity,
    envelope: Envelope,
    swim: Swim,
    chance: ChaCha8Rng,
    runtime: AccumulatingRuntime<Identity>,
    timers: BTreeMap<(Time, u64), Timer<Identity>>,
    timers_ever: u64,
    peers: BTreeMap<NodeId, Peer>,
    rumours: BTreeMap<NodeId, Rumour>,
    /// Starts that were told to be joining: who calls for long and never answers is told of once.
    joining: BTreeSet<OriginId>,
    asks: Vec<Ask>,
    /// Names under which peers were registered, the latest last.
    aliases: VecDeque<(String, NodeId)>,
    registry: Registry,
    /// A time, and what a wall clock showed then, in milliseconds.
    clock: (Time, u64),
    next_announce: Time,
    rejoin: Option<Time>,
    rejoin_wait: Duration,
    /// The latest start that others hold for our address's: our next one must come after it.
    boot_to_beat: u64,
    rejoined: Time,
    /// When another process last answered under the id that we had then.
    id_answered: Option<Time>,
    notices: RateLimit,
    strangers: RateLimit,
    newer_incarnations: RateLimit,
    faults: Faults,
    fault_events: RateLimit,
    has_left: bool,
    changes: Vec<Change>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").field("me", &self.me).field("peers", &self.peers).finish()
    }
}

impl Peers {
    /// A node that knows only its seeds.
    pub fn new(
        me: Identity,
        envelope: Envelope,
        seeds: &[Address],
        mut chance: ChaCha8Rng,
        now: Time,
    ) -> Self {
        let asks = seeds
            .iter()
            .take(ASKS_MAX)
            .filter(|seed| **seed != me.address)
            .map(|seed| Ask::new(seed.as_str().to_owned(), seed.clone(), Reason::Seed, now))
            .collect();
        let swim = new_swim(&me, &mut chance);
        let boot_ms = me.boot;
        Peers {
            me,
            envelope,
            swim,
            chance,
            runtime: AccumulatingRuntime::new(),
            timers: BTreeMap::new(),
            timers_ever: 0,
            peers: BTreeMap::new(),
            rumours: BTreeMap::new(),
            joining: BTreeSet::new(),
            asks,
            aliases: VecDeque::new(),
            registry: Registry::default(),
            clock: (now, boot_ms),
            next_announce: now,
            rejoin: None,
            rejoin_wait: REJOIN_MIN,
            boot_to_beat: 0,
            rejoined: now,
            id_answered: None,
            notices: RateLimit::new(NOTICES_PER_SECOND, NOTICES_PER_SECOND, now),
            strangers: RateLimit::new(STRANGERS_PER_SECOND, STRANGERS_PER_SECOND, now),
            newer_incarnations: RateLimit::new(NEWER_INCARNATIONS_PER_SECOND, 2, now),
            faults: Faults::default(),
            fault_events: RateLimit::new(FAULTS_PER_SECOND, FAULTS_PER_SECOND, now),
            has_left: false,
            changes: Vec::new(),
        }
    }

    /// Takes over what an earlier start of this node knew: who was removed, and whom it met. Those
    /// are down until they answer, and are announced to at once.
    pub(crate) fn recover(
        &mut self,
        now: Time,
        registry: Registry,
        known: impl Iterator<Item = Identity>,
    ) {
        self.registry = registry;
        let epoch = self.registry.epoch_of(self.me.node, &self.me.address);
        if epoch > self.me.epoch {
            self.me.epoch = epoch;
            self.swim = new_swim(&self.me, &mut self.chance);
        }
        // An earlier release may have kept numbers that are nobody's.
        let known = known.filter(|known| known.node != self.me.node && known.is_sane());
        for identity in known {
            let is_superseded = identity.address == self.me.address;
            let peer = Peer {
                identity,
                is_up: false,
                since: now,
                announced: Time::ZERO,
                is_superseded,
                is_suspect: false,
            };
            self.peers.insert(peer.identity.node, peer);
        }
    }

    /// Everyone whom this node has met and not forgotten.
    pub(crate) fn met(&self) -> impl Iterator<Item = &Identity> {
        self.peers.values().map(|peer| &peer.identity)
    }

    /// Whether it has met anyone.
    pub(crate) fn has_met_anyone(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Who this node is.
    pub fn me(&self) -> &Identity {
        &self.me
    }

    /// Removals and registrations.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether the cluster has removed this node.
    pub fn am_removed(&self) -> bool {
        self.registry.is_removed(&self.me)
    }

    /// Whether there are addresses to ask.
    pub fn has_seeds(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether this node has told the others that it goes.
    pub fn has_left(&self) -> bool {
        self.has_left
    }

    /// The members that answer, in the order of their ids.
    pub fn up(&self) -> impl Iterator<Item = &Identity> {
        let removed = self.am_removed();
        self.peers.values().filter(move |peer| peer.is_up && !removed).map(|peer| &peer.identity)
    }

    /// The member with this id, if it answers.
    pub fn up_member(&self, node: NodeId) -> Option<&Identity> {
        let removed = self.am_removed();
        self.peers.get(&node).filter(|peer| peer.is_up && !removed).map(|peer| &peer.identity)
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// When [`Peers::tick`] has something to do.
    pub fn next_deadline(&self) -> Time {
        let timers = self.timers.keys().next().map(|(at, _)| *at);
        let rumours = self.rumours.values().map(|rumour| rumour.next).min();
        let asks = self.asks.iter().map(|ask| ask.next).min();
        [timers, rumours, asks, self.rejoin]
            .into_iter()
            .flatten()
            .fold(self.next_announce, Time::min)
    }

    /// Does what is due but for the asks.
    pub fn tick(&mut self, now: Time, totals: &mut Totals, out: &mut Vec<Effect>) {
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            let timer = entry.remove();
            // A timer that is no longer wanted is no error.
            let done = self.swim.handle_timer(timer, &mut self.runtime);
            self.check("handling a timer", done);
            self.flush(now, totals, out);
        }
        if self.rejoin.is_some_and(|at| at <= now) {
            self.rejoin = None;
            self.take_next_boot(now, self.boot_to_beat, totals, out);
        }
        self.announce_rumours(now, totals, out);
        if self.next_announce <= now {
            self.next_announce = now + ANNOUNCE_EVERY;
            self.announce_to_down(now, totals, out);
        }
        self.give_up_asks(now, out);
    }

    /// A message of the membership protocol has arrived.
    ///
    /// # Errors
    /// If it is none.
    pub fn handle_swim(
        &mut self,
        now: Time,
        packet: &[u8],
        from: std::net::SocketAddr,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) -> Result<(), SwimError> {
        if self.has_left {
            return Ok(());
        }
        let parsed = swim_packet::parse(packet).ok_or(SwimError::Malformed)?;
        let sender = parsed.sender();
        if self.registry.is_removed(sender) {
            self.notify(now, &sender.clone(), Destination::Socket(from), out);
            return Err(SwimError::Removed);
        }
        if !self.is_member(sender) && !self.strangers.allow(now) {
            return Err(SwimError::Limited);
        }
        if !self.has_room_for(sender.node) {
            totals.members_refused += 1;
            return Err(SwimError::Full);
        }
        self.tell_what_it_missed(now, &sender.clone(), Destination::Socket(from), out);
        if parsed.is_obituary() && self.rejoin.is_some() {
            // We know, and are about to return. foca would answer a sender that it holds for down
            // with the same message, and two nodes that do so never stop.
            return Ok(());
        }
        if let Some(later) = parsed.newer_incarnation_of(&self.me) {
            let (epoch, boot) = (later.epoch, later.boot);
            // A removed node keeps its id: under another its removal would not be found.
            if epoch > self.next_epoch() && !self.am_removed() {
                // That of a copied disk at an address that was registered anew, as a rule. No boot
                // of ours comes after it, so this id is lost to us.
                self.changes.push(Change::NewerIncarnation);
                return Ok(());
            }
            // Whoever says so may say it a thousand times a second.
            if self.newer_incarnations.allow(now) {
                self.take_next_boot(now, boot, totals, out);
            } else {
                self.boot_to_beat = self.boot_to_beat.max(boot);
                self.plan_rejoin(now);
            }
        }
        let admitted = match parsed.without(
            |id| self.registry.is_removed(id),
            |member| {
                let is_welcome = member.id().is_sane()
                    && (member.state() == State::Down || self.has_room_for(member.id().node));
                totals.members_refused += u64::from(!is_welcome);
                is_welcome
            },
        ) {
            Some(packet) => packet,
            None => return Err(SwimError::Removed),
        };
        let sender = parsed.sender().clone();
        let done = self.swim.handle_data(&admitted, &mut self.runtime);
        let is_taken = self.is_taken(done);
        // What answers an announcement may answer that very word, and has been told.
        if !parsed.is_feed() {
            self.tell_of_newer_incarnation(&sender);
        }
        self.flush(now, totals, out);
        if is_taken { Ok(()) } else { Err(SwimError::Refused) }
    }

    /// The sender is down to us because of a newer incarnation of its id, lived elsewhere: a copied disk's,
    /// that has taken another id since. It may have been our own life. foca tells the sender that it
    /// is down, but not which boot it has to beat; an announcement to that life, sent where the sender
    /// is, does.
    fn tell_of_newer_incarnation(&mut self, sender: &Identity) {
        if self.is_member_up(sender.node) {
            return;
        }
        let is_later = |id: &&Identity| id.node == sender.node && id.order() > sender.order();
        let later = self.swim.iter_membership_state().map(Member::id).find(is_later).cloned();
        if let Some(later) = later {
            let there = Identity { address: sender.address.clone(), ..later };
            let done = self.swim.announce(there, &mut self.runtime);
            self.check("announcing", done);
        }
    }

    /// The peer said over its link that it leaves.
    pub fn left(
        &mut self,
        now: Time,
        identity: &Identity,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) {
        self.declare_down(identity.clone());
        self.flush(now, totals, out);
    }

    /// Tells the others that this node goes.
    pub fn leave(&mut self, now: Time, totals: &mut Totals, out: &mut Vec<Effect>) {
        let done = self.swim.leave_cluster(&mut self.runtime);
        self.check("leaving", done);
        self.flush(now, totals, out);
        self.has_left = true;
        self.rejoin = None;
        self.asks.clear();
        self.rumours.clear();
    }

    /// Every peer with its state, and whether `GET /peers` lists it.
    pub fn list(&self) -> Vec<Listed> {
        let suspects: Vec<NodeId> = self
            .swim
            .iter_members()
            .filter(|member| member.state() == State::Suspect)
            .map(|member| member.id().node)
            .collect();
        let removed = self.am_removed();
        let asked = self.asks.iter().filter(|ask| ask.is_registration()).map(|ask| Listed {
            address: ask.given.clone(),
            identity: None,
            state: PeerState::Joining,
            is_listed: true,
        });
        let unknown = |rumour: &&Rumour| !self.peers.contains_key(&rumour.identity.node);
        let rumoured = self.rumours.values().filter(unknown).map(|rumour| Listed {
            address: rumour.identity.address.to_string(),
            identity: Some(rumour.identity.clone()),
            state: PeerState::Joining,
            is_listed: false,
        });
        let members = self.peers.values().filter(|peer| !peer.is_superseded).map(|peer| {
            let identity = &peer.identity;
            let state = if self.registry.is_removed(identity) {
                PeerState::Removed
            } else if !peer.is_up {
                PeerState::Down
            } else if suspects.contains(&identity.node) {
                PeerState::Suspect
            } else {
                PeerState::Alive
            };
            Listed {
                address: identity.address.to_string(),
                identity: Some(identity.clone()),
                state,
                is_listed: matches!(state, PeerState::Alive | PeerState::Suspect) && !removed,
            }
        });
        let mut list: Vec<Listed> = asked.chain(rumoured).chain(members).collect();
        list.sort_by(|a, b| a.address.cmp(&b.address));
        list
    }

    fn is_me(&self, name: &PeerName) -> bool {
        name.address == self.me.address
            || name.resolved.iter().any(|socket| Address::from(*socket) == self.me.address)
    }

    fn found<'a>(&'a self, name: &'a PeerName) -> impl Iterator<Item = &'a Peer> {
        let alias = self.aliases.iter().find(|(given, _)| *given == name.given);
        let alias = alias.map(|(_, node)| *node);
        self.peers.values().filter(move |peer| {
            let address = &peer.identity.address;
            *address == name.address
                || alias == Some(peer.identity.node)
                || address.ip().is_some_and(|socket| name.resolved.contains(&socket))
        })
    }

    fn declare_down(&mut self, identity: Identity) {
        let down = std::iter::once(Member::down(identity));
        let done = self.swim.apply_many(down, true, &mut self.runtime);
        self.check("declaring a member down", done);
    }

    /// Takes the identity that comes after ours and after `boot`, and tells everyone.
    fn take_next_boot(&mut self, now: Time, boot: u64, totals: &mut Totals, out: &mut Vec<Effect>) {
        if self.am_removed() || self.has_left {
            return;
        }
        let next = self.me.boot.max(boot).saturating_add(1);
        if next > BOOT_MAX {
            // No boot comes after those that others know, so this id is lost to us.
            self.changes.push(Change::NewerIncarnation);
            return;
        }
        self.me.boot = next;
        self.me.epoch = self.next_epoch();
        self.rejoined = now;
        let done = self.swim.change_identity(self.me.clone(), &mut self.runtime);
        self.check("changing our identity", done);
        // foca is not connected until somebody writes to the new identity, and would probe nobody
        // until then; an empty update makes it look at the members that it has.
        let done = self.swim.apply_many(std::iter::empty(), false, &mut self.runtime);
        self.check("looking at the members", done);
        let members: Vec<Identity> = self
            .peers
            .values()
            .filter(|peer| !peer.is_superseded && !self.registry.is_removed(&peer.identity))
            .map(|peer| peer.identity.clone())
            .take(RUMOURS_MAX)
            .collect();
        for identity in members {
            let done = self.swim.announce(identity, &mut self.runtime);
            self.check("announcing", done);
        }
        self.flush(now, totals, out);
    }

    /// The epoch of our next identity.
    fn next_epoch(&self) -> u64 {
        self.me.epoch.max(self.registry.epoch_of(self.me.node, &self.me.address))
    }

    fn is_member_up(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.is_up)
    }
}

/// Why a message of the membership protocol was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwimError {
    /// It is none.
    #[error("malformed membership message")]
    Malformed,
    /// Its sender, or whom it is about, was removed.
    #[error("from or about a removed node")]
    Removed,
    /// More than what others than members may say in a second.
    #[error("too many messages from others than members")]
    Limited,
    /// Its sender would be a member too many.
    #[error("there are as many members as can be")]
    Full,
    /// It is for or from an identity that is over, or not what its kind says.
    #[error("not taken")]
    Refused,
}

fn new_swim(me: &Identity, chance: &mut ChaCha8Rng) -> Swim {
    use rand_core::SeedableRng;
    let mut seed = [0; 32];
    chance.fill_bytes(&mut seed);
    Foca::new(me.clone(), config(), ChaCha8Rng::from_seed(seed), PostcardCodec)
}

#[cfg(test)]
mod tests;
