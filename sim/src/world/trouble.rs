//! The plan's faults: what each does when it begins and when it ends.

use std::time::Duration;

use quipu_core::input::Input;

use super::World;
use crate::clock::EXACT_PPM;
use crate::faults::FaultKind;
use crate::host::{HostId, socket_of};
use crate::links::Surroundings;
use crate::schedule::Event;

/// The time that a process is given to leave before it is ended.
const LEAVE_MAX: Duration = Duration::from_millis(300);

impl World<'_> {
    pub(super) fn fault_begins(&mut self, index: usize) {
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
            FaultKind::ClockSet(host, millis) => {
                self.end_process(host, "killed");
                let wall = &mut self.hosts[host].wall_at_zero_millis;
                *wall = wall.saturating_add_signed(millis);
            }
            FaultKind::Stranger(_) => self.stranger_comes(index),
            FaultKind::Leap(host, millis) => {
                let now = self.now;
                self.hosts[host].clock.leap(now, Duration::from_millis(millis));
                self.wake_now(host);
            }
            FaultKind::Moved(host) => {
                self.end_process(host, "killed");
                let fresh = socket_of(self.addresses);
                self.addresses += 1;
                self.left.insert(self.hosts[host].address.clone());
                self.hosts[host].move_to(fresh);
            }
            FaultKind::Swapped(a, b) => {
                self.end_process(a, "killed");
                self.end_process(b, "killed");
                let (of_a, of_b) = (self.hosts[a].socket, self.hosts[b].socket);
                self.hosts[a].move_to(of_b);
                self.hosts[b].move_to(of_a);
            }
            FaultKind::SlowDisk(_)
            | FaultKind::HungDisk(_)
            | FaultKind::Blackout(_)
            | FaultKind::CutInWrite(..)
            | FaultKind::FailedSync(_)
            | FaultKind::FullDisk(_)
            | FaultKind::OldCopy(_)
            | FaultKind::BitRot(_)
            | FaultKind::CopiedDisk(..) => self.disk_fault_begins(kind),
            FaultKind::Remove(host, by) => {
                self.remove(host, by);
            }
            FaultKind::Partition(_)
            | FaultKind::OneWay(_)
            | FaultKind::Cut(..)
            | FaultKind::CutOneWay(..)
            | FaultKind::Loss(_)
            | FaultKind::Thin(..) => {}
        }
    }

    pub(super) fn fault_ends(&mut self, index: usize) {
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

    /// Has a process look at its clock.
    fn wake_now(&mut self, host: HostId) {
        if let Some(id) = self.hosts[host].process.as_ref().map(|process| process.id) {
            self.wake_by(id, self.now);
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
}
