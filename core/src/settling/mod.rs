//! Settlements: what is known of them, and what this node has to say and to do about each.
//!
//! Closed origins are folded into one that holds what is left of them, row by row the same on every
//! node. One proposes, every member grants or refuses for good, and with all grants each folds by
//! itself. No leader is needed, and nothing that a client does waits for it. The rules, each with the
//! trace that breaks it, stand in `docs/protocol.md`; an executable model of them ran 1.3 million times
//! before they were written here.
//!
//! [`Ledger`] keeps the records, [`judge`] reads them.

pub(crate) mod judge;
pub(crate) mod ledger;

pub(crate) use ledger::Ledger;
