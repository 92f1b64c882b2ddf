//! Operations on counters, each judged when it is taken in: of the operations of one message some may
//! be denied and the others carried out.

use quipu_core::condition::{Condition, Holds};
use quipu_core::name::CounterName;
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

/// On which conditions they are carried out, each of a counter that the caller may read.
#[derive(Debug, Default)]
pub(crate) struct OnlyIf(Vec<Condition>);

impl OnlyIf {
    /// Takes a condition in, if its caller may know whether it holds.
    pub(crate) fn add(
        &mut self,
        caller: &Caller,
        name: CounterName,
        holds: Holds,
    ) -> Result<(), Denied> {
        caller.may(&Action::Read(&name))?;
        self.0.push(Condition { name, holds });
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// The conditions, for the driver.
    pub(crate) fn into_inner(self) -> Vec<Condition> {
        self.0
    }
}
