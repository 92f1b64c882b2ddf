//! A cluster in virtual time: events in, inputs to nodes, effects out, until nothing is left.
//!
//! The world plays the part of the server around each node, and that of the machines and the
//! network between them. It decides nothing that is not in the plan or drawn from the seed.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::codec::{DATAGRAM_BYTES_MAX, Envelope, FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNPROVED};
use quipu_core::effects::{
    Destination, Effect, Effects, Event as NodeEvent, Input, LinkEnd, LinkId, Op, PeerName, Token,
};
use quipu_core::identity::{Address, NodeId};
use quipu_core::status::Totals;
use quipu_core::time::Time;

use crate::chance::{Chance, Purpose};
use crate::checker::{Checker, SLOTS_AT_EVERY_STEP_MAX};
use crate::clock::{Clock, EXACT_PPM};
use crate::describe;
use crate::directory::Directory;
use crate::disk::{Disk, Flight, Fsync};
use crate::faults::{FaultKind, HOSTS_MAX};
use crate::host::{BATCH_INPUTS_MAX, Host, HostId, Process, ProcessId, host_at, socket_of};
use crate::links::{Arrival, ConnectionId, Links, Side, Surroundings};
use crate::network::Network;
use crate::plan::Plan;
use crate::schedule::{Event, Schedule};
use crate::summary::Work;
use crate::trace::Trace;
use crate::violation::Violation;

/// The cluster that all nodes belong to.
const CLUSTER: &str = "simulated";

/// What nodes of a cluster with a secret share.
const SECRET: &[u8] = b"known to every simulated node";

/// The world begins in November 2023 by its machines' wall clocks.
const EPOCH_MILLIS: u64 = 1_700_000_000_000;

/// By how much two machines' wall clocks differ at most: an operator would notice more.
const WALL_SKEW_MILLIS_MAX: u64 = 120_000;

/// How long a process takes at most to wake when something has arrived. What comes meanwhile
/// joins the batch.
const WAKE_MICROS_MAX: u64 = 150;

/// How late a timer fires at most.
const TIMER_LATE_MICROS_MAX: u64 = 1_500;

/// How long the server tries to connect.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The time that a process is given to leave before it is ended.
const LEAVE_MAX: Duration = Duration::from_millis(300);

/// How often everything is looked at from outside.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// A running process on a machine without trouble answers within this time.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// How much longer a raise may take: the node waits so long for what it lacks.
const RAISE_MAX: Duration = Duration::from_secs(2);

/// Wakes of one process for nothing but the time, within a virtual second, beyond which its
/// deadline is stuck: timers fire up to 1.5 ms late, so one that is always due makes 1,300.
const IDLE_WAKES_A_SECOND_MAX: u64 = 600;

/// Events of the whole cluster within a virtual second beyond which somebody floods it: a busy
/// one sees some 10,000.
const EVENTS_A_SECOND_MAX: u64 = 300_000;

/// How long after the calm has begun an operator looks whether those once removed are back.
const REGISTER_AFTER: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(8)];

/// Why the nodes of a calm cluster have not come together.
#[derive(Debug)]
pub enum Discord {
    /// Requests wait, or tables differ.
    Counts(String),
    /// A list of peers is not complete, or has too much.
    Lists {
        /// Whose.
        host: HostId,
        /// What it lists.
        listed: Vec<String>,
        /// What it should.
        expected: Vec<String>,
    },
}

/// How often something happened in the current virtual second.
#[derive(Clone, Copy, Debug, Default)]
struct PerSecond {
    second: u64,
    count: u64,
}

impl PerSecond {
    fn count(&mut self, now: Time) -> u64 {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            *self = PerSecond { second, count: 0 };
        }
        self.count += 1;
        self.count
    }
}

/// A cluster, its machines, and the network between them.
#[derive(Debug)]
pub struct World<'a> {
    plan: &'a Plan,
    trace: &'a mut Trace,
    now: Time,
    schedule: Schedule,
    hosts: Vec<Host>,
    network: Network,
    links: Links,
    faults_on: BTreeSet<usize>,
    once_removed: BTreeSet<HostId>,
    established: BTreeSet<(HostId, LinkId)>,
    checker: Checker,
    envelope: Envelope,
    network_chance: Chance,
    machine_chance: Chance,
    crash_chance: Chance,
    identity_chance: Chance,
    tokens: Token,
    idle_wakes: Vec<PerSecond>,
    events: PerSecond,
    work: Work,
    violation: Option<Box<Violation>>,
}

/// Lends the links what they need.
macro_rules! around {
    ($world:ident) => {
        &mut Surroundings {
            now: $world.now,
            network: &$world.network,
            powered: &$world.hosts.iter().map(|host| host.powered).collect::<Vec<bool>>(),
            schedule: &mut $world.schedule,
            chance: &mut $world.network_chance,
        }
    };
}

mod storage;

impl<'a> World<'a> {
    /// The world of a plan, in which nothing has happened yet.
    pub fn new(plan: &'a Plan, trace: &'a mut Trace) -> Self {
        let mut machine_chance = Chance::new(plan.seed, Purpose::Machines);
        let hosts = (0..plan.hosts)
            .map(|host| {
                // Up for any time up to eleven days.
                let local = Time::ZERO + machine_chance.millis(0, 1_000_000_000);
                let wall = EPOCH_MILLIS + machine_chance.below(WALL_SKEW_MILLIS_MAX);
                let mut directory = Directory::new(plan.seed * HOSTS_MAX as u64 + host as u64);
                directory.set_photographs(true);
                let disk = Disk::new(directory, plan.usage, plan.bug);
                Host::new(host, Clock::new(local), wall, disk)
            })
            .collect();
        let mut schedule = Schedule::default();
        for (host, at) in plan.starts.iter().enumerate() {
            schedule.at(*at, Event::Start(host));
        }
        for (index, fault) in plan.faults.iter().enumerate() {
            schedule.at(fault.at, Event::FaultBegins(index));
            if let Some(until) = fault.until {
                schedule.at(until, Event::FaultEnds(index));
            }
        }
        for (index, request) in plan.requests.iter().enumerate() {
            schedule.at(request.at, Event::Request(index));
        }
        for after in REGISTER_AFTER {
            schedule.at(plan.calm_at + after, Event::RegisterRemoved);
        }
        schedule.at(Time::ZERO, Event::Sweep);
        World {
            plan,
            trace,
            now: Time::ZERO,
            schedule,
            hosts,
            network: Network::new(plan.hosts, plan.weather),
            links: Links::default(),
            faults_on: BTreeSet::new(),
            once_removed: BTreeSet::new(),
            established: BTreeSet::new(),
            checker: Checker::default(),
            envelope: Envelope::new(CLUSTER, storage::secret(plan)),
            network_chance: Chance::new(plan.seed, Purpose::Network),
            machine_chance,
            crash_chance: Chance::new(plan.seed, Purpose::Crashes),
            identity_chance: Chance::new(plan.seed, Purpose::Identities),
            tokens: 0,
            idle_wakes: vec![PerSecond::default(); plan.hosts],
            events: PerSecond::default(),
            work: Work::default(),
            violation: None,
        }
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What has been done so far.
    pub fn work(&self) -> Work {
        let mut work = self.work.clone();
        for host in &self.hosts {
            let disk = host.disk.work();
            work.journal_bytes += disk.journal_bytes;
            work.syncs += disk.syncs;
            work.snapshots += disk.snapshots;
            work.add_totals(host.process.as_ref());
        }
        work.tally = self.checker.tally();
        (work.origins, work.origins_running) = self.checker.origins();
        work.virtual_time = self.now.since(Time::ZERO);
        work
    }

    /// Lets happen all that happens until `until`.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn run_until(&mut self, until: Time) -> Result<(), Box<Violation>> {
        while let Some((time, event)) = self.schedule.pop_until(until) {
            self.now = time;
            self.count_event();
            self.happen(event);
            if let Some(violation) = self.violation.take() {
                self.trace.note(self.now, format_args!("VIOLATION {violation}"));
                return Err(violation);
            }
        }
        self.now = until;
        Ok(())
    }

    /// From now on the network is sound.
    pub fn calm(&mut self) {
        self.trace.note(self.now, format_args!("calm"));
        self.network.calm();
        self.links.resume(around!(self));
    }

    /// The machines whose processes run.
    pub fn running(&self) -> Vec<HostId> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].process.is_some()).collect()
    }

    /// A client's request to a machine, beside those of the plan.
    pub fn ask(&mut self, host: HostId, ops: Vec<Op>) {
        self.request(host, ops);
    }

    /// What a running node holds for a counter.
    pub fn value_at(&self, host: HostId, counter: &str) -> Option<i128> {
        let process = self.hosts[host].process.as_ref()?;
        Some(process.node.counters().value(counter).0)
    }

    /// What a running node has counted of its own work.
    pub fn totals_at(&self, host: HostId) -> Option<&Totals> {
        Some(self.hosts[host].process.as_ref()?.node.totals())
    }

    /// Why the running nodes do not agree, if they do not.
    pub fn discord(&self) -> Option<Discord> {
        if !self.checker.all_answered() {
            return Some(Discord::Counts("requests wait for their answers".to_owned()));
        }
        let running: Vec<&Process> =
            self.hosts.iter().filter_map(|host| host.process.as_ref()).collect();
        for pair in running.windows(2) {
            let (one, other) = (pair[0], pair[1]);
            let found = Checker::difference(one.node.counters(), other.node.counters());
            if let Some(what) = found {
                let (one, other) = (one.id.host, other.id.host);
                return Some(Discord::Counts(format!("n{one} and n{other}: {what}")));
            }
        }
        for process in &running {
            let host = process.id.host;
            let local = self.hosts[host].clock.read(self.now);
            let status = process.node.status(local);
            let mut listed: Vec<String> = status.listed_peers().map(str::to_owned).collect();
            listed.sort();
            let mut expected: Vec<String> = running
                .iter()
                .filter(|other| other.id != process.id)
                .map(|other| self.hosts[other.id.host].address.to_string())
                .collect();
            expected.sort();
            if listed != expected {
                return Some(Discord::Lists { host, listed, expected });
            }
        }
        None
    }

    /// Whether every running origin counted exactly what it acknowledged.
    ///
    /// # Errors
    /// If one did not.
    pub fn settle(&mut self) -> Result<(), Box<Violation>> {
        for process in self.hosts.iter().filter_map(|host| host.process.as_ref()) {
            self.checker.settle(process.node.counters())?;
            if self.plan.usage.fsync == Fsync::Always {
                self.checker.settle_lineage(process.id.host, process.node.counters())?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(host) => self.start(host),
            Event::Wake(process) => self.wake(process),
            Event::Disk(process) => self.disk_due(process),
            Event::Snapshot(process) => self.step_snapshot(process),
            Event::Datagram { from, to, bytes } => {
                if self.network.passes(from, to) {
                    let input = Input::Datagram { from: socket_of(from), bytes };
                    self.deliver(to, input);
                }
            }
            Event::DialArrives { dialer, node, to } => self.dial_arrives(dialer, node, to),
            Event::DialFailed { dialer, node } => {
                self.deliver_to(dialer, Input::DialFailed { node });
            }
            Event::DialTimeout(connection) => {
                if let Some((dialer, node)) = self.links.give_up(connection, around!(self)) {
                    self.deliver_to(dialer, Input::DialFailed { node });
                }
            }
            Event::LinkDue(connection, side) => self.link_due(connection, side),
            Event::FaultBegins(index) => self.fault_begins(index),
            Event::FaultEnds(index) => self.fault_ends(index),
            Event::Request(index) => {
                let plan = self.plan;
                let request = &plan.requests[index];
                self.request(request.host, request.ops.clone());
            }
            Event::Stopped(process) => {
                if self.hosts[process.host].running(process).is_some() {
                    self.end_process(process.host, "stopped");
                }
            }
            Event::Sweep => self.sweep(),
            Event::RegisterRemoved => {
                for host in self.once_removed.clone() {
                    self.register(host);
                }
            }
        }
    }

    fn fail(&mut self, violation: Violation) {
        self.check(Err(Box::new(violation)));
    }

    fn check(&mut self, result: Result<(), Box<Violation>>) {
        if let Err(violation) = result {
            // The first is the cause; later ones may be its consequences.
            self.violation.get_or_insert(violation);
        }
    }

    // Processes

    /// Puts an input before whatever process runs on a machine.
    fn deliver(&mut self, host: HostId, input: Input) {
        if let Some(process) = &self.hosts[host].process {
            self.deliver_to(process.id, input);
        }
    }

    /// Puts an input before a process, if it still runs.
    fn deliver_to(&mut self, id: ProcessId, input: Input) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        if process.receive(input) {
            let delay = self.machine_chance.micros(0, WAKE_MICROS_MAX);
            self.wake_by(id, self.now + delay);
        } else {
            self.work.datagrams_overflown += 1;
        }
    }

    /// Sees to it that a process wakes at this time or earlier.
    fn wake_by(&mut self, id: ProcessId, at: Time) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        if process.wake_at.is_none_or(|planned| at < planned) {
            process.wake_at = Some(at);
            self.schedule.at(at, Event::Wake(id));
        }
    }

    fn wake(&mut self, id: ProcessId) {
        let now = self.now;
        let machine = &mut self.hosts[id.host];
        if machine.paused {
            return;
        }
        let local = machine.clock.read(now);
        let Some(process) = machine.running(id).filter(|process| process.wake_at == Some(now))
        else {
            return;
        };
        process.wake_at = None;
        let mut effects = Effects::default();
        let mut came_by_link = false;
        let mut handled = 0;
        while handled < BATCH_INPUTS_MAX
            && let Some(input) = process.take()
        {
            handled += 1;
            came_by_link |= matches!(input, Input::LinkFrame { .. });
            if let Some(text) = describe::input(&self.envelope, &input) {
                self.trace.note(now, format_args!("n{} <- {text}", id.host));
            }
            process.node.handle(local, input, &mut effects);
        }
        if handled == 0 {
            process.node.handle(local, Input::Tick, &mut effects);
        }
        let batch = process.node.close_batch(local, &mut effects);
        let counters = process.node.counters();
        let version = counters.our_version();
        let known = counters.digest().map(|(origin, row)| (origin, row.version)).collect();
        let mut checked = self.checker.closed(counters);
        if came_by_link && counters.len() * counters.origins() <= SLOTS_AT_EVERY_STEP_MAX {
            checked = checked.and_then(|()| self.checker.look_at(counters));
        }
        let more = process.has_mail();
        let deadline = process.node.next_deadline();
        self.check(checked);
        self.work.batches += 1;
        self.carry_out(id, effects.at_once);
        let is_empty = effects.journal.is_empty() && effects.after_sync.is_empty();
        if !is_empty {
            let flight = Flight { batch, version, known, after_sync: effects.after_sync };
            self.keep(id, flight, effects.journal);
        }
        if more {
            self.wake_by(id, now + Duration::from_micros(1));
        }
        self.wake_at_deadline(id, deadline);
        if handled == 0 {
            self.count_idle_wake(id.host);
        }
    }

    fn wake_at_deadline(&mut self, id: ProcessId, deadline: Time) {
        let due = self.hosts[id.host].clock.when(deadline).max(self.now);
        let late = self.machine_chance.micros(1, TIMER_LATE_MICROS_MAX);
        self.wake_by(id, due + late);
    }

    fn count_idle_wake(&mut self, host: HostId) {
        let wakes = self.idle_wakes[host].count(self.now);
        if wakes > IDLE_WAKES_A_SECOND_MAX {
            self.fail(Violation::Spins { host, wakes });
        }
    }

    fn count_event(&mut self) {
        let events = self.events.count(self.now);
        if events > EVENTS_A_SECOND_MAX {
            self.fail(Violation::Storm { events });
        }
    }

    /// Ends whatever process runs on a machine, with all that it has not synced.
    fn end_process(&mut self, host: HostId, how: &str) {
        let machine = &mut self.hosts[host];
        let Some(process) = machine.process.take() else { return };
        self.trace.note(self.now, format_args!("n{host} is {how}"));
        self.work.add_totals(Some(&process));
        machine.disk.abandon();
        machine.paused = false;
        self.checker.ended(process.origin);
        if machine.powered {
            self.links.process_died(process.id, around!(self));
        } else {
            self.links.power_lost(process.id);
        }
    }

    // Effects

    fn carry_out(&mut self, id: ProcessId, effects: Vec<Effect>) {
        for effect in effects {
            self.carry_out_one(id, effect);
        }
    }

    fn carry_out_one(&mut self, id: ProcessId, effect: Effect) {
        let host = id.host;
        match effect {
            Effect::Reply { token, results, .. } => {
                let answered = self.checker.answered(token, &results);
                self.trace.note(self.now, format_args!("n{host} -> reply {token}: {results:?}"));
                self.check(answered);
            }
            // The workload asks nothing of the table as a whole: it looks at the tables itself.
            Effect::Answer { .. } => {}
            Effect::Datagram { to, bytes } => {
                let to = match to {
                    Destination::Socket(socket) => Address::from(socket),
                    Destination::Address(address) => address,
                };
                if let Some(to) = host_at(&to, self.hosts.len()) {
                    self.send_datagram(host, to, &bytes);
                }
            }
            Effect::Broadcast { bytes } => {
                // A broadcast is heard by its own sender, too.
                for to in 0..self.hosts.len() {
                    self.send_datagram(host, to, &bytes);
                }
            }
            Effect::Dial { node, address } => self.dial(id, node, &address),
            Effect::Frame { links, bytes } => {
                for link in links {
                    self.check_length(host, link, bytes.len());
                    self.links.send(host, link, bytes.clone(), around!(self));
                    self.work.frames += 1;
                }
            }
            Effect::LinkEstablished { link } => {
                self.established.insert((host, link));
            }
            Effect::CloseLink { link } => {
                self.trace.note(self.now, format_args!("n{host} closes link {link}"));
                self.links.close(host, link, around!(self));
            }
            Effect::Event(event) => self.node_event(host, &event),
        }
    }

    /// A receiver reads long frames only once it has established the link, which its sender has
    /// done before it.
    fn check_length(&mut self, host: HostId, link: LinkId, bytes: usize) {
        let is_proved = self.established.contains(&(host, link));
        let most = if is_proved { FRAME_BYTES_MAX } else { FRAME_BYTES_MAX_UNPROVED };
        if bytes > most {
            self.fail(Violation::FrameTooLong { host, link, bytes, most });
        }
    }

    fn node_event(&mut self, host: HostId, event: &NodeEvent) {
        self.trace.note(self.now, format_args!("n{host} ** {event}"));
        match event {
            NodeEvent::LinkDown { reason: LinkEnd::Protocol(reason), .. } => {
                let reason = reason.clone();
                self.fail(Violation::ProtocolBroken { host, reason });
            }
            NodeEvent::ForeignWriter { .. } => {
                let reason = event.to_string();
                self.fail(Violation::ProtocolBroken { host, reason });
            }
            _ => {}
        }
    }

    fn send_datagram(&mut self, from: HostId, to: HostId, bytes: &Bytes) {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            let (bytes, most) = (bytes.len(), DATAGRAM_BYTES_MAX);
            self.fail(Violation::DatagramTooLong { host: from, bytes, most });
        }
        self.work.datagrams += 1;
        for delay in self.network.datagram(from, to, &mut self.network_chance) {
            let bytes = bytes.clone();
            self.schedule.at(self.now + delay, Event::Datagram { from, to, bytes });
        }
    }

    fn dial(&mut self, dialer: ProcessId, node: NodeId, address: &Address) {
        let Some(to) = host_at(address, self.hosts.len()) else {
            let address = address.clone();
            return self.fail(Violation::StrangeDial { host: dialer.host, address });
        };
        self.trace.note(self.now, format_args!("n{} dials n{to} for {node}", dialer.host));
        let delay = self.network.delay(dialer.host, to, &mut self.network_chance);
        self.schedule.at(self.now + delay, Event::DialArrives { dialer, node, to });
    }

    fn dial_arrives(&mut self, dialer: ProcessId, node: NodeId, to: HostId) {
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
        let ends = ((dialer, ours), (acceptor, theirs));
        let connection = self.links.open(ends.0, ends.1, node, around!(self));
        self.schedule.at(self.now + CONNECT_MAX, Event::DialTimeout(connection));
        self.deliver_to(acceptor, Input::LinkOpened { link: theirs, dialed: None });
    }

    fn link_due(&mut self, connection: ConnectionId, side: Side) {
        let Some((process, link, arrival)) = self.links.due(connection, side, around!(self)) else {
            return;
        };
        let input = match arrival {
            Arrival::Opened(node) => Input::LinkOpened { link, dialed: Some(node) },
            Arrival::Closed => Input::LinkClosed { link },
            Arrival::Frame(frame) => Input::LinkFrame { link, frame },
        };
        self.deliver_to(process, input);
    }

    // Clients and operators

    fn request(&mut self, host: HostId, ops: Vec<Op>) {
        self.tokens += 1;
        let token = self.tokens;
        let Some(process) = self.hosts[host].process.as_ref().filter(|p| !p.leaving) else {
            return;
        };
        self.checker.asked(self.now, token, process.origin, &ops);
        self.deliver(host, Input::Request { token, ops });
    }

    fn register(&mut self, host: HostId) {
        let by = (0..self.hosts.len())
            .find(|other| *other != host && self.hosts[*other].process.is_some());
        if let Some(by) = by.filter(|_| self.hosts[host].process.is_some()) {
            self.tokens += 1;
            let input = Input::Register { token: self.tokens, peer: self.peer_name(host) };
            self.deliver(by, input);
        }
    }

    fn peer_name(&self, host: HostId) -> PeerName {
        let address = self.hosts[host].address.clone();
        PeerName { given: address.to_string(), address, resolved: vec![socket_of(host)] }
    }

    // Faults

    fn fault_begins(&mut self, index: usize) {
        let kind = self.plan.faults[index].kind;
        self.trace.note(self.now, format_args!("FAULT {kind:?}"));
        self.work.faults.push(kind.name());
        self.faults_on.insert(index);
        self.suffer();
        match kind {
            FaultKind::Break(a, b) => {
                self.links.break_between(a, b, around!(self));
            }
            FaultKind::Pause(host) => {
                self.hosts[host].paused = self.hosts[host].process.is_some();
            }
            FaultKind::Kill(host) => self.end_process(host, "killed"),
            FaultKind::PowerCut(host) => self.cut_power(host),
            FaultKind::Stop(host) => self.stop(host),
            FaultKind::Clock(host, rate_ppm) => {
                self.hosts[host].clock.set_rate(self.now, rate_ppm);
            }
            FaultKind::SlowDisk(_)
            | FaultKind::Blackout(_)
            | FaultKind::CutInWrite(..)
            | FaultKind::FailedSync(_)
            | FaultKind::FullDisk(_)
            | FaultKind::OldCopy(_)
            | FaultKind::CopiedDisk(..) => self.disk_fault_begins(kind),
            FaultKind::Remove(host, by) => {
                self.once_removed.insert(host);
                self.tokens += 1;
                let input = Input::Remove { token: self.tokens, peer: self.peer_name(host) };
                self.deliver(by, input);
            }
            FaultKind::Partition(_)
            | FaultKind::OneWay(_)
            | FaultKind::Cut(..)
            | FaultKind::CutOneWay(..)
            | FaultKind::Loss(_)
            | FaultKind::Thin(..) => {}
        }
    }

    fn fault_ends(&mut self, index: usize) {
        let kind = self.plan.faults[index].kind;
        self.trace.note(self.now, format_args!("MENDED {kind:?}"));
        self.faults_on.remove(&index);
        self.suffer();
        self.links.resume(around!(self));
        match kind {
            FaultKind::Pause(host) => self.go_on(host),
            FaultKind::Kill(host) | FaultKind::PowerCut(host) | FaultKind::Stop(host) => {
                // A stop that was cut short ends now.
                self.end_process(host, "stopped");
                self.start(host);
            }
            FaultKind::Clock(host, _) => {
                self.hosts[host].clock.set_rate(self.now, EXACT_PPM);
            }
            FaultKind::Remove(host, _) => self.register(host),
            _ => self.disk_fault_ends(kind),
        }
    }

    /// Brings the network to the state of the faults that are on.
    fn suffer(&mut self) {
        let on: Vec<FaultKind> =
            self.faults_on.iter().map(|index| self.plan.faults[*index].kind).collect();
        self.network.suffer(&on);
    }

    fn stop(&mut self, host: HostId) {
        if let Some(process) = &mut self.hosts[host].process {
            process.leaving = true;
            let id = process.id;
            self.deliver_to(id, Input::Leave);
            self.schedule.at(self.now + LEAVE_MAX, Event::Stopped(id));
        }
    }

    /// A process that stood still goes on: it finds all that has come meanwhile.
    fn go_on(&mut self, host: HostId) {
        let machine = &mut self.hosts[host];
        machine.paused = false;
        machine.steady_since = self.now;
        if let Some(process) = &mut machine.process {
            process.wake_at = None;
            let id = process.id;
            self.turn_disk(id);
            self.wake_by(id, self.now);
        }
    }

    fn sweep(&mut self) {
        for host in 0..self.hosts.len() {
            let machine = &self.hosts[host];
            let Some(process) = &machine.process else { continue };
            let looked = self.checker.look_at(process.node.counters());
            let slow_disk = FaultKind::SlowDisk(host);
            let troubled = machine.paused
                || self.faults_on.iter().any(|index| self.plan.faults[*index].kind == slow_disk);
            let (origin, since) = (process.origin, machine.steady_since);
            let overdue = self.checker.overdue(self.now, origin, since, ANSWER_MAX, RAISE_MAX);
            self.check(looked);
            if let Some((token, waited)) = overdue.filter(|_| !troubled) {
                let millis = waited.as_millis();
                self.fail(Violation::Unanswered { host, token, millis });
            }
        }
        self.schedule.at(self.now + SWEEP_EVERY, Event::Sweep);
    }
}
