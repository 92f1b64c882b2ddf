//! Why a command ends before it is done.

use thiserror::Error;

/// One line for people.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A node or a cluster is not as described: what was expected, and what was found.
    #[error("  FAILED: {0}")]
    NotAsDescribed(String),
    /// It cannot be tried here.
    #[error("{0}")]
    Unable(String),
    /// The operator ended it by this signal, and needs to be told nothing.
    #[error("ended by signal {0}")]
    Interrupted(u8),
}
