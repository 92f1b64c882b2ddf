//! Every node answers `/health`.

use super::{Check, failed};
use crate::failure::Failure;
use crate::say;
use crate::stage::Stage;

pub(super) const CHECK: Check = Check { title: "health: every node answers /health", look };

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    for node in stage.nodes().iter() {
        let health = node.health()?;
        let text = health.text;
        if health.value.status != "ok" {
            return Err(failed(format!("expected {node}'s status to be ok; it answers {text}")));
        }
        say::step(format_args!("{node} {}/health answers {text}", node.url()));
    }
    Ok(())
}
