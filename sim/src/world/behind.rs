//! Raises are granted only where the node is not known to be behind (rule `no-raise-while-behind`).
//!
//! What a node receives is not looked at, only what follows: a node whose link stands has read the other
//! side's first digest before it grants a raise, so what was safe there when the connection opened
//! is here. A member that is up and not linked has not been compared with at all, and a node that
//! has just started has heard of no one yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quipu_core::identity::{NodeId, OriginId, Version};
use quipu_core::input::LinkId;
use quipu_core::status::PeerState;
use quipu_core::time::Time;

use crate::checker::Checker;
use crate::held::Held;
use crate::host::{HostId, Process};

/// How long after its start a node that knows of no member holds itself for behind.
const SETTLING: Duration = Duration::from_secs(1);

/// A peer that sends nothing on its link for longer may be passed over.
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

/// In what ways a process is behind.
pub(super) type Reasons = BTreeSet<Reason>;

/// What a machine's process knows of its links, as seen from outside.
#[derive(Debug, Default)]
struct Linked {
    /// What was safe at the other side of each connection when it opened.
    had: BTreeMap<LinkId, Vec<(OriginId, Version)>>,
    /// When, by the process's clock, each was established.
    established: BTreeMap<LinkId, Time>,
}

/// What all machines' processes know of their links.
#[derive(Debug)]
pub(super) struct Behind {
    /// By machine.
    linked: Vec<Linked>,
}

impl Behind {
    pub(super) fn new(hosts: usize) -> Self {
        Behind { linked: (0..hosts).map(|_| Linked::default()).collect() }
    }

    /// A connection between two machines opens: the name of each end, and where it is.
    pub(super) fn opened(&mut self, ends: [(HostId, LinkId); 2], checker: &Checker) {
        let [one, other] = ends;
        for ((host, link), peer) in [(one, other.0), (other, one.0)] {
            let had = checker.safe_at(peer);
            self.linked[host].had.insert(link, had);
        }
    }

    /// A link is established; when, by its process's clock.
    pub(super) fn established(&mut self, host: HostId, link: LinkId, local: Time) {
        self.linked[host].established.insert(link, local);
    }

    pub(super) fn closed(&mut self, host: HostId, link: LinkId) {
        let linked = &mut self.linked[host];
        linked.had.remove(&link);
        linked.established.remove(&link);
    }

    /// A machine's process has ended, and with it all its links.
    pub(super) fn ended(&mut self, host: HostId) {
        self.linked[host] = Linked::default();
    }

    /// In what ways a process is behind, if it has been asked for a raise.
    pub(super) fn reasons(&self, process: &Process, local: Time, checker: &Checker) -> Reasons {
        if !checker.is_asked_for_a_raise(process.origin) {
            return Reasons::new();
        }
        let status = process.node.status(local);
        if status.removed {
            return Reasons::new();
        }
        let mut up = status
            .peers
            .iter()
            .filter(|peer| matches!(peer.state, PeerState::Alive | PeerState::Suspect))
            .peekable();
        let has_just_started = local < process.began + SETTLING;
        let starting = (up.peek().is_none() && has_just_started).then_some(Reason::Starting);
        let linked = &self.linked[process.id.host];
        // Sooner than that after its start, no member has been without a link for as long.
        let may_pass_over = local >= process.began + LINKS_WITHIN && !linked.established.is_empty();
        let unlinked =
            up.filter(|peer| peer.link.is_none() && !may_pass_over).filter_map(|peer| peer.node);
        let table = Held::new(checker, process.node.counters());
        let lacks = |(origin, version): &(OriginId, Version)| {
            *origin != process.origin
                && !checker.settlements.is_one(*origin)
                && table.known(*origin) < *version
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
}
