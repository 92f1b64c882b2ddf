//! `/sync` with a higher value raises every node; with a lower one it changes nothing.

use std::time::Duration;

use super::{Check, await_counts, await_equal_counts, seconds};
use crate::failure::Failure;
use crate::stage::Stage;
use crate::{say, wait};

pub(super) const CHECK: Check =
    Check { title: "sync: a higher value raises every node, a lower one changes nothing", look };

/// How long the counts are watched after a `/sync` that must change nothing: many times what a
/// change needs to arrive.
const WATCH_TIME: Duration = Duration::from_secs(1);

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let (nodes, deadlines) = (stage.nodes(), stage.deadlines());
    let (node1, node2) = (nodes.node(1)?, nodes.node(2)?);
    await_equal_counts(&nodes, deadlines)?;
    let before = node1.count()?.value.count;
    let raised = before + 10;
    say::step(format_args!("the count is {before}"));

    node1.sync(raised)?;
    say::step(format_args!("POST /sync {{\"count\":{raised}}} on node1 is accepted"));
    await_counts(&nodes, raised, deadlines)?;

    node2.sync(before)?;
    say::step(format_args!("POST /sync {{\"count\":{before}}} on node2 is accepted"));
    let looks = wait::throughout(
        WATCH_TIME,
        || nodes.all_count(raised),
        || format!("expected every count to stay at {raised}; found {}", nodes.show_counts()),
    )?;
    let (counts, watched) = (nodes.show_counts(), seconds(WATCH_TIME));
    say::step(format_args!("{counts}, in each of {looks} looks during {watched}"));
    Ok(())
}
