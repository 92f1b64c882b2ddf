//! The machines and their processes: what wakes a process, what it takes, and what its disk does.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::time::Duration;

use quipu_core::counters::Bounds;
use quipu_core::identity::{Address, OriginId, Version};
use quipu_core::input::Input;
use quipu_core::outbox::{Effects, Released};
use quipu_core::query::PeerName;
use quipu_core::status::Status;
use quipu_core::time::Time;

use super::judge::{Batch, Judge, held_of_others};
use super::stage::Stage;
use crate::chance::{Chance, Purpose};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::disk::{Disk, Turn};
use crate::endings::said::AllSaid;
use crate::faults::{FaultKind, HOSTS_MAX};
use crate::held::Held;
use crate::host::{
    BATCH_INPUTS_MAX, Host, HostId, InFlight, Process, ProcessId, host_at, socket_of,
};
use crate::memberships::of_nodes;
use crate::plan::Plan;
use crate::schedule::Event;

/// The world begins in November 2023 by its machines' wall clocks.
pub const EPOCH_MILLIS: u64 = 1_700_000_000_000;

/// By how much two machines' wall clocks differ at most: an operator would notice more.
pub const WALL_SKEW_MILLIS_MAX: u64 = 120_000;

/// How long a process takes at most to wake when something has arrived. What comes meanwhile
/// joins the batch.
const WAKE_MICROS_MAX: u64 = 150;

/// How late a timer fires at most.
const TIMER_LATE_MICROS_MAX: u64 = 1_500;

/// The time between two steps of a snapshot at most.
const STEP_MICROS_MAX: u64 = 20_000;

/// After this time a process that failed is started again, as a service manager does.
const RESTART_MILLIS: (u64, u64) = (100, 1_000);

/// The time that a process is given to leave before it is ended.
const LEAVE_MAX: Duration = Duration::from_millis(300);

/// What a process that woke has done.
#[derive(Debug)]
pub(super) struct Woken {
    pub(super) batch: InFlight,
    pub(super) effects: Effects,
    /// How many inputs it took.
    pub(super) inputs: usize,
    /// Whether more inputs wait.
    pub(super) has_mail: bool,
    /// By its clock, when it wants to wake again.
    pub(super) deadline: Time,
}

/// The machines of a cluster.
#[derive(Debug)]
pub(super) struct Machines {
    hosts: Vec<Host>,
    chance: Chance,
    /// How much each node's table may hold.
    table: Bounds,
    /// Addresses at which machines were before they moved.
    left: BTreeSet<Address>,
    /// How many addresses machines have had.
    addresses: usize,
}

impl Index<HostId> for Machines {
    type Output = Host;

    fn index(&self, host: HostId) -> &Host {
        &self.hosts[host]
    }
}

impl IndexMut<HostId> for Machines {
    fn index_mut(&mut self, host: HostId) -> &mut Host {
        &mut self.hosts[host]
    }
}

impl Machines {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut chance = Chance::new(plan.seed, Purpose::Machines);
        let hosts = (0..plan.hosts)
            .map(|host| {
                // Up for any time up to eleven days.
                let local = Time::ZERO + chance.millis(0, 1_000_000_000);
                let wall = EPOCH_MILLIS + chance.below(plan.wall_skew_millis);
                let mut directory = Directory::new(plan.seed * HOSTS_MAX as u64 + host as u64);
                directory.set_crash_images(true);
                let disk = Disk::new(directory, plan.usage, plan.bug);
                Host::new(host, Clock::new(local), wall, disk)
            })
            .collect();
        let (table, addresses) = (plan.table, plan.hosts);
        Machines { hosts, chance, table, left: BTreeSet::new(), addresses }
    }

    pub(super) fn all(&self) -> &[Host] {
        &self.hosts
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.hosts.iter().filter_map(|host| host.process.as_ref())
    }

    /// The machines whose processes run.
    pub(super) fn running(&self) -> Vec<HostId> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].process.is_some()).collect()
    }

    /// The process of a machine that takes requests of clients.
    pub(super) fn serving(&self, host: HostId) -> Option<&Process> {
        self.hosts[host].process.as_ref().filter(|process| !process.leaving)
    }

    /// The same process, if it still runs.
    pub(super) fn process(&self, id: ProcessId) -> Option<&Process> {
        self.hosts[id.host].process.as_ref().filter(|process| process.id == id)
    }

    /// What a machine's process shows of itself.
    pub(super) fn status(&self, host: HostId, now: Time) -> Option<Status> {
        let machine = &self.hosts[host];
        Some(machine.process.as_ref()?.node.status(machine.clock.read(now)))
    }

    /// How much each node's table may hold.
    pub(super) fn table(&self) -> Bounds {
        self.table
    }

    /// From now on each node's table may hold so much.
    pub(super) fn bound_tables(&mut self, table: Bounds) {
        self.table = table;
        for process in self.hosts.iter_mut().filter_map(|host| host.process.as_mut()) {
            process.node.bound_table(table);
        }
    }

    // --- addresses ---------------------------------------------------------------------------

    pub(super) fn at(&self, address: &Address) -> Option<HostId> {
        host_at(address, &self.hosts)
    }

    /// Whether a machine that has moved since was at an address.
    pub(super) fn were_at(&self, address: &Address) -> bool {
        self.left.contains(address)
    }

    /// A machine moves to an address where none has been.
    pub(super) fn move_on(&mut self, host: HostId) {
        let fresh = socket_of(self.addresses);
        self.addresses += 1;
        self.left.insert(self.hosts[host].address.clone());
        self.hosts[host].move_to(fresh);
    }

    /// Two machines take each other's address.
    pub(super) fn swap(&mut self, a: HostId, b: HostId) {
        let (of_a, of_b): (SocketAddr, SocketAddr) = (self.hosts[a].socket, self.hosts[b].socket);
        self.hosts[a].move_to(of_b);
        self.hosts[b].move_to(of_a);
    }

    /// How an operator names a machine's node.
    pub(super) fn peer_name(&self, host: HostId) -> PeerName {
        let address = self.hosts[host].address.clone();
        PeerName { given: address.to_string(), address, resolved: vec![self.hosts[host].socket] }
    }

    // --- inputs ------------------------------------------------------------------------------

    /// Puts an input before whatever process runs on a machine.
    pub(super) fn deliver(&mut self, host: HostId, input: Input, stage: &mut Stage<'_>) {
        if let Some(process) = &self.hosts[host].process {
            self.deliver_to(process.id, input, stage);
        }
    }

    /// Puts an input before a process, if it still runs.
    pub(super) fn deliver_to(&mut self, id: ProcessId, input: Input, stage: &mut Stage<'_>) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        if process.receive(input) {
            let delay = self.chance.micros(0, WAKE_MICROS_MAX);
            self.wake_by(id, stage.now() + delay, stage);
        } else {
            stage.work.datagrams_overflown += 1;
        }
    }

    /// Sees to it that a process wakes at this time or earlier.
    pub(super) fn wake_by(&mut self, id: ProcessId, at: Time, stage: &mut Stage<'_>) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        if process.wake_at.is_none_or(|planned| at < planned) {
            process.wake_at = Some(at);
            stage.schedule.at(at, Event::Wake(id));
        }
    }

    /// Has a machine's process look at its clock.
    pub(super) fn wake_now(&mut self, host: HostId, stage: &mut Stage<'_>) {
        if let Some(id) = self.hosts[host].process.as_ref().map(|process| process.id) {
            self.wake_by(id, stage.now(), stage);
        }
    }

    /// Sees to it that a process wakes when its clock shows this time, or a little later.
    pub(super) fn wake_at_deadline(
        &mut self,
        id: ProcessId,
        deadline: Time,
        stage: &mut Stage<'_>,
    ) {
        let due = self.hosts[id.host].clock.when(deadline).max(stage.now());
        let late = self.chance.micros(1, TIMER_LATE_MICROS_MAX);
        self.wake_by(id, due + late, stage);
    }

    /// A process wakes: it takes what waits for it, and closes a batch.
    pub(super) fn wake(&mut self, id: ProcessId, stage: &mut Stage<'_>) -> Option<Woken> {
        let now = stage.now();
        let table = self.table;
        let machine = &mut self.hosts[id.host];
        if machine.paused {
            return None;
        }
        let local = machine.clock.read(now);
        let process = machine.running(id).filter(|process| process.wake_at == Some(now))?;
        let behind = stage.judge.reasons(process, local);
        process.wake_at = None;
        let mut effects = Effects::default();
        let mut came_by_link = false;
        let mut inputs = 0;
        while inputs < BATCH_INPUTS_MAX
            && let Some(input) = process.take()
        {
            inputs += 1;
            came_by_link |= matches!(input, Input::LinkFrame { .. });
            stage.judge.note_input(now, id.host, &input);
            if let Input::WallClock(ms) = input {
                process.wall = (local, ms);
            }
            let done = effects.after_sync.len();
            process.node.handle(local, input, &mut effects);
            stage.judge.look_at_endings(process, local, &effects.after_sync[done..]);
        }
        if inputs == 0 {
            process.node.handle(local, Input::Tick, &mut effects);
        }
        let done = effects.after_sync.len();
        let number = process.node.close_batch(local, &mut effects);
        process.looked_ms = process.wall_ms(local);
        let former = process.origin;
        let closed = stage.judge.follow_settlements(process);
        process.origin = process.node.counters().our_origin();
        stage.judge.look_at_endings(process, local, &effects.after_sync[done..]);
        let batch = Batch { inputs, came_by_link, table };
        stage.judge.look_at_batch(process, batch, &effects);
        let identity = process.node.identity();
        process.lives_as = identity.node;
        let counters = process.node.counters();
        let own = [former, process.origin].map(|id| (id, counters.known(id).version));
        let own: Vec<(OriginId, Version)> = own.into_iter().collect();
        let table = Held::new(&stage.judge.checker, counters);
        let has_records = !effects.journal.is_empty();
        let keeps_held = stage.plan.is_bounded() && came_by_link && has_records;
        let batch = InFlight {
            batch: number,
            has_records,
            own,
            closed,
            known: table.digest(),
            held: if keeps_held { held_of_others(&table, counters) } else { Vec::new() },
            held_endings: if keeps_held { table.said() } else { AllSaid::default() },
            memberships: of_nodes(process.node.registry()),
            lives_as: (identity.node, identity.boot),
        };
        if inputs <= 1 {
            stage.judge.check_raises(process, local, &behind, &effects);
        }
        stage.work.batches += 1;
        let (has_mail, deadline) = (process.has_mail(), process.node.next_deadline());
        Some(Woken { batch, effects, inputs, has_mail, deadline })
    }

    /// A machine's process is asked to leave.
    pub(super) fn stop(&mut self, host: HostId, stage: &mut Stage<'_>) {
        if let Some(process) = &mut self.hosts[host].process {
            process.leaving = true;
            let id = process.id;
            self.deliver_to(id, Input::Leave, stage);
            stage.after(LEAVE_MAX, Event::Stopped(id));
        }
    }

    /// A machine's clock runs at this rate from now on.
    pub(super) fn set_rate(&mut self, host: HostId, rate_ppm: u64, now: Time) {
        self[host].clock.set_rate(now, rate_ppm);
    }

    /// A process that stood still goes on.
    pub(super) fn go_on(&mut self, host: HostId, now: Time) -> Option<ProcessId> {
        let machine = &mut self.hosts[host];
        machine.paused = false;
        machine.steady_since = now;
        let process = machine.process.as_mut()?;
        process.wake_at = None;
        Some(process.id)
    }

    // --- disks -------------------------------------------------------------------------------

    /// Hands a closed batch to the outbox and its records to the disk. Returns whether the process
    /// still runs: its own effects may have ended it.
    pub(super) fn keep(&mut self, id: ProcessId, batch: InFlight, mut effects: Effects) -> bool {
        let machine = &mut self.hosts[id.host];
        let Some(process) = machine.process.as_mut().filter(|process| process.id == id) else {
            return false;
        };
        if let Some(records) = process.outbox.close(batch.batch, &mut effects) {
            machine.disk.append(batch.batch, records);
        }
        process.in_flight.push_back(batch);
        true
    }

    /// Batches up to this one are on the disk, and those behind them that have nothing to keep.
    pub(super) fn is_safe(&mut self, id: ProcessId, synced: u64, judge: &mut Judge<'_>) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        process.outbox.safe(synced);
        while let Some(batch) =
            process.in_flight.pop_front_if(|batch| batch.batch <= synced || !batch.has_records)
        {
            for (origin, version) in &batch.own {
                judge.checker.synced(*origin, *version);
            }
            judge.checker.safe(id.host, &batch);
        }
    }

    /// The next batch of a process whose effects may leave.
    pub(super) fn release(&mut self, id: ProcessId) -> Option<Released> {
        self.hosts[id.host].running(id)?.outbox.release()
    }

    /// Lets a disk do what it can by now, if its process runs.
    pub(super) fn turn_disk(&mut self, id: ProcessId, now: Time) -> Option<Turn> {
        let machine = &mut self.hosts[id.host];
        if machine.paused || machine.running(id).is_none() {
            return None;
        }
        Some(machine.disk.turn(now, &mut self.chance))
    }

    /// A disk wants to be looked after again.
    pub(super) fn plan_turn(&mut self, id: ProcessId, next: Time, stage: &mut Stage<'_>) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        if process.disk_at.is_none_or(|planned| planned <= stage.now() || next < planned) {
            process.disk_at = Some(next);
            stage.schedule.at(next, Event::Disk(id));
        }
    }

    /// Whether this is the time at which a disk wanted to be looked after.
    pub(super) fn is_turn_due(&mut self, id: ProcessId, now: Time) -> bool {
        let process = self.hosts[id.host].running(id);
        process.is_some_and(|process| process.disk_at.take_if(|at| *at == now).is_some())
    }

    /// Begins a snapshot if it is time for one; returns whether it has. Between batches nothing is
    /// open: where the cut goes, and where the walk begins.
    pub(super) fn begin_snapshot(&mut self, id: ProcessId) -> bool {
        let machine = &mut self.hosts[id.host];
        // Rows that are being folded are in no snapshot (rule `row-done`).
        let disk = &machine.disk;
        let may_begin = |p: &&mut Process| {
            disk.wants_snapshot(p.node.has_shrunk()) && p.walk.is_none() && !p.node.is_folding()
        };
        let Some(process) = machine.process.as_mut().filter(may_begin) else {
            return false;
        };
        process.walk = Some(process.node.begin_snapshot());
        machine.disk.cut();
        true
    }

    pub(super) fn plan_step(&mut self, id: ProcessId, stage: &mut Stage<'_>) {
        let pause = self.chance.micros(1, STEP_MICROS_MAX);
        stage.after(pause, Event::Snapshot(id));
    }

    /// The next step of a snapshot; returns whether it gave the disk something to do.
    pub(super) fn step_snapshot(&mut self, id: ProcessId, stage: &mut Stage<'_>) -> bool {
        let machine = &mut self.hosts[id.host];
        if machine.paused {
            self.plan_step(id, stage);
            return false;
        }
        let Some(process) = machine.process.as_mut().filter(|process| process.id == id) else {
            return false;
        };
        if machine.disk.has_given_up_snapshot() {
            process.walk = None;
            process.node.end_snapshot();
            return false;
        }
        if !machine.disk.is_ready_for_part() {
            self.plan_step(id, stage);
            return false;
        }
        let Some(walk) = &mut process.walk else { return false };
        let records = process.node.snapshot_step(walk, stage.plan.usage.step_bytes);
        machine.disk.part(records);
        if walk.is_over() {
            process.walk = None;
            process.node.end_snapshot();
            machine.disk.publish();
        } else {
            self.plan_step(id, stage);
        }
        true
    }

    /// After a failure a machine's process is started again, some time later.
    pub(super) fn restart_later(&mut self, host: HostId, stage: &mut Stage<'_>) {
        self.hosts[host].disk.abandon();
        let (least, most) = RESTART_MILLIS;
        let pause = self.chance.millis(least, most);
        stage.after(pause, Event::Start(host));
    }

    /// A machine without a clock battery is late, when it comes back, until it hears of the time.
    pub(super) fn cut_power(&mut self, host: HostId) {
        let late = self.chance.below(WALL_SKEW_MILLIS_MAX);
        let machine = &mut self.hosts[host];
        machine.powered = false;
        machine.has_lost_power = true;
        machine.wall_at_zero_millis -= late;
    }

    /// A fault of a disk begins that lets the machine's process live.
    pub(super) fn disk_suffers(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::SlowDisk(host) => self.hosts[host].disk.set_slow(true),
            FaultKind::HungDisk(host) => self.hosts[host].disk.set_hung(true),
            FaultKind::CutInWrite(host, operations) => {
                self.hosts[host].disk.directory.set_fuse(Some(operations));
            }
            FaultKind::FailedSync(host) => self.hosts[host].disk.directory.fail_next_sync(true),
            FaultKind::FullDisk(host) => self.hosts[host].disk.directory.set_full(true),
            FaultKind::OldCopy(host) => {
                let machine = &mut self.hosts[host];
                machine.copy = Some(machine.disk.directory.copy());
            }
            _ => {}
        }
    }

    /// A fault of a disk ends.
    pub(super) fn disk_is_mended(&mut self, kind: FaultKind, now: Time) {
        match kind {
            FaultKind::HungDisk(host) => {
                self.hosts[host].disk.set_hung(false);
                self.hosts[host].steady_since = now;
            }
            FaultKind::SlowDisk(host) => {
                self.hosts[host].disk.set_slow(false);
                self.hosts[host].steady_since = now;
            }
            FaultKind::CutInWrite(host, _) => self.hosts[host].disk.directory.set_fuse(None),
            FaultKind::FailedSync(host) => self.hosts[host].disk.directory.fail_next_sync(false),
            FaultKind::FullDisk(host) => self.hosts[host].disk.directory.set_full(false),
            _ => {}
        }
    }
}
