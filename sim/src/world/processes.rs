//! Processes: what wakes them, what they take, what becomes of their effects, and their end.

use std::time::Duration;

use quipu_core::counters::Counters;
use quipu_core::effect::{Destination, Effect};
use quipu_core::event::{Event as NodeEvent, LinkEnd};
use quipu_core::identity::{Address, OriginId};
use quipu_core::input::{Input, LinkId};
use quipu_core::outbox::Effects;
use quipu_core::slot::Slot;
use quipu_core::time::Time;
use quipu_core::wire::frame::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNPROVED};

use super::World;
use crate::checker::SLOTS_AT_EVERY_STEP_MAX;
use crate::describe;
use crate::host::{BATCH_INPUTS_MAX, HostId, InFlight, ProcessId, host_at};
use crate::links::Surroundings;
use crate::memberships::of_nodes;
use crate::schedule::Event;
use crate::violation::Violation;

/// How long a process takes at most to wake when something has arrived. What comes meanwhile
/// joins the batch.
const WAKE_MICROS_MAX: u64 = 150;

/// How late a timer fires at most.
const TIMER_LATE_MICROS_MAX: u64 = 1_500;

/// Wakes of one process for nothing but the time, within a virtual second, beyond which its
/// deadline is stuck: timers fire up to 1.5 ms late, so one that is always due makes 1,300.
const IDLE_WAKES_A_SECOND_MAX: u64 = 600;

fn held_of_others(counters: &Counters) -> Vec<(OriginId, String, Slot)> {
    let ours = counters.our_origin();
    let others = counters.iter().filter(|view| view.origin != ours);
    others.map(|view| (view.origin, view.name.to_owned(), view.slot)).collect()
}

impl World<'_> {
    /// Puts an input before whatever process runs on a machine.
    pub(super) fn deliver(&mut self, host: HostId, input: Input) {
        if let Some(process) = &self.hosts[host].process {
            self.deliver_to(process.id, input);
        }
    }

    /// Puts an input before a process, if it still runs.
    pub(super) fn deliver_to(&mut self, id: ProcessId, input: Input) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        if process.receive(input) {
            let delay = self.machine_chance.micros(0, WAKE_MICROS_MAX);
            self.wake_by(id, self.now + delay);
        } else {
            self.work.datagrams_overflown += 1;
        }
    }

    /// Sees to it that a process wakes at this time or earlier.
    pub(super) fn wake_by(&mut self, id: ProcessId, at: Time) {
        let Some(process) = self.hosts[id.host].running(id) else { return };
        if process.wake_at.is_none_or(|planned| at < planned) {
            process.wake_at = Some(at);
            self.schedule.at(at, Event::Wake(id));
        }
    }

    pub(super) fn wake(&mut self, id: ProcessId) {
        let now = self.now;
        let behind = self.behind(id);
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
        let is_told = self.plan.is_bounded() && came_by_link && !effects.journal.is_empty();
        let held = if is_told { held_of_others(counters) } else { Vec::new() };
        let mut checked = self.checker.closed(counters);
        if came_by_link && counters.len() * counters.origins() <= SLOTS_AT_EVERY_STEP_MAX {
            checked = checked.and_then(|()| self.checker.look_at(counters));
        }
        let replies = [&effects.at_once, &effects.after_sync];
        for replies in replies {
            let origin = process.origin;
            let is_alone = handled <= 1;
            let bounds = self.table;
            let looked = self.checker.look_at_replies(origin, counters, replies, is_alone, bounds);
            checked = checked.and(looked);
        }
        let registry = process.node.registry();
        let memberships = of_nodes(registry);
        checked = checked.and_then(|()| self.checker.look_at_memberships(process.origin, registry));
        let identity = process.node.identity();
        let lives_as = (identity.node, identity.boot);
        if identity.node != process.lives_as {
            process.lives_as = identity.node;
            let takes = self.checker.takes_another_id(process.origin, identity);
            checked = checked.and(takes);
        }
        let more = process.has_mail();
        let deadline = process.node.next_deadline();
        self.check(checked);
        if handled <= 1 {
            self.check_raises(id, &behind, &effects);
        }
        self.work.batches += 1;
        let at_once = std::mem::take(&mut effects.at_once);
        self.carry_out(id, at_once);
        let has_records = !effects.journal.is_empty();
        // To be told that nothing is safe would wake it again, for ever.
        if has_records || !effects.after_sync.is_empty() {
            let batch =
                InFlight { batch, has_records, version, known, held, memberships, lives_as };
            self.keep(id, batch, effects);
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

    /// Ends whatever process runs on a machine, with all that it has not synced.
    pub(super) fn end_process(&mut self, host: HostId, how: &str) {
        let machine = &mut self.hosts[host];
        let Some(process) = machine.process.take() else { return };
        self.trace.note(self.now, format_args!("n{host} is {how}"));
        self.work.add_totals(Some(&process));
        machine.disk.abandon();
        machine.paused = false;
        self.linked[host] = super::behind::Linked::default();
        self.checker.ended(process.origin);
        let powered = machine.powered;
        self.forget_inquiries(process.id);
        if powered {
            self.links.process_died(process.id, around!(self));
        } else {
            self.links.power_lost(process.id);
        }
    }

    pub(super) fn carry_out(&mut self, id: ProcessId, effects: Vec<Effect>) {
        for effect in effects {
            self.carry_out_one(id, effect);
        }
    }

    fn carry_out_one(&mut self, id: ProcessId, effect: Effect) {
        let host = id.host;
        match effect {
            Effect::Reply { token, results, version } => {
                let answered = self.checker.answered(token, &results);
                self.trace.note(self.now, format_args!("n{host} -> reply {token}: {results:?}"));
                self.check(answered);
                self.may_wait(token, version);
            }
            Effect::Answer { token, answer } => {
                self.operator_answered(id, token, &answer);
                self.inquiry_answered(token, &answer);
            }
            Effect::Datagram { to, bytes } => {
                let to = match to {
                    Destination::Socket(socket) => Address::from(socket),
                    Destination::Address(address) => address,
                };
                if let Some(to) = host_at(&to, &self.hosts) {
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
                    self.frames.sent((host, link), &bytes);
                    let overflows = self.links.send(host, link, bytes.clone(), around!(self));
                    self.work.links_overflown += u64::from(overflows);
                    self.work.frames += 1;
                }
            }
            Effect::LinkEstablished { link } => {
                self.established.insert((host, link));
                self.note_established(host, link);
            }
            Effect::CloseLink { link } => {
                self.trace.note(self.now, format_args!("n{host} closes link {link}"));
                self.note_closed(host, link);
                self.frames.closed((host, link));
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
}
