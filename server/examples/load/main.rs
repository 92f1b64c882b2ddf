//! Loads a running node or cluster, and measures it.
//!
//! ```text
//! load throughput --url http://127.0.0.1:9088 --connections 32 --seconds 3
//! load visibility --write http://127.0.0.1:9088 --read http://127.0.0.1:9089
//! load ports 3
//! ```
//!
//! Raw sockets and one thread: on a small machine a heavier client would measure itself. It says
//! what it saw in one line of names and numbers, for people and for `scripts/bench`.

mod client;
#[path = "../../src/cli/bench/latencies.rs"]
mod latencies;
mod ports;
mod throughput;
mod visibility;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "load", about = "Loads a running node or cluster, and measures it")]
enum Command {
    /// Sends requests as fast as they are answered, over kept connections
    Throughput(throughput::Throughput),
    /// Increments on one node and polls another until it shows it, again and again
    Visibility(visibility::Visibility),
    /// Prints ports of 127.0.0.1 that are free for TCP and UDP
    Ports(ports::Ports),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let line = match Command::parse() {
        Command::Throughput(throughput) => throughput.run().await,
        Command::Visibility(visibility) => visibility.run().await,
        Command::Ports(ports) => ports.run(),
    };
    match line {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
