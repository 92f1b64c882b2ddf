//! Runs seeds, and reports the first that breaks a promise: which, how, and the smallest plan
//! that it could find that breaks it, too.

use std::io::{self, Write};
use std::process::ExitCode;

use quipu_core::time::Time;
use quipu_sim::args::{self, Args, ArgsError};
use quipu_sim::bug::BUGS;
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
            let names: Vec<&str> = BUGS.iter().map(|(name, _)| *name).collect();
            println!("\nbugs: {}", names.join(", "));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("quipu-sim: {error}");
            return ExitCode::from(2);
        }
    };
    match run_all(&args, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quipu-sim: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all seeds, or up to the first that fails; whether none did.
fn run_all(args: &Args, out: &mut impl Write) -> io::Result<bool> {
    let mut summary = Summary::default();
    for seed in args.from..args.from.saturating_add(args.seeds) {
        let plan = Plan::draw(seed, &args.bounds);
        let mut trace = if args.trace { Trace::kept() } else { Trace::hashed() };
        let outcome = run(&plan, &mut trace);
        for line in trace.lines() {
            writeln!(out, "{line}")?;
        }
        match outcome.verdict {
            Ok(convergence) => summary.add(seed, &outcome.work, convergence, trace.hash()),
            Err((at, violation)) => {
                report(args, plan, at, violation, out)?;
                return Ok(false);
            }
        }
    }
    writeln!(out, "{summary}")?;
    Ok(true)
}

fn report(
    args: &Args,
    plan: Plan,
    at: Time,
    violation: Box<Violation>,
    out: &mut impl Write,
) -> io::Result<()> {
    let seed = plan.seed;
    writeln!(out, "seed {seed} broke a promise after {}:", seconds(at))?;
    writeln!(out, "  {violation}")?;
    let nodes = &args.bounds.nodes;
    let nodes = match args.bounds.crowds {
        true => String::new(),
        false => format!(" --nodes {}..{}", nodes.start(), nodes.end()),
    };
    let settle = match (args.bounds.absent, args.bounds.settles) {
        (true, _) => " --absent",
        (false, true) => " --settle",
        (false, false) => "",
    };
    writeln!(
        out,
        "again, with every event: cargo run -p quipu-sim -- --seed {seed}{nodes}{settle} --seconds {} \
         --trace",
        args.bounds.troubled.as_secs()
    )?;
    let (plan, at) = if args.shrink {
        let shrunk = shrink(plan, at, violation);
        writeln!(out, "\nafter {} variants the smallest plan that fails alike:", shrunk.runs)?;
        writeln!(out, "  {}", shrunk.violation)?;
        (shrunk.plan, shrunk.at)
    } else {
        (plan, at)
    };
    writeln!(
        out,
        "  {} nodes, joining by {:?}, calm at {}, fails at {}",
        plan.hosts,
        plan.joining,
        seconds(plan.calm_at),
        seconds(at)
    )?;
    for fault in &plan.faults {
        writeln!(out, "  fault   {fault}")?;
    }
    for request in &plan.requests {
        writeln!(out, "  request {request}")?;
    }
    for question in &plan.questions {
        writeln!(out, "  ask     {question}")?;
    }
    let mut trace = Trace::kept();
    run(&plan, &mut trace);
    writeln!(out, "\nits last events:")?;
    let lines: Vec<&str> = trace.lines().collect();
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn seconds(time: Time) -> String {
    format!("{:.3} s", time.since(Time::ZERO).as_secs_f64())
}
