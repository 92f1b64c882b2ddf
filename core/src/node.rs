//! The whole protocol as one value: inputs in, effects out.

use bytes::Bytes;

use crate::auth::Secret;
use crate::effects::{Effects, Input};
use crate::identity::{Address, Identity, NodeId, OriginId};
use crate::status::{Status, Totals};
use crate::time::Time;

/// Most operations that one request may hold: as many as `POST /batch` takes.
pub const REQUEST_OPS_MAX: usize = 10_000;

/// What a node is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its id.
    pub node: NodeId,
    /// A fresh random id for this start.
    pub origin: OriginId,
    /// Where others reach it.
    pub address: Address,
    /// Milliseconds of a wall clock, or the last start's number + 1, whichever is greater.
    pub boot: u64,
    /// The cluster's name: nodes of another name are not heard. At most 64 bytes.
    pub cluster: String,
    /// The cluster's secret, if it has one.
    pub secret: Option<Secret>,
    /// Addresses to ask for the cluster, again and again while alone.
    pub seeds: Vec<Address>,
    /// Whether to call by broadcast and to answer those who do.
    pub discovery: bool,
    /// All the chance that the node will ever use. Must come from the operating system where
    /// there is a secret: nonces are made of it.
    pub chance: [u8; 32],
}

/// One node of a cluster.
#[derive(Debug)]
pub struct Node {}

impl Node {
    /// A node that has just started and knows nobody.
    pub fn new(config: Config, now: Time) -> Self {
        todo!()
    }

    /// Applies one input. What it causes is added to `effects`.
    pub fn handle(&mut self, now: Time, input: Input, effects: &mut Effects) {
        todo!()
    }

    /// Ends the batch that the inputs since the last call make up: `effects.journal` then holds
    /// what it changed, and [`Input::Synced`] with the number returned here must follow once that
    /// is synced and `after_sync` has been carried out. Numbers go up by one.
    pub fn close_batch(&mut self, now: Time, effects: &mut Effects) -> u64 {
        todo!()
    }

    /// When [`Input::Tick`] is due next, if nothing else happens before.
    pub fn next_deadline(&self) -> Time {
        todo!()
    }

    /// What the node tells of itself.
    pub fn status(&self, now: Time) -> Status {
        todo!()
    }

    /// What it has counted of its own work.
    pub fn totals(&self) -> &Totals {
        todo!()
    }
}
