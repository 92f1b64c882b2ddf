//! `MSET name value [name value …]`: as one, unless a value is none, and then nothing is set.

use quipu_core::name::NameError;
use quipu_core::operation::Op;
use quipu_core::update::{Expiry, Update};

use crate::redis::command::Command;
use crate::redis::database::Database;
use crate::redis::errors;
use crate::redis::plan::Slot;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("mset", Class::Write, -3, run, "Sets counters").keys(1, -1).every(2).ends();

fn run(call: &mut Call<'_>) -> Next {
    if let Err(text) = check(&call.command, SPEC.name) {
        return call.fail(text);
    }
    let sets = (call.command.len() - 1) / 2;
    if call.has_room(sets) && call.operate(sets_of(call.command, call.session.database)) {
        call.plan.slot(Slot::Done(sets));
    }
    Next::Go
}

/// What is wrong with names and values.
pub(super) fn check(command: &Command<'_>, name: &str) -> Result<(), String> {
    if command.len().is_multiple_of(2) {
        return Err(errors::arity(name));
    }
    let are_integers = (2..command.len()).step_by(2).all(|at| command.integer(at).is_some());
    if are_integers { Ok(()) } else { Err(errors::NOT_AN_INTEGER.to_owned()) }
}

/// A set of each name to its value.
pub(super) fn sets_of(
    command: Command<'_>,
    database: Database,
) -> impl Iterator<Item = Result<Op, NameError>> {
    (1..command.len()).step_by(2).map(move |at| {
        let to = command.integer(at + 1).unwrap_or_default();
        let update = Box::new(Update::Set { to, only: None, expiry: Expiry::Never });
        database.name(&command, at).map(|name| Op::Update { name, update })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::commands::typed::typed;

    #[test]
    fn every_name_needs_a_value_that_is_an_integer() {
        let checked = |line: &str| typed(line, |command| check(command, "mset"));
        assert_eq!(checked("MSET a 1 b 2"), Ok(()));
        assert_eq!(checked("MSET a 1 b"), Err(errors::arity("mset")));
        assert_eq!(checked("MSET a 1 b x"), Err(errors::NOT_AN_INTEGER.to_owned()));
    }
}
