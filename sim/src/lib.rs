//! Clusters of Quipu nodes in virtual time, with faults.
//!
//! The protocol is a value that is handed time, chance and events, so a whole cluster can be run
//! in one thread from one seed: [`plan`] draws what will happen, [`world`] lets it happen,
//! [`checker`] holds every step against the promises, [`shrink`] makes a failure small.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod absences;
pub mod args;
pub mod bug;
pub mod chance;
pub mod checker;
pub mod clock;
mod closings;
pub mod describe;
pub mod directory;
pub mod disk;
pub mod endings;
pub mod faults;
pub mod frames;
mod held;
mod history;
pub mod host;
pub mod identities;
pub mod inquiries;
pub mod links;
pub mod memberships;
pub mod network;
pub mod plan;
pub mod recovery;
pub mod replies;
pub mod run;
pub mod schedule;
pub mod settlements;
pub mod shrink;
pub mod splits;
pub mod summary;
pub mod trace;
pub mod violation;
pub mod workload;
pub mod world;
