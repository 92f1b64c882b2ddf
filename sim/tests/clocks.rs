//! What a node measures does not depend on what another machine's clock shows.

use std::time::Duration;

use quipu_core::histogram::STEPS_US;
use quipu_core::time::Time;
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::trace::Trace;
use quipu_sim::world::World;

/// What comes within a second, with its place in a histogram.
fn within_a_second() -> usize {
    STEPS_US.iter().position(|us| *us == 1_000_000).expect("a second is a step")
}

#[test]
fn convergence_lag_is_right_between_machines_whose_clocks_are_days_apart() {
    for seed in 0..20 {
        let bounds = Bounds { troubled: Duration::from_secs(10), ..Bounds::default() };
        let mut plan = Plan::draw(seed, &bounds);
        plan.faults.clear();
        plan.starts.fill(Time::ZERO);
        plan.weather.link_bytes_per_second = 100_000_000;
        // To one whose table is full nothing new comes by a push.
        plan.table = Default::default();
        let mut trace = Trace::hashed();
        let mut world = World::new(&plan, &mut trace);
        world
            .run_until(plan.calm_at)
            .unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        let mut measured = 0;
        for host in world.running() {
            let lags = &world.totals_at(host).expect("it runs").convergence;
            let late: u64 = lags.counts()[within_a_second() + 1..].iter().sum();
            // A disk that syncs once a second makes what it keeps as old as that.
            if plan.usage.fsync == quipu_sim::disk::Fsync::Always {
                assert_eq!(late, 0, "seed {seed}, machine {host}: {lags:?}");
                assert!(lags.sum() > Duration::ZERO, "seed {seed}, machine {host}: {lags:?}");
            }
            measured += lags.count();
        }
        assert!(measured > 50, "seed {seed}: next to nothing was measured: {measured}");
    }
}
