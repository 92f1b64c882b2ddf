//! How a process begins with what it finds on its machine's disk, and under which identity.

use std::io;

use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::storage;
use quipu_core::storage::journal::Journal;
use quipu_core::storage::read::ReadError;
use quipu_core::storage::record::Start;
use quipu_core::storage::repair;
use quipu_core::storage::state::Recovered;

use super::cluster::{CLUSTER, secret};
use super::crashes::{Crashes, damaged, look_behind_a_start};
use super::machines::Machines;
use super::stage::Stage;
use crate::bug::Bug;
use crate::chance::{Chance, Purpose};
use crate::directory::Directory;
use crate::disk::Fsync;
use crate::host::{Host, HostId, Process, ProcessId, name_of};
use crate::plan::{Joining, Plan};
use crate::splits::REMOVED_AFTER;
use crate::violation::Violation;

/// What became of a start.
#[derive(Debug)]
pub(super) enum Started {
    /// A process runs.
    Runs(ProcessId),
    /// The disk failed.
    DiskFailed(io::Error),
    /// What was found breaks a promise.
    Refused,
}

/// The identities that starts draw.
#[derive(Debug)]
pub(super) struct Starts {
    chance: Chance,
}

impl Starts {
    pub(super) fn new(plan: &Plan) -> Self {
        Starts { chance: Chance::new(plan.seed, Purpose::Identities) }
    }

    /// Starts a machine's process, on which none runs, with what it finds on its disk.
    pub(super) fn start(
        &mut self,
        host: HostId,
        machines: &mut Machines,
        crashes: &mut Crashes,
        stage: &mut Stage<'_>,
    ) -> Started {
        if stage.plan.usage.in_memory {
            machines[host].disk.directory.replace(Directory::new(0));
            stage.judge.checker.disk_replaced(host);
        }
        let fresh = NodeId(self.chance.any());
        let origin = OriginId(self.chance.any());
        let seed = self.chance.any();
        let machine = &mut machines[host];
        let wall_ms = machine.wall_ms(stage.now());
        machine.powered = true;
        let is_reused = stage.plan.bug == Some(Bug::OriginReused);
        let origin = machine.last_origin.filter(|_| is_reused).unwrap_or(origin);
        machine.last_origin = Some(origin);
        let mut state = Recovered::new(origin, seed);
        if let Some(bug) = stage.plan.bug {
            state.plant(bug);
        }
        // Where nodes settle, the server knows a copy by the directory's identity.
        let is_copy = machine.disk.directory.is_copy() && settles(stage.plan);
        let opened =
            storage::open(&mut machine.disk.directory, &mut state, |found| match is_copy {
                true => found.start_of_copy(fresh, wall_ms),
                false => found.next_start(fresh, wall_ms),
            });
        if machine.disk.directory.is_rotten() {
            let is_cut = opened.as_ref().is_ok_and(|(_, _, reading)| reading.torn.is_some());
            if is_cut || opened.is_err() {
                stage.judge.checker.harmed(host);
            }
            if let Err(ReadError::Damaged { .. }) = &opened {
                return match repaired(host, machine, stage) {
                    Ok(()) => self.start(host, machines, crashes, stage),
                    Err(failed) => failed,
                };
            }
            machine.disk.directory.is_sound_again();
        }
        if let Ok((_, start, _)) = &opened {
            machine.disk.directory.set_copy(false);
            let follows = stage.judge.checker.start_follows(host, start);
            stage.check(follows);
        }
        crashes.look_at_images(host, machine, stage);
        match opened {
            Ok((journal, start, reading)) => {
                stage.work.recoveries += u64::from(!reading.files.is_empty());
                stage.work.torn_tails += u64::from(reading.torn.is_some());
                stage.work.tails_kept += u64::from(reading.unsynced_bytes > 0);
                Started::Runs(self.begin(host, machines, (journal, state, start), stage))
            }
            // No fault makes files vanish: the start itself has lost track of them.
            Err(ReadError::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                Started::DiskFailed(error)
            }
            Err(error) => {
                stage.fail(damaged(host, "a crash", &error));
                Started::Refused
            }
        }
    }

    /// A process goes on with what was found.
    fn begin(
        &mut self,
        host: HostId,
        machines: &mut Machines,
        (journal, mut state, start): (Journal, Recovered, Start),
        stage: &mut Stage<'_>,
    ) -> ProcessId {
        let plan = stage.plan;
        let survives = plan.usage.fsync == Fsync::Always || !machines[host].has_lost_power;
        let found = stage.judge.checker.recovered(host, &state, survives);
        stage.check(found);
        state.starts(start);
        let (node, origin) = (start.node, start.origin);
        let config = self.config(host, &start, machines, plan);
        let (now, table) = (stage.now(), machines.table());
        let machine = &mut machines[host];
        machine.starts += 1;
        machine.steady_since = now;
        machine.has_lost_power = false;
        let id = ProcessId { host, start: machine.starts };
        let checker = &mut stage.judge.checker;
        checker.started(origin, host);
        checker.begins(host, origin, state.counters(), plan.usage.fsync);
        checker.starts_as(host, &start);
        let began = machine.clock.read(now);
        let mut started = Node::recovered(config, state, began);
        started.limit(plan.limits);
        started.bound_table(table);
        if let Some(bug) = plan.bug {
            started.plant(bug);
        }
        let mut process = Process::new(id, started, origin, began);
        if let Some(bug) = plan.bug {
            process.outbox.plant(bug);
        }
        machine.process = Some(process);
        machine.disk.begin(now, journal);
        checker.lives(host, node, &machine.address);
        stage.note(format_args!(
            "n{host} starts for the {}. time: node {node}, origin {origin}",
            id.start
        ));
        look_behind_a_start(host, machine, stage);
        id
    }

    /// What an operator writes down for a start.
    fn config(&mut self, host: HostId, start: &Start, machines: &Machines, plan: &Plan) -> Config {
        let address = |host: HostId| -> Address {
            if plan.by_name { name_of(host) } else { machines[host].address.clone() }
        };
        let others = (0..plan.hosts).filter(|other| *other != host);
        Config {
            node: start.node,
            origin: start.origin,
            address: machines[host].address.clone(),
            boot: start.boot,
            cluster: CLUSTER.to_owned(),
            secret: secret(plan),
            seeds: match plan.joining {
                Joining::Broadcast => Vec::new(),
                Joining::Seeds | Joining::Both => others.map(address).collect(),
            },
            discovery: plan.joining != Joining::Seeds,
            is_kept: !plan.usage.in_memory,
            settles: settles(plan),
            removes_after: match plan.absent {
                true => RemovesAfter { in_memory: REMOVED_AFTER, on_disk: Some(REMOVED_AFTER) },
                false => RemovesAfter::default(),
            },
            chance: self.chance.bytes(),
        }
    }
}

/// Whether nodes take part in settlements.
fn settles(plan: &Plan) -> bool {
    plan.usage.in_memory || plan.usage.fsync == Fsync::Always
}

/// A start was refused: an operator repairs the directory, to start the process again.
///
/// # Errors
/// What became of the start, if the repair fails.
fn repaired(host: HostId, machine: &mut Host, stage: &mut Stage<'_>) -> Result<(), Started> {
    let bug = stage.plan.bug;
    let empty = || {
        let mut state = Recovered::new(OriginId(0), 0);
        if let Some(bug) = bug {
            state.plant(bug);
        }
        state
    };
    let directory = &mut machine.disk.directory;
    match repair::repair(directory, empty) {
        Ok(Some(repair)) => {
            directory.is_sound_again();
            directory.restart();
            stage.work.repaired += 1;
            let (sound, salvaged) = (repair.trusted_records, repair.salvaged_records);
            stage.note(format_args!("n{host} ** repaired: {sound} and {salvaged} records"));
            Ok(())
        }
        Err(ReadError::Io(error)) => Err(Started::DiskFailed(error)),
        Ok(None) => {
            let error = "the repair finds no damage".to_owned();
            stage.fail(Violation::Damaged { host, after: "a bit that flipped", error });
            Err(Started::Refused)
        }
        Err(error) => {
            stage.fail(damaged(host, "a repair", &error));
            Err(Started::Refused)
        }
    }
}
