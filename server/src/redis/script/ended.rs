//! Why what was asked is not answered, and nothing of it is done.

use super::budget::Over;
use super::scratch::Stop;

/// See the file.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// It cannot go on.
    Stop(Stop),
    /// It took more than it may, and this is the reply.
    Over(String),
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        Ended::Stop(stop)
    }
}

impl From<Over> for Ended {
    fn from(over: Over) -> Self {
        Ended::Over(over.text())
    }
}
