//! Links: one connection between two live nodes, from the dial to its end.
//!
//! `dials` says whom to dial and when, `handshake` how the two sides come to believe each other. A
//! link lives until it is silent for three seconds, replaced, or its peer removed; never because
//! the membership protocol holds the peer for down, since a link that still talks is proof of the
//! contrary. One NodeId is one process: a second one that claims it is held at the door while the
//! first is asked for a sign of life (rule `one-node-one-process`).

mod dials;
mod handshake;
mod round_trip;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::effect::Effect;
use crate::event::{Event, LinkEnd};
use crate::identity::{Identity, NodeId, OriginId};
use crate::input::LinkId;
pub(crate) use crate::links::round_trip::ClockOffset;
use crate::links::round_trip::RoundTrips;
use crate::membership::MembershipRecord;
use crate::peers::Peers;
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::auth::{Role, Secret};
use crate::wire::frame::{self, Goodbye, Hello, Message};
use crate::wire::versions::PROTOCOL_VERSIONS;

use dials::Dials;

/// A link on which nothing was heard for so long is dead. TCP would find out much later: its own
/// back-off outlives a healed partition.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// So often each side gives a sign of life, whatever its disk does.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_millis(900);

/// The same while there are too few round trips yet to know the shortest: links begin when their
/// nodes have more to do than later.
const FIRST_SIGNS_EVERY: Duration = Duration::from_millis(100);

/// How long a handshake may take in all.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// Links whose other side has not proved itself. Strangers open these.
const UNPROVED_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// We wait for the other side's hello.
    Hello,
    /// … its proof.
    Proof,
    /// … the acceptor's welcome.
    Welcome,
    /// It has proved itself, and waits for the link that it would replace to show that it lives.
    Held { until: Time, rival: LinkId, probe: u64 },
    /// It carries replication.
    Established,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    role: Role,
    phase: Phase,
    dialed: Option<NodeId>,
    peer: Option<Identity>,
    /// The highest protocol version that both sides speak.
    version: u16,
    our_hello: Bytes,
    their_hello: Bytes,
    opened: Time,
    heard: Time,
    said: Time,
    round_trips: RoundTrips,
}

/// What a step of a link's life means for the other rooms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing.
    None,
    /// It stands.
    Established(LinkId, Identity),
    /// It has ended; it may have been established.
    Ended(LinkId),
    /// Another process lives under our NodeId.
    OurIdIsInUse(LinkId),
    /// The other side may be there, but is no member as far as we know: it is to be announced to,
    /// and the link to be left.
    NoMember(LinkId, Identity),
    /// The peer says that it leaves the cluster.
    PeerLeaves(LinkId, Identity),
    /// The peer says that this node was removed.
    WeAreRemoved(LinkId, Vec<MembershipRecord>),
}

/// All connections of a node.
#[derive(Debug)]
pub(crate) struct Links {
    cluster: String,
    secret: Option<Secret>,
    /// Nonces are made of it.
    chance: ChaCha8Rng,
    links: BTreeMap<LinkId, Link>,
    by_peer: BTreeMap<NodeId, LinkId>,
    dials: Dials,
    replaced: Vec<LinkId>,
    look_at: Option<Time>,
    /// The highest version that is spoken, if not the highest that is known.
    version_max: Option<u16>,
    /// The lowest version that is spoken, if not the lowest that is known.
    version_min: Option<u16>,
}

impl Links {
    pub(crate) fn new(cluster: String, secret: Option<Secret>, chance: ChaCha8Rng) -> Self {
        Links {
            cluster,
            secret,
            chance,
            links: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            dials: Dials::default(),
            replaced: Vec::new(),
            look_at: None,
            version_max: None,
            version_min: None,
        }
    }

    /// The cluster's name.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Speaks no later version than this, as an earlier release does.
    pub(crate) fn speak_up_to(&mut self, version: u16) {
        self.version_max = Some(version);
    }

    /// Speaks no earlier version than this; tells the links that do.
    pub(crate) fn speak_from(&mut self, version: u16) -> Vec<LinkId> {
        let version = version.max(self.version_min.unwrap_or(version));
        self.version_min = Some(version);
        self.by_peer.values().copied().filter(|link| self.version(*link) < version).collect()
    }

    /// A peer to which a link speaks an earlier version than this.
    pub(crate) fn older_than(&self, version: u16) -> Option<NodeId> {
        let is_older = |(_, link): &(&NodeId, &LinkId)| self.version(**link) < version;
        self.by_peer.iter().find(is_older).map(|(node, _)| *node)
    }

    fn versions(&self) -> (u16, u16) {
        let (lowest, highest) = PROTOCOL_VERSIONS;
        (self.version_min.unwrap_or(lowest), self.version_max.unwrap_or(highest))
    }

    /// The established link to a peer.
    pub(crate) fn to_peer(&self, node: NodeId) -> Option<LinkId> {
        self.by_peer.get(&node).copied()
    }

    /// Since when there is no link to a peer that is up; `None` if that was not looked at yet.
    pub(crate) fn missing_since(&self, node: NodeId) -> Option<Time> {
        self.dials.since(node)
    }

    /// Every established link.
    pub(crate) fn established(&self) -> Vec<LinkId> {
        self.by_peer.values().copied().collect()
    }

    /// Every link, in whatever state.
    pub(crate) fn all(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// Links that a removal ends, in whatever state, each with its goodbye.
    pub(crate) fn barred(&self, peers: &Peers) -> Vec<(LinkId, Goodbye)> {
        let barred = self.links.iter().filter(|(_, state)| match (&state.peer, state.dialed) {
            (Some(peer), _) => peers.bars(peer),
            (None, Some(node)) => peers.bars_node(node),
            (None, None) => peers.am_removed(),
        });
        barred.map(|(link, state)| (*link, state.barred_by(peers))).collect()
    }

    /// Whose an established link is.
    pub(crate) fn peer_of(&self, link: LinkId) -> Option<&Identity> {
        self.links.get(&link).filter(|l| l.phase == Phase::Established)?.peer.as_ref()
    }

    /// The peer of a link goes on under another origin.
    pub(crate) fn peer_takes_origin(&mut self, link: LinkId, origin: OriginId) {
        let peer = self.links.get_mut(&link).and_then(|state| state.peer.as_mut());
        if let Some(peer) = peer {
            peer.origin = origin;
        }
    }

    /// The protocol version that is spoken on a link.
    pub(crate) fn version(&self, link: LinkId) -> u16 {
        self.links.get(&link).map_or(PROTOCOL_VERSIONS.0, |state| state.version)
    }

    /// When [`Links::tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let links = self.links.values().map(|link| match link.phase {
            Phase::Established => (link.heard + SILENCE_MAX).min(link.next_sign()),
            Phase::Held { until, .. } => until,
            _ => link.opened + HANDSHAKE_MAX,
        });
        links.chain(self.dials.next_deadline()).chain(self.look_at).min()
    }

    /// A connection stands.
    pub(crate) fn opened(
        &mut self,
        link: LinkId,
        dialed: Option<NodeId>,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) {
        let unproved = self.links.values().filter(|l| l.phase != Phase::Established).count();
        if unproved >= UNPROVED_MAX {
            turn.totals.hellos_refused += 1;
            turn.at_once.push(Effect::CloseLink { link });
            if let Some(node) = dialed {
                self.dials.failed(node, turn.now);
            }
            return;
        }
        let role = if dialed.is_some() { Role::Dialer } else { Role::Acceptor };
        let mut nonce = [0; 16];
        self.chance.fill_bytes(&mut nonce);
        let our_hello = frame::encode(&Message::Hello(Hello {
            versions: self.versions(),
            cluster: &self.cluster,
            identity: peers.me().clone(),
            nonce,
            has_secret: self.secret.is_some(),
        }));
        if role == Role::Dialer {
            turn.frame_at_once(vec![link], our_hello.clone());
        }
        self.links.insert(
            link,
            Link {
                role,
                phase: Phase::Hello,
                dialed,
                peer: None,
                version: PROTOCOL_VERSIONS.0,
                our_hello,
                their_hello: Bytes::new(),
                opened: turn.now,
                heard: turn.now,
                said: turn.now,
                round_trips: RoundTrips::default(),
            },
        );
    }

    /// Peers have changed: [`Links::tick`] has something to do.
    pub(crate) fn look_again(&mut self, now: Time) {
        self.look_at = Some(now);
    }

    /// A dial came to nothing.
    pub(crate) fn dial_failed(&mut self, node: NodeId, now: Time) {
        self.dials.failed(node, now);
    }

    /// The connection was lost.
    pub(crate) fn closed(&mut self, link: LinkId, peers: &Peers, turn: &mut Turn<'_>) -> Outcome {
        self.end(link, LinkEnd::Closed, peers, turn)
    }

    /// Ends a link because of what came over it.
    pub(crate) fn protocol_error(
        &mut self,
        link: LinkId,
        reason: String,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        if !self.links.contains_key(&link) {
            return Outcome::None;
        }
        turn.totals.bad_frames += 1;
        turn.at_once.push(Effect::CloseLink { link });
        self.end(link, LinkEnd::Protocol(reason), peers, turn)
    }

    /// Says goodbye and ends a link.
    pub(crate) fn leave(
        &mut self,
        link: LinkId,
        goodbye: Goodbye,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        if !self.links.contains_key(&link) {
            return Outcome::None;
        }
        send(link, &Message::Goodbye(goodbye.clone()), turn);
        turn.at_once.push(Effect::CloseLink { link });
        let reason = match goodbye {
            Goodbye::Removed(_) => LinkEnd::Removed,
            Goodbye::Duplicate => LinkEnd::Replaced,
            other => {
                turn.totals.hellos_refused += 1;
                LinkEnd::Refusing(other.to_string())
            }
        };
        self.end(link, reason, peers, turn)
    }

    /// Notes that something was heard; tells whether the link is known and established.
    pub(crate) fn heard(&mut self, link: LinkId, now: Time) -> Option<bool> {
        let link = self.links.get_mut(&link)?;
        link.heard = now;
        Some(link.phase == Phase::Established)
    }

    /// Asks for a sign of life and gives one.
    fn ping(&mut self, link: LinkId, turn: &mut Turn<'_>) {
        if let Some(state) = self.links.get_mut(&link) {
            state.said = turn.now;
            state.round_trips.ping(turn.now);
            send(link, &Message::Ping, turn);
        }
    }

    /// The same; the number of this ping, by which its answer is known.
    fn probe(&mut self, link: LinkId, turn: &mut Turn<'_>) -> u64 {
        self.ping(link, turn);
        self.links.get(&link).map_or(0, |state| state.round_trips.pings())
    }

    /// The other side answers a ping. `ahead_ms`: by how much its wall clock is ahead of ours, if it tells.
    pub(crate) fn pong(&mut self, link: LinkId, now: Time, ahead_ms: Option<i64>) {
        if let Some(state) = self.links.get_mut(&link) {
            state.round_trips.pong(now, ahead_ms);
        }
    }

    /// How far each peer's wall clock is from ours, as far as it is known.
    pub(crate) fn clock_offsets(&self) -> impl Iterator<Item = ClockOffset> + '_ {
        let links = self.by_peer.values().filter_map(|link| self.links.get(link));
        links.filter_map(|state| state.round_trips.clock_offset())
    }

    /// How long a frame takes on a link, as far as it is known; else nothing.
    pub(crate) fn one_way(&self, link: LinkId) -> Duration {
        self.links.get(&link).and_then(|state| state.round_trips.one_way()).unwrap_or_default()
    }

    /// Dials whom it is time to dial, gives signs of life, ends what is silent.
    pub(crate) fn tick(&mut self, peers: &Peers, turn: &mut Turn<'_>) -> Vec<Outcome> {
        self.look_at = None;
        let mut outcomes = Vec::new();
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            outcomes.push(self.tick_link(link, peers, turn));
        }
        self.dial_missing(peers, turn);
        outcomes
    }

    fn tick_link(&mut self, link: LinkId, peers: &Peers, turn: &mut Turn<'_>) -> Outcome {
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        let now = turn.now;
        match state.phase {
            Phase::Established => {
                if state.heard + SILENCE_MAX <= now {
                    turn.at_once.push(Effect::CloseLink { link });
                    return self.end(link, LinkEnd::Silent, peers, turn);
                }
                if state.next_sign() <= now {
                    self.ping(link, turn);
                }
                Outcome::None
            }
            Phase::Held { .. } => self.go_on_holding(link, peers, turn),
            _ if state.opened + HANDSHAKE_MAX <= now => {
                turn.at_once.push(Effect::CloseLink { link });
                self.end(link, LinkEnd::Silent, peers, turn)
            }
            _ => Outcome::None,
        }
    }

    fn dial_missing(&mut self, peers: &Peers, turn: &mut Turn<'_>) {
        let me = peers.me().node;
        self.dials.retain(|node| peers.up_member(node).is_some());
        for peer in peers.up() {
            if !self.by_peer.contains_key(&peer.node) && self.dials.is_due(me, peer.node, turn.now)
            {
                turn.at_once.push(Effect::Dial { node: peer.node, address: peer.address.clone() });
            }
        }
    }

    /// Established links that others have replaced since the last call.
    pub(crate) fn take_replaced(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.replaced)
    }

    fn end(
        &mut self,
        link: LinkId,
        reason: LinkEnd,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let Some(state) = self.links.remove(&link) else { return Outcome::None };
        if let Some(node) = state.dialed {
            self.dials.failed(node, turn.now);
        }
        let was_established = state.phase == Phase::Established;
        if was_established
            && let Some(peer) = &state.peer
            && self.by_peer.get(&peer.node) == Some(&link)
        {
            self.by_peer.remove(&peer.node);
            self.dials.lost(peers.me().node, peer.node, turn.now);
        }
        if was_established || matches!(reason, LinkEnd::Refusing(_) | LinkEnd::Protocol(_)) {
            // A name that was never believed would be a stranger's lie in our log, and counts there
            // as news of a member, of which many more lines are let through.
            let peer = match state.phase {
                Phase::Hello | Phase::Proof => state.dialed,
                _ => state.peer.map(|peer| peer.node),
            };
            turn.event(Event::LinkDown { peer, reason });
        }
        Outcome::Ended(link)
    }
}

impl Link {
    /// The goodbye when a removal ends the link. Records are sent to members only.
    fn barred_by(&self, peers: &Peers) -> Goodbye {
        let is_proved = !matches!(self.phase, Phase::Hello | Phase::Proof);
        match &self.peer {
            Some(peer) if is_proved && !peers.am_removed() => {
                Goodbye::Removed(peers.memberships_of(peer))
            }
            _ => Goodbye::NotAMember,
        }
    }

    /// When it is time for a sign of life.
    fn next_sign(&self) -> Time {
        let is_known = self.round_trips.are_enough();
        self.said + if is_known { SIGN_OF_LIFE_EVERY } else { FIRST_SIGNS_EVERY }
    }
}

/// Sends a frame that holds nothing of the table.
pub(crate) fn send(link: LinkId, message: &Message<'_>, turn: &mut Turn<'_>) {
    turn.frame_at_once(vec![link], frame::encode(message));
}
