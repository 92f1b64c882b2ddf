//! The commands, by theme.

pub(super) mod connection;
pub(super) mod counters;
pub(super) mod info;
pub(super) mod introspection;
pub(super) mod keyspace;
pub(super) mod pubsub;
pub(super) mod refused;
pub(super) mod transaction;
