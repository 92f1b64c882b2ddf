//! Raises are granted only where the node is not known to be behind (rule `no-raise-while-behind`).
//!
//! What a node is told is not looked at, only what follows: whose link stands has read the other
//! side's first digest before it grants a raise, so what was safe there when the connection opened
//! is here. A member that is up and not linked has not been compared with at all, and a node that
//! has just started has heard of no one yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quipu_core::effect::Effect;
use quipu_core::identity::{NodeId, OriginId, Version};
use quipu_core::input::LinkId;
use quipu_core::outbox::Effects;
use quipu_core::status::PeerState;
use quipu_core::time::Time;

use super::World;
use crate::host::{HostId, ProcessId};
use crate::violation::Violation;

/// How long after its start a node that knows of no member holds itself for behind.
const SETTLING: Duration = Duration::from_secs(1);

/// A peer that tells nothing on its link for longer may be passed over.
const TELLS_WITHIN: Duration = Duration::from_secs(2);

/// A member to which no link has stood for as long may be passed over, if another one was compared.
const LINKS_WITHIN: Duration = Duration::from_secs(5);

/// In what way a node is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It has just started.
    Starting,
    /// No link stands to this member, which is up.
    NotLinked(NodeId),
    /// The other side of this link had more when it opened.
    Lacking(LinkId),
}

/// What a machine's process knows of its links, as seen from outside.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// What was safe at the other side of each connection when it opened.
    had: BTreeMap<LinkId, Vec<(OriginId, Version)>>,
    /// When, by the process's clock, each was established.
    established: BTreeMap<LinkId, Time>,
}

impl World<'_> {
    /// A connection between two machines opens: the name of each end, and where it is.
    pub(super) fn note_connection(&mut self, ends: [(HostId, LinkId); 2]) {
        let [one, other] = ends;
        for ((host, link), peer) in [(one, other.0), (other, one.0)] {
            let had = self.checker.safe_at(peer);
            self.linked[host].had.insert(link, had);
        }
    }

    pub(super) fn note_established(&mut self, host: HostId, link: LinkId) {
        let local = self.hosts[host].clock.read(self.now);
        self.linked[host].established.insert(link, local);
    }

    pub(super) fn note_closed(&mut self, host: HostId, link: LinkId) {
        let linked = &mut self.linked[host];
        linked.had.remove(&link);
        linked.established.remove(&link);
    }

    /// In what ways a process is behind, if it has been asked for a raise.
    pub(super) fn behind(&self, id: ProcessId) -> BTreeSet<Reason> {
        let machine = &self.hosts[id.host];
        let Some(process) = machine.process.as_ref().filter(|process| process.id == id) else {
            return BTreeSet::new();
        };
        if !self.checker.is_asked_for_a_raise(process.origin) {
            return BTreeSet::new();
        }
        let local = machine.clock.read(self.now);
        let status = process.node.status(local);
        if status.removed {
            return BTreeSet::new();
        }
        let mut up = status
            .peers
            .iter()
            .filter(|peer| matches!(peer.state, PeerState::Alive | PeerState::Suspect))
            .peekable();
        let has_just_started = local < process.began + SETTLING;
        let starting = (up.peek().is_none() && has_just_started).then_some(Reason::Starting);
        let linked = &self.linked[id.host];
        // Sooner than that after its start, nobody has been without a link for as long.
        let may_pass_over = local >= process.began + LINKS_WITHIN && !linked.established.is_empty();
        let unlinked =
            up.filter(|peer| peer.link.is_none() && !may_pass_over).filter_map(|peer| peer.node);
        let counters = process.node.counters();
        let lacks = |(origin, version): &(OriginId, Version)| {
            *origin != process.origin && counters.known(*origin).version < *version
        };
        let is_young =
            |link| linked.established.get(link).is_some_and(|at| local < *at + TELLS_WITHIN);
        let lacking =
            linked.had.iter().filter(|(link, had)| is_young(link) && had.iter().any(lacks));
        starting
            .into_iter()
            .chain(unlinked.map(Reason::NotLinked))
            .chain(lacking.map(|(link, _)| Reason::Lacking(*link)))
            .collect()
    }

    /// A batch of one input at most has been closed: if it grants a raise, the node was not behind
    /// all the time.
    pub(super) fn check_raises(
        &mut self,
        id: ProcessId,
        before: &BTreeSet<Reason>,
        effects: &Effects,
    ) {
        if before.is_empty() || !self.checker.grants_a_raise(&effects.after_sync) {
            return;
        }
        let ends = |link| {
            let closes = |effect: &Effect| matches!(effect, Effect::CloseLink { link: closed } if *closed == link);
            effects.at_once.iter().any(closes)
        };
        let after = self.behind(id);
        let reason = before.intersection(&after).find(|reason| match reason {
            Reason::Lacking(link) => !ends(*link),
            Reason::Starting | Reason::NotLinked(_) => true,
        });
        if let Some(reason) = reason {
            let (host, reason) = (id.host, *reason);
            self.fail(Violation::RaisedBehind { host, reason });
        }
    }
}
