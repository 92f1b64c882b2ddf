//! Strangers: senders of datagrams who are no members, and may have listened to those who are.
//!
//! What they send is replayed, foreign or forged: word for word what a member has sent, under another
//! cluster's name or another secret, or without the secret that it needs. None of it may do more
//! than a datagram that came late or twice.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use quipu_core::identity::{Address, Identity, NodeId, OriginId};
use quipu_core::input::Input;
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::wire::auth::Secret;
use quipu_core::wire::datagram::{Beacon, BeaconKind, Datagram, Envelope};

use super::{CLUSTER, World};
use crate::faults::FaultKind;
use crate::host::HostId;
use crate::schedule::Event;

/// The longest pause between two datagrams of a stranger.
const PAUSE_MICROS_MAX: u64 = 40_000;

/// How many of the members' last datagrams a stranger has written down.
const RECORDED_MAX: usize = 512;

/// Epochs later than any that a run brings about.
const LATE_EPOCH: u64 = 1 << 45;

impl World<'_> {
    /// A stranger may have listened.
    pub(super) fn record(&mut self, from: HostId, bytes: &Bytes) {
        if !self.is_listened_to {
            return;
        }
        if self.recorded.len() == RECORDED_MAX {
            self.recorded.pop_front();
        }
        self.recorded.push_back((self.hosts[from].socket, bytes.clone()));
    }

    /// A stranger sends something, and will again for as long as its fault is on.
    pub(super) fn stranger_speaks(&mut self, index: usize) {
        let FaultKind::Stranger(host) = self.plan.faults[index].kind else { return };
        if !self.faults_on.contains(&index) {
            return;
        }
        if let Some((from, bytes)) = self.strange_word(host) {
            self.work.strange_datagrams += 1;
            self.deliver(host, Input::Datagram { from, bytes });
        }
        let pause = self.stranger_chance.micros(1, PAUSE_MICROS_MAX);
        self.schedule.at(self.now + pause, Event::Stranger(index));
    }

    fn strange_word(&mut self, host: HostId) -> Option<(SocketAddr, Bytes)> {
        let stranger = SocketAddr::from((Ipv4Addr::new(10, 9, 9, 9), 4000));
        let kind = self.stranger_chance.below(10);
        if kind < 5 {
            let count = self.recorded.len();
            let place = (count > 0).then(|| self.stranger_chance.index(count))?;
            let (from, bytes) = self.recorded[place].clone();
            let cut = self.stranger_chance.index(bytes.len() + 1);
            return Some(match kind {
                0 => (stranger, bytes.slice(..cut)),
                1 => (stranger, bytes),
                // Where a datagram comes from is anyone's to write.
                _ => (from, bytes),
            });
        }
        let envelope = self.strange_envelope();
        let members: Vec<Identity> = self
            .hosts
            .iter()
            .filter_map(|host| Some(host.process.as_ref()?.node.identity().clone()))
            .collect();
        let known = (!members.is_empty())
            .then(|| members[self.stranger_chance.index(members.len())].clone())?;
        let strange = Identity {
            node: NodeId(self.stranger_chance.any()),
            address: Address::from(stranger),
            epoch: 0,
            boot: known.boot,
            origin: OriginId(self.stranger_chance.any()),
        };
        let identity = match kind {
            5 => strange,
            // Under a member's id: the one that is called, or another.
            6 => Identity { node: self.hosts[host].process.as_ref()?.lives_as, ..strange },
            7 => Identity { node: known.node, epoch: LATE_EPOCH, ..strange },
            8 => Identity { boot: known.boot + 1, ..known.clone() },
            _ => {
                let key = Key::Node(known.node);
                let removal = MembershipRecord { key, removed: LATE_EPOCH, registered: 0 };
                return Some((stranger, envelope.seal(&Datagram::Membership(vec![removal]))));
            }
        };
        let sequence = self.stranger_chance.any();
        let call = Beacon { identity, sequence, kind: BeaconKind::Call };
        Some((stranger, envelope.seal(&Datagram::Beacon(call))))
    }

    /// Another cluster's, or where this one has a secret that of one who does not know it.
    fn strange_envelope(&mut self) -> Envelope {
        let wrong = || Secret::new(b"known to strangers, and to no node").ok();
        match self.stranger_chance.below(3) {
            0 if self.plan.has_secret => Envelope::new(CLUSTER, None),
            1 if self.plan.has_secret => Envelope::new(CLUSTER, wrong()),
            2 => Envelope::new("another cluster", wrong()),
            _ => Envelope::new("another cluster", None),
        }
    }

    /// The first word of a stranger.
    pub(super) fn stranger_comes(&mut self, index: usize) {
        self.schedule.at(self.now + Duration::from_micros(1), Event::Stranger(index));
    }
}
