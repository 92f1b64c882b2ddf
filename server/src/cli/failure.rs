//! Why a command did not do what it was asked to.

use std::io;
use std::time::Duration;

/// Why a command failed. Its text is one line that says what to do where that is not plain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("expected an address of {0}, found none: {1}")]
    Unresolved(String, io::Error),
    #[error("no node answers at {0}: {1}; start one with: quipu")]
    Silent(String, io::Error),
    #[error(
        "{0} has not answered within {1:?}; it may be stopped, overloaded, or no node of Quipu"
    )]
    Slow(String, Duration),
    #[error("the answer of {0} broke off: {1}")]
    Broken(String, io::Error),
    #[error("expected {0} to answer as a node of Quipu does, found {1}")]
    Foreign(String, String),
    #[error("{node} refused it with status {status}: {reason}")]
    Refused { node: String, status: u16, reason: String },
    #[error("{0} of {1} counters could not be read: {2}")]
    Unread(usize, usize, String),
    #[error("{0} of {1} counters could not be deleted: {2}")]
    Undeleted(usize, usize, String),
    #[error("expected a counter that exists, found none named {0:?}")]
    Missing(String),
    #[error("expected --yes, since there is no terminal to ask at")]
    Unasked,
    #[error("nothing was deleted")]
    Unmeant,
    #[error(
        "expected a node that settles, found one whose --fsync is not always: what it tells others may \
         be lost with its disk's cache"
    )]
    Unsettled,
    #[error("expected a terminal to draw on; for scripts there are: quipu status, quipu peers")]
    NoTerminal,
    #[error("cannot write the answer: {0}")]
    Unwritable(#[from] io::Error),
    #[error("{0}")]
    Bench(String),
}

impl Failure {
    /// What became of an answer of which each step may take so long.
    pub(in crate::cli) fn of_answer(node: &str, step: Duration, error: io::Error) -> Self {
        match error.kind() {
            // How a socket tells that its time is over differs from system to system.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Failure::Slow(node.to_owned(), step)
            }
            _ => Failure::Broken(node.to_owned(), error),
        }
    }
}
