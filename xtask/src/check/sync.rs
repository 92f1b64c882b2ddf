//! `/sync` with a higher value raises every node; with a lower one it changes nothing.

use super::{Check, await_counts, await_equal_counts, seconds};
use crate::failure::Failure;
use crate::stage::Stage;
use crate::{say, wait};

pub(super) const CHECK: Check =
    Check { title: "sync: a higher value raises every node, a lower one changes nothing", look };

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let (nodes, times) = (stage.nodes(), stage.times());
    let (node1, node2) = (nodes.node(1)?, nodes.node(2)?);
    await_equal_counts(&nodes, times)?;
    let before = node1.count()?.value.count;
    let raised = before + 10;
    say::step(format_args!("the count is {before}"));

    node1.sync(raised)?;
    say::step(format_args!("POST /sync {{\"count\":{raised}}} on node1 is accepted"));
    await_counts(&nodes, raised, times)?;

    node2.sync(before)?;
    say::step(format_args!("POST /sync {{\"count\":{before}}} on node2 is accepted"));
    let looks = wait::throughout(
        times.unchanged,
        || nodes.all_count(raised),
        || format!("expected every count to stay at {raised}; found {}", nodes.show_counts()),
    )?;
    let (counts, watched) = (nodes.show_counts(), seconds(times.unchanged));
    say::step(format_args!("{counts}, in each of {looks} looks during {watched}"));
    Ok(())
}
