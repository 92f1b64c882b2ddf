//! What all parts of a world work with: the plan, the time with what is to come, the judge, and
//! the tally of what was done.

use std::fmt;
use std::time::Duration;

use quipu_core::input::Token;
use quipu_core::time::Time;

use super::judge::Judge;
use crate::plan::Plan;
use crate::schedule::{Event, Schedule};
use crate::summary::Work;
use crate::trace::Trace;
use crate::violation::Violation;

/// How long after the calm has begun an operator looks whether removed nodes are members again.
const REGISTER_AFTER: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(8)];

/// What all parts of a world work with.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) schedule: Schedule,
    pub(super) judge: Judge<'a>,
    pub(super) work: Work,
    tokens: Token,
}

impl<'a> Stage<'a> {
    pub(super) fn new(plan: &'a Plan, trace: &'a mut Trace) -> Self {
        Stage {
            plan,
            schedule: planned(plan),
            judge: Judge::new(plan, trace),
            work: Work::default(),
            tokens: 0,
        }
    }

    pub(super) fn now(&self) -> Time {
        self.schedule.now()
    }

    /// Plans an event for so much later.
    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.schedule.at(self.schedule.now() + delay, event);
    }

    /// A token that no request or question had before.
    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    /// Adds a line to the trace.
    pub(super) fn note(&mut self, what: fmt::Arguments<'_>) {
        self.judge.note(self.schedule.now(), what);
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        self.judge.fail(violation);
    }

    pub(super) fn check(&mut self, result: Result<(), Box<Violation>>) {
        self.judge.check(result);
    }
}

/// The events that a plan names.
fn planned(plan: &Plan) -> Schedule {
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
    schedule
}
