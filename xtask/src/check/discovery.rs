//! One more node, started without a list, is known to all, knows all and has the count; then it goes
//! away and leaves the lists.

use std::time::Instant;

use super::{Afterwards, Check};
use super::{await_complete_lists, await_equal_counts, await_forgotten, seconds};
use crate::failure::Failure;
use crate::stage::Stage;
use crate::{say, wait};

pub(super) const CHECK: Check = Check {
    title: "discovery: a node started without a list is found, has the count, and leaves",
    look,
};

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let (before, times) = (stage.nodes(), stage.times());
    let node1 = before.node(1)?;
    await_equal_counts(&before, times)?;
    // A count of zero would show nothing.
    if node1.count()?.value.count == 0 {
        node1.increment()?;
        await_equal_counts(&before, times)?;
    }
    let count = node1.count()?.value.count;
    say::step(format_args!("the count is {count} on {before}"));

    let number = stage.free_number()?;
    let removal = Afterwards::new(|| drop(stage.remove_node(number)));
    let start = Instant::now();
    let since_start = || format!("after {} ms", start.elapsed().as_millis());
    stage.start_node(number)?;
    let answers = || stage.nodes().find(number).is_some_and(|node| node.address().is_ok());
    wait::within(times.join, answers, || {
        let limit = seconds(times.join);
        format!("expected node{number} to answer within {limit}; see: make logs")
    })?;
    let nodes = stage.nodes();
    let newcomer = nodes.node(number)?;
    let address = newcomer.address()?;
    say::step(format_args!("{newcomer} started as {address}, answers {}", since_start()));

    await_complete_lists(&nodes, times.join)?;
    let peers = newcomer.peers()?.text;
    say::step(format_args!("all know it, and it knows all, {}: {peers}", since_start()));
    let has_count = || newcomer.count().is_ok_and(|found| found.value.count == count);
    wait::within(times.agree, has_count, || {
        let counts = nodes.show_counts();
        format!(
            "expected {newcomer} to have the count {count} without a new increment; found {counts}"
        )
    })?;
    let answer = newcomer.count()?.text;
    say::step(format_args!(
        "it has the count without a new increment, {}: {answer}",
        since_start()
    ));

    removal.omit();
    stage.remove_node(number)?;
    say::step(format_args!("{newcomer} stopped"));
    await_forgotten(&before, &address, times)?;
    await_complete_lists(&stage.nodes(), times.forget)
}
