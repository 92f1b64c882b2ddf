//! What the Makefile's lines call: `cargo xtask cluster …`, `cargo xtask check …`, `cargo xtask demo`.
//!
//! What asks nodes and reads their answers stands here. What only strings programs together is
//! shell, in `scripts`.

#![forbid(unsafe_code)]

mod ask;
mod check;
mod cluster;
mod command;
mod demo;
mod failure;
mod files;
mod interrupt;
mod nodes;
mod say;
mod stage;
mod wait;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use failure::Failure;

/// Starts clusters and looks at what they do
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Start and stop the cluster that `make` shows
    Cluster {
        #[command(subcommand)]
        task: cluster::Task,
    },
    /// Look whether the cluster that runs does as described
    Check {
        /// What is looked at
        which: check::Which,
    },
    /// One minute: three nodes under load, one cut off and healed, and the sums
    Demo,
}

fn main() -> ExitCode {
    let task = Task::parse();
    let done = prepare().and_then(|()| match task {
        Task::Cluster { task } => task.run(),
        Task::Check { which } => which.run(),
        Task::Demo => demo::run(),
    });
    // A program that we ran may have ended by the same signal, which then is no failure of its own.
    let interrupted = interrupt::caught().map(Failure::Interrupted);
    match interrupted.map_or(done, Err) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Interrupted(signal)) => ExitCode::from(128 + signal),
        Err(failure) => {
            say::complain(failure);
            ExitCode::FAILURE
        }
    }
}

/// All paths are the repository's, from wherever this is called.
fn prepare() -> Result<(), Failure> {
    let unable = |error| Failure::Unable(format!("cargo xtask: {error}"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    env::set_current_dir(root).map_err(unable)?;
    interrupt::listen().map_err(unable)
}
