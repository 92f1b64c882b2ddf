//! One run: trouble, then calm, then the reckoning.
//!
//! When all is mended the cluster has a bounded time to come together. Once it has, it must stay
//! so, what every origin counted must be exactly what it acknowledged, and a lone increment or
//! raise at any node must be seen by all within milliseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use quipu_core::operation::Op;
use quipu_core::time::Time;

use crate::absences::Fault as AbsenceFault;
use crate::endings::Fault;
use crate::endings::workload as endings;
use crate::host::HostId;
use crate::network::{RETRANSMIT_MICROS, RETRANSMITS_MAX};
use crate::plan::Plan;
use crate::settlements::Fault as SettlementFault;
use crate::summary::{Convergence, Work};
use crate::trace::Trace;
use crate::violation::Violation;
use crate::workload;
use crate::world::{Divergence, World};

/// How long a mended cluster may take until all counts are equal and all lists complete. Links
/// redial within seconds, and a member that was held for down is announced to every second.
pub const CONVERGENCE_MAX: Duration = Duration::from_secs(20);

/// How much longer where tables were full: what they had no room for is asked for again after pauses
/// that grow, and that are shorter than twice the time in which they were full.
const ROOM_MAX: Duration = Duration::from_secs(60);

fn convergence_max(plan: &Plan) -> Duration {
    if plan.is_bounded() { CONVERGENCE_MAX + ROOM_MAX } else { CONVERGENCE_MAX }
}

/// How often it is looked at until then.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long it must stay together to be believed: longer than a suspicion takes to ripen, and
/// than bytes that a partition has held up take to come.
const STEADY: Duration = Duration::from_secs(4);

/// Within this time an increment in calm is seen by all: the longest way, its longest sync, and
/// the millisecond of the gathering push, several times over.
const SEEN_MAX: Duration = Duration::from_millis(150);

/// The same where packets are lost in the calm: a link may have to send one again as often as it does
/// at all, and what it sends behind that waits.
const SEEN_LOSSY_MAX: Duration =
    Duration::from_micros((RETRANSMIT_MICROS << RETRANSMITS_MAX) + 150_000);

fn seen_max(plan: &Plan) -> Duration {
    if plan.weather.is_calm_lossy { SEEN_LOSSY_MAX } else { SEEN_MAX }
}

/// Within this time a settlement that is asked for in the calm comes to pass: two rounds, each with the
/// pause behind it, and what was asked for before.
const SETTLED_MAX: Duration = Duration::from_secs(30);

/// Within this time all are removed that are away in the calm, one after the other: a machine in memory may
/// have ended a dozen times, and its last process at the end of the trouble.
const REMOVED_MAX: Duration = Duration::from_secs(120);

/// By how much a calm cluster's counter is raised.
const RAISED_BY: i128 = 100;

/// What one run came to.
#[derive(Debug)]
pub struct Outcome {
    /// What was done.
    pub work: Work,
    /// How long it took to come together, or the promise that was broken and when.
    pub verdict: Result<Convergence, (Time, Box<Violation>)>,
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
        Err((Time::ZERO, Box::new(Violation::Panicked(text))))
    });
    Outcome { work, verdict }
}

fn live(plan: &Plan, world: &mut World<'_>) -> Result<Convergence, Box<Violation>> {
    world.run_until(plan.calm_at)?;
    world.calm();
    let convergence = converge(world, convergence_max(plan))?;
    world.settle()?;
    for host in world.members() {
        see_an_increment(world, host, seen_max(plan))?;
        see_a_raise(world, host, seen_max(plan))?;
        see_an_end(world, host, seen_max(plan))?;
    }
    if plan.absent {
        see_the_absent_removed(world)?;
    }
    if plan.settles {
        see_a_settlement(world)?;
    }
    let out = world.out();
    if let (Some(member), false) = (world.members().first(), out.is_empty()) {
        see_nothing_pass(world, *member, &out)?;
        world.readmit();
        converge(world, convergence_max(plan))?;
        world.settle()?;
    }
    Ok(convergence)
}

/// What removed nodes count stays with them, and what members count does not reach them.
fn see_nothing_pass(
    world: &mut World<'_>,
    member: HostId,
    out: &[HostId],
) -> Result<(), Box<Violation>> {
    let members = world.members();
    let (counter, increment) = workload::calm_increment();
    for (at, others) in out.iter().map(|at| (*at, members.as_slice())).chain([(member, out)]) {
        let values = |world: &World<'_>| -> Vec<Option<i128>> {
            others.iter().map(|host| world.value_at(*host, counter.as_str())).collect()
        };
        let before = values(world);
        world.ask(at, vec![increment.clone()]);
        world.run_until(world.now() + SEEN_MAX)?;
        let changed = values(world).iter().zip(before).position(|(now, before)| *now != before);
        if let Some(seen) = changed.map(|place| others[place]) {
            let removed = if at == member { seen } else { at };
            return Err(Box::new(Violation::PassedARemoval { at, removed, seen }));
        }
    }
    Ok(())
}

/// Waits until counts are equal and lists complete, and have stayed so. Both may change once more:
/// a suspicion from before the calm ripens and is withdrawn, the last words of a node that died
/// behind a partition arrive.
fn converge(world: &mut World<'_>, most: Duration) -> Result<Convergence, Box<Violation>> {
    let mended_at = world.now();
    let mut counts = None;
    let mut lists = None;
    loop {
        world.run_until(world.now() + LOOK_EVERY)?;
        let passed = world.now().since(mended_at);
        match world.divergence() {
            Some(divergence) if passed >= most => {
                return Err(into_violation(divergence, passed.as_secs()));
            }
            Some(Divergence::Counts(_)) => (counts, lists) = (None, None),
            Some(Divergence::Lists { .. }) => {
                counts.get_or_insert(passed);
                lists = None;
            }
            None => {
                let counts = *counts.get_or_insert(passed);
                let lists = *lists.get_or_insert(passed);
                if passed >= lists + STEADY {
                    return Ok(Convergence { counts, lists });
                }
            }
        }
    }
}

fn into_violation(divergence: Divergence, seconds: u64) -> Box<Violation> {
    Box::new(match divergence {
        Divergence::Counts(difference) => Violation::Apart { seconds, difference },
        Divergence::Lists { host, listed, expected } => {
            Violation::Lists { seconds, host, listed, expected }
        }
    })
}

fn see_an_increment(
    world: &mut World<'_>,
    at: HostId,
    seen_max: Duration,
) -> Result<(), Box<Violation>> {
    let (counter, increment) = workload::calm_increment();
    let before = world.value_at(at, counter.as_str());
    world.ask(at, vec![increment]);
    world.run_until(world.now() + seen_max)?;
    for missing in world.members() {
        if world.value_at(missing, counter.as_str()) <= before {
            let millis = seen_max.as_millis();
            return Err(Box::new(Violation::Slow { at, missing, millis }));
        }
    }
    Ok(())
}

fn see_a_raise(
    world: &mut World<'_>,
    at: HostId,
    seen_max: Duration,
) -> Result<(), Box<Violation>> {
    let name = workload::calm_raise();
    let value = |world: &World<'_>, host| world.value_at(host, name.as_str()).unwrap_or_default();
    let to = value(world, at) + RAISED_BY;
    let Ok(asked) = i64::try_from(to) else { return Ok(()) };
    world.ask(at, vec![Op::Raise { name: name.clone(), to: asked }]);
    world.run_until(world.now() + seen_max)?;
    for host in world.members() {
        let value = value(world, host);
        if value != to {
            let millis = seen_max.as_millis();
            return Err(Box::new(Violation::RaiseMissed { at, to, host, value, millis }));
        }
    }
    Ok(())
}

/// A member that is away in calm is removed, where a majority answers.
fn see_the_absent_removed(world: &mut World<'_>) -> Result<(), Box<Violation>> {
    let until = world.now() + REMOVED_MAX;
    while world.still_absent().is_some() && world.now() < until {
        world.run_until(world.now() + LOOK_EVERY)?;
    }
    match world.still_absent() {
        Some((host, state)) => {
            let seconds = REMOVED_MAX.as_secs();
            Err(AbsenceFault::Stuck { seconds, state }.at(host))
        }
        None => converge(world, CONVERGENCE_MAX).map(drop),
    }
}

/// An operator asks the first member for a settlement: it comes to pass, and leaves one slot of each
/// counter and those that nothing has closed.
fn see_a_settlement(world: &mut World<'_>) -> Result<(), Box<Violation>> {
    let Some(at) = world.members().first().copied() else { return Ok(()) };
    if !world.may_settle() {
        return Ok(());
    }
    let until = world.now() + SETTLED_MAX;
    world.ask_to_settle(at);
    world.run_until(world.now() + LOOK_EVERY)?;
    while world.unsettled(at).is_some() && world.now() < until {
        world.run_until(world.now() + LOOK_EVERY)?;
    }
    if let Some((host, state)) = world.unsettled(at) {
        let seconds = SETTLED_MAX.as_secs();
        return Err(SettlementFault::Stuck { seconds, state }.at(host));
    }
    world.settle()?;
    world.check_slots()
}

/// Every second node is asked to delete a counter, the others to set it.
fn see_an_end(world: &mut World<'_>, at: HostId, seen_max: Duration) -> Result<(), Box<Violation>> {
    let name = endings::calm_ending();
    let to = at.is_multiple_of(2).then(|| i64::try_from(at).unwrap_or(0));
    // By the clock of the node that is asked it may have expired, and be there by another's: what is set
    // first is there by all.
    let ops = match to {
        Some(to) => vec![endings::set(&name, to)],
        None => vec![endings::set(&name, 1), endings::delete(&name)],
    };
    world.ask(at, ops);
    world.run_until(world.now() + seen_max)?;
    let (expected, millis) = (to.map(i128::from), seen_max.as_millis());
    for host in world.members() {
        let found = world.shown_at(host, name.as_str());
        if found != expected {
            return Err(Fault::Slow { millis, expected, found }.at(host, name.as_str()));
        }
    }
    Ok(())
}
