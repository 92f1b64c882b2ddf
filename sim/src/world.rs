//! A cluster in virtual time: events in, inputs to nodes, effects out, until nothing is left.
//!
//! The world plays the part of the server around each node, and that of the machines and the
//! network between them. It decides nothing that is not in the plan or drawn from the seed. Each
//! of its parts keeps its own matter; the world carries news between them.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::counters::Bounds;
use quipu_core::effect::{Destination, Effect};
use quipu_core::identity::{Address, NodeId};
use quipu_core::input::{Input, LinkId};
use quipu_core::operation::Op;
use quipu_core::outbox::Released;
use quipu_core::status::Totals;
use quipu_core::time::Time;

use crate::clock::EXACT_PPM;
use crate::directory::Directory;
use crate::faults::FaultKind;
use crate::host::{HostId, ProcessId};
use crate::plan::Plan;
use crate::schedule::Event;
use crate::summary::Work;
use crate::trace::Trace;
use crate::violation::Violation;

mod behind;
mod cluster;
mod crashes;
mod divergence;
mod inquiries;
mod judge;
mod machines;
mod membership;
mod settling;
mod stage;
mod starts;
mod strangers;
mod sweep;
mod trouble;
mod walls;
mod wires;

pub use behind::Reason;
pub use divergence::Divergence;
pub use machines::{EPOCH_MILLIS, WALL_SKEW_MILLIS_MAX};

use crashes::Crashes;
use inquiries::Inquiries;
use machines::{Machines, Woken};
use membership::Membership;
use stage::Stage;
use starts::{Started, Starts};
use strangers::Strangers;
use trouble::Trouble;
use walls::Walls;
use wires::Wires;

/// How often everything is looked at from outside.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// A cluster, its machines, and the network between them.
#[derive(Debug)]
pub struct World<'a> {
    stage: Stage<'a>,
    trouble: Trouble,
    machines: Machines,
    starts: Starts,
    crashes: Crashes,
    wires: Wires,
    inquiries: Inquiries,
    membership: Membership,
    strangers: Strangers,
    walls: Walls,
}

impl<'a> World<'a> {
    /// The world of a plan, in which nothing has happened yet.
    pub fn new(plan: &'a Plan, trace: &'a mut Trace) -> Self {
        World {
            stage: Stage::new(plan, trace),
            trouble: Trouble::default(),
            machines: Machines::new(plan),
            starts: Starts::new(plan),
            crashes: Crashes::new(plan),
            wires: Wires::new(plan),
            inquiries: Inquiries::default(),
            membership: Membership::new(plan),
            strangers: Strangers::new(plan),
            walls: Walls::new(plan),
        }
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.stage.now()
    }

    /// What has been done so far.
    pub fn work(&self) -> Work {
        let mut work = self.stage.work.clone();
        self.machines.all().iter().for_each(|host| work.add_machine(host));
        let checker = &self.stage.judge.checker;
        work.tally = checker.tally();
        (work.origins, work.origins_running) = checker.origins();
        work.virtual_time = self.now().since(Time::ZERO);
        work
    }

    /// Lets happen all that happens until `until`.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn run_until(&mut self, until: Time) -> Result<(), Box<Violation>> {
        while let Some(event) = self.stage.schedule.pop_until(until) {
            let now = self.now();
            self.stage.judge.count_event(now);
            self.happen(event);
            self.stage.judge.verdict(now)?;
        }
        Ok(())
    }

    /// From now on the network is sound, and tables have room.
    pub fn calm(&mut self) {
        self.stage.note(format_args!("calm"));
        self.machines.bound_tables(Bounds::default());
        self.wires.calm(&self.machines, &mut self.stage);
    }

    /// The machines whose processes run.
    pub fn running(&self) -> Vec<HostId> {
        self.machines.running()
    }

    /// The machines whose nodes run and are members.
    pub fn members(&self) -> Vec<HostId> {
        self.membership.members(&self.machines)
    }

    /// The machines whose nodes run and are to stay out of the cluster: removed for good, as far as
    /// any node that runs has heard of it.
    pub fn out(&self) -> Vec<HostId> {
        self.membership.out(&self.machines)
    }

    /// What a running node holds for a counter.
    pub fn value_at(&self, host: HostId, counter: &str) -> Option<i128> {
        let process = self.machines[host].process.as_ref()?;
        Some(process.node.counters().value(counter).0)
    }

    /// What a reader of a running node is shown of a counter.
    pub fn shown_at(&self, host: HostId, counter: &str) -> Option<i128> {
        let process = self.machines[host].process.as_ref()?;
        process.node.counters().existing(counter).map(|value| value.0)
    }

    /// What a running node has counted of its own work.
    pub fn totals_at(&self, host: HostId) -> Option<&Totals> {
        Some(self.machines[host].process.as_ref()?.node.totals())
    }

    /// Why the running nodes do not agree, if they do not.
    pub fn divergence(&self) -> Option<Divergence> {
        divergence::divergence(&self.members(), &self.machines, &self.stage)
    }

    /// Whether every running origin counted exactly what it acknowledged.
    ///
    /// # Errors
    /// If one did not.
    pub fn settle(&self) -> Result<(), Box<Violation>> {
        divergence::settle(&self.members(), &self.machines, &self.stage)
    }

    /// A client's request to a machine, beside those of the plan.
    pub fn ask(&mut self, host: HostId, ops: Vec<Op>) {
        inquiries::ask(host, ops, &mut self.machines, &mut self.stage);
    }

    /// An operator registers again all nodes that were to stay out.
    pub fn readmit(&mut self) {
        self.membership.readmit(&mut self.machines, &mut self.stage);
    }

    fn happen(&mut self, event: Event) {
        let plan = self.stage.plan;
        match event {
            Event::Start(host) => self.start(host),
            Event::Wake(process) => self.wake(process),
            Event::Disk(process) => {
                if self.machines.is_turn_due(process, self.now()) {
                    self.turn_disk(process);
                }
            }
            Event::Snapshot(process) => {
                if self.machines.step_snapshot(process, &mut self.stage) {
                    self.turn_disk(process);
                }
            }
            Event::Datagram { from, to, bytes } => {
                if self.wires.passes(from, to) {
                    let from = self.machines[from].socket;
                    self.deliver(to, Input::Datagram { from, bytes });
                }
            }
            Event::DialArrives { dialer, node, to } => {
                let (machines, stage) = (&mut self.machines, &mut self.stage);
                self.wires.dial_arrives(dialer, node, to, machines, stage);
            }
            Event::DialFailed { dialer, node } => self.dial_failed(dialer, node),
            Event::DialTimeout(connection) => {
                let (machines, stage) = (&self.machines, &mut self.stage);
                if let Some((dialer, node)) = self.wires.give_up(connection, machines, stage) {
                    self.dial_failed(dialer, node);
                }
            }
            Event::LinkDue(connection, side) => {
                let (machines, stage) = (&self.machines, &mut self.stage);
                if let Some((process, input)) = self.wires.due(connection, side, machines, stage) {
                    self.machines.deliver_to(process, input, &mut self.stage);
                }
            }
            Event::FaultBegins(index) => self.fault_begins(index),
            Event::FaultEnds(index) => self.fault_ends(index),
            Event::Request(index) => {
                let request = &plan.requests[index];
                self.ask(request.host, request.ops.clone());
            }
            Event::Stranger(index) => self.stranger_speaks(index),
            Event::Question(index) => {
                let asked = &plan.questions[index];
                let (machines, stage) = (&mut self.machines, &mut self.stage);
                self.inquiries.inquire(asked.host, &asked.question, machines, stage);
            }
            Event::Stopped(process) => {
                if self.machines.process(process).is_some() {
                    self.end_process(process.host, "stopped");
                }
            }
            Event::Sweep => {
                let (machines, stage) = (&self.machines, &mut self.stage);
                sweep::sweep(&self.trouble, machines, &self.inquiries, stage);
                stage.after(SWEEP_EVERY, Event::Sweep);
            }
            Event::WallClock(id) => self.walls.tell(id, &mut self.machines, &mut self.stage),
            Event::RegisterRemoved => {
                self.membership.register_removed(&mut self.machines, &mut self.stage);
            }
        }
    }

    fn deliver(&mut self, host: HostId, input: Input) {
        self.machines.deliver(host, input, &mut self.stage);
    }

    fn dial_failed(&mut self, dialer: ProcessId, node: NodeId) {
        self.machines.deliver_to(dialer, Input::DialFailed { node }, &mut self.stage);
    }

    fn stranger_speaks(&mut self, index: usize) {
        let FaultKind::Stranger(host) = self.stage.plan.faults[index].kind else { return };
        if !self.trouble.is_on(index) {
            return;
        }
        if let Some((from, bytes)) = self.strangers.word(host, &self.machines) {
            self.stage.work.strange_datagrams += 1;
            self.deliver(host, Input::Datagram { from, bytes });
        }
        let pause = self.strangers.pause();
        self.stage.after(pause, Event::Stranger(index));
    }

    // --- processes ---------------------------------------------------------------------------

    /// Starts a machine's process with what it finds on its disk.
    fn start(&mut self, host: HostId) {
        let is_kept_down = self.trouble.keeps_down(host, self.stage.plan);
        if self.machines[host].process.is_some() || is_kept_down {
            return;
        }
        let (machines, stage) = (&mut self.machines, &mut self.stage);
        match self.starts.start(host, machines, &mut self.crashes, stage) {
            Started::Runs(id) => {
                self.wires.resume(machines, stage);
                self.walls.tell(id, machines, stage);
                machines.wake_by(id, stage.now(), stage);
            }
            Started::DiskFailed(error) => self.disk_failed(host, &error),
            Started::Refused => {}
        }
    }

    fn wake(&mut self, id: ProcessId) {
        let Some(woken) = self.machines.wake(id, &mut self.stage) else { return };
        let Woken { batch, mut effects, inputs, has_mail, deadline } = woken;
        self.carry_out(id, std::mem::take(&mut effects.at_once));
        // A notice that nothing is safe would wake it again, for ever.
        if effects.must_wait() && self.machines.keep(id, batch, effects) {
            self.is_safe(id, 0);
            self.turn_disk(id);
            if self.machines.begin_snapshot(id) {
                self.turn_disk(id);
                self.machines.plan_step(id, &mut self.stage);
            }
        }
        let now = self.now();
        if has_mail {
            self.machines.wake_by(id, now + Duration::from_micros(1), &mut self.stage);
        }
        self.machines.wake_at_deadline(id, deadline, &mut self.stage);
        if inputs == 0 {
            self.stage.judge.count_idle_wake(now, id.host);
        }
    }

    /// Batches up to this one are on the disk: what waited for them leaves.
    fn is_safe(&mut self, id: ProcessId, synced: u64) {
        self.machines.is_safe(id, synced, &mut self.stage.judge);
        while let Some(Released { effects, batch }) = self.machines.release(id) {
            self.carry_out(id, effects);
            self.machines.deliver_to(id, Input::Synced { batch }, &mut self.stage);
        }
    }

    /// Lets a disk do what it can by now.
    fn turn_disk(&mut self, id: ProcessId) {
        let Some(turn) = self.machines.turn_disk(id, self.now()) else { return };
        self.crashes.look_at_images(id.host, &mut self.machines[id.host], &mut self.stage);
        if let Some(synced) = turn.safe {
            self.is_safe(id, synced);
        }
        if let Some(error) = turn.error {
            return self.disk_failed(id.host, &error);
        }
        if let Some(next) = turn.next {
            self.machines.plan_turn(id, next, &mut self.stage);
        }
    }

    /// Something on the disk failed: the process ends, and nothing of the batch leaves (rule
    /// `failed-sync-ends-the-node`).
    fn disk_failed(&mut self, host: HostId, error: &io::Error) {
        self.stage.note(format_args!("n{host} ** disk: {error}"));
        if self.machines[host].disk.directory.is_without_power() {
            return self.cut_power(host);
        }
        self.end_process(host, "stopped by its disk");
        self.machines.restart_later(host, &mut self.stage);
    }

    /// A machine loses power, and its disk what was not synced.
    fn cut_power(&mut self, host: HostId) {
        self.machines.cut_power(host);
        self.end_process(host, "cut from power");
        self.crashes.lose_power(&mut self.machines[host]);
        self.stage.judge.checker.may_have_lost(host, self.stage.plan.usage.fsync);
    }

    /// Ends whatever process runs on a machine, with all that it has not synced.
    fn end_process(&mut self, host: HostId, how: &str) {
        let machine = &mut self.machines[host];
        let Some(process) = machine.process.take() else { return };
        self.stage.note(format_args!("n{host} is {how}"));
        self.stage.work.add_totals(Some(&process));
        machine.disk.abandon();
        machine.paused = false;
        self.stage.judge.behind.ended(host);
        self.stage.judge.checker.ended(process.origin);
        self.inquiries.ended(process.id);
        self.wires.process_ended(process.id, &self.machines, &mut self.stage);
    }

    /// Puts files in the place of a machine's own.
    fn replace_disk(&mut self, host: HostId, files: Directory) {
        self.end_process(host, "killed");
        self.machines[host].disk.directory.replace(files);
        self.machines[host].disk.directory.set_copy(true);
        self.stage.judge.checker.disk_replaced(host);
    }

    // --- effects -----------------------------------------------------------------------------

    fn carry_out(&mut self, id: ProcessId, effects: Vec<Effect>) {
        for effect in effects {
            self.carry_out_one(id, effect);
        }
    }

    fn carry_out_one(&mut self, id: ProcessId, effect: Effect) {
        let host = id.host;
        let (machines, stage) = (&mut self.machines, &mut self.stage);
        match effect {
            Effect::Reply { token, results, version } => {
                let written = stage.judge.checker.written(token, version);
                let answered = stage.judge.checker.answered(token, &results, version);
                stage.note(format_args!("n{host} -> reply {token}: {results:?}"));
                stage.check(answered);
                self.inquiries.replied(token, version, written, machines, stage);
            }
            Effect::Answer { token, answer } => {
                self.membership.answered(id, token, &answer, machines, stage);
                self.inquiries.answered(token, answer, machines, stage);
            }
            // No machine has a watcher.
            Effect::Changes { .. } => {}
            Effect::Datagram { to, bytes } => {
                let to = match to {
                    Destination::Socket(socket) => Address::from(socket),
                    Destination::Address(address) => address,
                };
                if let Some(to) = machines.at(&to) {
                    self.send_datagram(host, to, &bytes);
                }
            }
            Effect::Broadcast { bytes } => {
                // A broadcast is heard by its own sender, too.
                for to in 0..stage.plan.hosts {
                    self.send_datagram(host, to, &bytes);
                }
            }
            Effect::Dial { node, address } => {
                self.wires.dial(id, node, &address, machines, stage);
            }
            Effect::Frame { links, bytes } => {
                for link in links {
                    self.wires.send_frame(host, link, bytes.clone(), machines, stage);
                }
            }
            Effect::LinkEstablished { link } => self.established(host, link),
            Effect::CloseLink { link } => {
                stage.note(format_args!("n{host} closes link {link}"));
                self.wires.close(host, link, machines, stage);
            }
            Effect::Event(event) => stage.judge.node_event(stage.schedule.now(), host, &event),
        }
    }

    fn send_datagram(&mut self, from: HostId, to: HostId, bytes: &Bytes) {
        self.strangers.record(self.machines[from].socket, bytes);
        self.wires.send_datagram(from, to, bytes, &mut self.stage);
    }

    fn established(&mut self, host: HostId, link: LinkId) {
        let local = self.machines[host].clock.read(self.now());
        self.wires.established(host, link);
        self.stage.judge.behind.established(host, link, local);
    }

    // --- faults ------------------------------------------------------------------------------

    fn fault_begins(&mut self, index: usize) {
        let kind = self.stage.plan.faults[index].kind;
        self.stage.note(format_args!("FAULT {kind:?}"));
        self.stage.work.faults.push(kind.name());
        self.trouble.begins(index);
        self.suffer();
        match kind {
            FaultKind::Break(a, b) => {
                self.wires.break_between(a, b, &self.machines, &mut self.stage);
            }
            FaultKind::Pause(host) => {
                let machine = &mut self.machines[host];
                machine.paused = machine.process.is_some();
            }
            FaultKind::Kill(host) => self.end_process(host, "killed"),
            FaultKind::PowerCut(host) => self.cut_power(host),
            FaultKind::Stop(host) => self.machines.stop(host, &mut self.stage),
            FaultKind::Clock(host, rate_ppm) => self.machines.set_rate(host, rate_ppm, self.now()),
            FaultKind::ClockSet(host, millis) => {
                self.end_process(host, "killed");
                let wall = &mut self.machines[host].wall_at_zero_millis;
                *wall = wall.saturating_add_signed(millis);
            }
            FaultKind::Stranger(_) => {
                self.stage.after(Duration::from_micros(1), Event::Stranger(index));
            }
            FaultKind::Leap(host, millis) => {
                let now = self.now();
                self.machines[host].clock.leap(now, Duration::from_millis(millis));
                self.machines.wake_now(host, &mut self.stage);
            }
            FaultKind::Moved(host) => {
                self.end_process(host, "killed");
                self.machines.move_on(host);
            }
            FaultKind::Swapped(a, b) => {
                self.end_process(a, "killed");
                self.end_process(b, "killed");
                self.machines.swap(a, b);
            }
            FaultKind::Blackout(hosts) => {
                for host in hosts.hosts().filter(|host| *host < self.stage.plan.hosts) {
                    self.cut_power(host);
                }
            }
            FaultKind::BitRot(host) => {
                self.end_process(host, "killed");
                if let Some(what) = self.crashes.rot(&mut self.machines[host]) {
                    self.stage.note(format_args!("n{host} ** a bit flips in {what}"));
                }
            }
            FaultKind::CopiedDisk(from, to) => self.copy_disk(from, to),
            FaultKind::SlowDisk(_)
            | FaultKind::HungDisk(_)
            | FaultKind::CutInWrite(..)
            | FaultKind::FailedSync(_)
            | FaultKind::FullDisk(_)
            | FaultKind::OldCopy(_) => self.machines.disk_suffers(kind),
            FaultKind::Remove(host, by) => {
                self.membership.remove(host, by, &mut self.machines, &mut self.stage);
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
        let kind = self.stage.plan.faults[index].kind;
        self.stage.note(format_args!("MENDED {kind:?}"));
        self.trouble.ends(index);
        self.suffer();
        self.wires.resume(&self.machines, &mut self.stage);
        let now = self.now();
        self.machines.disk_is_mended(kind, now);
        match kind {
            FaultKind::Pause(host) => self.go_on(host),
            FaultKind::Kill(host) | FaultKind::PowerCut(host) | FaultKind::Stop(host) => {
                // A stop that was cut short ends now.
                self.end_process(host, "stopped");
                self.start(host);
            }
            FaultKind::Clock(host, _) => self.machines.set_rate(host, EXACT_PPM, self.now()),
            FaultKind::Remove(host, _) => {
                self.membership.register(host, &mut self.machines, &mut self.stage);
            }
            FaultKind::Blackout(hosts) => {
                for host in hosts.hosts().filter(|host| *host < self.stage.plan.hosts) {
                    self.start(host);
                }
            }
            FaultKind::OldCopy(host) => {
                if let Some(copy) = self.machines[host].copy.take() {
                    self.replace_disk(host, copy);
                }
                self.start(host);
            }
            FaultKind::CutInWrite(host, _)
            | FaultKind::FullDisk(host)
            | FaultKind::CopiedDisk(_, host)
            | FaultKind::ClockSet(host, _)
            | FaultKind::BitRot(host)
            | FaultKind::Moved(host) => self.start(host),
            FaultKind::Swapped(a, b) => [a, b].into_iter().for_each(|host| self.start(host)),
            _ => {}
        }
    }

    /// Brings the network to the state of the faults that are on.
    fn suffer(&mut self) {
        let on: Vec<FaultKind> = self.trouble.kinds(self.stage.plan).collect();
        self.wires.suffer(&on);
    }

    /// A process that stood still goes on: it finds all that has come meanwhile.
    fn go_on(&mut self, host: HostId) {
        let now = self.now();
        if let Some(id) = self.machines.go_on(host, now) {
            self.turn_disk(id);
            self.machines.wake_by(id, now, &mut self.stage);
        }
    }

    /// The second machine's disk becomes a copy of the first's.
    fn copy_disk(&mut self, from: HostId, to: HostId) {
        let machine = &self.machines[from];
        // What is repaired is one node's own.
        if machine.disk.directory.is_rotten() {
            return self.end_process(to, "killed");
        }
        let copy = machine.disk.directory.copy();
        let checker = &mut self.stage.judge.checker;
        if let Some(process) = &machine.process {
            checker.copied(from, process.origin);
        }
        checker.two_under_one_id();
        self.replace_disk(to, copy);
    }
}
