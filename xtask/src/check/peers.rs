//! A peer registered by hand is listed; as it never answers, it is forgotten again.

use super::{Afterwards, Check, await_forgotten, failed};
use crate::failure::Failure;
use crate::say;
use crate::stage::Stage;

pub(super) const CHECK: Check = Check {
    title: "peers: a peer registered by hand is listed, and forgotten when it never answers",
    look,
};

/// A name without a node.
const PEER: &str = "test-peer";

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let nodes = stage.nodes();
    let node1 = nodes.node(1)?;
    // If it is not forgotten, it is not left behind for the checks that follow.
    let removal = Afterwards::new(|| drop(node1.remove_peer(PEER)));

    node1.register(PEER)?;
    let peers = node1.peers()?;
    let text = peers.text;
    if !peers.value.iter().any(|peer| peer == PEER) {
        return Err(failed(format!(
            "expected {PEER} to be listed at once; node1 /peers answers {text}"
        )));
    }
    say::step(format_args!("registered on node1, whose /peers answers {text}"));
    await_forgotten(&nodes, PEER, stage.times())?;
    removal.omit();
    say::step(format_args!("node1 {}/peers answers {}", node1.url(), node1.peers()?.text));
    Ok(())
}
