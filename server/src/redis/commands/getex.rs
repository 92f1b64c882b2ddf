//! `GETEX name [EX s|PX ms|EXAT s|PXAT ms|PERSIST]`
//!
//! As in Redis, a time that cannot be is looked at only where the counter exists.

use quipu_core::operation::Outcome;
use quipu_core::update::{Expiry, Update};

use super::get;
use crate::redis::command::Command;
use crate::redis::errors;
use crate::redis::lifetime::Unit;
use crate::redis::plan::Write;
use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("getex", Class::Write, -2, run, "Tells a counter's value and limits its life")
        .keys(1, 1)
        .ends();

fn run(call: &mut Call<'_>) -> Next {
    let expiry = match parsed(&call.command) {
        Some(Asked::Nothing) => return call.read(get::write),
        Some(Asked::Persist) => Ok(Expiry::Never),
        Some(Asked::Lifetime(unit, at)) => unit.lifetime(&call.command, at, SPEC.name),
        None => return call.fail(errors::SYNTAX),
    };
    match expiry {
        Ok(expiry) => call.update(Update::Expire { expiry, only: None }, get::write_before),
        Err(text) if text == errors::NOT_AN_INTEGER => call.read(NOT_AN_INTEGER),
        Err(_) => call.read(NO_TIME),
    }
}

/// What is to become of the lifetime.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Persist,
    Lifetime(Unit, usize),
}

fn parsed(command: &Command<'_>) -> Option<Asked> {
    let (mut asked, mut at) = (Asked::Nothing, 2);
    while at < command.len() {
        asked = match (asked, Unit::named(command, at)) {
            (Asked::Nothing | Asked::Persist, None) if command.is(at, "persist") => Asked::Persist,
            (Asked::Nothing, Some(unit)) => Asked::Lifetime(unit, at + 1),
            (Asked::Lifetime(before, _), Some(unit)) if before == unit => {
                Asked::Lifetime(unit, at + 1)
            }
            _ => return None,
        };
        at += if matches!(asked, Asked::Persist) { 1 } else { 2 };
    }
    // The last unit's number may lack.
    (at == command.len()).then_some(asked)
}

const NOT_AN_INTEGER: Write =
    |out, protocol, outcome| refuse(out, protocol, outcome, errors::NOT_AN_INTEGER);
const NO_TIME: Write =
    |out, protocol, outcome| refuse(out, protocol, outcome, &errors::expire_time(SPEC.name));

fn refuse(out: &mut Vec<u8>, protocol: Protocol, outcome: &Outcome, text: &str) {
    if outcome.exists {
        reply::error(out, text.as_bytes());
    } else {
        reply::null(out, protocol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::commands::typed::typed;

    #[test]
    fn one_word_says_what_becomes_of_the_lifetime() {
        let read = |line: &str| typed(line, parsed);
        assert_eq!(read("GETEX a"), Some(Asked::Nothing));
        assert_eq!(read("GETEX a persist"), Some(Asked::Persist));
        assert_eq!(read("GETEX a PERSIST PERSIST"), Some(Asked::Persist));
        assert_eq!(read("GETEX a EX 5"), Some(Asked::Lifetime(Unit::Ex, 3)));
        assert_eq!(read("GETEX a PXAT 5 PXAT 6"), Some(Asked::Lifetime(Unit::PxAt, 5)));
        for line in ["EX", "EX 5 PX 5", "PERSIST EX 5", "EX 5 PERSIST", "KEEPTTL", "NX", "FOO"] {
            assert_eq!(read(&format!("GETEX a {line}")), None, "{line}");
        }
    }
}
