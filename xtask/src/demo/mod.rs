//! One minute of a cluster: three nodes under load, one of them cut off and healed, and the sums.
//!
//! Cut off means stopped in mid-air here (SIGSTOP): its sockets stand, and it answers none of its
//! clients or peers. That is what can be done to a process without root and undone without a trace;
//! its own clients wait meanwhile. Both sides of a real partition count on, which
//! `server/tests/suite/partition.rs` shows with namespaces.
//!
//! Everything is temporary: nodes on ports that the system chose, data in a directory that goes.

mod load;
mod node;
mod process;
mod scratch;

use std::env;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use load::{Load, Tally, counter};
use node::{Node, START_TIME_MAX};
use scratch::Scratch;

use crate::command::{command, run as run_command};
use crate::failure::Failure;
use crate::{say, stage, wait};

/// How long all three are loaded, and then the two that are left while the third is cut off.
const LOAD_S: u64 = 20;
const CUT_S: u64 = 20;

/// How long the others may take to call a node down that went silent: some four seconds.
const NOTICE_TIME_MAX: Duration = Duration::from_secs(15);

/// How long nodes may take until they agree, with all the load's increments behind them.
const AGREE_TIME_MAX: Duration = Duration::from_secs(20);

pub(crate) fn run() -> Result<(), Failure> {
    let program = program()?;
    let scratch = Scratch::create()
        .map_err(|error| Failure::Unable(format!("a directory for the demo: {error}")))?;
    let told = Demo::start(&program, &scratch).and_then(Demo::tell);
    if matches!(told, Err(Failure::NotAsDescribed(_))) {
        say::complain(scratch.log_ends().unwrap_or_else(|error| error.to_string()).trim_end());
    }
    told
}

/// `QUIPU_BINARY` names a program to use instead of building one.
fn program() -> Result<PathBuf, Failure> {
    if let Some(program) = env::var_os("QUIPU_BINARY").filter(|program| !program.is_empty()) {
        return Ok(program.into());
    }
    run_command(&mut command("cargo", &["build", "--release", "--package", "quipu"]))?;
    Ok(stage::release_binary())
}

/// The cluster, and what its loads have said so far.
struct Demo<'a> {
    program: &'a Path,
    scratch: &'a Scratch,
    nodes: [Node; 3],
    /// By node.
    tallies: [Tally; 3],
}

impl<'a> Demo<'a> {
    fn start(program: &'a Path, scratch: &'a Scratch) -> Result<Self, Failure> {
        say::title("Three nodes");
        let first = Node::start(program, scratch, 1, None)?;
        let second = Node::start(program, scratch, 2, Some(&first))?;
        let third = Node::start(program, scratch, 3, Some(&first))?;
        let nodes = [first, second, third];
        let demo = Demo { program, scratch, nodes, tallies: [Tally::default(); 3] };
        let apart = || "the nodes do not find each other".to_owned();
        wait::within(START_TIME_MAX, || demo.have_met(), apart)?;
        Ok(demo)
    }

    fn tell(mut self) -> Result<(), Failure> {
        self.introduce();

        chapter(format_args!(
            "Load on all three for {LOAD_S} s; each writes to a counter of its own, and all hold all \
             of them"
        ));
        let loads = self.load(&[1, 2, 3], LOAD_S)?;
        self.finish(loads)?;
        self.await_agreement()?;
        self.show_counts()?;

        chapter(format_args!(
            "Node 3 is cut off (stopped in mid-air); load on the other two for {CUT_S} s"
        ));
        self.nodes[2].process.freeze().map_err(unable)?;
        let loads = self.load(&[1, 2], CUT_S)?;
        self.await_notice()?;
        self.finish(loads)?;

        chapter("Node 3 is healed");
        self.nodes[2].process.thaw().map_err(unable)?;
        let took = self.await_agreement()?.as_millis();
        say::step(format_args!("it holds all that it had missed {took} ms later"));
        let away = || "node 3 is not taken back".to_owned();
        wait::within(AGREE_TIME_MAX, || self.have_met(), away)?;
        let loads = self.load(&[3], LOAD_S / 2)?;
        self.finish(loads)?;
        self.await_agreement()?;

        chapter("The sums");
        self.show_counts()?;
        self.sum_up()
    }

    /// Where the nodes are, and how to look on.
    fn introduce(&self) {
        for node in &self.nodes {
            let (number, url, redis) = (node.http.number, node.http.url(), node.redis.port());
            say::step(format_args!("node {number}  {url}   redis-cli -p {redis}"));
        }
        chapter("To look on, in another terminal:");
        let [first, second, third] = self.nodes.each_ref().map(|node| node.http.socket());
        say::step(format_args!("{} top --node {first}", self.program.display()));
        say::step(format_args!("curl -X POST {second}/increment; curl {third}/count"));
        say::step(format_args!(
            r"curl -s {first}/metrics | grep -E '^[^#]*lag_seconds(_sum|_count|\{{)'"
        ));
    }

    /// Whether each sees every other alive.
    fn have_met(&self) -> bool {
        self.nodes.iter().all(|node| {
            let others = self.nodes.iter().filter(|other| other.http != node.http);
            others.into_iter().all(|other| node.sees(other, "alive"))
        })
    }

    fn await_notice(&self) -> Result<(), Failure> {
        let [first, _, third] = &self.nodes;
        let unnoticed = || "node 1 does not notice that node 3 is gone".to_owned();
        let took = wait::within(NOTICE_TIME_MAX, || first.sees(third, "down"), unnoticed)?;
        say::step(format_args!(
            "node 1 calls it down after {} ms, and counts on: demo-1 is {}",
            took.as_millis(),
            first.http.counter(&counter(1))?
        ));
        Ok(())
    }

    /// Begins to load these nodes.
    fn load(&self, numbers: &[u16], seconds: u64) -> Result<Vec<Load>, Failure> {
        let loaded = self.nodes.iter().filter(|node| numbers.contains(&node.http.number));
        loaded.map(|node| Load::start(self.program, self.scratch, node, seconds)).collect()
    }

    /// Waits for the end of these loads, and adds what they say.
    fn finish(&mut self, loads: Vec<Load>) -> Result<(), Failure> {
        for load in loads {
            let index = usize::from(load.number()) - 1;
            self.tallies[index].add(load.finish()?);
        }
        Ok(())
    }

    /// The three counters as a node shows them.
    fn counts(node: &Node) -> Result<[i64; 3], Failure> {
        let [first, second, third] = [1, 2, 3].map(|number| node.http.counter(&counter(number)));
        Ok([first?, second?, third?])
    }

    fn await_agreement(&self) -> Result<Duration, Failure> {
        let all = || self.nodes.iter().map(Self::counts).collect::<Result<Vec<_>, _>>();
        let agree = || all().is_ok_and(|counts| counts.iter().all(|found| *found == counts[0]));
        wait::within(AGREE_TIME_MAX, agree, || match all() {
            Ok(counts) => format!("the nodes do not agree: {counts:?}"),
            Err(failure) => failure.to_string(),
        })
    }

    fn show_counts(&self) -> Result<(), Failure> {
        let row = |head: &str, cells: [String; 3]| {
            let [first, second, third] = cells;
            say::step(format_args!("{head:<26}{first:>14}{second:>14}{third:>14}"));
        };
        row("", [1, 2, 3].map(counter));
        for node in &self.nodes {
            let (number, socket) = (node.http.number, node.http.socket());
            let counts = Self::counts(node)?.map(|count| count.to_string());
            row(&format!("node {number}  {socket}"), counts);
        }
        Ok(())
    }

    fn sum_up(&self) -> Result<(), Failure> {
        let counts = Self::counts(&self.nodes[0])?;
        for ((tally, counted), number) in self.tallies.iter().zip(counts).zip(1..) {
            say::step(format_args!(
                "{}: {} acknowledged, {} without an answer, {counted} counted",
                counter(number),
                tally.acknowledged,
                tally.unanswered
            ));
            if !tally.allows(counted) {
                return Err(Failure::NotAsDescribed(
                    "expected what was acknowledged, and of what was not answered all, some or \
                     nothing"
                        .to_owned(),
                ));
            }
        }
        say::step("exact on every node");
        Ok(())
    }
}

fn chapter(text: impl Display) {
    say::title(format_args!("\n{text}"));
}

fn unable(error: io::Error) -> Failure {
    Failure::Unable(format!("node 3: {error}"))
}
