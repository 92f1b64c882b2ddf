//! The counts of all nodes, equal.

use super::{Check, await_equal_counts};
use crate::failure::Failure;
use crate::say;
use crate::stage::Stage;

pub(super) const CHECK: Check = Check { title: "count: the counts of all nodes, equal", look };

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let nodes = stage.nodes();
    await_equal_counts(&nodes, stage.times())?;
    for node in nodes.iter() {
        say::step(format_args!("{node} {}/count answers {}", node.url(), node.count()?.text));
    }
    Ok(())
}
