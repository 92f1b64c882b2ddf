//! All checks in turn, and afterwards the cluster must be as it was found.

use std::time::Instant;

use clap::ValueEnum;

use super::{Which, await_complete_lists, await_equal_counts, failed};
use crate::failure::Failure;
use crate::say;
use crate::stage::Stage;

/// One that fails does not keep the others from being made; a signal does.
pub(super) fn run(stage: &dyn Stage) -> Result<(), Failure> {
    let start = Instant::now();
    let before = stage.nodes();
    let (mut made, mut unmet) = (0, Vec::new());
    for which in Which::value_variants() {
        let Some(check) = which.check() else { continue };
        made += 1;
        say::title(check.title);
        match (check.look)(stage) {
            Ok(()) => {}
            Err(Failure::Interrupted(signal)) => return Err(Failure::Interrupted(signal)),
            Err(failure) => {
                say::complain(failure);
                unmet.push(which.to_string());
            }
        }
    }

    say::title("afterwards: the cluster is as it was");
    let after = stage.nodes();
    if after != before {
        return Err(failed(format!("expected {before}; found {after}")));
    }
    await_complete_lists(&after, stage.times().join)?;
    await_equal_counts(&after, stage.times())?;
    say::step(format_args!("{}, and each lists every other", after.show_counts()));

    if !unmet.is_empty() {
        let (number, names) = (unmet.len(), unmet.join(", "));
        return Err(failed(format!("of {made} checks, {number}: {names}")));
    }
    let took = start.elapsed().as_secs_f64();
    say::title(format_args!("all {made} checks hold, in {took:.1} s"));
    Ok(())
}
