//! Quipu, a distributed counter: every node counts, every node agrees.
//!
//! A request's path: `http` or `redis` → `handle` → `inbox` → `driver` → the crate `quipu_core`, and back by
//! way of `disk`. A peer's: `network` → `inbox` → `driver` → the same.

#![forbid(unsafe_code)]

mod access;
mod cli;
mod config;
mod count;
mod dashboard;
mod disk;
mod driver;
mod events;
mod flags;
mod handle;
mod http;
mod inbox;
mod lifetime;
mod logging;
mod metrics;
mod network;
mod os;
mod redis;
mod run;
mod start;
mod timing;
mod transport;
mod watch;
mod words;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use cli::Failure;
use config::{Config, DEFAULT_PORT};
use flags::{Command, Flags, Parsed, Said};
use quipu_core::identity::Address;
use tokio::runtime::Builder;

/// Requests allocate on one thread and free on another, which this one is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A command line that is none to run; 1 is what is said of one that failed to.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Parsed { flags, service_links } = match flags::parse() {
        Ok(parsed) => parsed,
        Err(Said::Text(text)) => return written(text.print()),
        Err(Said::Complaint(line)) => return complain(&line, USAGE),
    };
    match flags.command {
        Some(Command::Health { ref node }) => health(node.as_deref(), &flags),
        Some(Command::Check { ref directory }) => tell(cli::data::check(directory)),
        Some(Command::Repair { ref directory }) => match os::signals::survive_long_files_alone() {
            Ok(()) => tell(cli::data::mend(directory)),
            Err(error) => complain(&format!("the system gives no signals: {error}"), 1),
        },
        Some(Command::Ask(ref command)) => ask(command, &flags),
        None => node(flags, &service_links),
    }
}

fn node(flags: Flags, service_links: &[String]) -> ExitCode {
    let config = match Config::new(flags, variable) {
        Ok(config) => config,
        Err(error) => return complain(&error.to_string(), USAGE),
    };
    logging::init(config.log_level, config.log_format);
    for name in service_links {
        tracing::info!("{name} tells of a service, as Kubernetes gives it to pods: passed over");
    }
    let runtime = Builder::new_multi_thread().worker_threads(config.threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the system gives no threads: {error}"), 1),
    };
    let ended = runtime.block_on(run::run(config));
    // Lookups of names may still hold threads, and nothing waits for their answers.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), 1),
    }
}

fn health(node: Option<&str>, flags: &Flags) -> ExitCode {
    ended(asked(node, flags), |node| cli::health::check(&node))
}

fn ask(command: &cli::Command, flags: &Flags) -> ExitCode {
    ended(asked(command.node(), flags), |node| command.run(&node))
}

/// The node that is meant: the one that was named, or the one that this environment would start.
fn asked(node: Option<&str>, flags: &Flags) -> Result<String, String> {
    match node {
        Some(node) => words::node(node)
            .and_then(|node| Address::parse(node, DEFAULT_PORT).map_err(|error| error.to_string()))
            .map(|address| address.as_str().to_owned())
            .map_err(|error| format!("--node: {error}")),
        None => config::listen_address(&flags.listening.http, variable)
            .map(|listen| cli::health::asked_at(listen).to_string())
            .map_err(|error| error.to_string()),
    }
}

fn ended(
    node: Result<String, String>,
    ask: impl FnOnce(String) -> Result<(), Failure>,
) -> ExitCode {
    match node.map(ask) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => complain(&failure.to_string(), 1),
        Err(usage) => complain(&usage, USAGE),
    }
}

fn tell(told: Result<String, cli::data::DataError>) -> ExitCode {
    match told {
        Ok(text) => {
            let mut out = io::stdout().lock();
            written(writeln!(out, "{text}").and_then(|()| out.flush()))
        }
        Err(error) => complain(&error.to_string(), 1),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// What became of an answer.
fn written(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that is gone, as of a pipe into head, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&Failure::Unwritable(error).to_string(), 1),
    }
}

/// Says why the program ends. Where that is not read, the code tells as much.
fn complain(line: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "quipu: {line}");
    ExitCode::from(code)
}
