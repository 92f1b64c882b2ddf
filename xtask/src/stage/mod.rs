//! The stage is where the nodes run: in containers, or as processes of this machine. What is asked
//! of the nodes is the same on either.
//!
//! What runs is found by asking the engine and the system, never from notes of our own: so a stage
//! is right whoever started its nodes.

mod docker;
mod local;

use std::env;
use std::time::Duration;

use crate::ask;
use crate::ask::Node;
use crate::failure::Failure;
use crate::nodes::Nodes;

use docker::Docker;
use local::Local;
pub(crate) use local::binary as release_binary;

/// How long a node that is asked to stop may take before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The nodes that belong to the cluster whether they run or not: a check must fail when one of them
/// does not. Others come and go.
const FIRST_NODES: u16 = 3;

/// The largest number that a further node may get. Ports are counted on from the first node's, and
/// this many stay far below the ones that the system gives to outgoing connections.
const NUMBER_MAX: u16 = 1000;

/// Where node `number` answers HTTP on this machine: 9088 and up.
fn http_port(number: u16) -> u16 {
    9087 + number
}

/// Where it serves clients of Redis on this machine: 6380 and up.
fn redis_port(number: u16) -> u16 {
    6379 + number
}

/// The number in a name such as `node12`.
fn number_of(name: &str) -> Option<u16> {
    let number = name.strip_prefix("node")?.parse().ok()?;
    // The same number may be spelled otherwise, with a sign or zeros.
    ((1..=NUMBER_MAX).contains(&number) && name == format!("node{number}")).then_some(number)
}

/// What can be done with one node.
pub(crate) trait Stage {
    /// The nodes that run and can be reached from here.
    fn running(&self) -> Vec<Node>;

    /// Whether a node's name is taken.
    fn has_node(&self, number: u16) -> bool;

    /// Starts one, without a list of the others.
    fn start_node(&self, number: u16) -> Result<(), Failure>;

    /// Restarts one, or starts it again where it stopped. Its counts stay.
    fn restart_node(&self, number: u16) -> Result<(), Failure>;

    /// Stops a node beside the first three; what it had kept goes with it.
    fn remove_node(&self, number: u16) -> Result<(), Failure>;

    /// How long its nodes may take, and are watched.
    fn times(&self) -> Times {
        TIMES
    }

    /// The first three, and what else runs.
    fn nodes(&self) -> Nodes {
        let running = self.running();
        let is_running = |number| running.iter().any(|node| node.number == number);
        let silent = (1..=FIRST_NODES).filter(|number| !is_running(*number));
        let silent: Vec<Node> =
            silent.map(|number| Node { number, port: http_port(number) }).collect();
        Nodes::new([running, silent].concat())
    }

    /// The first number behind those of the first nodes that no node has, and whose ports on this
    /// machine are free.
    fn free_number(&self) -> Result<u16, Failure> {
        let is_free = |number: &u16| {
            !self.has_node(*number)
                && !ask::port_answers(http_port(*number))
                && !ask::port_answers(redis_port(*number))
        };
        let free = (FIRST_NODES + 1..=NUMBER_MAX).find(is_free);
        free.ok_or_else(|| Failure::Unable(format!("expected a free number up to {NUMBER_MAX}")))
    }
}

/// What can be done with all nodes at once.
pub(crate) trait Cluster: Stage {
    /// Whether nodes may run there.
    fn is_there(&self) -> bool;

    /// Builds what its nodes run.
    fn build(&self) -> Result<(), Failure>;

    /// Starts the first nodes, none of which runs.
    fn start_three(&self) -> Result<(), Failure>;

    /// Stops every node; the counts of the first three stay.
    fn stop(&self) -> Result<(), Failure>;

    /// Deletes what a stop leaves, but for the files under `.run`.
    fn clean(&self) -> Result<(), Failure>;

    /// Whether there is a log to show, be it of nodes that stopped.
    fn has_logs(&self) -> bool;

    /// Shows all logs, and with `follow` what is added to them until a signal comes.
    fn logs(&self, follow: bool) -> Result<(), Failure>;
}

/// How long nodes may take until all show what one of them knows, and how long it is watched that
/// they do not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// At most, for a change of a count to reach all nodes.
    pub(crate) agree: Duration,
    /// At most, for a node that starts or comes back to be listed by all.
    pub(crate) join: Duration,
    /// At most, for a node that never answers, or stops, to leave all lists.
    pub(crate) forget: Duration,
    /// Watched after a call that must change no count.
    pub(crate) unchanged: Duration,
    /// Watched after a node was removed, which must stay away.
    pub(crate) away: Duration,
}

const TIMES: Times = Times {
    // In quiet times it is milliseconds; the promise is seconds.
    agree: Duration::from_secs(3),
    // A node is known within two seconds, and in a container starts in one.
    join: Duration::from_secs(8),
    // It is off every list within six seconds.
    forget: Duration::from_secs(8),
    // Many times what a change needs to arrive.
    unchanged: Duration::from_secs(1),
    // It goes on calling by broadcast every few seconds, and must not come back by that.
    away: Duration::from_secs(4),
};

fn all() -> [Box<dyn Cluster>; 2] {
    [Box::new(Local), Box::new(Docker)]
}

/// Where a cluster is to be started, and why it is not in containers if it is not.
pub(crate) fn choose() -> (Box<dyn Cluster>, Option<String>) {
    let is_asked_for = env::var_os("QUIPU_LOCAL").is_some_and(|value| value == "1");
    let reason = if is_asked_for { Some("QUIPU_LOCAL=1".to_owned()) } else { Docker.lacks() };
    match reason {
        Some(reason) => (Box::new(Local), Some(reason)),
        None => (Box::new(Docker), None),
    }
}

/// Where a cluster runs.
pub(crate) fn find() -> Result<Box<dyn Cluster>, Failure> {
    find_by(|stage| !stage.running().is_empty())
        .ok_or_else(|| Failure::Unable("no node runs here; start three with: make".to_owned()))
}

/// Where a cluster runs or, where none does, has left its logs.
pub(crate) fn find_logs() -> Result<Box<dyn Cluster>, Failure> {
    find().or_else(|failure| find_by(|stage| stage.has_logs()).ok_or(failure))
}

fn find_by(is_it: impl Fn(&dyn Cluster) -> bool) -> Option<Box<dyn Cluster>> {
    all().into_iter().find(|stage| is_it(&**stage))
}

/// Stops the nodes of every stage, then does more on each.
pub(crate) fn stop_all(then: impl Fn(&dyn Cluster) -> Result<(), Failure>) -> Result<(), Failure> {
    for stage in all().into_iter().filter(|stage| stage.is_there()) {
        stage.stop()?;
        then(&*stage)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_from_a_nodes_name_and_from_no_other() {
        assert_eq!(number_of("node1"), Some(1));
        assert_eq!(number_of("node1000"), Some(1000));
        for other in
            ["node", "node0", "node01", "node+1", "node1001", "node70000", "node1a", "1", "mynode1"]
        {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
