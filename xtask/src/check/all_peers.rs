//! The peer list of every node, complete.

use super::{Check, await_complete_lists};
use crate::failure::Failure;
use crate::say;
use crate::stage::Stage;

pub(super) const CHECK: Check =
    Check { title: "all-peers: every node lists every other node", look };

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let nodes = stage.nodes();
    await_complete_lists(&nodes, stage.times().join)?;
    for node in nodes.iter() {
        say::step(format_args!("{node} {}/peers answers {}", node.url(), node.peers()?.text));
    }
    Ok(())
}
