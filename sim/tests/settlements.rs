//! Clusters under faults whose operators ask for settlements, in quarters that run side by side.

use quipu_core::time::Time;
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::run::run;
use quipu_sim::trace::Trace;

fn every_promise_is_kept(seeds: std::ops::Range<u64>) {
    let bounds = Bounds { settles: true, ..Bounds::default() };
    for seed in seeds {
        let plan = Plan::draw(seed, &bounds);
        if let Err((at, violation)) = run(&plan, &mut Trace::hashed()).verdict {
            panic!(
                "seed {seed}, after {:.3} s: {violation}\nfor its smallest trace: \
                 cargo run -p quipu-sim -- --settle --seed {seed}",
                at.since(Time::ZERO).as_secs_f64()
            );
        }
    }
}

#[test]
fn seeds_0_to_24_settle_and_keep_every_promise() {
    every_promise_is_kept(0..25);
}

#[test]
fn seeds_25_to_49_settle_and_keep_every_promise() {
    every_promise_is_kept(25..50);
}

#[test]
fn seeds_50_to_74_settle_and_keep_every_promise() {
    every_promise_is_kept(50..75);
}

#[test]
fn seeds_75_to_99_settle_and_keep_every_promise() {
    every_promise_is_kept(75..100);
}
