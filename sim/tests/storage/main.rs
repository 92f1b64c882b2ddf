//! The rules of the journal, snapshots and recovery (docs/protocol.md: rules
//! `synced-position-in-every-record`, `sync-the-tail-before-showing-it`,
//! `snapshot-keeps-slot-versions`, `cut-at-the-beginning`, `fresh-origin` and
//! `failed-sync-ends-the-node`), each with the trace that broke it, over a directory that keeps
//! what it promised and no more.

mod damage;
mod machine;
mod rules;
mod snapshots;
