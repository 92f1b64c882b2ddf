//! Links: one connection between two live nodes, from the dial to its end.
//!
//! The smaller NodeId dials; the larger waits two seconds and then dials as well, for networks in
//! which only one side can reach the other. A link begins with a mutual challenge:
//!
//! ```text
//! dialer                            acceptor
//!   Hello(identity, nonce)     →
//!                              ←    Hello(identity, nonce), Proof(over both hellos)
//!   Proof(over both hellos)    →
//!                              ←    Welcome
//! ```
//!
//! and lives until it is silent for three seconds, replaced, or its peer removed; never because
//! the membership protocol holds the peer for down, since a link that still talks is proof of the
//! contrary. One NodeId is one process: a second one that claims it is held at the door while the
//! first is asked for a sign of life (rule 27).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::auth::{PROOF_BYTES, Role, Secret};
use crate::codec::{self, Goodbye, Hello, Message, PROTOCOL_VERSIONS};
use crate::effects::{Effect, Event, LinkEnd, LinkId};
use crate::identity::{Identity, NodeId};
use crate::peers::Peers;
use crate::registry::Key;
use crate::round_trip::RoundTrips;
use crate::status::Totals;
use crate::time::Time;

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

/// How long the larger NodeId waits for the smaller one's dial.
const LARGER_WAITS: Duration = Duration::from_secs(2);

/// The time between dials: it doubles from the first to the second.
const REDIAL_MIN: Duration = Duration::from_millis(100);
const REDIAL_MAX: Duration = Duration::from_secs(1);

/// A dial that is neither opened nor failed by now counts as failed.
const DIAL_MAX: Duration = Duration::from_secs(3);

/// How long a link may take to give a sign of life when another process claims its NodeId.
const CHALLENGE_MAX: Duration = Duration::from_secs(1);

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
    Held { until: Time, rival: LinkId, rival_heard: Time },
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
    our_hello: Bytes,
    their_hello: Bytes,
    opened: Time,
    heard: Time,
    said: Time,
    round_trips: RoundTrips,
}

#[derive(Debug)]
struct Dial {
    next: Time,
    wait: Duration,
    under_way: bool,
}

/// What a step of a link's life means for replication.
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
    /// The peer says that it leaves the cluster.
    PeerLeaves(LinkId, Identity),
    /// The peer says that this node was removed.
    WeAreRemoved(LinkId, Vec<crate::registry::Standing>),
}

/// Everything that a step may need.
pub(crate) struct Context<'a> {
    pub(crate) now: Time,
    pub(crate) cluster: &'a str,
    pub(crate) secret: Option<&'a Secret>,
    pub(crate) peers: &'a mut Peers,
    pub(crate) chance: &'a mut ChaCha8Rng,
    pub(crate) totals: &'a mut Totals,
    pub(crate) out: &'a mut Vec<Effect>,
}

/// All connections of a node.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: BTreeMap<LinkId, Link>,
    by_peer: BTreeMap<NodeId, LinkId>,
    dials: BTreeMap<NodeId, Dial>,
    replaced: Vec<LinkId>,
    look_at: Option<Time>,
}

impl Links {
    /// The established link to a peer.
    pub(crate) fn to_peer(&self, node: NodeId) -> Option<LinkId> {
        self.by_peer.get(&node).copied()
    }

    /// Every established link.
    pub(crate) fn established(&self) -> Vec<LinkId> {
        self.by_peer.values().copied().collect()
    }

    /// Every link, in whatever state.
    pub(crate) fn all(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// Whose an established link is.
    pub(crate) fn peer_of(&self, link: LinkId) -> Option<&Identity> {
        self.links.get(&link).filter(|l| l.phase == Phase::Established)?.peer.as_ref()
    }

    /// When [`Links::tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let dials = self.dials.values().map(|dial| dial.next);
        let links = self.links.values().map(|link| match link.phase {
            Phase::Established => (link.heard + SILENCE_MAX).min(link.next_sign()),
            Phase::Held { until, .. } => until,
            _ => link.opened + HANDSHAKE_MAX,
        });
        dials.chain(links).chain(self.look_at).min()
    }

    /// A connection stands.
    pub(crate) fn opened(&mut self, link: LinkId, dialed: Option<NodeId>, cx: &mut Context<'_>) {
        let unproved = self.links.values().filter(|l| l.phase != Phase::Established).count();
        if unproved >= UNPROVED_MAX {
            cx.totals.hellos_refused += 1;
            cx.out.push(Effect::CloseLink { link });
            self.dial_failed_of(dialed, cx.now);
            return;
        }
        let role = if dialed.is_some() { Role::Dialer } else { Role::Acceptor };
        let mut nonce = [0; 16];
        cx.chance.fill_bytes(&mut nonce);
        let our_hello = codec::encode(&Message::Hello(Hello {
            versions: PROTOCOL_VERSIONS,
            cluster: cx.cluster,
            identity: cx.peers.me().clone(),
            nonce,
            has_secret: cx.secret.is_some(),
        }));
        if role == Role::Dialer {
            send_bytes(link, our_hello.clone(), cx);
        }
        self.links.insert(
            link,
            Link {
                role,
                phase: Phase::Hello,
                dialed,
                peer: None,
                our_hello,
                their_hello: Bytes::new(),
                opened: cx.now,
                heard: cx.now,
                said: cx.now,
                round_trips: RoundTrips::default(),
            },
        );
    }

    /// Sends a frame that holds nothing of the table.
    pub(crate) fn send(&mut self, link: LinkId, message: &Message<'_>, cx: &mut Context<'_>) {
        send(link, message, cx);
    }

    /// Peers have changed: [`Links::tick`] has something to do.
    pub(crate) fn look_again(&mut self, now: Time) {
        self.look_at = Some(now);
    }

    /// A dial came to nothing.
    pub(crate) fn dial_failed(&mut self, node: NodeId, now: Time) {
        self.dial_failed_of(Some(node), now);
    }

    fn dial_failed_of(&mut self, node: Option<NodeId>, now: Time) {
        if let Some(dial) = node.and_then(|node| self.dials.get_mut(&node)) {
            dial.under_way = false;
            dial.next = now + dial.wait;
            dial.wait = (2 * dial.wait).min(REDIAL_MAX);
        }
    }

    /// The connection was lost.
    pub(crate) fn closed(&mut self, link: LinkId, cx: &mut Context<'_>) -> Outcome {
        self.end(link, LinkEnd::Closed, cx)
    }

    /// Ends a link because of what came over it.
    pub(crate) fn protocol_error(
        &mut self,
        link: LinkId,
        reason: String,
        cx: &mut Context<'_>,
    ) -> Outcome {
        if !self.links.contains_key(&link) {
            return Outcome::None;
        }
        cx.totals.bad_frames += 1;
        cx.out.push(Effect::CloseLink { link });
        self.end(link, LinkEnd::Protocol(reason), cx)
    }

    /// Says goodbye and ends a link.
    pub(crate) fn leave(
        &mut self,
        link: LinkId,
        goodbye: Goodbye,
        cx: &mut Context<'_>,
    ) -> Outcome {
        if !self.links.contains_key(&link) {
            return Outcome::None;
        }
        send(link, &Message::Goodbye(goodbye.clone()), cx);
        cx.out.push(Effect::CloseLink { link });
        let reason = match goodbye {
            Goodbye::Removed(_) => LinkEnd::Removed,
            Goodbye::Duplicate => LinkEnd::Replaced,
            other => {
                cx.totals.hellos_refused += 1;
                LinkEnd::Refusing(other.to_string())
            }
        };
        self.end(link, reason, cx)
    }

    /// Notes that something was heard; tells whether the link is known and established.
    pub(crate) fn heard(&mut self, link: LinkId, now: Time) -> Option<bool> {
        let link = self.links.get_mut(&link)?;
        link.heard = now;
        Some(link.phase == Phase::Established)
    }

    /// Asks for a sign of life and gives one.
    fn ping(&mut self, link: LinkId, cx: &mut Context<'_>) {
        if let Some(state) = self.links.get_mut(&link) {
            state.said = cx.now;
            state.round_trips.ping(cx.now);
            send(link, &Message::Ping, cx);
        }
    }

    /// The other side answers a ping.
    pub(crate) fn pong(&mut self, link: LinkId, now: Time) {
        if let Some(state) = self.links.get_mut(&link) {
            state.round_trips.pong(now);
        }
    }

    /// How long a frame takes on a link, as far as it is known; else nothing.
    pub(crate) fn one_way(&self, link: LinkId) -> Duration {
        self.links.get(&link).and_then(|state| state.round_trips.one_way()).unwrap_or_default()
    }

    /// Takes a step of the handshake, or a goodbye.
    pub(crate) fn handshake(
        &mut self,
        link: LinkId,
        raw: &Bytes,
        message: &Message<'_>,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let Some(state) = self.links.get(&link) else { return Outcome::None };
        match (message, state.phase, state.role) {
            (Message::Goodbye(goodbye), _, _) => self.goodbye(link, goodbye, cx),
            (Message::Hello(hello), Phase::Hello, _) => self.hello(link, raw, hello, cx),
            (Message::Proof(proof), Phase::Proof, _) => self.proof(link, proof, cx),
            (Message::Welcome, Phase::Welcome, Role::Dialer) => self.establish(link, cx),
            (Message::Ping | Message::Pong, Phase::Held { .. }, _) => Outcome::None,
            _ => self.protocol_error(link, "a message out of its turn".to_owned(), cx),
        }
    }

    fn hello(
        &mut self,
        link: LinkId,
        raw: &Bytes,
        hello: &Hello<'_>,
        cx: &mut Context<'_>,
    ) -> Outcome {
        if let Some(refusal) = refusal(hello, cx) {
            return self.leave(link, refusal, cx);
        }
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        if state.dialed.is_some_and(|node| node != hello.identity.node) {
            // Somebody else lives there now; membership will tell who.
            let identity = hello.identity.clone();
            cx.peers.rumour(cx.now, identity, cx.totals, cx.out);
            return self.leave(link, Goodbye::NotAMember, cx);
        }
        state.their_hello = raw.clone();
        state.peer = Some(hello.identity.clone());
        state.phase = Phase::Proof;
        if state.role == Role::Acceptor {
            let (hello, proof) = (state.our_hello.clone(), state.our_proof(cx.secret));
            send_bytes(link, hello, cx);
            send(link, &Message::Proof(proof), cx);
        }
        Outcome::None
    }

    fn proof(&mut self, link: LinkId, proof: &[u8; PROOF_BYTES], cx: &mut Context<'_>) -> Outcome {
        let Some(state) = self.links.get(&link) else { return Outcome::None };
        if !state.is_proved_by(proof, cx.secret) {
            return self.leave(link, Goodbye::WrongSecret, cx);
        }
        let Some(peer) = state.peer.clone() else { return Outcome::None };
        // Only now is it known that the hello was not forged, so only now is it believed.
        if cx.peers.registry().is_removed(&peer) {
            let standings = standings(cx.peers, &peer);
            return self.leave(link, Goodbye::Removed(standings), cx);
        }
        let rival = self.by_peer.get(&peer.node).copied().filter(|rival| *rival != link);
        let origin_of =
            |link| self.links.get(&link).and_then(|state| Some(state.peer.as_ref()?.origin));
        let is_another_process =
            rival.and_then(origin_of).is_some_and(|origin| origin != peer.origin);
        // An earlier life beside a link of a later one may be a process that was copied, and that
        // nobody else would tell.
        if cx.peers.up_member(peer.node).is_none() || is_outlived(&peer, cx) && !is_another_process
        {
            cx.peers.rumour(cx.now, peer, cx.totals, cx.out);
            return self.leave(link, Goodbye::NotAMember, cx);
        }
        if let Some(rival) = rival {
            if is_another_process {
                let rival_heard = self.links[&rival].heard;
                self.ping(rival, cx);
                let until = cx.now + CHALLENGE_MAX;
                if let Some(state) = self.links.get_mut(&link) {
                    state.phase = Phase::Held { until, rival, rival_heard };
                }
                return Outcome::None;
            }
            if self.is_better(rival, link, cx.peers.me().node) {
                return self.leave(link, Goodbye::Duplicate, cx);
            }
        }
        self.admit(link, cx)
    }

    /// Whether of two links to one process the first one stays: the one that the smaller NodeId
    /// dialed; of two dialed by the same side the later one, since nobody dials beside a link that
    /// it holds for sound.
    fn is_better(&self, rival: LinkId, link: LinkId, me: NodeId) -> bool {
        let dialed_by_smaller = |id: LinkId| {
            let state = &self.links[&id];
            let peer = state.peer.as_ref().map(|peer| peer.node);
            (state.role == Role::Dialer) == peer.is_some_and(|peer| me < peer)
        };
        dialed_by_smaller(rival) && !dialed_by_smaller(link)
    }

    /// The other side is who it says: goes on to the next step.
    fn admit(&mut self, link: LinkId, cx: &mut Context<'_>) -> Outcome {
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        match state.role {
            Role::Dialer => {
                let proof = state.our_proof(cx.secret);
                state.phase = Phase::Welcome;
                send(link, &Message::Proof(proof), cx);
                Outcome::None
            }
            Role::Acceptor => {
                send(link, &Message::Welcome, cx);
                self.establish(link, cx)
            }
        }
    }

    fn establish(&mut self, link: LinkId, cx: &mut Context<'_>) -> Outcome {
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        let Some(peer) = state.peer.clone() else { return Outcome::None };
        state.phase = Phase::Established;
        let node = peer.node;
        if let Some(rival) = self.by_peer.get(&node).copied().filter(|rival| *rival != link) {
            if self.is_better(rival, link, cx.peers.me().node) {
                return self.leave(link, Goodbye::Duplicate, cx);
            }
            // `Node` learns of its end from `take_replaced`.
            self.replaced.push(rival);
            send(rival, &Message::Goodbye(Goodbye::Duplicate), cx);
            cx.out.push(Effect::CloseLink { link: rival });
            self.links.remove(&rival);
        }
        self.by_peer.insert(node, link);
        self.dials.remove(&node);
        cx.totals.links_established += 1;
        cx.out.push(Effect::LinkEstablished { link });
        cx.out.push(Effect::Event(Event::LinkUp { peer: node, address: peer.address.clone() }));
        self.ping(link, cx);
        Outcome::Established(link, peer)
    }

    fn goodbye(&mut self, link: LinkId, goodbye: &Goodbye, cx: &mut Context<'_>) -> Outcome {
        let Some(state) = self.links.get(&link) else { return Outcome::None };
        // Before the other side has proved itself its word ends the link and nothing else.
        let is_proved = !matches!(state.phase, Phase::Hello | Phase::Proof);
        let peer = state.peer.clone();
        cx.out.push(Effect::CloseLink { link });
        let ended = self.end(link, LinkEnd::Refused(goodbye.to_string()), cx);
        match (goodbye, peer) {
            (Goodbye::NodeIdInUse(node), Some(_)) if is_proved && *node == cx.peers.me().node => {
                Outcome::OurIdIsInUse(link)
            }
            (Goodbye::Leaving, Some(peer)) if is_proved => Outcome::PeerLeaves(link, peer),
            (Goodbye::Removed(standings), Some(_)) if is_proved => {
                Outcome::WeAreRemoved(link, standings.clone())
            }
            _ => ended,
        }
    }

    /// Dials whom it is time to dial, gives signs of life, ends what is silent.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) -> Vec<Outcome> {
        self.look_at = None;
        let mut outcomes = Vec::new();
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            outcomes.push(self.tick_link(link, cx));
        }
        self.dial_missing(cx);
        outcomes
    }

    fn tick_link(&mut self, link: LinkId, cx: &mut Context<'_>) -> Outcome {
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        let now = cx.now;
        match state.phase {
            Phase::Established => {
                if state.heard + SILENCE_MAX <= now {
                    cx.out.push(Effect::CloseLink { link });
                    return self.end(link, LinkEnd::Silent, cx);
                }
                if state.next_sign() <= now {
                    self.ping(link, cx);
                }
                Outcome::None
            }
            Phase::Held { until, rival, rival_heard } => {
                let rival_now = self.links.get(&rival).map(|rival| rival.heard);
                match rival_now {
                    Some(heard) if heard > rival_heard => {
                        let node = self.links[&link].peer.as_ref().map(|peer| peer.node);
                        let goodbye = node.map_or(Goodbye::Duplicate, Goodbye::NodeIdInUse);
                        self.leave(link, goodbye, cx)
                    }
                    Some(_) if until > now => Outcome::None,
                    _ if self.links[&link]
                        .peer
                        .as_ref()
                        .is_some_and(|peer| is_outlived(peer, cx)) =>
                    {
                        self.leave(link, Goodbye::NotAMember, cx)
                    }
                    // Silent, or gone by itself: a quick restart.
                    _ => self.admit(link, cx),
                }
            }
            _ if state.opened + HANDSHAKE_MAX <= now => {
                cx.out.push(Effect::CloseLink { link });
                self.end(link, LinkEnd::Silent, cx)
            }
            _ => Outcome::None,
        }
    }

    fn dial_missing(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let me = cx.peers.me().node;
        self.dials.retain(|node, _| cx.peers.up_member(*node).is_some());
        for peer in cx.peers.up() {
            if self.by_peer.contains_key(&peer.node) {
                continue;
            }
            let first = if me < peer.node { now } else { now + LARGER_WAITS };
            let dial = self.dials.entry(peer.node).or_insert(Dial {
                next: first,
                wait: REDIAL_MIN,
                under_way: false,
            });
            if dial.next > now {
                continue;
            }
            if dial.under_way {
                // Neither opened nor failed: counts as failed.
                dial.under_way = false;
                dial.next = now + dial.wait;
                continue;
            }
            dial.under_way = true;
            dial.next = now + DIAL_MAX + HANDSHAKE_MAX;
            cx.out.push(Effect::Dial { node: peer.node, address: peer.address.clone() });
        }
    }

    /// Established links that others have replaced since the last call.
    pub(crate) fn take_replaced(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.replaced)
    }

    fn end(&mut self, link: LinkId, reason: LinkEnd, cx: &mut Context<'_>) -> Outcome {
        let Some(state) = self.links.remove(&link) else { return Outcome::None };
        self.dial_failed_of(state.dialed, cx.now);
        let was_established = state.phase == Phase::Established;
        if was_established
            && let Some(peer) = &state.peer
            && self.by_peer.get(&peer.node) == Some(&link)
        {
            self.by_peer.remove(&peer.node);
            let is_smaller = cx.peers.me().node < peer.node;
            let wait = if is_smaller { REDIAL_MIN } else { LARGER_WAITS };
            let next = cx.now + wait;
            self.dials.insert(peer.node, Dial { next, wait: REDIAL_MIN, under_way: false });
        }
        if was_established || matches!(reason, LinkEnd::Refusing(_) | LinkEnd::Protocol(_)) {
            // A name that was never believed would be a stranger's lie in our log, and counts there
            // as news of a member, of which many more lines are let through.
            let peer = match state.phase {
                Phase::Hello | Phase::Proof => state.dialed,
                _ => state.peer.map(|peer| peer.node),
            };
            cx.out.push(Effect::Event(Event::LinkDown { peer, reason }));
        }
        Outcome::Ended(link)
    }
}

impl Link {
    /// When it is time for a sign of life.
    fn next_sign(&self) -> Time {
        let is_known = self.round_trips.are_enough();
        self.said + if is_known { SIGN_OF_LIFE_EVERY } else { FIRST_SIGNS_EVERY }
    }

    fn hellos(&self, role: Role) -> (&[u8], &[u8]) {
        match role {
            Role::Dialer => (&self.our_hello, &self.their_hello),
            Role::Acceptor => (&self.their_hello, &self.our_hello),
        }
    }

    fn our_proof(&self, secret: Option<&Secret>) -> [u8; PROOF_BYTES] {
        let (dialer, acceptor) = self.hellos(self.role);
        secret.map_or([0; PROOF_BYTES], |secret| secret.prove(self.role, dialer, acceptor))
    }

    fn is_proved_by(&self, proof: &[u8], secret: Option<&Secret>) -> bool {
        let (dialer, acceptor) = self.hellos(self.role);
        let theirs = match self.role {
            Role::Dialer => Role::Acceptor,
            Role::Acceptor => Role::Dialer,
        };
        secret.is_none_or(|secret| secret.verify(theirs, dialer, acceptor, proof))
    }
}

/// Whether a later life of this process's id answers, as far as we know.
fn is_outlived(peer: &Identity, cx: &Context<'_>) -> bool {
    cx.peers.up_member(peer.node).is_some_and(|known| known.order() > peer.order())
}

/// Why a hello is refused that could be anyone's.
fn refusal(hello: &Hello<'_>, cx: &Context<'_>) -> Option<Goodbye> {
    let (ours_min, ours_max) = PROTOCOL_VERSIONS;
    let (min, max) = hello.versions;
    let me = cx.peers.me();
    if max < ours_min || min > ours_max {
        Some(Goodbye::Versions(ours_min, ours_max))
    } else if hello.cluster != cx.cluster {
        Some(Goodbye::OtherCluster)
    } else if hello.has_secret != cx.secret.is_some() {
        Some(Goodbye::WrongSecret)
    } else if hello.identity.node == me.node && hello.identity.origin == me.origin {
        Some(Goodbye::Itself)
    } else {
        None
    }
}

fn standings(peers: &Peers, identity: &Identity) -> Vec<crate::registry::Standing> {
    vec![
        peers.registry().of(&Key::Node(identity.node)),
        peers.registry().of(&Key::Address(identity.address.clone())),
    ]
}

fn send(link: LinkId, message: &Message<'_>, cx: &mut Context<'_>) {
    send_bytes(link, codec::encode(message), cx);
}

fn send_bytes(link: LinkId, bytes: Bytes, cx: &mut Context<'_>) {
    cx.totals.link_bytes_sent += bytes.len() as u64 + FRAME_LENGTH_BYTES;
    cx.out.push(Effect::Frame { links: vec![link], bytes });
}

/// Bytes of a frame's length on the connection.
pub(crate) const FRAME_LENGTH_BYTES: u64 = 3;
