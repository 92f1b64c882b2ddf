//! What a running cluster is looked at for, by `make test-…`: a file for each check.
//!
//! A check says first what it is about to show, then what it did and saw, a line a step; it fails
//! when that is not as described.

mod all_peers;
mod count;
mod discovery;
#[cfg(test)]
mod fake;
mod full;
mod health;
mod increment;
mod peers;
mod remove_existing_peer;
mod sync;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::failure::Failure;
use crate::nodes::{Nodes, show_peers};
use crate::stage::{Stage, Times};
use crate::{say, stage, wait};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    Health,
    Increment,
    Count,
    Sync,
    AllPeers,
    Peers,
    Discovery,
    RemoveExistingPeer,
    /// All of these in turn
    Full,
}

/// One look at a cluster.
struct Check {
    /// Its name, and what it is about to show.
    title: &'static str,
    look: fn(&dyn Stage) -> Result<(), Failure>,
}

impl Which {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.check() {
            Some(check) => {
                say::title(check.title);
                (check.look)(&*stage::find()?)
            }
            None => full::run(&*stage::find()?),
        }
    }

    /// The one check, where it is one.
    fn check(self) -> Option<Check> {
        match self {
            Which::Health => Some(health::CHECK),
            Which::Increment => Some(increment::CHECK),
            Which::Count => Some(count::CHECK),
            Which::Sync => Some(sync::CHECK),
            Which::AllPeers => Some(all_peers::CHECK),
            Which::Peers => Some(peers::CHECK),
            Which::Discovery => Some(discovery::CHECK),
            Which::RemoveExistingPeer => Some(remove_existing_peer::CHECK),
            Which::Full => None,
        }
    }
}

/// What a check that breaks off leaves to be done: the cluster is to be as it was found.
struct Afterwards<F: Fn()> {
    action: F,
    is_due: bool,
}

impl<F: Fn()> Afterwards<F> {
    fn new(action: F) -> Self {
        Afterwards { action, is_due: true }
    }

    /// The check does it itself now.
    fn omit(mut self) {
        self.is_due = false;
    }
}

impl<F: Fn()> Drop for Afterwards<F> {
    fn drop(&mut self) {
        if self.is_due {
            (self.action)();
        }
    }
}

/// Its name on the command line.
impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", PossibleValue::get_name))
    }
}

/// What was expected and is not so.
fn failed(text: String) -> Failure {
    Failure::NotAsDescribed(text)
}

/// Several checks compare with the count from before: it must be one count.
fn await_equal_counts(nodes: &Nodes, times: Times) -> Result<(), Failure> {
    let unequal = || format!("expected equal counts; found {}", nodes.show_counts());
    wait::within(times.agree, || nodes.counts_are_equal(), unequal).map(drop)
}

fn await_counts(nodes: &Nodes, count: i64, times: Times) -> Result<(), Failure> {
    let limit = times.agree;
    let took = wait::within(
        limit,
        || nodes.all_count(count),
        || {
            format!(
                "expected {count} on {nodes} within {}; found {}",
                seconds(limit),
                nodes.show_counts()
            )
        },
    )?;
    say::step(format_args!("{}, after {} ms", nodes.show_counts(), took.as_millis()));
    Ok(())
}

fn await_complete_lists(nodes: &Nodes, limit: Duration) -> Result<(), Failure> {
    let incomplete = || {
        for node in nodes.iter() {
            let address = node.address().unwrap_or_else(|_| "(it does not answer)".to_owned());
            say::step(format_args!("{node} is {address}, knows {}", show_peers(node)));
        }
        format!("expected every node to list every other within {}", seconds(limit))
    };
    wait::within(limit, || nodes.lists_are_complete(), incomplete).map(drop)
}

fn await_forgotten(nodes: &Nodes, address: &str, times: Times) -> Result<(), Failure> {
    let limit = times.forget;
    let took = wait::within(
        limit,
        || nodes.none_list(address),
        || {
            for node in nodes.iter() {
                say::step(format_args!("{node} knows {}", show_peers(node)));
            }
            format!("expected {address} to be off every list within {}", seconds(limit))
        },
    )?;
    let took = took.as_millis();
    say::step(format_args!("{address} is off the lists of {nodes}, after {took} ms"));
    Ok(())
}

/// For people.
fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
