//! Clients and operators: what they ask of nodes.

use quipu_core::input::{Input, PeerName};
use quipu_core::operation::{Op, Request};

use super::World;
use crate::host::HostId;

impl World<'_> {
    /// A client's request to a machine, beside those of the plan.
    pub fn ask(&mut self, host: HostId, ops: Vec<Op>) {
        self.tokens += 1;
        let token = self.tokens;
        let Some(process) = self.hosts[host].process.as_ref().filter(|p| !p.leaving) else {
            return;
        };
        self.checker.asked(self.now, token, process.origin, &ops);
        self.deliver(host, Input::Request { token, request: Request { ops } });
    }

    pub(super) fn register(&mut self, host: HostId) {
        if self.kept_out.contains(&host) {
            return;
        }
        let by = (0..self.hosts.len())
            .find(|other| *other != host && self.hosts[*other].process.is_some());
        if let Some(by) = by.filter(|_| self.hosts[host].process.is_some()) {
            self.tokens += 1;
            self.checker.registered(host);
            let input = Input::Register { token: self.tokens, peer: self.peer_name(host) };
            self.deliver(by, input);
        }
    }

    pub(super) fn peer_name(&self, host: HostId) -> PeerName {
        let address = self.hosts[host].address.clone();
        PeerName { given: address.to_string(), address, resolved: vec![self.hosts[host].socket] }
    }
}
