//! What goes from machine to machine.

use std::time::Duration;

use bytes::Bytes;
use quipu_core::identity::{Address, NodeId};
use quipu_core::input::Input;
use quipu_core::wire::datagram::DATAGRAM_BYTES_MAX;

use super::World;
use crate::host::{HostId, ProcessId, host_at};
use crate::links::{Arrival, ConnectionId, Side, Surroundings};
use crate::schedule::Event;
use crate::violation::Violation;

/// How long the server tries to connect.
const CONNECT_MAX: Duration = Duration::from_secs(1);

impl World<'_> {
    pub(super) fn send_datagram(&mut self, from: HostId, to: HostId, bytes: &Bytes) {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            let (bytes, most) = (bytes.len(), DATAGRAM_BYTES_MAX);
            self.fail(Violation::DatagramTooLong { host: from, bytes, most });
        }
        self.work.datagrams += 1;
        self.record(from, bytes);
        for delay in self.network.datagram(from, to, &mut self.network_chance) {
            let bytes = bytes.clone();
            self.schedule.at(self.now + delay, Event::Datagram { from, to, bytes });
        }
    }

    pub(super) fn dial(&mut self, dialer: ProcessId, node: NodeId, address: &Address) {
        let Some(to) = host_at(address, &self.hosts) else {
            if !self.left.contains(address) {
                let address = address.clone();
                return self.fail(Violation::StrangeDial { host: dialer.host, address });
            }
            self.schedule.at(self.now + CONNECT_MAX, Event::DialFailed { dialer, node });
            return;
        };
        self.trace.note(self.now, format_args!("n{} dials n{to} for {node}", dialer.host));
        let delay = self.network.delay(dialer.host, to, &mut self.network_chance);
        self.schedule.at(self.now + delay, Event::DialArrives { dialer, node, to });
    }

    pub(super) fn dial_arrives(&mut self, dialer: ProcessId, node: NodeId, to: HostId) {
        if self.hosts[dialer.host].running(dialer).is_none() {
            return;
        }
        let from = dialer.host;
        if !self.network.passes(from, to)
            || !self.network.passes(to, from)
            || !self.hosts[to].powered
        {
            self.schedule.at(self.now + CONNECT_MAX, Event::DialFailed { dialer, node });
            return;
        }
        let back = self.network.delay(to, from, &mut self.network_chance);
        let Some(acceptor) = self.hosts[to].process.as_ref().map(|process| process.id) else {
            self.schedule.at(self.now + back, Event::DialFailed { dialer, node });
            return;
        };
        let ours = self.hosts[from].next_link();
        let theirs = self.hosts[to].next_link();
        self.note_connection([(from, ours), (to, theirs)]);
        self.frames.opened((from, ours), (to, theirs));
        let ends = ((dialer, ours), (acceptor, theirs));
        let connection = self.links.open(ends.0, ends.1, node, around!(self));
        self.schedule.at(self.now + CONNECT_MAX, Event::DialTimeout(connection));
        self.deliver_to(acceptor, Input::LinkOpened { link: theirs, dialed: None });
    }

    pub(super) fn link_due(&mut self, connection: ConnectionId, side: Side) {
        let Some((process, link, arrival)) = self.links.due(connection, side, around!(self)) else {
            return;
        };
        let input = match arrival {
            Arrival::Opened(node) => Input::LinkOpened { link, dialed: Some(node) },
            Arrival::Closed => {
                self.frames.closed((process.host, link));
                self.note_closed(process.host, link);
                Input::LinkClosed { link }
            }
            Arrival::Frame(frame) => {
                if !self.frames.arrived((process.host, link), &frame) {
                    self.fail(Violation::FrameLost { host: process.host, link });
                }
                Input::LinkFrame { link, frame }
            }
        };
        self.deliver_to(process, input);
    }
}
