//! The protocol of Quipu, a distributed counter.
//!
//! Nothing in here reads a clock, opens a socket or a file, starts a thread or rolls dice of its
//! own: time, chance and everything that happens are handed in, and what shall be done is handed
//! out. So one seed replays a whole cluster (see the crate `quipu-sim`). Start at [`node`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod auth;
pub mod effects;
pub mod identity;
pub mod name;
pub mod node;
pub mod registry;
pub mod status;
pub mod time;
