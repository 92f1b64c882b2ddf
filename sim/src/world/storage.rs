//! Machines' disks in the world: how a process begins with what it finds, what it writes, what it
//! snapshots, and what becomes of it all when something fails.
//!
//! Beside the crashes of the plan there are those that do not happen: moments between operations
//! on files are kept as crash images, the image loses power, and what a start would find there is
//! held against the promises. So every run tries hundreds of crashes at little cost.

use std::io;

use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::input::Input;
use quipu_core::node::{Config, Node};
use quipu_core::outbox::{Effects, Released};
use quipu_core::storage;
use quipu_core::storage::journal::Journal;
use quipu_core::storage::read::ReadError;
use quipu_core::storage::record::Start;
use quipu_core::storage::repair;
use quipu_core::storage::state::Recovered;
use quipu_core::wire::auth::Secret;

use super::{CLUSTER, SECRET, WALL_SKEW_MILLIS_MAX, World};
use crate::bug::Bug;
use crate::directory::Directory;
use crate::disk::Fsync;
use crate::faults::FaultKind;
use crate::host::{HostId, InFlight, Process, ProcessId, name_of};
use crate::links::Surroundings;
use crate::plan::{Joining, Plan};
use crate::schedule::Event;
use crate::violation::Violation;

/// After this time a process that failed is started again, as a service manager does.
const RESTART_MILLIS: (u64, u64) = (100, 1_000);

/// The time between two steps of a snapshot at most.
const STEP_MICROS_MAX: u64 = 20_000;

/// How many crash images in a thousand show a killed process, and not a power cut.
const KILLED_PERMILLE: u64 = 200;

impl World<'_> {
    /// Starts a machine's process with what it finds on its disk.
    pub(super) fn start(&mut self, host: HostId) {
        if self.hosts[host].process.is_some() || self.is_kept_down(host) {
            return;
        }
        if self.plan.usage.in_memory {
            self.replace_disk(host, Directory::new(0));
        }
        let fresh = NodeId(self.identity_chance.any());
        let origin = OriginId(self.identity_chance.any());
        let seed = self.identity_chance.any();
        let machine = &mut self.hosts[host];
        machine.powered = true;
        let is_reused = self.plan.bug == Some(Bug::OriginReused);
        let origin = machine.last_origin.filter(|_| is_reused).unwrap_or(origin);
        machine.last_origin = Some(origin);
        let wall_millis = machine.wall_at_zero_millis + self.now.as_micros() / 1000;
        let mut state = Recovered::new(origin, seed);
        if let Some(bug) = self.plan.bug {
            state.plant(bug);
        }
        let opened = storage::open(&mut machine.disk.directory, &mut state, |found| {
            found.next_start(fresh, wall_millis)
        });
        if machine.disk.directory.is_rotten() {
            let is_cut = opened.as_ref().is_ok_and(|(_, _, reading)| reading.torn.is_some());
            if is_cut || opened.is_err() {
                self.checker.harmed(host);
            }
            if let Err(ReadError::Damaged { .. }) = &opened {
                return self.repair(host);
            }
            machine.disk.directory.is_sound_again();
        }
        if let Ok((_, start, _)) = &opened {
            let follows = self.checker.start_follows(host, start);
            self.check(follows);
        }
        self.look_at_crash_images(host);
        match opened {
            Ok((journal, start, reading)) => {
                self.work.recoveries += u64::from(!reading.files.is_empty());
                self.work.torn_tails += u64::from(reading.torn.is_some());
                self.work.tails_kept += u64::from(reading.unsynced_bytes > 0);
                self.begin(host, journal, state, start);
            }
            // No fault makes files vanish: the start itself has lost track of them.
            Err(ReadError::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                self.disk_failed(host, &error)
            }
            Err(error) => self.damaged(host, "a crash", &error),
        }
    }

    /// A start was refused: an operator repairs the directory, and starts the process again.
    fn repair(&mut self, host: HostId) {
        let bug = self.plan.bug;
        let empty = || {
            let mut state = Recovered::new(OriginId(0), 0);
            if let Some(bug) = bug {
                state.plant(bug);
            }
            state
        };
        let directory = &mut self.hosts[host].disk.directory;
        match repair::repair(directory, empty) {
            Ok(Some(repair)) => {
                directory.is_sound_again();
                directory.restart();
                self.work.repaired += 1;
                let (sound, salvaged) = (repair.trusted_records, repair.salvaged_records);
                self.trace.note(
                    self.now,
                    format_args!("n{host} ** repaired: {sound} and {salvaged} records"),
                );
                self.start(host);
            }
            Err(ReadError::Io(error)) => self.disk_failed(host, &error),
            Ok(None) => {
                let error = "the repair finds no damage".to_owned();
                self.fail(Violation::Damaged { host, after: "a bit that flipped", error });
            }
            Err(error) => self.damaged(host, "a repair", &error),
        }
    }

    fn begin(&mut self, host: HostId, journal: Journal, state: Recovered, start: Start) {
        let plan = self.plan;
        let survives = plan.usage.fsync == Fsync::Always || !self.hosts[host].has_lost_power;
        let found = self.checker.recovered(host, &state, survives);
        self.check(found);
        let origin = start.origin;
        // As the operator writes them down for this start.
        let addresses: Vec<Address> = self.hosts.iter().map(|host| host.address.clone()).collect();
        let address =
            |host: HostId| if plan.by_name { name_of(host) } else { addresses[host].clone() };
        let others = (0..plan.hosts).filter(|other| *other != host);
        let machine = &mut self.hosts[host];
        machine.starts += 1;
        machine.steady_since = self.now;
        machine.has_lost_power = false;
        let id = ProcessId { host, start: machine.starts };
        let config = Config {
            node: start.node,
            origin,
            address: machine.address.clone(),
            boot: start.boot,
            cluster: CLUSTER.to_owned(),
            secret: secret(plan),
            seeds: match plan.joining {
                Joining::Broadcast => Vec::new(),
                Joining::Seeds | Joining::Both => others.map(address).collect(),
            },
            discovery: plan.joining != Joining::Seeds,
            is_kept: !plan.usage.in_memory,
            chance: self.identity_chance.bytes(),
        };
        self.checker.started(origin, host);
        self.checker.begins(host, origin, state.counters(), plan.usage.fsync);
        self.checker.starts_as(host, &start);
        let began = machine.clock.read(self.now);
        let mut started = Node::recovered(config, state, began);
        started.limit(plan.limits);
        started.bound_table(self.table);
        if let Some(bug) = plan.bug {
            started.plant(bug);
        }
        let mut process = Process::new(id, started, origin, began);
        if let Some(bug) = plan.bug {
            process.outbox.plant(bug);
        }
        machine.process = Some(process);
        machine.disk.begin(self.now, journal);
        let node = start.node;
        self.checker.lives(host, node, &self.hosts[host].address);
        self.trace.note(
            self.now,
            format_args!("n{host} starts for the {}. time: node {node}, origin {origin}", id.start),
        );
        // Rule `sync-the-tail-before-showing-it`: from here on others see what was found, so a
        // power cut must not take it back.
        let mut image = self.hosts[host].disk.directory.crash_image();
        image.lose_all_that_may_be_lost();
        self.look_into(host, &image, true, "a start and a power cut");
        self.links.resume(around!(self));
        self.wake_by(id, self.now);
    }

    fn is_kept_down(&self, host: HostId) -> bool {
        self.faults_on.iter().any(|index| self.plan.faults[*index].kind.keeps_down(host))
    }

    /// Hands a closed batch to the disk, lets out what may leave, and lets the disk do what it can.
    pub(super) fn keep(&mut self, id: ProcessId, batch: InFlight, mut effects: Effects) {
        let machine = &mut self.hosts[id.host];
        // Its own effects may have ended it.
        let Some(process) = machine.process.as_mut().filter(|process| process.id == id) else {
            return;
        };
        if let Some(records) = process.outbox.close(batch.batch, &mut effects) {
            machine.disk.append(batch.batch, records);
        }
        process.in_flight.push_back(batch);
        self.is_safe(id, 0);
        self.turn_disk(id);
        self.begin_snapshot(id);
    }

    /// Batches up to this one are on the disk, and those behind them that have nothing to keep:
    /// what waited for them leaves.
    fn is_safe(&mut self, id: ProcessId, synced: u64) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        process.outbox.safe(synced);
        let origin = process.origin;
        while let Some(batch) =
            process.in_flight.pop_front_if(|batch| batch.batch <= synced || !batch.has_records)
        {
            self.checker.synced(origin, batch.version);
            self.checker.safe(id.host, &batch);
        }
        while let Some(process) = self.hosts[id.host].running(id)
            && let Some(Released { effects, batch }) = process.outbox.release()
        {
            self.carry_out(id, effects);
            self.deliver_to(id, Input::Synced { batch });
        }
    }

    /// Between batches nothing is open: where the cut goes, and where the walk begins.
    fn begin_snapshot(&mut self, id: ProcessId) {
        let machine = &mut self.hosts[id.host];
        if !machine.disk.wants_snapshot() {
            return;
        }
        let Some(process) = machine.process.as_mut().filter(|p| p.walk.is_none()) else { return };
        process.walk = Some(process.node.begin_snapshot());
        machine.disk.cut();
        self.turn_disk(id);
        self.plan_step(id);
    }

    fn plan_step(&mut self, id: ProcessId) {
        let pause = self.machine_chance.micros(1, STEP_MICROS_MAX);
        self.schedule.at(self.now + pause, Event::Snapshot(id));
    }

    pub(super) fn step_snapshot(&mut self, id: ProcessId) {
        let machine = &mut self.hosts[id.host];
        if machine.paused {
            return self.plan_step(id);
        }
        let Some(process) = machine.process.as_mut().filter(|process| process.id == id) else {
            return;
        };
        if machine.disk.has_given_up_snapshot() {
            process.walk = None;
            return;
        }
        if !machine.disk.is_ready_for_part() {
            return self.plan_step(id);
        }
        let Some(walk) = &mut process.walk else { return };
        let records = process.node.snapshot_step(walk, self.plan.usage.step_bytes);
        machine.disk.part(records);
        let is_over = walk.is_over();
        if is_over {
            process.walk = None;
            machine.disk.publish();
        } else {
            self.plan_step(id);
        }
        self.turn_disk(id);
    }

    /// The time has come at which the disk wanted to be looked after.
    pub(super) fn disk_due(&mut self, id: ProcessId) {
        let now = self.now;
        if let Some(process) = self.hosts[id.host].running(id)
            && process.disk_at == Some(now)
        {
            process.disk_at = None;
            self.turn_disk(id);
        }
    }

    /// Lets a disk do what it can by now.
    pub(super) fn turn_disk(&mut self, id: ProcessId) {
        let host = id.host;
        let machine = &mut self.hosts[host];
        if machine.paused {
            return;
        }
        if machine.running(id).is_none() {
            return;
        }
        let turn = machine.disk.turn(self.now, &mut self.machine_chance);
        self.look_at_crash_images(host);
        if let Some(synced) = turn.safe {
            self.is_safe(id, synced);
        }
        if let Some(error) = turn.error {
            return self.disk_failed(host, &error);
        }
        let Some(next) = turn.next else { return };
        let Some(process) = self.hosts[host].running(id) else { return };
        if process.disk_at.is_none_or(|planned| planned <= self.now || next < planned) {
            process.disk_at = Some(next);
            self.schedule.at(next, Event::Disk(id));
        }
    }

    /// Something on the disk failed: the process ends, and nothing of the batch leaves (rule
    /// `failed-sync-ends-the-node`).
    fn disk_failed(&mut self, host: HostId, error: &io::Error) {
        self.trace.note(self.now, format_args!("n{host} ** disk: {error}"));
        if self.hosts[host].disk.directory.is_without_power() {
            return self.cut_power(host);
        }
        self.end_process(host, "stopped by its disk");
        self.hosts[host].disk.abandon();
        let (least, most) = RESTART_MILLIS;
        let pause = self.machine_chance.millis(least, most);
        self.schedule.at(self.now + pause, Event::Start(host));
    }

    /// A machine loses power, and its disk what was not synced.
    pub(super) fn cut_power(&mut self, host: HostId) {
        // A machine without a clock battery is late until it hears of the time.
        let late = self.machine_chance.below(WALL_SKEW_MILLIS_MAX);
        let machine = &mut self.hosts[host];
        machine.powered = false;
        machine.has_lost_power = true;
        machine.wall_at_zero_millis -= late;
        self.end_process(host, "cut from power");
        self.hosts[host].disk.directory.lose_power(&mut self.crash_chance);
        self.checker.may_have_lost(host, self.plan.usage.fsync);
    }

    /// Puts files in the place of a machine's own.
    pub(super) fn replace_disk(&mut self, host: HostId, files: Directory) {
        self.end_process(host, "killed");
        self.hosts[host].disk.directory.replace(files);
        self.checker.disk_replaced(host);
    }

    pub(super) fn disk_fault_begins(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::SlowDisk(host) => self.hosts[host].disk.set_slow(true),
            FaultKind::HungDisk(host) => self.hosts[host].disk.set_hung(true),
            FaultKind::Blackout(hosts) => {
                for host in hosts.hosts().filter(|host| *host < self.plan.hosts) {
                    self.cut_power(host);
                }
            }
            FaultKind::CutInWrite(host, operations) => {
                self.hosts[host].disk.directory.set_fuse(Some(operations));
            }
            FaultKind::FailedSync(host) => self.hosts[host].disk.directory.fail_next_sync(true),
            FaultKind::FullDisk(host) => self.hosts[host].disk.directory.set_full(true),
            FaultKind::OldCopy(host) => {
                let machine = &mut self.hosts[host];
                machine.copy = Some(machine.disk.directory.copy());
            }
            FaultKind::BitRot(host) => {
                self.end_process(host, "killed");
                let rotten = self.hosts[host].disk.directory.rot(&mut self.crash_chance);
                if let Some(what) = rotten {
                    self.trace.note(self.now, format_args!("n{host} ** a bit flips in {what}"));
                }
            }
            // What is repaired is one node's own.
            FaultKind::CopiedDisk(from, to) if self.hosts[from].disk.directory.is_rotten() => {
                self.end_process(to, "killed");
            }
            FaultKind::CopiedDisk(from, to) => {
                let copy = self.hosts[from].disk.directory.copy();
                if let Some(process) = &self.hosts[from].process {
                    self.checker.copied(from, process.origin);
                }
                self.checker.two_under_one_id();
                self.replace_disk(to, copy);
            }
            _ => {}
        }
    }

    pub(super) fn disk_fault_ends(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::HungDisk(host) => {
                self.hosts[host].disk.set_hung(false);
                self.hosts[host].steady_since = self.now;
            }
            FaultKind::SlowDisk(host) => {
                self.hosts[host].disk.set_slow(false);
                self.hosts[host].steady_since = self.now;
            }
            FaultKind::Blackout(hosts) => {
                for host in hosts.hosts().filter(|host| *host < self.plan.hosts) {
                    self.start(host);
                }
            }
            FaultKind::CutInWrite(host, _) => {
                self.hosts[host].disk.directory.set_fuse(None);
                self.start(host);
            }
            FaultKind::FailedSync(host) => self.hosts[host].disk.directory.fail_next_sync(false),
            FaultKind::FullDisk(host) => {
                self.hosts[host].disk.directory.set_full(false);
                self.start(host);
            }
            FaultKind::OldCopy(host) => {
                if let Some(copy) = self.hosts[host].copy.take() {
                    self.replace_disk(host, copy);
                }
                self.start(host);
            }
            FaultKind::CopiedDisk(_, host)
            | FaultKind::ClockSet(host, _)
            | FaultKind::BitRot(host)
            | FaultKind::Moved(host) => self.start(host),
            FaultKind::Swapped(a, b) => [a, b].into_iter().for_each(|host| self.start(host)),
            _ => {}
        }
    }

    /// Looks what crashes at the moments kept would have left.
    fn look_at_crash_images(&mut self, host: HostId) {
        for mut image in self.hosts[host].disk.directory.take_crash_images() {
            let survives = self.plan.usage.fsync == Fsync::Always;
            if self.crash_chance.permille(KILLED_PERMILLE) {
                self.look_into(host, &image, survives, "a kill");
            } else {
                image.lose_power(&mut self.crash_chance);
                self.look_into(host, &image, survives, "a power cut");
            }
        }
    }

    /// Looks what a start would find in a directory.
    fn look_into(&mut self, host: HostId, files: &Directory, survives: bool, after: &'static str) {
        if self.plan.usage.in_memory {
            return;
        }
        self.work.crashes_tried += 1;
        let mut state = Recovered::new(OriginId(0), 0);
        match storage::check(files, &mut state) {
            Ok(_) => {
                let found = self.checker.recovered(host, &state, survives);
                self.check(found);
            }
            Err(error) => self.damaged(host, after, &error),
        }
    }

    fn damaged(&mut self, host: HostId, after: &'static str, error: &ReadError) {
        let error = error.to_string();
        self.fail(Violation::Damaged { host, after, error });
    }
}

/// What the nodes of a plan share, if they do.
pub(super) fn secret(plan: &Plan) -> Option<Secret> {
    plan.has_secret.then(|| Secret::new(SECRET).expect("a secret long enough"))
}
