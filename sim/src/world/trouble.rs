//! Which faults of the plan are on.

use std::collections::BTreeSet;

use crate::faults::FaultKind;
use crate::host::HostId;
use crate::plan::Plan;

/// The faults that are on, by their places in the plan.
#[derive(Debug, Default)]
pub(super) struct Trouble(BTreeSet<usize>);

impl Trouble {
    pub(super) fn begins(&mut self, index: usize) {
        self.0.insert(index);
    }

    pub(super) fn ends(&mut self, index: usize) {
        self.0.remove(&index);
    }

    pub(super) fn is_on(&self, index: usize) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn kinds<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = FaultKind> + 'a {
        self.0.iter().map(|index| plan.faults[*index].kind)
    }

    /// Whether a machine's process must not start.
    pub(super) fn keeps_down(&self, host: HostId, plan: &Plan) -> bool {
        self.kinds(plan).any(|kind| kind.keeps_down(host))
    }

    /// Whether a machine's disk is not expected to do anything in time.
    pub(super) fn slows_disk(&self, host: HostId, plan: &Plan) -> bool {
        let slow = [FaultKind::SlowDisk(host), FaultKind::HungDisk(host)];
        self.kinds(plan).any(|kind| slow.contains(&kind))
    }
}
