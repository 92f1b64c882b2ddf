//! Removed nodes: what operators do to them, and what must and must not become of them (rule
//! `removed-stays-removed`).

use quipu_core::input::{Input, Token};
use quipu_core::query::Answer;
use quipu_core::status::PeerState;

use super::World;
use crate::host::{HostId, ProcessId};
use crate::violation::Violation;

impl World<'_> {
    /// An operator at one machine removes the node of another.
    pub(super) fn remove(&mut self, host: HostId, by: HostId) {
        self.once_removed.insert(host);
        self.checker.removed(host);
        self.tokens += 1;
        if self.lists(by, host) {
            self.removals_asked.insert(self.tokens, host);
        }
        let input = Input::Remove { token: self.tokens, peer: self.peer_name(host) };
        self.deliver(by, input);
    }

    /// Whether a machine's node lists that of another as a member.
    fn lists(&self, by: HostId, host: HostId) -> bool {
        let Some(process) = &self.hosts[by].process else { return false };
        let status = process.node.status(self.hosts[by].clock.read(self.now));
        let address = self.hosts[host].address.to_string();
        status.listed_peers().any(|listed| listed == address)
    }

    /// A node has answered an operator.
    pub(super) fn operator_answered(&mut self, id: ProcessId, token: Token, answer: &Answer) {
        let Some(removed) = self.removals_asked.remove(&token) else { return };
        // Whom an operator registers meanwhile may be listed again.
        let is_kept_out = self.kept_out.contains(&removed);
        if is_kept_out && *answer == Answer::Peers(Ok(())) && self.lists(id.host, removed) {
            self.fail(Violation::RemovalIgnored { host: id.host, removed });
        }
    }

    /// Between a node and one that it holds for removed no link stands; nor any to one that knows of
    /// its own removal.
    pub(super) fn look_at_links(&mut self, host: HostId) {
        let machine = &self.hosts[host];
        let Some(process) = &machine.process else { return };
        if process.node.registry().records().next().is_none() {
            return;
        }
        let status = process.node.status(machine.clock.read(self.now));
        let linked = status.peers.iter().filter(|peer| peer.link.is_some());
        let removed = |state| status.removed || state == PeerState::Removed;
        if let Some(peer) = linked.clone().find(|peer| removed(peer.state)) {
            let why = if status.removed { "it was removed" } else { "that one was removed" };
            let address = peer.address.clone();
            self.fail(Violation::LinkOutlived { host, address, why });
        }
    }

    /// The machines whose nodes run and are to stay out of the cluster: removed for good, as far as
    /// any node that runs has heard of it.
    pub fn out(&self) -> Vec<HostId> {
        let is_out = |host: &HostId| {
            let process = self.hosts[*host].process.as_ref();
            let identity = process.map(|process| process.node.identity());
            identity.is_some_and(|identity| {
                let mut running = self.hosts.iter().filter_map(|other| other.process.as_ref());
                running.any(|other| other.node.registry().is_removed(identity))
            })
        };
        self.kept_out.iter().copied().filter(is_out).collect()
    }

    /// The machines whose nodes run and are members.
    pub fn members(&self) -> Vec<HostId> {
        let out = self.out();
        self.running().into_iter().filter(|host| !out.contains(host)).collect()
    }

    /// An operator registers again all that were to stay out.
    pub fn readmit(&mut self) {
        let by = self.members();
        for host in std::mem::take(&mut self.kept_out) {
            if let Some(by) = by.first() {
                self.tokens += 1;
                self.checker.registered(host);
                let peer = self.peer_name(host);
                self.deliver(*by, Input::Register { token: self.tokens, peer });
            }
        }
    }
}
