//! What tests with real processes share: starting nodes, talking to them, waiting for what they do.
//!
//! Declared `pub` by each test, so that a test need not use all of it.

pub mod http;
pub mod node;
pub mod wait;
