//! Who holds what happens against the promises, and writes it down.
//!
//! The first broken promise ends a run: it is the cause, later ones may be its consequences.

use std::fmt;

use quipu_core::counters::{Bounds, Counters};
use quipu_core::effect::Effect;
use quipu_core::event::{Event as NodeEvent, LinkEnd};
use quipu_core::identity::OriginId;
use quipu_core::input::Input;
use quipu_core::outbox::Effects;
use quipu_core::slot::Slot;
use quipu_core::time::Time;
use quipu_core::wire::datagram::Envelope;

use super::behind::{Behind, Reason, Reasons};
use super::cluster::{CLUSTER, secret};
use crate::checker::{Checker, SLOTS_AT_EVERY_STEP_MAX};
use crate::describe;
use crate::held::Held;
use crate::host::{HostId, Process};
use crate::plan::Plan;
use crate::trace::Trace;
use crate::violation::Violation;

/// Events of the whole cluster within a virtual second beyond which a node floods it: a busy
/// cluster sees some 10,000.
const EVENTS_A_SECOND_MAX: u64 = 300_000;

/// Wakes of one process for nothing but the time, within a virtual second, beyond which its
/// deadline is stuck: timers fire up to 1.5 ms late, so one that is always due makes 1,300.
const IDLE_WAKES_A_SECOND_MAX: u64 = 600;

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

/// How a batch came about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// How many inputs it took.
    pub(super) inputs: usize,
    pub(super) came_by_link: bool,
    /// How much the node's table may hold.
    pub(super) table: Bounds,
}

impl Batch {
    fn is_alone(self) -> bool {
        self.inputs <= 1
    }
}

/// The judge of one run.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) checker: Checker,
    pub(super) behind: Behind,
    trace: &'a mut Trace,
    /// Reads datagrams for the trace.
    envelope: Envelope,
    events: PerSecond,
    idle_wakes: Vec<PerSecond>,
    violation: Option<Box<Violation>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(plan: &Plan, trace: &'a mut Trace) -> Self {
        Judge {
            checker: Checker::default(),
            behind: Behind::new(plan.hosts),
            trace,
            envelope: Envelope::new(CLUSTER, secret(plan)),
            events: PerSecond::default(),
            idle_wakes: vec![PerSecond::default(); plan.hosts],
            violation: None,
        }
    }

    /// Adds a line to the trace.
    pub(super) fn note(&mut self, now: Time, what: fmt::Arguments<'_>) {
        self.trace.note(now, what);
    }

    /// An input reaches a machine's process.
    pub(super) fn note_input(&mut self, now: Time, host: HostId, input: &Input) {
        if let Some(text) = describe::input(&self.envelope, input) {
            self.trace.note(now, format_args!("n{host} <- {text}"));
        }
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        self.check(Err(Box::new(violation)));
    }

    pub(super) fn check(&mut self, result: Result<(), Box<Violation>>) {
        if let Err(violation) = result {
            self.violation.get_or_insert(violation);
        }
    }

    /// Says whether every promise is kept until now.
    ///
    /// # Errors
    /// The first that was broken.
    pub(super) fn verdict(&mut self, now: Time) -> Result<(), Box<Violation>> {
        let Some(violation) = self.violation.take() else { return Ok(()) };
        self.trace.note(now, format_args!("VIOLATION {violation}"));
        Err(violation)
    }

    pub(super) fn count_event(&mut self, now: Time) {
        let events = self.events.count(now);
        if events > EVENTS_A_SECOND_MAX {
            self.fail(Violation::Storm { events });
        }
    }

    pub(super) fn count_idle_wake(&mut self, now: Time, host: HostId) {
        let wakes = self.idle_wakes[host].count(now);
        if wakes > IDLE_WAKES_A_SECOND_MAX {
            self.fail(Violation::Spins { host, wakes });
        }
    }

    /// In what ways a process is behind, if it has been asked for a raise.
    pub(super) fn reasons(&self, process: &Process, local: Time) -> Reasons {
        self.behind.reasons(process, local, &self.checker)
    }

    /// A process has closed a batch: what it knows of settlements is taken down, and whether it goes on
    /// under another origin. Tells what it has closed.
    pub(super) fn follow_settlements(&mut self, process: &Process) -> Vec<OriginId> {
        let (host, counters) = (process.id.host, process.node.counters());
        let heard = self.checker.hear(host, process.node.settlement_entries());
        let closed = heard.unwrap_or_else(|violation| {
            self.check(Err(violation));
            Vec::new()
        });
        if counters.our_origin() != process.origin {
            let went_on = self.checker.goes_on(process.origin, counters);
            self.check(went_on);
        }
        closed
    }

    /// Looks at a batch that a process has closed, before anything of it leaves.
    pub(super) fn look_at_batch(&mut self, process: &Process, batch: Batch, effects: &Effects) {
        let counters = process.node.counters();
        let origin = process.origin;
        let mut checked = self.checker.look_at_absences(process.id.host, &process.node);
        checked = checked.and(self.checker.closed(counters));
        if batch.came_by_link && counters.len() * counters.origins() <= SLOTS_AT_EVERY_STEP_MAX {
            checked = checked.and_then(|()| self.checker.look_at(counters));
            checked = checked.and_then(|()| self.checker.look_at_size(process.id.host, counters));
        }
        for replies in [&effects.at_once, &effects.after_sync] {
            let (is_alone, table) = (batch.is_alone(), batch.table);
            let looked = self.checker.look_at_replies(origin, counters, replies, is_alone, table);
            checked = checked.and(looked);
        }
        let registry = process.node.registry();
        checked = checked.and_then(|()| self.checker.look_at_memberships(origin, registry));
        let identity = process.node.identity();
        if identity.node != process.lives_as {
            let takes = self.checker.takes_another_id(origin, identity);
            checked = checked.and(takes);
        }
        self.check(checked);
    }

    /// A node has taken an input, or done what was due: what it said and answered about the ends of
    /// counters is looked at while its table is as it was then.
    pub(super) fn look_at_endings(&mut self, process: &Process, local: Time, effects: &[Effect]) {
        let (wall_ms, counters) = (process.wall_ms(local), process.node.counters());
        let looked = self.checker.look_at_endings(process.origin, wall_ms, counters, effects);
        self.check(looked);
    }

    /// A batch of one input at most has been closed: if it grants a raise, the node was not behind
    /// all the time.
    pub(super) fn check_raises(
        &mut self,
        process: &Process,
        local: Time,
        before: &Reasons,
        effects: &Effects,
    ) {
        if before.is_empty() || !self.checker.grants_a_raise(&effects.after_sync) {
            return;
        }
        let ends = |link| {
            let closes = |effect: &Effect| matches!(effect, Effect::CloseLink { link: closed } if *closed == link);
            effects.at_once.iter().any(closes)
        };
        let after = self.reasons(process, local);
        let reason = before.intersection(&after).find(|reason| match reason {
            Reason::Lacking(link) => !ends(*link),
            Reason::Starting | Reason::NotLinked(_) => true,
        });
        if let Some(reason) = reason {
            let (host, reason) = (process.id.host, *reason);
            self.fail(Violation::RaisedBehind { host, reason });
        }
    }

    /// A node reports an event to its operator.
    pub(super) fn node_event(&mut self, now: Time, host: HostId, event: &NodeEvent) {
        self.trace.note(now, format_args!("n{host} ** {event}"));
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

/// The slots of other origins that a table holds.
pub(super) fn held_of_others(
    table: &Held<'_>,
    counters: &Counters,
) -> Vec<(OriginId, String, Slot)> {
    let ours = counters.our_origin();
    let slots = table.slots().into_iter().filter(|((origin, _), _)| *origin != ours);
    slots.map(|((origin, name), slot)| (origin, name, slot)).collect()
}
