//! The port that is meant where none is given.
pub(crate) const DEFAULT_PORT: u16 = 8088;
