//! The cluster that `make` shows: starting and stopping it.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use clap::Subcommand;

use crate::ask::Node;
use crate::failure::Failure;
use crate::nodes::{Nodes, show_peers};
use crate::stage::Stage;
use crate::{files, say, stage, wait};

/// A container takes a second or two to start, on a busy machine more; meeting takes less than two.
const MEET_TIME_MAX: Duration = Duration::from_secs(20);

/// What can be done with it.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Task {
    /// Stop what ran, build, start three nodes, return when they have found each other
    Up,
    /// Stop every node; counts stay
    Stop,
    /// Restart the nodes one after the other; counts stay
    Restart,
    /// Stop, and delete what was made: image, network, counts, .run
    Clean,
    /// Show the nodes' logs; at a terminal, follow them
    Logs,
    /// Start one more node, and return when all know it
    Add,
}

impl Task {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Task::Up => up(),
            Task::Stop => stage::stop_all(|_| Ok(())),
            Task::Restart => restart(),
            Task::Clean => clean(),
            Task::Logs => stage::find_logs()?.logs(io::stdout().is_terminal()),
            Task::Add => add(),
        }
    }
}

fn up() -> Result<(), Failure> {
    let (stage, reason) = stage::choose();
    stage::stop_all(|_| Ok(()))?;
    if let Some(reason) = reason {
        say::title(format_args!(
            "{reason}: starting three local processes instead of containers, logs in .run/"
        ));
    }
    stage.build()?;
    stage.start_three()?;
    let took = await_together(&*stage, 3)?;
    say::title(format_args!("three nodes found each other in {} ms", took.as_millis()));
    show(&stage.nodes());
    Ok(())
}

/// What does not run is started first. Then one after the other, each once the one before it is back
/// and has the count: there is always a node that answers.
fn restart() -> Result<(), Failure> {
    let stage = stage::find()?;
    let nodes = stage.nodes();
    let (running, silent): (Vec<&Node>, Vec<&Node>) =
        nodes.iter().partition(|node| node.address().is_ok());
    for node in silent {
        stage.restart_node(node.number)?;
    }
    await_together(&*stage, nodes.len())?;
    for node in running {
        stage.restart_node(node.number)?;
        let took = await_together(&*stage, nodes.len())?.as_millis();
        say::title(format_args!("{node} restarted, back and equal after {took} ms"));
    }
    show(&stage.nodes());
    Ok(())
}

fn add() -> Result<(), Failure> {
    let stage = stage::find()?;
    let before = stage.nodes().len();
    let number = stage.free_number()?;
    stage.start_node(number)?;
    let took = await_together(&*stage, before + 1)?.as_millis();
    say::title(format_args!("node{number} was found, and has the count, in {took} ms"));
    show(&stage.nodes());
    Ok(())
}

fn clean() -> Result<(), Failure> {
    stage::stop_all(|stage| stage.clean())?;
    files::remove_all(Path::new(".run")).map_err(|error| Failure::Unable(format!(".run: {error}")))
}

/// Waits until the nodes number so many, know each other and agree.
fn await_together(stage: &(impl Stage + ?Sized), number: usize) -> Result<Duration, Failure> {
    let are_together = || {
        let nodes = stage.nodes();
        nodes.len() == number && nodes.lists_are_complete() && nodes.counts_are_equal()
    };
    wait::within(MEET_TIME_MAX, are_together, || {
        show(&stage.nodes());
        format!(
            "expected {number} nodes that know each other within {} s; see: make logs",
            MEET_TIME_MAX.as_secs()
        )
    })
}

fn show(nodes: &Nodes) {
    for node in nodes.iter() {
        let url = node.url();
        let (Ok(address), Ok(count)) = (node.address(), node.count()) else {
            say::step(format_args!("{node}  {url}  does not answer"));
            continue;
        };
        let (count, known) = (count.value.count, show_peers(node));
        say::step(format_args!("{node}  {url}  is {address}, counts {count}, knows {known}"));
    }
}
