//! `SET name value [NX|XX] [GET] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`. What `NX` and `XX` ask for is
//! judged by what this node sees.

use quipu_core::operation::Outcome;
use quipu_core::update::{Expiry, Only, Update};

use super::get;
use crate::redis::command::Command;
use crate::redis::errors;
use crate::redis::lifetime::Unit;
use crate::redis::plan::Write;
use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("set", Class::Write, -3, run, "Brings a counter to a value").keys(1, 1).ends();

fn run(call: &mut Call<'_>) -> Next {
    match parsed(&call.command) {
        Ok((update, write)) => call.update(update, write),
        Err(text) => call.fail(text),
    }
}

/// What stands behind the value. As in Redis, the same word may come twice, and the last one counts.
#[derive(Debug, Default)]
struct Options {
    only: Option<Only>,
    gets: bool,
    keeps: bool,
    lifetime: Option<(Unit, usize)>,
}

impl Options {
    fn parsed(command: &Command<'_>) -> Option<Options> {
        let mut options = Options::default();
        let mut at = 3;
        while at < command.len() {
            if command.is(at, "nx") && options.only != Some(Only::Existing) {
                options.only = Some(Only::Missing);
            } else if command.is(at, "xx") && options.only != Some(Only::Missing) {
                options.only = Some(Only::Existing);
            } else if command.is(at, "get") {
                options.gets = true;
            } else if command.is(at, "keepttl") && options.lifetime.is_none() {
                options.keeps = true;
            } else {
                let unit = Unit::named(command, at)?;
                let is_other = options.lifetime.is_some_and(|(other, _)| other != unit);
                if options.keeps || is_other || at + 1 == command.len() {
                    return None;
                }
                at += 1;
                options.lifetime = Some((unit, at));
            }
            at += 1;
        }
        Some(options)
    }
}

fn parsed(command: &Command<'_>) -> Result<(Update, Write), String> {
    let Options { only, gets, keeps, lifetime } = Options::parsed(command).ok_or(errors::SYNTAX)?;
    let expiry = match lifetime {
        Some((unit, at)) => unit.lifetime(command, at, SPEC.name)?,
        None if keeps => Expiry::Keep,
        None => Expiry::Never,
    };
    let to = command.integer(2).ok_or(errors::NOT_AN_INTEGER)?;
    Ok((Update::Set { to, only, expiry }, if gets { get::write_before } else { write }))
}

/// `OK`, or null if its condition did not hold.
pub(in crate::redis) fn write(out: &mut Vec<u8>, protocol: Protocol, outcome: &Outcome) {
    if outcome.applied {
        reply::simple(out, "OK");
    } else {
        reply::null(out, protocol);
    }
}

/// Whether it was done, as 1 or 0.
pub(in crate::redis) fn write_applied(out: &mut Vec<u8>, _: Protocol, outcome: &Outcome) {
    reply::integer(out, i64::from(outcome.applied));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::commands::typed::typed;

    fn update(line: &str) -> Result<Update, String> {
        typed(line, |command| parsed(command)).map(|(update, _)| update)
    }

    #[test]
    fn options_stand_in_any_order() {
        let set = |only, expiry| Ok(Update::Set { to: 5, only, expiry });
        assert_eq!(update("SET a 5"), set(None, Expiry::Never));
        assert_eq!(update("SET a 5 keepttl"), set(None, Expiry::Keep));
        assert_eq!(update("SET a 5 NX EX 7"), set(Some(Only::Missing), Expiry::After(7_000)));
        assert_eq!(update("SET a 5 GET px 7 xx"), set(Some(Only::Existing), Expiry::After(7)));
        assert_eq!(update("SET a 5 EXAT 7"), set(None, Expiry::At(7_000)));
        assert_eq!(update("SET a 5 PXAT 7 PXAT 8"), set(None, Expiry::At(8)));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_in_the_words_of_redis() {
        for line in [
            "SET a 5 NX XX",
            "SET a 5 XX NX",
            "SET a 5 EX",
            "SET a 5 EX 1 PX 1",
            "SET a 5 KEEPTTL EX 1",
            "SET a 5 EX 1 KEEPTTL",
            "SET a 5 PERSIST",
            "SET a 5 FOO",
        ] {
            assert_eq!(update(line), Err(errors::SYNTAX.to_owned()), "{line}");
        }
        for line in
            ["SET a x", "SET a 1.5", "SET a 5 EX x", "SET a 05", "SET a 9223372036854775808"]
        {
            assert_eq!(update(line), Err(errors::NOT_AN_INTEGER.to_owned()), "{line}");
        }
        for line in ["SET a 5 EX 0", "SET a 5 PX -1", "SET a 5 EXAT 9223372036854775807"] {
            let expected = "ERR invalid expire time in 'set' command".to_owned();
            assert_eq!(update(line), Err(expected), "{line}");
        }
    }
}
