//! The protocol of Quipu, a distributed counter.
//!
//! Nothing in here reads a clock, opens a socket or a file, starts a thread or rolls dice of its
//! own: time, chance and everything that happens are handed in, and what shall be done is handed
//! out. So one seed replays a whole cluster (see the crate `quipu-sim`). Start at [`node`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arrivals;
pub mod auth;
mod catchup;
pub mod changes;
pub mod codec;
pub mod counter;
pub mod counters;
pub mod delta;
pub mod discovery;
pub mod effects;
mod exchange;
pub mod fingerprint;
mod gather;
pub mod histogram;
pub mod identity;
mod latest;
mod limit;
mod links;
mod list;
pub mod name;
pub mod node;
pub mod order;
pub mod peers;
mod places;
mod ranges;
pub mod registry;
mod replication;
mod round_trip;
pub mod scan;
pub mod status;
pub mod storage;
mod swim_packet;
pub mod time;
mod window;
