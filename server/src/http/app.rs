//! What every call has at hand.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use quipu_core::operation::{Op, Refusal, Results, Value};
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

    /// Applies operations as one and answers with a result for each.
    pub(super) async fn request<const N: usize>(
        &self,
        caller: &Caller,
        asked: [Op; N],
    ) -> Result<[Result<Value, Refusal>; N], Problem> {
        let mut ops = Ops::with_capacity(N);
        asked.into_iter().try_for_each(|op| ops.add(caller, op))?;
        let results = self.handle.request(ops).await?.results;
        results.try_into().map_err(|results: Results| {
            let found = results.len();
            let reason = format!("expected {N} results for as many operations, found {found}");
            Problem::new(Kind::Internal, reason)
        })
    }

    /// Applies one operation and answers with the value after it.
    pub(super) async fn apply(&self, caller: &Caller, op: Op) -> Result<Value, Problem> {
        let [result] = self.request(caller, [op]).await?;
        result.map_err(Problem::from)
    }
}
