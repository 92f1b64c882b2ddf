//! How members agree, without an operator, that one which is away is a member no more: `ledger` holds
//! what was said of it, `quorum` counts who must agree, `judge` says what a node is to do next.

pub(crate) mod judge;
pub(crate) mod ledger;
pub(crate) mod quorum;

pub(crate) use ledger::Absences;
