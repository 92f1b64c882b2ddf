//! What front ends may ask of the node; the only door to the driver.

use std::sync::Arc;
use std::time::Duration;

use quipu_core::effects::{Op, Results};
use quipu_core::identity::Address;
use quipu_core::status::{Status, Totals};

/// A door to the driver. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    // a bounded queue to the driver, and what never changes while the process runs
}

/// Why the driver gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("the node is shutting down")]
    Stopping,
}

/// What the driver tells of itself and its node in one go.
pub(crate) struct Report {
    pub(crate) status: Status,
    pub(crate) totals: Totals,
    pub(crate) uptime: Duration,
    // queue depths, datagrams dropped, links and bytes as the network sees them, …
}

impl Handle {
    /// Applies operations in order, as one message; answers when they are durable.
    pub(crate) async fn request(&self, ops: Vec<Op>) -> Result<Results, Unavailable> { todo!() }
    /// Takes a peer in. `given` is a host or host:port; resolves it first.
    pub(crate) async fn register(&self, given: String, address: Address) -> Result<(), Unavailable> { todo!() }
    pub(crate) async fn remove(&self, given: String, address: Address) -> Result<(), Unavailable> { todo!() }
    pub(crate) async fn report(&self) -> Result<Report, Unavailable> { todo!() }
    /// host:port at which others reach this node.
    pub(crate) fn address(&self) -> &Address { todo!() }
    /// The default port that is meant where a peer is named without one.
    pub(crate) fn default_port(&self) -> u16 { 8088 }
    /// Takes over an upgraded connection as an incoming link.
    pub(crate) fn accept_link(&self, connection: hyper_util::rt::TokioIo<hyper::upgrade::Upgraded>) { todo!() }
}
