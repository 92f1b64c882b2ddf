//! Operations on counters, each judged when it is taken in: of the operations of one message some may
//! be denied and the others carried out.

use quipu_core::operation::Op;

use super::action::Action;
use super::caller::Caller;
use super::judge::Denied;

/// Operations that their caller may have carried out, as one message.
#[derive(Debug, Default)]
pub(crate) struct Ops(Vec<Op>);

impl Ops {
    pub(super) fn of(ops: Vec<Op>) -> Self {
        Ops(ops)
    }

    /// With room for so many.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Ops(Vec::with_capacity(capacity))
    }

    /// Takes an operation in, if its caller may have it.
    pub(crate) fn add(&mut self, caller: &Caller, op: Op) -> Result<(), Denied> {
        caller.may(&Action::from(&op))?;
        self.0.push(op);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes room for exactly so many more.
    pub(crate) fn reserve_exact(&mut self, more: usize) {
        self.0.reserve_exact(more);
    }

    /// Gives up all behind the first ones.
    pub(crate) fn truncate(&mut self, first: usize) {
        self.0.truncate(first);
    }

    /// The operations, for the driver.
    pub(crate) fn into_inner(self) -> Vec<Op> {
        self.0
    }
}
