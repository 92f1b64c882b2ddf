//! Runs seeds, and tells of the first that breaks a promise: which, how, and the smallest plan
//! that it could find that breaks it, too.

use std::process::ExitCode;

use quipu_core::time::Time;
use quipu_sim::args::{self, Args, ArgsError};
use quipu_sim::plan::Plan;
use quipu_sim::run::run;
use quipu_sim::shrink::shrink;
use quipu_sim::summary::Summary;
use quipu_sim::trace::Trace;
use quipu_sim::violation::Violation;

/// How many of a failing run's last events are printed.
const LINES_SHOWN: usize = 60;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(ArgsError::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("quipu-sim: {error}");
            return ExitCode::from(2);
        }
    };
    let mut summary = Summary::default();
    for seed in args.from..args.from.saturating_add(args.seeds) {
        let plan = Plan::draw(seed, &args.bounds);
        let mut trace = if args.trace { Trace::kept() } else { Trace::hashed() };
        let outcome = run(&plan, &mut trace);
        for line in trace.lines() {
            println!("{line}");
        }
        match outcome.verdict {
            Ok(together) => summary.add(seed, &outcome.work, together),
            Err((at, violation)) => {
                report(&args, plan, at, violation);
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{summary}");
    ExitCode::SUCCESS
}

fn report(args: &Args, plan: Plan, at: Time, violation: Box<Violation>) {
    let seed = plan.seed;
    println!("seed {seed} broke a promise after {}:", seconds(at));
    println!("  {violation}");
    let nodes = &args.bounds.nodes;
    println!(
        "again, with every event: cargo run -p quipu-sim -- --seed {seed} --nodes {}..{} \
         --seconds {} --trace",
        nodes.start(),
        nodes.end(),
        args.bounds.troubled.as_secs()
    );
    let (plan, at) = if args.shrink {
        let shrunk = shrink(plan, at, violation);
        println!("\nafter {} variants the smallest plan that fails alike:", shrunk.runs);
        println!("  {}", shrunk.violation);
        (shrunk.plan, shrunk.at)
    } else {
        (plan, at)
    };
    println!(
        "  {} nodes, {:?}, calm at {}, fails at {}",
        plan.hosts,
        plan.joining,
        seconds(plan.calm_at),
        seconds(at)
    );
    for fault in &plan.faults {
        println!("  fault   {fault}");
    }
    for request in &plan.requests {
        println!("  request {request}");
    }
    let mut trace = Trace::kept();
    run(&plan, &mut trace);
    println!("\nits last events:");
    let lines: Vec<&str> = trace.lines().collect();
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        println!("{line}");
    }
}

fn seconds(time: Time) -> String {
    format!("{:.3} s", time.since(Time::ZERO).as_secs_f64())
}
