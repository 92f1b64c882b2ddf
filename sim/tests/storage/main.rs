//! The rules of the journal, snapshots and recovery (protocol.md 15 to 20), each with the trace
//! that broke it, over a directory that keeps what it promised and no more.

mod damage;
mod machine;
mod rules;
mod snapshots;
