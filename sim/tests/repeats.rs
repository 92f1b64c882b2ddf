//! A run is a function of its plan.

use quipu_sim::plan::{Bounds, Plan};
use quipu_sim::run::run;
use quipu_sim::trace::Trace;

fn trace_of(seed: u64) -> Trace {
    let plan = Plan::draw(seed, &Bounds::default());
    let mut trace = Trace::kept();
    run(&plan, &mut trace);
    trace
}

#[test]
fn the_same_seed_gives_the_same_trace_line_by_line() {
    for seed in 0..8 {
        let (one, other) = (trace_of(seed), trace_of(seed));
        assert!(one.count() > 1_000, "seed {seed}: only {} events", one.count());
        let different = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert_eq!(different, None, "seed {seed}");
        assert_eq!(one.hash(), other.hash(), "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(trace_of(1).hash(), trace_of(2).hash());
}
