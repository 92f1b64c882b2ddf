//! Machines' wall clocks, and what their processes are told of them.

use quipu_core::input::Input;

use super::machines::Machines;
use super::stage::Stage;
use crate::chance::{Chance, Purpose};
use crate::endings::workload::WALL_CLOCK_EVERY;
use crate::host::ProcessId;
use crate::plan::Plan;
use crate::schedule::Event;

/// In how many of a thousand readings a wall clock has been set since the last one, as a time service
/// does that is late.
const STEPPED_PERMILLE: u64 = 20;

/// By how many milliseconds at most.
const STEP_MILLIS_MAX: u64 = 3_000;

/// When wall clocks are set.
#[derive(Debug)]
pub(super) struct Walls {
    chance: Chance,
}

impl Walls {
    pub(super) fn new(plan: &Plan) -> Self {
        Walls { chance: Chance::new(plan.seed, Purpose::WallClocks) }
    }

    /// Tells a process what its machine's wall clock shows, and again for as long as it runs.
    pub(super) fn tell(&mut self, id: ProcessId, machines: &mut Machines, stage: &mut Stage<'_>) {
        if machines.process(id).is_none() {
            return;
        }
        let machine = &mut machines[id.host];
        if stage.now() < stage.plan.calm_at && self.chance.permille(STEPPED_PERMILLE) {
            let by = self.chance.between(1, STEP_MILLIS_MAX);
            let wall = &mut machine.wall_at_zero_millis;
            *wall = if self.chance.permille(500) { *wall + by } else { *wall - by };
        }
        let wall_ms = machine.wall_ms(stage.now());
        machines.deliver_to(id, Input::WallClock(wall_ms), stage);
        stage.after(WALL_CLOCK_EVERY, Event::WallClock(id));
    }
}
