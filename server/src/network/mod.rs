//! Links, datagrams and broadcasts to bytes and back. Decides nothing.

pub(crate) mod connection;
mod counts;
pub(crate) mod resolve;

pub(crate) use counts::Counts;
