//! An increment on node 1 is seen on every node.

use super::{Check, await_counts, await_equal_counts, failed};
use crate::failure::Failure;
use crate::say;
use crate::stage::Stage;

pub(super) const CHECK: Check =
    Check { title: "increment: an increment on node 1 is seen on every node", look };

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let (nodes, times) = (stage.nodes(), stage.times());
    let node1 = nodes.node(1)?;
    await_equal_counts(&nodes, times)?;
    let before = node1.count()?.value.count;
    say::step(format_args!("the count is {before}"));
    let answer = node1.increment()?;
    say::step(format_args!("POST /increment on node1 answers {}", answer.text));
    let after = answer.value.count;
    if after != before + 1 {
        return Err(failed(format!("expected {}; found {after}", before + 1)));
    }
    await_counts(&nodes, after, times)
}
