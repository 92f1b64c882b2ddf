//! Two hundred clusters under faults, in quarters that run side by side.

use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::run::run;
use quipu_sim::summary::Summary;
use quipu_sim::trace::Trace;

fn every_promise_is_kept(seeds: std::ops::Range<u64>) -> Summary {
    let bounds = Bounds::default();
    let mut summary = Summary::default();
    for seed in seeds {
        let plan = Plan::draw(seed, &bounds);
        let mut trace = Trace::hashed();
        let outcome = run(&plan, &mut trace);
        match outcome.verdict {
            Ok(convergence) => summary.add(seed, &outcome.work, convergence, trace.hash()),
            Err((at, violation)) => panic!(
                "seed {seed}, after {:.3} s: {violation}\nfor its smallest trace: \
                 cargo run -p quipu-sim -- --seed {seed}",
                at.since(quipu_core::time::Time::ZERO).as_secs_f64()
            ),
        }
    }
    println!("{summary}");
    summary
}

#[test]
fn seeds_0_to_49_keep_every_promise() {
    let summary = every_promise_is_kept(0..50);
    assert!(summary.acknowledged() > 5_000, "clients did next to nothing: {summary}");
}

#[test]
fn seeds_50_to_99_keep_every_promise() {
    every_promise_is_kept(50..100);
}

#[test]
fn seeds_100_to_149_keep_every_promise() {
    every_promise_is_kept(100..150);
}

#[test]
fn seeds_150_to_199_keep_every_promise() {
    every_promise_is_kept(150..200);
}
