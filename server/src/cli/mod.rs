//! The commands that talk to a running node: `quipu add visits 5` and its like.
//!
//! They say what the HTTP API says, over plain sockets, and need nothing but this file: so they work
//! inside the image, which has no shell and no curl. Answers go to stdout, for people or with
//! `--json` for programs; complaints go to stderr in one line; the exit code is for scripts.

mod add;
pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod data;
mod delete;
mod expire;
mod failure;
mod get;
pub(crate) mod health;
mod list;
mod peers;
mod reset;
mod row;
mod set;
mod settle;
mod status;
mod top;
mod watch;

use std::io::{self, BufWriter, Write};

use clap::{Args, Subcommand};

use client::Client;
pub(crate) use failure::Failure;

/// What every one of these commands says of its exit code.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the node said no, or there is none; 2 the command line makes no sense.";

/// Which node is asked, and how its answer is told.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    /// Which node, or its URL [default: the one that this environment would start]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) node: Option<String>,

    /// Answer in JSON, an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A command that asks a running node.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add to a counter, and print its value
    #[command(after_help = EXIT_CODES)]
    Add(add::Add),
    /// Print the values of counters
    #[command(after_help = EXIT_CODES)]
    Get(get::Get),
    /// Set a counter, and print its value
    #[command(after_help = EXIT_CODES)]
    Set(set::Set),
    /// Bring a counter back to 0 or another value, and print the value that it had
    #[command(after_help = EXIT_CODES)]
    Reset(reset::Reset),
    /// Delete counters, and print the values that they had
    #[command(after_help = EXIT_CODES)]
    Delete(delete::Delete),
    /// Say when a counter expires, and print how long it has left
    #[command(after_help = EXIT_CODES)]
    Expire(expire::Expire),
    /// Have the cluster fold what is over, and give its memory back
    #[command(after_help = EXIT_CODES)]
    Settle(settle::Settle),
    /// Print names and values of counters, in the order of their names
    #[command(after_help = EXIT_CODES)]
    List(list::List),
    /// Print the other nodes of the cluster, and how far they are behind
    #[command(after_help = EXIT_CODES)]
    Peers(peers::Peers),
    /// Print how a node is
    #[command(after_help = EXIT_CODES)]
    Status(status::Status),
    /// Load a node with increments, and print how fast it was and whether it counted them all
    #[command(after_help = EXIT_CODES)]
    Bench(bench::Bench),
    /// Show the cluster as it counts, in this terminal
    #[command(after_help = EXIT_CODES)]
    Top(top::Top),
    /// Print counters as they change, and what becomes of the peers, until it is stopped
    #[command(after_help = EXIT_CODES)]
    Watch(watch::Watch),
}

impl Command {
    /// Which node it asks, if it says so.
    pub(crate) fn node(&self) -> Option<&str> {
        let asking = match self {
            Command::Add(add) => &add.asking,
            Command::Get(get) => &get.asking,
            Command::Set(set) => &set.asking,
            Command::Reset(reset) => &reset.asking,
            Command::Delete(delete) => &delete.asking,
            Command::Expire(expire) => &expire.asking,
            Command::Settle(settle) => &settle.asking,
            Command::List(list) => &list.asking,
            Command::Peers(peers) => &peers.asking,
            Command::Status(status) => &status.asking,
            Command::Bench(bench) => &bench.asking,
            Command::Top(top) => return top.node.as_deref(),
            Command::Watch(watch) => &watch.asking,
        };
        asking.node.as_deref()
    }

    /// Asks the node at `node`, a `host:port`, and prints its answer.
    pub(crate) fn run(&self, node: &str) -> Result<(), Failure> {
        let client = Client::to(node)?;
        let mut out = BufWriter::new(io::stdout().lock());
        let ran = match self {
            Command::Add(add) => add.run(&client, &mut out),
            Command::Get(get) => get.run(&client, &mut out),
            Command::Set(set) => set.run(&client, &mut out),
            Command::Reset(reset) => reset.run(&client, &mut out),
            Command::Delete(delete) => delete.run(&client, &mut out),
            Command::Expire(expire) => expire.run(&client, &mut out),
            Command::Settle(settle) => settle.run(&client, &mut out),
            Command::List(list) => list.run(&client, &mut out),
            Command::Peers(peers) => peers.run(&client, &mut out),
            Command::Status(status) => status.run(&client, &mut out),
            Command::Bench(bench) => bench.run(&client, &mut out),
            // Draws on the terminal itself.
            Command::Top(top) => top.run(&client),
            Command::Watch(watch) => watch.run(&client, &mut out),
        };
        // What was answered is told, also if something failed after it.
        let told = out.flush().map_err(Failure::Unwritable);
        match ran.and(told) {
            // A reader that is gone, as of a pipe into head, has seen enough.
            Err(Failure::Unwritable(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// A counter's name as a part of a path.
fn encoded(name: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
}
