//! Clusters that are split for longer than a member may be away, in halves that run side by side.

use quipu_core::time::Time;
use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::run::run;
use quipu_sim::trace::Trace;

fn every_promise_is_kept(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let plan = Plan::draw(seed, &Bounds::absent());
        if let Err((at, violation)) = run(&plan, &mut Trace::hashed()).verdict {
            panic!(
                "seed {seed}, after {:.3} s: {violation}\nfor its smallest trace: \
                 cargo run -p quipu-sim -- --absent --seed {seed}",
                at.since(Time::ZERO).as_secs_f64()
            );
        }
    }
}

#[test]
fn seeds_0_to_19_remove_who_is_away_and_keep_every_promise() {
    every_promise_is_kept(0..20);
}

#[test]
fn seeds_20_to_39_remove_who_is_away_and_keep_every_promise() {
    every_promise_is_kept(20..40);
}
