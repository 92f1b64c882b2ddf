//! How many members there may be, and how much those who are none may have this node do.
//!
//! Without a secret anyone can say that there are members, and with one a member that has gone wrong
//! can. So what would make one more than [`MEMBERS_MAX`] is taken out before foca sees it, and of
//! those that are down only some are remembered, here as in foca.
//!
//! A message of the membership protocol may be answered with more than it is: up to a whole
//! datagram of gossip, sent to the address that its sender gives. What comes from others than the
//! members that are up is therefore looked at so often a second only, as beacons are.

use foca::{Member, State, Timer};

use super::Peers;
use crate::identity::{Identity, NodeId};
use crate::time::Time;

/// Members that are up at one time. A full mesh of so many nodes would be out of reason for other
/// causes; the server takes as many links.
pub(super) const MEMBERS_MAX: usize = 1024;

/// Members that are down and remembered; beyond it the one that is down longest is forgotten.
pub(crate) const DOWN_MAX: usize = 256;

/// Messages from others than the members that are up in a second: 140 kB of answers at most. As many
/// nodes can join or come back in a second; what they say is repeated.
pub(super) const STRANGERS_PER_SECOND: u32 = 100;

impl Peers {
    /// Whether this very identity is that of a member that is up.
    pub(super) fn is_member(&self, identity: &Identity) -> bool {
        let known = self.peers.get(&identity.node);
        known.is_some_and(|peer| peer.is_up && peer.identity == *identity)
    }

    /// Whether a node may be a member beside those that are. Gossip that names several at once may go
    /// beyond the bound by a datagram's worth of them.
    pub(super) fn has_room_for(&self, node: NodeId) -> bool {
        self.is_member_up(node) || self.swim.num_members() < MEMBERS_MAX
    }

    /// Forgets the members that are down longest where there are too many, and before them those
    /// that were never up here.
    pub(super) fn forget_longest_down(&mut self) {
        let down = self.peers.values().filter(|peer| !peer.is_up);
        let excess = down.count().saturating_sub(DOWN_MAX);
        if excess > 0 {
            let down = self.peers.iter().filter(|(_, peer)| !peer.is_up);
            let mut longest: Vec<(Time, NodeId)> =
                down.map(|(node, peer)| (peer.since, *node)).collect();
            longest.sort_unstable();
            for (_, node) in longest.into_iter().take(excess) {
                self.peers.remove(&node);
            }
        }
        let is_down = |member: &&Member<Identity>| member.state() == State::Down;
        let down = self.swim.iter_membership_state().filter(is_down).count();
        if down <= DOWN_MAX {
            return;
        }
        let is_unknown = |id: &&Identity| !self.peers.contains_key(&id.node);
        let ids = self.swim.iter_membership_state().filter(is_down).map(Member::id);
        let unknown: Vec<Identity> =
            ids.filter(is_unknown).take(down - DOWN_MAX).cloned().collect();
        for identity in unknown {
            let done = self.swim.handle_timer(Timer::RemoveDown(identity), &mut self.runtime);
            self.check("forgetting a member", done);
        }
    }
}

#[cfg(test)]
mod tests {
    use foca::{Header, Message};
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::effect::Effect;
    use crate::identity::{Address, OriginId};
    use crate::peers::SwimError;
    use crate::status::Totals;
    use crate::wire::datagram::Envelope;

    fn identity(n: u64) -> Identity {
        let address = Address::parse(&format!("10.0.{}.{}:8088", n / 250, n % 250 + 1), 1).unwrap();
        Identity { node: NodeId(n), address, epoch: 0, boot: 1, origin: OriginId(n) }
    }

    struct Heard {
        peers: Peers,
        totals: Totals,
        now: Time,
    }

    impl Heard {
        fn new() -> Self {
            let (envelope, chance) = (Envelope::new("c", None), ChaCha8Rng::seed_from_u64(1));
            let peers = Peers::new(identity(0), envelope, &[], chance, Time::ZERO);
            Heard { peers, totals: Totals::default(), now: Time::ZERO }
        }

        fn hear(
            &mut self,
            from: &Identity,
            message: Message<Identity>,
            updates: &[Member<Identity>],
        ) -> Result<Vec<Effect>, SwimError> {
            let dst = self.peers.me().clone();
            let header = Header { src: from.clone(), src_incarnation: 0, dst, message };
            let mut packet = postcard::to_stdvec(&header).unwrap();
            if !updates.is_empty() {
                packet.extend(u16::try_from(updates.len()).unwrap().to_be_bytes());
            }
            for update in updates {
                packet.extend(postcard::to_stdvec(update).unwrap());
            }
            let mut out = Vec::new();
            let from = "10.0.0.9:8088".parse().unwrap();
            let totals = &mut self.totals;
            self.peers.handle_swim(self.now, &packet, from, totals, &mut out).map(|()| out)
        }

        fn known_to_foca(&self) -> usize {
            self.peers.swim.iter_membership_state().len()
        }
    }

    #[test]
    fn members_that_were_never_up_here_are_forgotten_before_those_that_were() {
        let mut heard = Heard::new();
        let member = identity(1);
        let gone: Vec<Identity> = (2..12).map(identity).collect();
        let up: Vec<_> = gone.iter().cloned().map(Member::alive).collect();
        heard.hear(&member, Message::Gossip, &up).unwrap();
        let down: Vec<_> = gone.iter().cloned().map(Member::down).collect();
        heard.hear(&member, Message::Gossip, &down).unwrap();
        let never: Vec<_> = (100..3_000).map(|n| Member::down(identity(n))).collect();
        for some in never.chunks(25) {
            heard.hear(&member, Message::Gossip, some).unwrap();
        }
        assert!(heard.known_to_foca() <= 1 + DOWN_MAX, "{}", heard.known_to_foca());
        assert!(gone.iter().all(|gone| heard.peers.peers.contains_key(&gone.node)));
    }

    #[test]
    fn members_that_come_and_go_are_remembered_in_bounds() {
        let mut heard = Heard::new();
        let member = identity(1);
        let invented: Vec<Identity> = (100..5_000).map(identity).collect();
        for (second, some) in invented.chunks(25).enumerate() {
            heard.now = Time::from_micros(1_000_000 * second as u64);
            for state in [Member::alive, Member::down] {
                let updates: Vec<_> = some.iter().cloned().map(state).collect();
                heard.hear(&member, Message::Gossip, &updates).unwrap();
            }
        }
        assert!(heard.known_to_foca() <= 1 + DOWN_MAX, "{}", heard.known_to_foca());
        assert_eq!(heard.peers.peers.len(), 1 + DOWN_MAX);
        let latest = invented.iter().rev().take(DOWN_MAX);
        assert!(latest.clone().all(|latest| heard.peers.peers.contains_key(&latest.node)));
    }

    #[test]
    fn a_member_too_many_is_refused_and_those_that_are_there_go_on() {
        let mut heard = Heard::new();
        let member = identity(1);
        let invented: Vec<_> = (100..1_400).map(|n| Member::alive(identity(n))).collect();
        for some in invented.chunks(10) {
            heard.hear(&member, Message::Gossip, some).unwrap();
        }
        let up = heard.peers.up().count();
        assert!((MEMBERS_MAX..MEMBERS_MAX + 10).contains(&up), "{up}");
        let refused = heard.totals.members_refused;
        assert!(refused > 0);
        let late = heard.hear(&identity(3_000), Message::Announce, &[]);
        assert!(matches!(late, Err(SwimError::Full)));
        assert_eq!(heard.totals.members_refused, refused + 1);
        let back = Identity { boot: 9, origin: OriginId(99), ..member.clone() };
        heard.hear(&back, Message::Announce, &[]).unwrap();
        assert_eq!(heard.peers.up_member(member.node), Some(&back), "a restart is no new member");
    }

    #[test]
    fn a_packet_that_foca_does_not_take_is_told_from_one_that_it_does() {
        let mut heard = Heard::new();
        let ourselves = Identity { address: identity(5).address, ..identity(0) };
        let refused = heard.hear(&ourselves, Message::Gossip, &[]);
        assert!(matches!(refused, Err(SwimError::Refused)));
        assert_eq!(heard.totals.swim_faults, 0, "the sender's, and no fault");
    }
}
