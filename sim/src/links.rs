//! Links: connections on which nothing is lost, doubled or reordered until they break.
//!
//! Each direction is a queue of items with the time at which each is due, limited by what the
//! line carries. Over a closed path bytes are held, as TCP holds them, and come some time after
//! it opens again; neither side learns of it. A process that dies has its kernel say so; a machine
//! that loses power says nothing, and answers with a reset when it is spoken to after it is back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use quipu_core::identity::NodeId;
use quipu_core::input::LinkId;
use quipu_core::time::Time;

use crate::bug::Bug;
use crate::chance::Chance;
use crate::host::{Host, HostId, ProcessId};
use crate::network::Network;
use crate::schedule::{Event, Schedule};

/// A connection.
pub type ConnectionId = u64;

/// One side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that opened it.
    Dialer,
    /// The one that took it.
    Acceptor,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Dialer => Side::Acceptor,
            Side::Acceptor => Side::Dialer,
        }
    }
}

/// How long after a path has opened again held bytes come at most, whatever the outage: TCP's
/// back-off grows with the outage, and links that wait longer are given up by the nodes.
const RESUME_MAX: Duration = Duration::from_secs(3);

/// What travels.
#[derive(Debug)]
enum Item {
    /// The connection stands.
    Opened,
    /// One frame.
    Frame(Bytes),
    /// The connection has ended at the other side.
    Closed,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Item::Frame(frame) => frame.len(),
            Item::Opened | Item::Closed => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndState {
    /// The dialer does not know yet that it stands.
    Opening,
    Open,
    /// The process has closed it or knows that it is closed, or has died.
    Closed,
    /// The machine has lost power and with it all memory of the connection.
    Forgotten,
}

#[derive(Debug)]
struct End {
    process: ProcessId,
    link: LinkId,
    state: EndState,
}

/// What one side has sent and the other not yet received.
#[derive(Debug, Default)]
struct Flow {
    items: VecDeque<(Time, Item)>,
    line_free_at: Time,
    last_due: Time,
    /// Since when its first item is held back by a closed path or a machine without power.
    held_since: Option<Time>,
    /// How many bytes its frames have.
    bytes: usize,
    /// An item was reset away: nothing more is taken.
    ended: bool,
}

impl Flow {
    fn truncate(&mut self, items: usize) {
        self.items.truncate(items);
        self.bytes = self.items.iter().map(|(_, item)| item.bytes()).sum();
    }
}

#[derive(Debug)]
struct Connection {
    node: NodeId,
    ends: [End; 2],
    /// By the side that sends.
    flows: [Flow; 2],
}

/// What a connection brings to a process.
#[derive(Debug)]
pub enum Arrival {
    /// The connection that it dialed stands.
    Opened(NodeId),
    /// A frame.
    Frame(Bytes),
    /// The connection has ended.
    Closed,
}

/// What a connection needs to know of the world.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// What lies between the machines.
    pub network: &'a Network,
    /// The machines, each with power or without.
    pub hosts: &'a [Host],
    /// The time, and where to plan what comes later.
    pub schedule: &'a mut Schedule,
    /// The network's.
    pub chance: &'a mut Chance,
}

impl Surroundings<'_> {
    fn now(&self) -> Time {
        self.schedule.now()
    }

    /// Whether what is sent reaches a machine.
    fn reaches(&self, from: HostId, to: HostId) -> bool {
        self.network.passes(from, to) && self.hosts[to].powered
    }
}

/// All connections.
#[derive(Debug)]
pub struct Links {
    /// How many bytes wait in one direction at most.
    bytes_max: usize,
    bug: Option<Bug>,
    connections: BTreeMap<ConnectionId, Connection>,
    by_end: BTreeMap<(HostId, LinkId), (ConnectionId, Side)>,
    opened: ConnectionId,
}

impl Links {
    /// No connection yet. Each direction of one holds so many bytes.
    pub fn new(bytes_max: usize, bug: Option<Bug>) -> Self {
        let (connections, by_end) = (BTreeMap::new(), BTreeMap::new());
        Links { bytes_max, bug, connections, by_end, opened: 0 }
    }

    /// From now on each direction holds so many bytes.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// A connection has been taken by the machine that was dialed; the dialer will hear of it.
    pub fn open(
        &mut self,
        dialer: (ProcessId, LinkId),
        acceptor: (ProcessId, LinkId),
        node: NodeId,
        around: &mut Surroundings<'_>,
    ) -> ConnectionId {
        self.opened += 1;
        let id = self.opened;
        let end = |(process, link), state| End { process, link, state };
        self.by_end.insert((dialer.0.host, dialer.1), (id, Side::Dialer));
        self.by_end.insert((acceptor.0.host, acceptor.1), (id, Side::Acceptor));
        self.connections.insert(
            id,
            Connection {
                node,
                ends: [end(dialer, EndState::Opening), end(acceptor, EndState::Open)],
                flows: [Flow::default(), Flow::default()],
            },
        );
        self.push(id, Side::Acceptor, Item::Opened, around);
        id
    }

    /// A process sends a frame; returns whether there was no room for it. A link that has lost one
    /// ends, and so it was reset.
    pub fn send(
        &mut self,
        host: HostId,
        link: LinkId,
        frame: Bytes,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let Some(&(id, side)) = self.by_end.get(&(host, link)) else { return false };
        let connection = &self.connections[&id];
        if connection.ends[side as usize].state != EndState::Open {
            return false;
        }
        let waiting = connection.flows[side as usize].bytes;
        let overflows = waiting > 0 && waiting + frame.len() > self.bytes_max;
        match overflows {
            true if self.bug == Some(Bug::LinkDropsFrames) => {}
            true => self.reset(id, around),
            false => self.push(id, side, Item::Frame(frame), around),
        }
        overflows
    }

    /// A process closes a connection once its frames so far are sent.
    pub fn close(&mut self, host: HostId, link: LinkId, around: &mut Surroundings<'_>) {
        if let Some(&(id, side)) = self.by_end.get(&(host, link)) {
            self.end(id, side, around);
        }
    }

    /// A dialer has waited long enough: if the connection has not opened, it gives up.
    /// Returns the dialer, and the node that it wanted.
    pub fn give_up(
        &mut self,
        id: ConnectionId,
        around: &mut Surroundings<'_>,
    ) -> Option<(ProcessId, NodeId)> {
        let connection = self.connections.get(&id)?;
        let dialer = &connection.ends[Side::Dialer as usize];
        if dialer.state != EndState::Opening {
            return None;
        }
        let wanted = (dialer.process, connection.node);
        self.end(id, Side::Dialer, around);
        Some(wanted)
    }

    /// A process has died; its machine's kernel closes its connections, and may have lost some of
    /// what was on its way out.
    pub fn process_died(&mut self, process: ProcessId, around: &mut Surroundings<'_>) {
        for (id, side) in self.of(process) {
            self.cut_short(id, side, around.chance);
            self.end(id, side, around);
        }
    }

    /// A machine has lost power.
    pub fn power_lost(&mut self, process: ProcessId) {
        for (id, side) in self.of(process) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ends[side as usize].state = EndState::Forgotten;
                connection.flows[side as usize].truncate(0);
                connection.flows[side as usize].ended = true;
            }
        }
    }

    /// All connections between two machines are reset, with whatever was on its way.
    pub fn break_between(&mut self, a: HostId, b: HostId, around: &mut Surroundings<'_>) -> usize {
        let hit: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                let [one, other] = &connection.ends;
                let hosts = (one.process.host, other.process.host);
                hosts == (a, b) || hosts == (b, a)
            })
            .map(|(id, _)| *id)
            .collect();
        for &id in &hit {
            self.reset(id, around);
        }
        hit.len()
    }

    /// A connection is reset, with whatever was on its way.
    fn reset(&mut self, id: ConnectionId, around: &mut Surroundings<'_>) {
        for side in [Side::Dialer, Side::Acceptor] {
            self.cut_short(id, side, around.chance);
            self.push(id, side, Item::Closed, around);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.flows[side as usize].ended = true;
            }
        }
    }

    /// Paths have opened or machines come back: what was held comes, some time later.
    pub fn resume(&mut self, around: &mut Surroundings<'_>) {
        for (&id, connection) in &mut self.connections {
            for side in [Side::Dialer, Side::Acceptor] {
                let from = connection.ends[side as usize].process.host;
                let to = connection.ends[side.other() as usize].process.host;
                let flow = &mut connection.flows[side as usize];
                let Some(since) = flow.held_since else { continue };
                if !around.reaches(from, to) {
                    continue;
                }
                let outage = around.now().since(since).min(RESUME_MAX);
                let outage = u64::try_from(outage.as_micros()).unwrap_or(u64::MAX);
                let due = around.now() + around.chance.micros(0, outage);
                flow.held_since = None;
                around.schedule.at(due, Event::LinkDue(id, side));
            }
        }
    }

    /// The next item that a side has sent is due: what it brings, and to whom.
    pub fn due(
        &mut self,
        id: ConnectionId,
        side: Side,
        around: &mut Surroundings<'_>,
    ) -> Option<(ProcessId, LinkId, Arrival)> {
        let connection = self.connections.get_mut(&id)?;
        let from = connection.ends[side as usize].process.host;
        let receiver = &mut connection.ends[side.other() as usize];
        let to = receiver.process.host;
        let flow = &mut connection.flows[side as usize];
        if flow.held_since.is_some() {
            return None;
        }
        if !around.reaches(from, to) {
            flow.held_since = Some(around.now());
            return None;
        }
        // An event of an item that was reset away must not bring the next one early.
        if flow.items.front()?.0 > around.now() {
            return None;
        }
        let (_, item) = flow.items.pop_front()?;
        flow.bytes -= item.bytes();
        if let Some((due, _)) = flow.items.front() {
            around.schedule.at((*due).max(around.now()), Event::LinkDue(id, side));
        }
        let (process, link, node) = (receiver.process, receiver.link, connection.node);
        let state = receiver.state;
        let arrival = match (state, item) {
            (EndState::Opening, Item::Opened) => {
                receiver.state = EndState::Open;
                Some(Arrival::Opened(node))
            }
            (EndState::Open, Item::Frame(frame)) => Some(Arrival::Frame(frame)),
            (EndState::Open, Item::Closed) => {
                receiver.state = EndState::Closed;
                Some(Arrival::Closed)
            }
            (EndState::Forgotten, Item::Frame(_) | Item::Opened) => {
                // The machine is back and knows nothing of the connection: it resets it.
                receiver.state = EndState::Closed;
                connection.flows[side.other() as usize].ended = false;
                self.push(id, side.other(), Item::Closed, around);
                None
            }
            (EndState::Forgotten, Item::Closed) => {
                receiver.state = EndState::Closed;
                None
            }
            _ => None,
        };
        self.forget_if_over(id);
        arrival.map(|arrival| (process, link, arrival))
    }

    /// The connections of a process that it has not closed.
    fn of(&self, process: ProcessId) -> Vec<(ConnectionId, Side)> {
        let mut found = Vec::new();
        for (&id, connection) in &self.connections {
            for side in [Side::Dialer, Side::Acceptor] {
                let end = &connection.ends[side as usize];
                if end.process == process && end.state != EndState::Closed {
                    found.push((id, side));
                }
            }
        }
        found
    }

    fn end(&mut self, id: ConnectionId, side: Side, around: &mut Surroundings<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &mut connection.ends[side as usize];
        if end.state != EndState::Closed {
            end.state = EndState::Closed;
            self.push(id, side, Item::Closed, around);
        }
        self.forget_if_over(id);
    }

    /// Drops some of what a side has sent and the other not yet received, from the end.
    fn cut_short(&mut self, id: ConnectionId, side: Side, chance: &mut Chance) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let flow = &mut connection.flows[side as usize];
            let kept = chance.index(flow.items.len() + 1);
            // The acceptor's first item opens the connection for the dialer: it stays.
            let opens = matches!(flow.items.front(), Some((_, Item::Opened)));
            flow.truncate(kept.max(usize::from(opens)));
        }
    }

    fn push(&mut self, id: ConnectionId, side: Side, item: Item, around: &mut Surroundings<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let from = connection.ends[side as usize].process.host;
        let to = connection.ends[side.other() as usize].process.host;
        let flow = &mut connection.flows[side as usize];
        if flow.ended {
            return;
        }
        let bytes = item.bytes();
        let network = around.network;
        flow.line_free_at =
            flow.line_free_at.max(around.now()) + network.transmission(from, to, bytes);
        let due = flow.line_free_at
            + network.delay(from, to, around.chance)
            + network.retransmission(from, to, around.chance);
        flow.last_due = flow.last_due.max(due);
        if flow.items.is_empty() && flow.held_since.is_none() {
            around.schedule.at(flow.last_due, Event::LinkDue(id, side));
        }
        flow.bytes += bytes;
        flow.items.push_back((flow.last_due, item));
    }

    fn forget_if_over(&mut self, id: ConnectionId) {
        let over = self.connections.get(&id).is_some_and(|connection| {
            connection.ends.iter().all(|end| end.state == EndState::Closed)
                && connection.flows.iter().all(|flow| flow.items.is_empty())
        });
        if over && let Some(connection) = self.connections.remove(&id) {
            for end in &connection.ends {
                self.by_end.remove(&(end.process.host, end.link));
            }
        }
    }
}
