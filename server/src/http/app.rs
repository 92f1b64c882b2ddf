//! What every call has at hand.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use quipu_core::effects::{Op, Value};

use super::errors::Problem;
use super::traffic::Traffic;
use crate::handle::Handle;
use crate::redis;

/// What every call has at hand.
pub(super) struct App {
    pub(super) handle: Handle,
    pub(super) traffic: Traffic,
    /// The other front end's, for `/metrics`.
    pub(super) redis: Arc<redis::Traffic>,
    /// When the API came up.
    pub(super) started: SystemTime,
}

/// The same as an axum extractor.
pub(super) type Shared = State<Arc<App>>;

impl App {
    pub(super) fn new(handle: Handle, redis: Arc<redis::Traffic>) -> Self {
        App { handle, traffic: Traffic::default(), redis, started: SystemTime::now() }
    }

    pub(super) fn node_id(&self) -> &str {
        self.handle.address().as_str()
    }

    /// Applies one operation and answers with the value after it.
    pub(super) async fn apply(&self, op: Op) -> Result<Value, Problem> {
        let done = self.handle.request(vec![op]).await?;
        match done.results.as_slice() {
            [Ok(value)] => Ok(*value),
            [Err(refusal)] => Err(Problem::from(*refusal)),
            other => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("expected one result for one operation, found {}", other.len()),
            )),
        }
    }
}
