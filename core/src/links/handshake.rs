//! How a link begins: a mutual challenge, after which each side knows that the other has the secret
//! and is who it says.
//!
//! ```text
//! dialer                            acceptor
//!   Hello(identity, nonce)     →
//!                              ←    Hello(identity, nonce), Proof(over both hellos)
//!   Proof(over both hellos)    →
//!                              ←    Welcome
//! ```
//!
//! A hello is a stranger's word: nothing of it is believed before the proof.

use std::time::Duration;

use bytes::Bytes;

use super::{Link, Links, Outcome, Phase, send};
use crate::effect::Effect;
use crate::event::{Event, LinkEnd};
use crate::identity::{Identity, NodeId};
use crate::input::LinkId;
use crate::peers::Peers;
use crate::turn::Turn;
use crate::wire::auth::{PROOF_BYTES, Role, Secret};
use crate::wire::frame::{Goodbye, Hello, Message};
use crate::wire::versions::PROTOCOL_VERSIONS;

/// How long a link may take to give a sign of life when another process claims its NodeId.
const CHALLENGE_MAX: Duration = Duration::from_secs(1);

impl Links {
    /// Takes a step of the handshake, or a goodbye.
    pub(crate) fn handshake(
        &mut self,
        link: LinkId,
        raw: &Bytes,
        message: &Message<'_>,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let Some(state) = self.links.get(&link) else { return Outcome::None };
        match (message, state.phase, state.role) {
            (Message::Goodbye(goodbye), _, _) => self.goodbye(link, goodbye, peers, turn),
            (Message::Hello(hello), Phase::Hello, _) => self.hello(link, raw, hello, peers, turn),
            (Message::Proof(proof), Phase::Proof, _) => self.proof(link, proof, peers, turn),
            (Message::Welcome, Phase::Welcome, Role::Dialer) => self.establish(link, peers, turn),
            (Message::Ping | Message::Pong | Message::TimedPong(_), Phase::Held { .. }, _) => {
                Outcome::None
            }
            _ => {
                let reason = "a message out of its turn".to_owned();
                self.protocol_error(link, reason, peers, turn)
            }
        }
    }

    fn hello(
        &mut self,
        link: LinkId,
        raw: &Bytes,
        hello: &Hello<'_>,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        if let Some(refusal) = self.refusal(hello, peers.me()) {
            return self.leave(link, refusal, peers, turn);
        }
        let (_, highest) = self.versions();
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        if state.dialed.is_some_and(|node| node != hello.identity.node) {
            // Another node lives there now; membership will show which.
            return Outcome::NoMember(link, hello.identity.clone());
        }
        state.their_hello = raw.clone();
        state.peer = Some(hello.identity.clone());
        state.version = hello.versions.1.min(highest);
        state.phase = Phase::Proof;
        if state.role == Role::Acceptor {
            turn.frame_at_once(vec![link], state.our_hello.clone());
            let proof = state.our_proof(self.secret.as_ref());
            send(link, &Message::Proof(proof), turn);
        }
        Outcome::None
    }

    /// Why a hello is refused that could be anyone's.
    fn refusal(&self, hello: &Hello<'_>, me: &Identity) -> Option<Goodbye> {
        let (ours_min, ours_max) = PROTOCOL_VERSIONS;
        let (min, max) = hello.versions;
        if max < ours_min || min > ours_max {
            Some(Goodbye::Versions(ours_min, ours_max))
        } else if hello.cluster != self.cluster {
            Some(Goodbye::OtherCluster)
        } else if hello.has_secret != self.secret.is_some() {
            Some(Goodbye::WrongSecret)
        } else if hello.identity.node == me.node && hello.identity.origin == me.origin {
            Some(Goodbye::Itself)
        } else {
            None
        }
    }

    fn proof(
        &mut self,
        link: LinkId,
        proof: &[u8; PROOF_BYTES],
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let Some(state) = self.links.get(&link) else { return Outcome::None };
        if !state.is_proved_by(proof, self.secret.as_ref()) {
            return self.leave(link, Goodbye::WrongSecret, peers, turn);
        }
        let Some(peer) = state.peer.clone() else { return Outcome::None };
        // Only now is it known that the hello was not forged, so only now is it believed.
        if peers.registry().is_removed(&peer) {
            let memberships = peers.memberships_of(&peer);
            return self.leave(link, Goodbye::Removed(memberships), peers, turn);
        }
        let rival = self.by_peer.get(&peer.node).copied().filter(|rival| *rival != link);
        let origin_of =
            |link| self.links.get(&link).and_then(|state| Some(state.peer.as_ref()?.origin));
        let is_another_process =
            rival.and_then(origin_of).is_some_and(|origin| origin != peer.origin);
        // An earlier life beside a link of a later one may be a process that was copied, and that
        // no other node would report.
        let is_outlived = is_outlived(&peer, peers) && !is_another_process;
        if peers.up_member(peer.node).is_none() || is_outlived {
            return Outcome::NoMember(link, peer);
        }
        if let Some(rival) = rival {
            if is_another_process {
                let probe = self.probe(rival, turn);
                let until = turn.now + CHALLENGE_MAX;
                if let Some(state) = self.links.get_mut(&link) {
                    state.phase = Phase::Held { until, rival, probe };
                }
                return Outcome::None;
            }
            if self.is_better(rival, link, peers.me().node) {
                return self.leave(link, Goodbye::Duplicate, peers, turn);
            }
        }
        self.admit(link, peers, turn)
    }

    /// Decides on a link that claims the NodeId of another one's process, once that has given a sign
    /// of life or had its time to.
    pub(super) fn go_on_holding(
        &mut self,
        link: LinkId,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let Some(state) = self.links.get(&link) else { return Outcome::None };
        let Phase::Held { until, rival, probe } = state.phase else { return Outcome::None };
        // Only an answer to the probe shows that it lives: what was said before may come late, long
        // after who said it was killed.
        match self.links.get(&rival).map(|rival| rival.round_trips.is_answered(probe)) {
            Some(true) => {
                let node = state.peer.as_ref().map(|peer| peer.node);
                let goodbye = node.map_or(Goodbye::Duplicate, Goodbye::NodeIdInUse);
                self.leave(link, goodbye, peers, turn)
            }
            Some(false) if until > turn.now => Outcome::None,
            _ if state.peer.as_ref().is_some_and(|peer| is_outlived(peer, peers)) => {
                self.leave(link, Goodbye::NotAMember, peers, turn)
            }
            // Silent, or gone by itself: a quick restart.
            _ => self.admit(link, peers, turn),
        }
    }

    /// Whether of two links to one process the first one stays: the one that the smaller NodeId
    /// dialed; of two dialed by the same side the later one, since no node dials beside a link that
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
    fn admit(&mut self, link: LinkId, peers: &Peers, turn: &mut Turn<'_>) -> Outcome {
        if let Some(refused) = self.refuse_barred(link, peers, turn) {
            return refused;
        }
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        match state.role {
            Role::Dialer => {
                let proof = state.our_proof(self.secret.as_ref());
                state.phase = Phase::Welcome;
                send(link, &Message::Proof(proof), turn);
                Outcome::None
            }
            Role::Acceptor => {
                send(link, &Message::Welcome, turn);
                self.establish(link, peers, turn)
            }
        }
    }

    /// A link waits for long at the door, or for its welcome, and a removal may have come meanwhile.
    fn refuse_barred(
        &mut self,
        link: LinkId,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Option<Outcome> {
        let state = self.links.get(&link)?;
        let is_barred = state.peer.as_ref().is_some_and(|peer| peers.bars(peer));
        let goodbye = is_barred.then(|| state.barred_by(peers))?;
        Some(self.leave(link, goodbye, peers, turn))
    }

    fn establish(&mut self, link: LinkId, peers: &Peers, turn: &mut Turn<'_>) -> Outcome {
        if let Some(refused) = self.refuse_barred(link, peers, turn) {
            return refused;
        }
        let Some(state) = self.links.get_mut(&link) else { return Outcome::None };
        let Some(peer) = state.peer.clone() else { return Outcome::None };
        state.phase = Phase::Established;
        let node = peer.node;
        if let Some(rival) = self.by_peer.get(&node).copied().filter(|rival| *rival != link) {
            if self.is_better(rival, link, peers.me().node) {
                return self.leave(link, Goodbye::Duplicate, peers, turn);
            }
            // `Node` learns of its end from `take_replaced`.
            self.replaced.push(rival);
            send(rival, &Message::Goodbye(Goodbye::Duplicate), turn);
            turn.at_once.push(Effect::CloseLink { link: rival });
            self.links.remove(&rival);
        }
        self.by_peer.insert(node, link);
        self.dials.established(node);
        turn.totals.links_established += 1;
        turn.at_once.push(Effect::LinkEstablished { link });
        turn.event(Event::LinkUp { peer: node, address: peer.address.clone() });
        self.ping(link, turn);
        Outcome::Established(link, peer)
    }

    fn goodbye(
        &mut self,
        link: LinkId,
        goodbye: &Goodbye,
        peers: &Peers,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let Some(state) = self.links.get(&link) else { return Outcome::None };
        // Before the other side has proved itself its word ends the link and nothing else.
        let is_proved = !matches!(state.phase, Phase::Hello | Phase::Proof);
        let peer = state.peer.clone();
        turn.at_once.push(Effect::CloseLink { link });
        let ended = self.end(link, LinkEnd::Refused(goodbye.to_string()), peers, turn);
        match (goodbye, peer) {
            (Goodbye::NodeIdInUse(node), Some(_)) if is_proved && *node == peers.me().node => {
                Outcome::OurIdIsInUse(link)
            }
            (Goodbye::Leaving, Some(peer)) if is_proved => Outcome::PeerLeaves(link, peer),
            (Goodbye::Removed(memberships), Some(_)) if is_proved => {
                Outcome::WeAreRemoved(link, memberships.clone())
            }
            _ => ended,
        }
    }
}

impl Link {
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

/// Whether a newer incarnation of this process's id answers, as far as we know.
fn is_outlived(peer: &Identity, peers: &Peers) -> bool {
    peers.up_member(peer.node).is_some_and(|known| known.order() > peer.order())
}
