//! Strangers: senders of datagrams who are no members, and may have listened to those who are.
//!
//! What they send is replayed, foreign or forged: word for word what a member has sent, under another
//! cluster's name or another secret, or without the secret that it needs. None of it may do more
//! than a datagram that came late or twice.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use quipu_core::identity::{Address, Identity, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::wire::auth::Secret;
use quipu_core::wire::datagram::{Beacon, BeaconKind, Datagram, Envelope};

use super::cluster::CLUSTER;
use super::machines::Machines;
use crate::chance::{Chance, Purpose};
use crate::faults::FaultKind;
use crate::host::HostId;
use crate::plan::Plan;

/// The longest pause between two datagrams of a stranger.
const PAUSE_MICROS_MAX: u64 = 40_000;

/// How many of the members' last datagrams a stranger has written down.
const RECORDED_MAX: usize = 512;

/// Epochs later than any that a run brings about.
const LATE_EPOCH: u64 = 1 << 45;

/// What strangers have heard, and how they come by what they say.
#[derive(Debug)]
pub(super) struct Strangers {
    chance: Chance,
    /// Whether a stranger will come, who has listened before.
    is_listening: bool,
    has_secret: bool,
    /// The last datagrams of members, each with the socket that it came from.
    recorded: VecDeque<(SocketAddr, Bytes)>,
}

impl Strangers {
    pub(super) fn new(plan: &Plan) -> Self {
        Strangers {
            chance: Chance::new(plan.seed, Purpose::Strangers),
            is_listening: plan.faults.iter().any(|f| matches!(f.kind, FaultKind::Stranger(_))),
            has_secret: plan.has_secret,
            recorded: VecDeque::new(),
        }
    }

    /// A member sends a datagram: a stranger may have listened.
    pub(super) fn record(&mut self, from: SocketAddr, bytes: &Bytes) {
        if !self.is_listening {
            return;
        }
        if self.recorded.len() == RECORDED_MAX {
            self.recorded.pop_front();
        }
        self.recorded.push_back((from, bytes.clone()));
    }

    /// How long a stranger waits until it sends again.
    pub(super) fn pause(&mut self) -> Duration {
        self.chance.micros(1, PAUSE_MICROS_MAX)
    }

    /// What a stranger sends to a machine, and from which socket.
    pub(super) fn word(
        &mut self,
        host: HostId,
        machines: &Machines,
    ) -> Option<(SocketAddr, Bytes)> {
        let stranger = SocketAddr::from((Ipv4Addr::new(10, 9, 9, 9), 4000));
        let kind = self.chance.below(10);
        if kind < 5 {
            let count = self.recorded.len();
            let place = (count > 0).then(|| self.chance.index(count))?;
            let (from, bytes) = self.recorded[place].clone();
            let cut = self.chance.index(bytes.len() + 1);
            return Some(match kind {
                0 => (stranger, bytes.slice(..cut)),
                1 => (stranger, bytes),
                // Where a datagram comes from is anyone's to write.
                _ => (from, bytes),
            });
        }
        let envelope = self.strange_envelope();
        let members: Vec<Identity> =
            machines.processes().map(|process| process.node.identity().clone()).collect();
        let known =
            (!members.is_empty()).then(|| members[self.chance.index(members.len())].clone())?;
        let strange = Identity {
            node: NodeId(self.chance.any()),
            address: Address::from(stranger),
            epoch: 0,
            boot: known.boot,
            origin: OriginId(self.chance.any()),
        };
        let identity = match kind {
            5 => strange,
            // Under a member's id: the one that is called, or another.
            6 => Identity { node: machines[host].process.as_ref()?.lives_as, ..strange },
            7 => Identity { node: known.node, epoch: LATE_EPOCH, ..strange },
            8 => Identity { boot: known.boot + 1, ..known.clone() },
            _ => {
                let key = Key::Node(known.node);
                let removal = MembershipRecord { key, removed: LATE_EPOCH, registered: 0 };
                return Some((stranger, envelope.seal(&Datagram::Membership(vec![removal]))));
            }
        };
        let sequence = self.chance.any();
        let call = Beacon { identity, sequence, kind: BeaconKind::Call };
        Some((stranger, envelope.seal(&Datagram::Beacon(call))))
    }

    /// Another cluster's, or where this one has a secret that of one who does not know it.
    fn strange_envelope(&mut self) -> Envelope {
        let wrong = || Secret::new(b"known to strangers, and to no node").ok();
        match self.chance.below(3) {
            0 if self.has_secret => Envelope::new(CLUSTER, None),
            1 if self.has_secret => Envelope::new(CLUSTER, wrong()),
            2 => Envelope::new("another cluster", wrong()),
            _ => Envelope::new("another cluster", None),
        }
    }
}
