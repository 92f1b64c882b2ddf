//! Addresses that are asked who is there: seeds, again and again, what an operator registers, and
//! where another is said to live under our NodeId.

use std::time::Duration;

use super::{Peer, Peers};
use crate::effect::{Destination, Effect};
use crate::event::Event;
use crate::identity::{Address, Identity, NodeId};
use crate::membership::{Key, MembershipRecord, PeersRefusal};
use crate::query::PeerName;
use crate::status::Totals;
use crate::time::Time;
use crate::wire::datagram::Datagram;

/// How long a peer that was registered by hand may take to answer.
const REGISTERED_PATIENCE: Duration = Duration::from_secs(5);

/// The time between asks of an address that was registered by hand, or of a seed while alone.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The time between asks of a seed at whose address no member is up: behind it may be an island that
/// knows of this one by seeds alone.
const ASK_UNMET_EVERY: Duration = Duration::from_secs(1);

/// Such seeds that are asked in that time, half a kilobyte each; where there are more, each has its
/// turn later.
const ASK_UNMET_AT_ONCE: u32 = 16;

/// The time between asks of a seed whose node is known, if it was given by an address: another node
/// may come to live there.
const ASK_MET_EVERY: Duration = Duration::from_secs(15);

/// The same if it was given by a name, which may stand for many nodes: as often as a node calls.
const ASK_NAMED_EVERY: Duration = Duration::from_secs(3);

/// Seeds, and addresses that are being asked because operators registered them: so many of each.
pub(super) const ASKS_MAX: usize = 256;

/// Names under which operators know nodes.
const ALIASES_MAX: usize = 1024;

/// An address that is asked for its identity.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) given: String,
    pub(super) address: Address,
    pub(super) next: Time,
    pub(super) reason: Reason,
    /// Who answered last.
    answered: Option<NodeId>,
    /// Sequence numbers of the last beacons that were sent there.
    sequences: [Option<u64>; 4],
}

/// Why an address is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is a seed: it is asked for ever.
    Seed,
    /// An operator registered it.
    Registered { until: Time },
    /// Someone is said to live there under our NodeId.
    OurId { until: Time },
}

impl Ask {
    pub(super) fn new(given: String, address: Address, reason: Reason, next: Time) -> Self {
        Ask { given, address, next, reason, answered: None, sequences: [None; 4] }
    }

    pub(super) fn is_registration(&self) -> bool {
        matches!(self.reason, Reason::Registered { .. })
    }

    /// When it is given up.
    fn until(&self) -> Option<Time> {
        match self.reason {
            Reason::Seed => None,
            Reason::Registered { until } | Reason::OurId { until } => Some(until),
        }
    }
}

impl Peers {
    /// The addresses that are to be asked now.
    pub fn due_asks(&mut self, now: Time) -> Vec<Address> {
        if self.asks.iter().all(|ask| ask.next > now) {
            return Vec::new();
        }
        let is_alone = self.swim.num_members() == 0;
        let is_met: Vec<bool> = self.asks.iter().map(|ask| self.is_met(ask)).collect();
        let unmet = is_met.iter().filter(|is_met| !**is_met).count();
        let turns = u32::try_from(unmet).unwrap_or(u32::MAX).div_ceil(ASK_UNMET_AT_ONCE);
        let mut due = Vec::new();
        for (ask, is_met) in self.asks.iter_mut().zip(is_met).filter(|(ask, _)| ask.next <= now) {
            let every = match (ask.reason, ask.address.ip()) {
                (Reason::Seed, _) if !is_alone && !is_met => ASK_UNMET_EVERY * turns,
                (Reason::Seed, Some(_)) if is_met => ASK_MET_EVERY,
                (Reason::Seed, None) if is_met => ASK_NAMED_EVERY,
                _ => ASK_EVERY,
            };
            ask.next = now + every;
            due.push(ask.address.clone());
        }
        due
    }

    /// Whether a member is up at the address that is asked, or was the last one to answer there.
    fn is_met(&self, ask: &Ask) -> bool {
        let is_up = |peer: &Peer| peer.is_up && !peer.is_superseded;
        let answered = ask.answered.and_then(|node| self.peers.get(&node));
        answered.is_some_and(is_up)
            || self.peers.values().any(|peer| is_up(peer) && peer.identity.address == ask.address)
    }

    /// A member is down: seeds that were asked rarely because of it are to be asked soon.
    pub(super) fn hasten_asks(&mut self, now: Time) {
        for ask in &mut self.asks {
            ask.next = ask.next.min(now + ASK_UNMET_EVERY);
        }
    }

    /// Notes the beacon with which an address was asked.
    pub fn asked(&mut self, address: &Address, sequence: u64) {
        for ask in self.asks.iter_mut().filter(|ask| ask.address == *address) {
            ask.sequences.rotate_right(1);
            ask.sequences[0] = Some(sequence);
        }
    }

    /// Someone answered the beacon with this sequence number.
    pub fn answered(
        &mut self,
        now: Time,
        sequence: u64,
        identity: Identity,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) -> Vec<MembershipRecord> {
        let is_asked = |ask: &Ask| ask.sequences.contains(&Some(sequence));
        for seed in self.asks.iter_mut().filter(|ask| ask.reason == Reason::Seed && is_asked(ask)) {
            seed.answered = Some(identity.node);
        }
        let asked = self.asks.iter().position(|ask| ask.reason != Reason::Seed && is_asked(ask));
        let mut lifted = Vec::new();
        if let Some(ask) = asked.map(|at| self.asks.swap_remove(at)) {
            if !ask.is_registration() {
                self.judge_doubt(now, &identity);
                return lifted;
            }
            self.remember_name(ask.given, identity.node);
            if self.registry.is_removed(&identity) {
                // It has moved since it was removed: the operator registered it where it is now.
                let (keys, clock_ms) = ([Key::Node(identity.node)], self.clock_ms(now));
                lifted = self.registry.register(&keys, identity.epoch, clock_ms);
                self.notify(now, &identity, Destination::Address(ask.address), out);
            }
        }
        self.rumour(now, identity, totals, out);
        lifted
    }

    /// An operator takes a peer in: the records that must be journaled and told to others.
    ///
    /// # Errors
    /// [`PeersRefusal::TooManyAsked`]; nothing has changed then.
    pub fn register(
        &mut self,
        now: Time,
        name: &PeerName,
        totals: &mut Totals,
        out: &mut Vec<Effect>,
    ) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        if self.is_me(name) {
            return Ok(Vec::new());
        }
        let known: Vec<(Identity, bool)> =
            self.found(name).map(|peer| (peer.identity.clone(), peer.is_up)).collect();
        let mut keys = vec![Key::Address(name.address.clone())];
        keys.extend(name.resolved.iter().map(|socket| Key::Address((*socket).into())));
        keys.extend(known.iter().map(|(identity, _)| Key::Node(identity.node)));
        let is_removed = keys.iter().any(|key| self.registry.of(key).is_removed());
        if let Some((identity, _)) = known.iter().find(|(_, is_up)| *is_up)
            && !is_removed
        {
            self.remember_name(name.given.clone(), identity.node);
            return Ok(Vec::new());
        }
        let mut registered = self.asks.iter().filter(|ask| ask.is_registration());
        let is_asked = registered.any(|ask| ask.address == name.address);
        let registered = self.asks.iter().filter(|ask| ask.is_registration()).count();
        if !is_asked && registered >= ASKS_MAX {
            return Err(PeersRefusal::TooManyAsked(ASKS_MAX));
        }
        let seen = known.iter().map(|(identity, _)| identity.epoch).max().unwrap_or(0);
        let lifted = self.registry.register(&keys, seen, self.clock_ms(now));
        for membership in &lifted {
            out.push(Effect::Event(Event::PeerRegistered(membership.clone())));
        }
        if !lifted.is_empty() {
            let bytes = self.envelope.seal(&Datagram::Membership(lifted.clone()));
            out.push(Effect::Datagram { to: Destination::Address(name.address.clone()), bytes });
        }
        if !is_asked {
            out.push(Effect::Event(Event::PeerJoining(name.given.clone())));
            let reason = Reason::Registered { until: now + REGISTERED_PATIENCE };
            self.asks.push(Ask::new(name.given.clone(), name.address.clone(), reason, now));
        }
        self.flush(now, totals, out);
        Ok(lifted)
    }

    /// Notes the name under which an operator knows a node. Where there are too many, the one that
    /// was noted longest ago goes: to be removed under it, its node must be registered once more.
    pub(super) fn remember_name(&mut self, given: String, node: NodeId) {
        self.aliases.retain(|(name, _)| *name != given);
        self.aliases.push_back((given, node));
        if self.aliases.len() > ALIASES_MAX {
            self.aliases.pop_front();
        }
    }

    pub(super) fn give_up_asks(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.asks.retain(|ask| {
            let is_over = ask.until().is_some_and(|until| until <= now);
            if is_over && ask.is_registration() {
                out.push(Effect::Event(Event::PeerNeverAnswered(ask.given.clone())));
            }
            !is_over
        });
    }
}
