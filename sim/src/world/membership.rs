//! Removed nodes: what operators do to them, and what must and must not become of them (rule
//! `removed-stays-removed`).

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::input::{Input, Token};
use quipu_core::query::{Answer, Register, Remove};
use quipu_core::status::PeerState;
use quipu_core::time::Time;

use super::machines::Machines;
use super::stage::Stage;
use crate::faults;
use crate::host::{HostId, ProcessId};
use crate::plan::Plan;
use crate::violation::Violation;

/// What operators have done to members.
#[derive(Debug)]
pub(super) struct Membership {
    once_removed: BTreeSet<HostId>,
    /// Machines whose removal no operator takes back yet.
    kept_out: BTreeSet<HostId>,
    /// Removals of nodes that were listed where it was asked for, by their tokens.
    removals_asked: BTreeMap<Token, HostId>,
}

impl Membership {
    pub(super) fn new(plan: &Plan) -> Self {
        Membership {
            once_removed: BTreeSet::new(),
            kept_out: faults::kept_out(&plan.faults).hosts().collect(),
            removals_asked: BTreeMap::new(),
        }
    }

    /// An operator at one machine removes the node of another.
    pub(super) fn remove(
        &mut self,
        host: HostId,
        by: HostId,
        machines: &mut Machines,
        stage: &mut Stage<'_>,
    ) {
        self.once_removed.insert(host);
        stage.judge.checker.removed(host);
        let token = stage.token();
        if lists(by, host, machines, stage.now()) {
            self.removals_asked.insert(token, host);
        }
        let query = Remove { peer: machines.peer_name(host) }.into();
        let input = Input::Query { token, query };
        machines.deliver(by, input, stage);
    }

    /// A node has answered an operator.
    pub(super) fn answered(
        &mut self,
        id: ProcessId,
        token: Token,
        answer: &Answer,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) {
        let Some(removed) = self.removals_asked.remove(&token) else { return };
        // A node that an operator registers meanwhile may be listed again.
        let is_kept_out = self.kept_out.contains(&removed);
        if is_kept_out
            && *answer == Answer::Peers(Ok(()))
            && lists(id.host, removed, machines, stage.now())
        {
            stage.fail(Violation::RemovalIgnored { host: id.host, removed });
        }
    }

    /// An operator at some machine registers the node of another, if it runs.
    pub(super) fn register(&self, host: HostId, machines: &mut Machines, stage: &mut Stage<'_>) {
        if self.kept_out.contains(&host) || machines[host].process.is_none() {
            return;
        }
        if let Some(by) = machines.running().into_iter().find(|other| *other != host) {
            register_at(by, host, machines, stage);
        }
    }

    /// An operator registers again all nodes that were removed.
    pub(super) fn register_removed(&self, machines: &mut Machines, stage: &mut Stage<'_>) {
        // A node whose disk was copied may have been removed with the copy, which no operator meant.
        let is_removed = |host: &HostId| {
            machines.status(*host, stage.now()).is_some_and(|status| status.removed)
        };
        let mut hosts = self.once_removed.clone();
        hosts.extend(machines.running().into_iter().filter(is_removed));
        for host in hosts {
            self.register(host, machines, stage);
        }
    }

    /// The machines whose nodes run and are to stay out of the cluster: removed for good, as far as
    /// any node that runs has heard of it.
    pub(super) fn out(&self, machines: &Machines) -> Vec<HostId> {
        let is_out = |host: &HostId| {
            let identity = machines[*host].process.as_ref().map(|process| process.node.identity());
            identity.is_some_and(|identity| {
                machines.processes().any(|other| other.node.registry().is_removed(identity))
            })
        };
        self.kept_out.iter().copied().filter(is_out).collect()
    }

    /// The machines whose nodes run and are members.
    pub(super) fn members(&self, machines: &Machines) -> Vec<HostId> {
        let out = self.out(machines);
        machines.running().into_iter().filter(|host| !out.contains(host)).collect()
    }

    /// An operator registers again all nodes that were to stay out.
    pub(super) fn readmit(&mut self, machines: &mut Machines, stage: &mut Stage<'_>) {
        let by = self.members(machines);
        for host in std::mem::take(&mut self.kept_out) {
            if let Some(by) = by.first() {
                register_at(*by, host, machines, stage);
            }
        }
    }
}

fn register_at(by: HostId, host: HostId, machines: &mut Machines, stage: &mut Stage<'_>) {
    let token = stage.token();
    stage.judge.checker.registered(host);
    let query = Register { peer: machines.peer_name(host) }.into();
    machines.deliver(by, Input::Query { token, query }, stage);
}

/// Whether a machine's node lists that of another as a member.
fn lists(by: HostId, host: HostId, machines: &Machines, now: Time) -> bool {
    let Some(status) = machines.status(by, now) else { return false };
    let address = machines[host].address.to_string();
    status.listed_peers().any(|listed| listed == address)
}

/// Looks whether a link stands between a machine's node and one that it holds for removed, or any
/// link of one that knows of its own removal.
pub(super) fn look_at_links(host: HostId, machines: &Machines, stage: &mut Stage<'_>) {
    let Some(process) = &machines[host].process else { return };
    if process.node.registry().records().next().is_none() {
        return;
    }
    let Some(status) = machines.status(host, stage.now()) else { return };
    let mut linked = status.peers.iter().filter(|peer| peer.link.is_some());
    let removed = |state| status.removed || state == PeerState::Removed;
    if let Some(peer) = linked.find(|peer| removed(peer.state)) {
        let why = if status.removed { "it was removed" } else { "that one was removed" };
        let address = peer.address.clone();
        stage.fail(Violation::LinkOutlived { host, address, why });
    }
}
