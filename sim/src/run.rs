//! One run: trouble, then calm, then the reckoning.
//!
//! When all is mended the cluster has a bounded time to come together. Once it has, it must stay
//! so, what every origin counted must be exactly what it acknowledged, and a lone increment must
//! be seen by all within milliseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use quipu_core::time::Time;

use crate::plan::Plan;
use crate::summary::{Together, Work};
use crate::trace::Trace;
use crate::violation::Violation;
use crate::workload;
use crate::world::{Discord, World, probe};

/// How long a mended cluster may take until all counts are equal and all lists complete. Links
/// redial within seconds, and a member that was held for down is announced to every second.
pub const TOGETHER_MAX: Duration = Duration::from_secs(20);

/// How often it is looked at until then.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long it must stay together to be believed: longer than a suspicion takes to ripen.
const STEADY: Duration = Duration::from_secs(4);

/// Within this time an increment in calm is seen by all: the longest way, its longest sync, and
/// the millisecond of the gathering push, several times over.
const SEEN_MAX: Duration = Duration::from_millis(150);

/// What one run came to.
#[derive(Debug)]
pub struct Outcome {
    /// What was done.
    pub work: Work,
    /// How long it took to come together, or the promise that was broken and when.
    pub verdict: Result<Together, (Time, Violation)>,
}

/// Runs a plan.
pub fn run(plan: &Plan, trace: &mut Trace) -> Outcome {
    let mut work = Work::default();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(plan, trace);
        let verdict = live(plan, &mut world);
        work = world.work();
        verdict.map_err(|violation| (world.now(), violation))
    }));
    let verdict = result.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "with something other than text".to_owned());
        Err((Time::ZERO, Violation::Panicked(text)))
    });
    Outcome { work, verdict }
}

fn live(plan: &Plan, world: &mut World<'_>) -> Result<Together, Violation> {
    world.run_until(plan.calm_at)?;
    world.calm();
    let together = come_together(plan, world)?;
    world.settle()?;
    stay_together(world)?;
    for host in world.running() {
        see_an_increment(world, host)?;
    }
    Ok(together)
}

fn come_together(plan: &Plan, world: &mut World<'_>) -> Result<Together, Violation> {
    let mut counts = None;
    loop {
        world.run_until(world.now() + LOOK_EVERY)?;
        let passed = world.now().since(plan.calm_at);
        let discord = world.discord();
        if !matches!(discord, Some(Discord::Counts(_))) {
            counts.get_or_insert(passed);
        }
        let Some(discord) = discord else {
            return Ok(Together { counts: counts.unwrap_or(passed), lists: passed });
        };
        if passed >= TOGETHER_MAX {
            return Err(into_violation(discord, passed.as_secs()));
        }
    }
}

fn into_violation(discord: Discord, seconds: u64) -> Violation {
    match discord {
        Discord::Counts(difference) => Violation::Apart { seconds, difference },
        Discord::Lists { host, listed, expected } => {
            Violation::Lists { seconds, host, listed, expected }
        }
    }
}

fn stay_together(world: &mut World<'_>) -> Result<(), Violation> {
    let until = world.now() + STEADY;
    while world.now() < until {
        world.run_until(world.now() + LOOK_EVERY)?;
        if let Some(discord) = world.discord() {
            return Err(Violation::FellApart(format!("{discord:?}")));
        }
    }
    Ok(())
}

fn see_an_increment(world: &mut World<'_>, at: usize) -> Result<(), Violation> {
    let counter = workload::probe();
    let before = world.value_at(at, counter.as_str()).unwrap_or_default();
    world.ask(at, vec![probe()]);
    world.run_until(world.now() + SEEN_MAX)?;
    let missing = world
        .running()
        .into_iter()
        .find(|host| world.value_at(*host, counter.as_str()) != Some(before + 1));
    match missing {
        Some(missing) => Err(Violation::Slow { at, missing, millis: SEEN_MAX.as_millis() }),
        None => Ok(()),
    }
}
