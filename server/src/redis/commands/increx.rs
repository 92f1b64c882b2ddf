//! `INCREX name [BYINT n] [LBOUND n] [UBOUND n] [SATURATE] [EX s|PX ms|EXAT s|PXAT ms|PERSIST] [ENX]`
//!
//! As Redis has it since 8.8: the answer is the value after it, and how much was added. What would lead
//! out of the bounds, or out of 64 bits, adds nothing, makes no counter and leaves its lifetime as it is:
//! `[value, 0]`. With `SATURATE` it goes as far as the bounds. `ENX` gives a lifetime only to what has
//! none; the increment is made all the same. No word may come twice. (redis.io/commands/increx, and
//! tests/unit/type/increx.tcl of Redis for the words of its errors.)
//!
//! What differs: `BYFLOAT` is refused. A value that is out of bounds already, as merging can make it, is
//! led back towards them, not by more than was asked. After a time that is over, the answer is what is
//! left: 0, and the value taken away.

use quipu_core::operation::Outcome;
use quipu_core::update::{Expiry, Update};

use crate::redis::command::Command;
use crate::redis::errors;
use crate::redis::lifetime::Unit;
use crate::redis::reply::{self, Protocol};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec = Spec::new(
    "increx",
    Class::Write,
    -2,
    run,
    "Adds to a counter within bounds, and limits its life",
)
.keys(1, 1);

fn run(call: &mut Call<'_>) -> Next {
    match parsed(&call.command) {
        Ok(update) => call.update(update, write),
        Err(text) => call.fail(text),
    }
}

/// Where the arguments of its words stand.
#[derive(Debug, Default)]
struct Words {
    by: Option<usize>,
    least: Option<usize>,
    most: Option<usize>,
    saturates: bool,
    lifetime: Option<(Unit, usize)>,
    persists: bool,
    if_none: bool,
}

impl Words {
    fn parsed(command: &Command<'_>) -> Result<Words, String> {
        let mut words = Words::default();
        let mut at = 2;
        while at < command.len() {
            at = words.take(command, at).ok_or(errors::SYNTAX)?;
            if at > command.len() {
                return Err(errors::SYNTAX.to_owned());
            }
        }
        let ends_twice = words.persists && (words.lifetime.is_some() || words.if_none);
        if ends_twice {
            return Err(errors::SYNTAX.to_owned());
        }
        if words.if_none && words.lifetime.is_none() {
            return Err("ERR ENX flag requires an expiration".to_owned());
        }
        Ok(words)
    }

    /// Takes a word and its argument, and tells where the next one stands; `None` if it is none, or
    /// was there before.
    fn take(&mut self, command: &Command<'_>, at: usize) -> Option<usize> {
        let number = |held: &mut Option<usize>| held.replace(at + 1).is_none().then_some(at + 2);
        let flag = |held: &mut bool| (!std::mem::replace(held, true)).then_some(at + 1);
        if command.is(at, "byint") {
            return number(&mut self.by);
        } else if command.is(at, "lbound") {
            return number(&mut self.least);
        } else if command.is(at, "ubound") {
            return number(&mut self.most);
        } else if command.is(at, "saturate") {
            return flag(&mut self.saturates);
        } else if command.is(at, "persist") {
            return flag(&mut self.persists);
        } else if command.is(at, "enx") {
            return flag(&mut self.if_none);
        }
        let unit = Unit::named(command, at)?;
        self.lifetime.replace((unit, at + 1)).is_none().then_some(at + 2)
    }
}

fn parsed(command: &Command<'_>) -> Result<Update, String> {
    if (2..command.len()).any(|at| command.is(at, "byfloat")) {
        return Err(
            "ERR INCREX BYFLOAT is refused: counters are integers; use BYINT in a smaller \
                    unit, as cents"
                .to_owned(),
        );
    }
    let words = Words::parsed(command)?;
    let number = |at: Option<usize>, what: &str, otherwise| match at {
        Some(at) => {
            let text = || format!("ERR {what} is not an integer or out of range");
            command.integer(at).ok_or_else(text)
        }
        None => Ok(otherwise),
    };
    let by = number(words.by, "Increment", 1)?;
    let least = number(words.least, "LBOUND", i64::MIN)?;
    let most = number(words.most, "UBOUND", i64::MAX)?;
    if least > most {
        return Err("ERR LBOUND can't be greater than UBOUND".to_owned());
    }
    let lifetime = words.lifetime.map(|(unit, at)| unit.lifetime(command, at, SPEC.name));
    let expiry = match lifetime.transpose()? {
        Some(Expiry::After(ms)) if words.if_none => Expiry::AfterIfNone(ms),
        Some(Expiry::At(at)) if words.if_none => Expiry::AtIfNone(at),
        Some(lifetime) => lifetime,
        None if words.persists => Expiry::Never,
        None => Expiry::Keep,
    };
    Ok(Update::Add { by, within: (least, most), saturate: words.saturates, expiry })
}

fn write(out: &mut Vec<u8>, _: Protocol, outcome: &Outcome) {
    let change = i64::try_from(outcome.change);
    reply::array(out, 2);
    reply::integer(out, outcome.value.clamped());
    reply::integer(out, change.unwrap_or(if outcome.change < 0 { i64::MIN } else { i64::MAX }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::commands::typed::typed;

    fn read(words: &str) -> Result<Update, String> {
        typed(&format!("INCREX a {words}"), parsed)
    }

    fn add(by: i64, within: (i64, i64), saturate: bool, expiry: Expiry) -> Result<Update, String> {
        Ok(Update::Add { by, within, saturate, expiry })
    }

    #[test]
    fn words_stand_in_any_order() {
        let all = (i64::MIN, i64::MAX);
        assert_eq!(read(""), add(1, all, false, Expiry::Keep));
        assert_eq!(read("BYINT -5"), add(-5, all, false, Expiry::Keep));
        let bounded = add(100, (0, 10), true, Expiry::Keep);
        assert_eq!(read("LBOUND 0 BYINT 100 SATURATE UBOUND 10"), bounded);
        assert_eq!(read("ex 5"), add(1, all, false, Expiry::After(5_000)));
        assert_eq!(read("ENX PX 5"), add(1, all, false, Expiry::AfterIfNone(5)));
        assert_eq!(read("EXAT 5 ENX"), add(1, all, false, Expiry::AtIfNone(5_000)));
        assert_eq!(read("PERSIST"), add(1, all, false, Expiry::Never));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_in_the_words_of_redis() {
        for words in [
            "FOO",
            "BYINT",
            "BYINT 1 BYINT 2",
            "EX 10 PX 5",
            "EX 10 EX 10",
            "EX 10 PERSIST",
            "PERSIST ENX",
            "SATURATE SATURATE",
            "LBOUND 0 LBOUND 1",
        ] {
            assert_eq!(read(words), Err(errors::SYNTAX.to_owned()), "{words}");
        }
        for (words, text) in [
            ("ENX", "ERR ENX flag requires an expiration"),
            ("BYINT x", "ERR Increment is not an integer or out of range"),
            ("UBOUND 1.5", "ERR UBOUND is not an integer or out of range"),
            ("LBOUND 10 UBOUND 5", "ERR LBOUND can't be greater than UBOUND"),
            ("EX 0", "ERR invalid expire time in 'increx' command"),
        ] {
            assert_eq!(read(words), Err(text.to_owned()), "{words}");
        }
        assert!(read("BYFLOAT 1.5").is_err_and(|text| text.contains("counters are integers")));
    }

    #[test]
    fn the_answer_is_the_value_and_what_was_added() {
        let mut out = Vec::new();
        let value = quipu_core::operation::Value(15);
        write(&mut out, Protocol::Two, &Outcome { value, change: 5, ..Outcome::MISSING });
        assert_eq!(out, b"*2\r\n:15\r\n:5\r\n");
    }
}
