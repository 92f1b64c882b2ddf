//! A cluster in virtual time: events in, inputs to nodes, effects out, until nothing is left.
//!
//! The world plays the part of the server around each node, and that of the machines and the
//! network between them. It decides nothing that is not in the plan or drawn from the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::counters::Bounds;
use quipu_core::identity::Address;
use quipu_core::input::{Input, LinkId, Token};
use quipu_core::status::Totals;
use quipu_core::time::Time;
use quipu_core::wire::datagram::Envelope;

use crate::chance::{Chance, Purpose};
use crate::checker::Checker;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::disk::{Disk, Fsync};
use crate::faults;
use crate::faults::{FaultKind, HOSTS_MAX};
use crate::frames::Frames;
use crate::host::{Host, HostId, Process, ProcessId};
use crate::links::{Links, Surroundings};
use crate::network::Network;
use crate::plan::{LINK_BYTES_MAX, Plan};
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

/// How often everything is looked at from outside.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// A running process on a machine without trouble answers within this time.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// How much longer a raise may take: the node waits so long for what it lacks.
const RAISE_MAX: Duration = Duration::from_secs(2);

/// Events of the whole cluster within a virtual second beyond which somebody floods it: a busy
/// one sees some 10,000.
const EVENTS_A_SECOND_MAX: u64 = 300_000;

/// How long after the calm has begun an operator looks whether those once removed are back.
const REGISTER_AFTER: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(8)];

/// Why the nodes of a calm cluster have not come together.
#[derive(Debug)]
pub enum Divergence {
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
    frames: Frames,
    faults_on: BTreeSet<usize>,
    /// Addresses at which machines were before they moved.
    left: BTreeSet<Address>,
    /// How many addresses machines have had.
    addresses: usize,
    once_removed: BTreeSet<HostId>,
    /// Whose removal no operator takes back yet.
    kept_out: BTreeSet<HostId>,
    /// How much each node's table holds.
    table: Bounds,
    /// Removals of nodes that were listed where it was asked for, by their tokens.
    removals_asked: BTreeMap<Token, HostId>,
    established: BTreeSet<(HostId, LinkId)>,
    linked: Vec<behind::Linked>,
    checker: Checker,
    envelope: Envelope,
    network_chance: Chance,
    machine_chance: Chance,
    stranger_chance: Chance,
    /// Whether a stranger will come, who has listened before.
    is_listened_to: bool,
    recorded: VecDeque<(SocketAddr, Bytes)>,
    crash_chance: Chance,
    identity_chance: Chance,
    tokens: Token,
    /// Questions without their answers, by their tokens.
    inquiries: BTreeMap<Token, inquiries::Inquiry>,
    /// Who will wait for peers, how many and how long, when this request is answered.
    waits: BTreeMap<Token, (ProcessId, usize, Duration)>,
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

mod behind;
mod clients;
mod inquiries;
mod membership;
mod processes;
mod storage;
mod strangers;
mod trouble;
mod wires;

pub use behind::Reason;

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
                directory.set_crash_images(true);
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
        for (index, question) in plan.questions.iter().enumerate() {
            schedule.at(question.at, Event::Question(index));
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
            links: Links::new(plan.weather.link_bytes_max, plan.bug),
            frames: Frames::default(),
            faults_on: BTreeSet::new(),
            left: BTreeSet::new(),
            addresses: plan.hosts,
            once_removed: BTreeSet::new(),
            kept_out: faults::kept_out(&plan.faults).hosts().collect(),
            table: plan.table,
            removals_asked: BTreeMap::new(),
            established: BTreeSet::new(),
            linked: (0..plan.hosts).map(|_| behind::Linked::default()).collect(),
            checker: Checker::default(),
            envelope: Envelope::new(CLUSTER, storage::secret(plan)),
            network_chance: Chance::new(plan.seed, Purpose::Network),
            machine_chance,
            stranger_chance: Chance::new(plan.seed, Purpose::Strangers),
            is_listened_to: plan.faults.iter().any(|f| matches!(f.kind, FaultKind::Stranger(_))),
            recorded: VecDeque::new(),
            crash_chance: Chance::new(plan.seed, Purpose::Crashes),
            identity_chance: Chance::new(plan.seed, Purpose::Identities),
            tokens: 0,
            inquiries: BTreeMap::new(),
            waits: BTreeMap::new(),
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

    /// From now on the network is sound, and tables have room.
    pub fn calm(&mut self) {
        self.trace.note(self.now, format_args!("calm"));
        self.network.calm();
        self.table = Bounds::default();
        for process in self.hosts.iter_mut().filter_map(|host| host.process.as_mut()) {
            process.node.bound_table(self.table);
        }
        self.links.set_bytes_max(LINK_BYTES_MAX);
        self.links.resume(around!(self));
    }

    /// The machines whose processes run.
    pub fn running(&self) -> Vec<HostId> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].process.is_some()).collect()
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
    pub fn divergence(&self) -> Option<Divergence> {
        if !self.checker.all_answered() {
            return Some(Divergence::Counts("requests wait for their answers".to_owned()));
        }
        let members = self.members();
        let running: Vec<&Process> =
            self.hosts.iter().filter_map(|host| host.process.as_ref()).collect();
        let joined: Vec<&Process> =
            running.iter().copied().filter(|p| members.contains(&p.id.host)).collect();
        for pair in joined.windows(2) {
            let (one, other) = (pair[0], pair[1]);
            let found = Checker::difference(one.node.counters(), other.node.counters());
            if let Some(what) = found {
                let (one, other) = (one.id.host, other.id.host);
                return Some(Divergence::Counts(format!("n{one} and n{other}: {what}")));
            }
        }
        for process in &running {
            let host = process.id.host;
            let local = self.hosts[host].clock.read(self.now);
            let status = process.node.status(local);
            let mut listed: Vec<String> = status.listed_peers().map(str::to_owned).collect();
            listed.sort();
            // A removed node knows that it is, and lists nobody.
            let mut expected: Vec<String> = joined
                .iter()
                .filter(|other| other.id != process.id && members.contains(&host))
                .map(|other| self.hosts[other.id.host].address.to_string())
                .collect();
            expected.sort();
            if listed != expected {
                return Some(Divergence::Lists { host, listed, expected });
            }
        }
        None
    }

    /// Whether every running origin counted exactly what it acknowledged.
    ///
    /// # Errors
    /// If one did not.
    pub fn settle(&mut self) -> Result<(), Box<Violation>> {
        let members = self.members();
        for &host in &members {
            if let Some(process) = &self.hosts[host].process {
                self.checker.settle_harmed(&members, host, process.node.counters())?;
            }
        }
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
                    let input = Input::Datagram { from: self.hosts[from].socket, bytes };
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
                self.ask(request.host, request.ops.clone());
            }
            Event::Stranger(index) => self.stranger_speaks(index),
            Event::Question(index) => {
                let plan = self.plan;
                let question = &plan.questions[index];
                self.inquire(question.host, &question.question);
            }
            Event::Stopped(process) => {
                if self.hosts[process.host].running(process).is_some() {
                    self.end_process(process.host, "stopped");
                }
            }
            Event::Sweep => self.sweep(),
            Event::RegisterRemoved => {
                // Whose disk was copied may have been removed with the copy, which nobody meant.
                let is_removed = |process: &Process| {
                    let local = self.hosts[process.id.host].clock.read(self.now);
                    process.node.status(local).removed
                };
                let running = self.hosts.iter().filter_map(|host| host.process.as_ref());
                let removed = running.filter(|process| is_removed(process));
                let mut hosts = self.once_removed.clone();
                hosts.extend(removed.map(|process| process.id.host));
                for host in hosts {
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

    fn count_event(&mut self) {
        let events = self.events.count(self.now);
        if events > EVENTS_A_SECOND_MAX {
            self.fail(Violation::Storm { events });
        }
    }

    // Effects

    // Clients and operators

    // Faults

    fn sweep(&mut self) {
        for host in 0..self.hosts.len() {
            let machine = &self.hosts[host];
            let Some(process) = &machine.process else { continue };
            let looked = self.checker.look_at(process.node.counters());
            let slow_disk = [FaultKind::SlowDisk(host), FaultKind::HungDisk(host)];
            let mut on = self.faults_on.iter().map(|index| self.plan.faults[*index].kind);
            let troubled = machine.paused || on.any(|kind| slow_disk.contains(&kind));
            let (origin, since) = (process.origin, machine.steady_since);
            let overdue = self.checker.overdue(self.now, origin, since, ANSWER_MAX, RAISE_MAX);
            let overdue = overdue.or_else(|| self.overdue_inquiry(host, ANSWER_MAX));
            self.check(looked);
            self.look_at_links(host);
            if let Some((token, waited)) = overdue.filter(|_| !troubled) {
                let millis = waited.as_millis();
                self.fail(Violation::Unanswered { host, token, millis });
            }
        }
        self.schedule.at(self.now + SWEEP_EVERY, Event::Sweep);
    }
}
