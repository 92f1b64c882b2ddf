//! What every call has at hand.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use quipu_core::operation::{Op, Outcome, Refusal};
use tokio::sync::{Semaphore, watch};

use super::batch::BATCHES_STEPS_MAX;
use super::errors::{Kind, Problem};
use super::traffic::Traffic;
use crate::access::{Caller, Ops};
use crate::handle::Handle;
use crate::redis;
use crate::watch::Watch;

/// What every call has at hand.
pub(super) struct App {
    pub(super) handle: Handle,
    pub(super) watch: Watch,
    /// Ends when the server stops.
    pub(super) stopped: watch::Receiver<()>,
    pub(super) traffic: Traffic,
    /// The other front end's, for `/metrics`.
    pub(super) redis: Arc<redis::Traffic>,
    /// When the API came up.
    pub(super) started: SystemTime,
    /// Room for the bodies of batches, in steps.
    pub(super) batches: Semaphore,
}

/// The same as an axum extractor.
pub(super) type Shared = State<Arc<App>>;

impl App {
    pub(super) fn new(
        handle: Handle,
        redis: Arc<redis::Traffic>,
        watch: Watch,
        stopped: watch::Receiver<()>,
    ) -> Self {
        App {
            handle,
            watch,
            stopped,
            traffic: Traffic::default(),
            redis,
            started: SystemTime::now(),
            batches: Semaphore::new(BATCHES_STEPS_MAX),
        }
    }

    pub(super) fn node_id(&self) -> &str {
        self.handle.address().as_str()
    }

    /// Applies one operation and answers with what it has come to.
    pub(super) async fn request(
        &self,
        caller: &Caller,
        op: Op,
    ) -> Result<Result<Outcome, Refusal>, Problem> {
        let mut ops = Ops::with_capacity(1);
        ops.add(caller, op)?;
        let results = self.handle.request(ops).await?.results;
        results.into_iter().next().ok_or_else(|| {
            Problem::new(Kind::Internal, "expected a result for the operation, found none")
        })
    }

    /// The same, with a refusal as a problem like any other.
    pub(super) async fn apply(&self, caller: &Caller, op: Op) -> Result<Outcome, Problem> {
        Ok(self.request(caller, op).await??)
    }
}
