//! What all nodes of a simulated cluster share.

use quipu_core::wire::auth::Secret;

use crate::plan::Plan;

/// The cluster that all nodes belong to.
pub(super) const CLUSTER: &str = "simulated";

/// What nodes of a cluster with a secret share.
const SECRET: &[u8] = b"known to every simulated node";

/// What the nodes of a plan share, if they do.
pub(super) fn secret(plan: &Plan) -> Option<Secret> {
    plan.has_secret.then(|| Secret::new(SECRET).expect("a secret long enough"))
}
