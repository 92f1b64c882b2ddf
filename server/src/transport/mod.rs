//! Connections, whatever they carry.

pub(crate) mod accepting;
pub(crate) mod connection;
