//! The protocol of Quipu, a distributed counter.
//!
//! Nothing in here reads a clock, opens a socket or a file, starts a thread or rolls dice of its
//! own: time, chance and everything that happens are handed in, and what shall be done is handed
//! out. So one seed replays a whole cluster (see the crate `quipu-sim`). Start at [`node`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod absence;
mod absentees;
#[cfg(feature = "planted-bugs")]
pub mod bug;
mod chance;
pub mod condition;
pub mod counters;
pub mod delta;
pub mod digest;
pub mod effect;
pub mod ending;
pub mod event;
pub mod fingerprint;
pub mod histogram;
pub mod identity;
pub mod input;
mod limit;
mod links;
pub mod membership;
pub mod name;
pub mod node;
pub mod operation;
pub mod outbox;
pub mod peers;
pub mod query;
pub mod replication;
pub mod room;
pub mod settlement;
mod settling;
pub mod slot;
pub mod status;
pub mod storage;
pub mod time;
mod turn;
pub mod update;
pub mod wire;
