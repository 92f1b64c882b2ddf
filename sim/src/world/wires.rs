//! What goes from machine to machine: datagrams, dials, and frames on links.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::identity::{Address, NodeId};
use quipu_core::input::{Input, LinkId};
use quipu_core::wire::datagram::DATAGRAM_BYTES_MAX;
use quipu_core::wire::frame::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNPROVED};

use super::machines::Machines;
use super::stage::Stage;
use crate::chance::{Chance, Purpose};
use crate::faults::FaultKind;
use crate::frames::Frames;
use crate::host::{HostId, ProcessId};
use crate::links::{Arrival, ConnectionId, Links, Side, Surroundings};
use crate::network::Network;
use crate::plan::{LINK_BYTES_MAX, Plan};
use crate::schedule::Event;
use crate::violation::Violation;

/// How long the server tries to connect.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The network with its links, and what is under way on them.
#[derive(Debug)]
pub(super) struct Wires {
    network: Network,
    links: Links,
    frames: Frames,
    /// Ends of links that the node there has established.
    established: BTreeSet<(HostId, LinkId)>,
    chance: Chance,
}

impl Wires {
    pub(super) fn new(plan: &Plan) -> Self {
        Wires {
            network: Network::new(plan.hosts, plan.weather),
            links: Links::new(plan.weather.link_bytes_max, plan.bug),
            frames: Frames::default(),
            established: BTreeSet::new(),
            chance: Chance::new(plan.seed, Purpose::Network),
        }
    }

    /// From now on the network is sound.
    pub(super) fn calm(&mut self, machines: &Machines, stage: &mut Stage<'_>) {
        self.network.calm();
        self.links.set_bytes_max(LINK_BYTES_MAX);
        self.resume(machines, stage);
    }

    /// These faults, and no others, are on from now.
    pub(super) fn suffer(&mut self, faults: &[FaultKind]) {
        self.network.suffer(faults);
    }

    pub(super) fn passes(&self, from: HostId, to: HostId) -> bool {
        self.network.passes(from, to)
    }

    pub(super) fn send_datagram(
        &mut self,
        from: HostId,
        to: HostId,
        bytes: &Bytes,
        stage: &mut Stage<'_>,
    ) {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            let (bytes, most) = (bytes.len(), DATAGRAM_BYTES_MAX);
            stage.fail(Violation::DatagramTooLong { host: from, bytes, most });
        }
        stage.work.datagrams += 1;
        for delay in self.network.datagram(from, to, &mut self.chance) {
            stage.after(delay, Event::Datagram { from, to, bytes: bytes.clone() });
        }
    }

    pub(super) fn dial(
        &mut self,
        dialer: ProcessId,
        node: NodeId,
        address: &Address,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) {
        let Some(to) = machines.at(address) else {
            if !machines.were_at(address) {
                let address = address.clone();
                return stage.fail(Violation::StrangeDial { host: dialer.host, address });
            }
            return stage.after(CONNECT_MAX, Event::DialFailed { dialer, node });
        };
        stage.note(format_args!("n{} dials n{to} for {node}", dialer.host));
        let delay = self.network.delay(dialer.host, to, &mut self.chance);
        stage.after(delay, Event::DialArrives { dialer, node, to });
    }

    /// A dial reaches a machine.
    pub(super) fn dial_arrives(
        &mut self,
        dialer: ProcessId,
        node: NodeId,
        to: HostId,
        machines: &mut Machines,
        stage: &mut Stage<'_>,
    ) {
        if machines.process(dialer).is_none() {
            return;
        }
        let from = dialer.host;
        if !self.passes(from, to) || !self.passes(to, from) || !machines[to].powered {
            return stage.after(CONNECT_MAX, Event::DialFailed { dialer, node });
        }
        let back = self.network.delay(to, from, &mut self.chance);
        let Some(acceptor) = machines[to].process.as_ref().map(|process| process.id) else {
            return stage.after(back, Event::DialFailed { dialer, node });
        };
        let ours = machines[from].next_link();
        let theirs = machines[to].next_link();
        let judge = &mut stage.judge;
        judge.behind.opened([(from, ours), (to, theirs)], &judge.checker);
        self.frames.opened((from, ours), (to, theirs));
        let (links, mut around) = self.around(machines, stage);
        let connection = links.open((dialer, ours), (acceptor, theirs), node, &mut around);
        stage.after(CONNECT_MAX, Event::DialTimeout(connection));
        machines.deliver_to(acceptor, Input::LinkOpened { link: theirs, dialed: None }, stage);
    }

    /// A dialer has waited long enough: whom it had dialed, if the connection has not opened.
    pub(super) fn give_up(
        &mut self,
        connection: ConnectionId,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) -> Option<(ProcessId, NodeId)> {
        let (links, mut around) = self.around(machines, stage);
        links.give_up(connection, &mut around)
    }

    /// The next item that a side of a connection has sent is due: what it is to the other side's
    /// process.
    pub(super) fn due(
        &mut self,
        connection: ConnectionId,
        side: Side,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) -> Option<(ProcessId, Input)> {
        let (links, mut around) = self.around(machines, stage);
        let (process, link, arrival) = links.due(connection, side, &mut around)?;
        let input = match arrival {
            Arrival::Opened(node) => Input::LinkOpened { link, dialed: Some(node) },
            Arrival::Closed => {
                self.frames.closed((process.host, link));
                stage.judge.behind.closed(process.host, link);
                Input::LinkClosed { link }
            }
            Arrival::Frame(frame) => {
                if !self.frames.arrived((process.host, link), &frame) {
                    stage.fail(Violation::FrameLost { host: process.host, link });
                }
                Input::LinkFrame { link, frame }
            }
        };
        Some((process, input))
    }

    /// A machine's process sends a frame.
    pub(super) fn send_frame(
        &mut self,
        host: HostId,
        link: LinkId,
        bytes: Bytes,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) {
        self.check_length(host, link, bytes.len(), stage);
        self.frames.sent((host, link), &bytes);
        let (links, mut around) = self.around(machines, stage);
        let overflows = links.send(host, link, bytes, &mut around);
        stage.work.links_overflown += u64::from(overflows);
        stage.work.frames += 1;
    }

    /// A machine's node has established a link.
    pub(super) fn established(&mut self, host: HostId, link: LinkId) {
        self.established.insert((host, link));
    }

    /// A machine's node closes a link.
    pub(super) fn close(
        &mut self,
        host: HostId,
        link: LinkId,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) {
        stage.judge.behind.closed(host, link);
        self.frames.closed((host, link));
        let (links, mut around) = self.around(machines, stage);
        links.close(host, link, &mut around);
    }

    /// All connections between two machines are reset.
    pub(super) fn break_between(
        &mut self,
        a: HostId,
        b: HostId,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) {
        let (links, mut around) = self.around(machines, stage);
        links.break_between(a, b, &mut around);
    }

    /// Paths have opened, or machines come back.
    pub(super) fn resume(&mut self, machines: &Machines, stage: &mut Stage<'_>) {
        let (links, mut around) = self.around(machines, stage);
        links.resume(&mut around);
    }

    /// A process has ended: its machine's kernel says so on its links, if it has power.
    pub(super) fn process_ended(
        &mut self,
        process: ProcessId,
        machines: &Machines,
        stage: &mut Stage<'_>,
    ) {
        if machines[process.host].powered {
            let (links, mut around) = self.around(machines, stage);
            links.process_died(process, &mut around);
        } else {
            self.links.power_lost(process);
        }
    }

    /// The links, and what they need to know.
    fn around<'a>(
        &'a mut self,
        machines: &'a Machines,
        stage: &'a mut Stage<'_>,
    ) -> (&'a mut Links, Surroundings<'a>) {
        let Wires { network, links, chance, .. } = self;
        let (hosts, schedule) = (machines.all(), &mut stage.schedule);
        (links, Surroundings { network, hosts, schedule, chance })
    }

    /// A receiver reads long frames only once it has established the link, which its sender has
    /// done before it.
    fn check_length(&self, host: HostId, link: LinkId, bytes: usize, stage: &mut Stage<'_>) {
        let is_proved = self.established.contains(&(host, link));
        let most = if is_proved { FRAME_BYTES_MAX } else { FRAME_BYTES_MAX_UNPROVED };
        if bytes > most {
            stage.fail(Violation::FrameTooLong { host, link, bytes, most });
        }
    }
}
