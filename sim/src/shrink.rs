//! From a plan that fails to a small one that fails in the same way.
//!
//! Delta debugging (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", IEEE
//! TSE 28, 2002): leave out ever smaller pieces of the plan's lists for as long as the same kind
//! of violation remains. The network's chance is drawn anew in every variant, so a variant may
//! pass by luck; the result is small, not minimal.

use std::mem::discriminant;

use quipu_core::time::Time;

use crate::plan::Plan;
use crate::run::run;
use crate::trace::Trace;
use crate::violation::Violation;

/// How many variants are run at most: a minute's worth.
const RUNS_MAX: usize = 400;

/// A smaller plan that still fails.
#[derive(Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// How it fails.
    pub violation: Box<Violation>,
    /// When.
    pub at: Time,
    /// How many variants were run to find it.
    pub runs: usize,
}

/// Makes a plan that fails at `at` with `violation` smaller.
pub fn shrink(plan: Plan, at: Time, violation: Box<Violation>) -> Shrunk {
    let mut best = Shrunk { plan, violation, at, runs: 0 };
    best.forget_what_came_after();
    loop {
        let before = best.size();
        best.cross_out(|plan| &mut plan.faults);
        best.cross_out(|plan| &mut plan.requests);
        best.cross_out(|plan| &mut plan.questions);
        best.leave_out_hosts();
        best.make_single_operations();
        if best.size() == before || best.runs >= RUNS_MAX {
            return best;
        }
    }
}

fn are_alike(one: &Violation, other: &Violation) -> bool {
    match (one, other) {
        (Violation::Ending { fault: one, .. }, Violation::Ending { fault: other, .. }) => {
            discriminant(one) == discriminant(other)
        }
        (Violation::Settlement { fault: one, .. }, Violation::Settlement { fault: other, .. }) => {
            discriminant(one) == discriminant(other)
        }
        _ => discriminant(one) == discriminant(other),
    }
}

impl Shrunk {
    fn size(&self) -> usize {
        let ops: usize = self.plan.requests.iter().map(|request| request.ops.len()).sum();
        self.plan.faults.len() + ops + self.plan.questions.len() + self.plan.hosts
    }

    /// Keeps a variant if it fails in the same way.
    fn keep_if_it_fails(&mut self, plan: Plan) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        match run(&plan, &mut Trace::hashed()).verdict {
            Err((at, violation)) if are_alike(&violation, &self.violation) => {
                self.plan = plan;
                self.violation = violation;
                self.at = at;
                true
            }
            _ => false,
        }
    }

    fn forget_what_came_after(&mut self) {
        let mut plan = self.plan.clone();
        plan.faults.retain(|fault| fault.at <= self.at);
        plan.requests.retain(|request| request.at <= self.at);
        plan.questions.retain(|question| question.at <= self.at);
        self.keep_if_it_fails(plan);
    }

    fn cross_out<T: Clone>(&mut self, list: impl Fn(&mut Plan) -> &mut Vec<T>) {
        let mut piece = list(&mut self.plan).len().div_ceil(2);
        while piece > 0 && self.runs < RUNS_MAX {
            let mut from = 0;
            while from < list(&mut self.plan).len() {
                let mut plan = self.plan.clone();
                let items = list(&mut plan);
                items.drain(from..(from + piece).min(items.len()));
                if !self.keep_if_it_fails(plan) {
                    from += piece;
                }
            }
            piece /= 2;
        }
    }

    fn leave_out_hosts(&mut self) {
        while self.plan.hosts > 2 {
            let mut plan = self.plan.clone();
            plan.hosts -= 1;
            plan.starts.truncate(plan.hosts);
            plan.faults.retain(|fault| !fault.kind.is_beyond(plan.hosts));
            plan.requests.retain(|request| request.host < plan.hosts);
            plan.questions.retain(|question| question.host < plan.hosts);
            if !self.keep_if_it_fails(plan) {
                return;
            }
        }
    }

    fn make_single_operations(&mut self) {
        for index in 0..self.plan.requests.len() {
            let mut plan = self.plan.clone();
            if plan.requests[index].ops.len() > 1 {
                plan.requests[index].ops.truncate(1);
                self.keep_if_it_fails(plan);
            }
        }
    }
}
