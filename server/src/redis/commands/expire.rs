//! `EXPIRE name seconds [NX|XX|GT|LT]`, and its like. A time that is over deletes the counter. The
//! conditions are judged by what this node sees.

use quipu_core::update::{OnlyExpire, Update};

use super::set;
use crate::redis::command::Command;
use crate::redis::lifetime::Unit;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    spec("expire", |call| run(call, Unit::Ex), "Has a counter expire in seconds");
pub(in crate::redis) const PEXPIRE: Spec =
    spec("pexpire", |call| run(call, Unit::Px), "Has a counter expire in milliseconds");
pub(in crate::redis) const EXPIREAT: Spec = spec(
    "expireat",
    |call| run(call, Unit::ExAt),
    "Has a counter expire at a time in seconds since 1970",
);
pub(in crate::redis) const PEXPIREAT: Spec = spec(
    "pexpireat",
    |call| run(call, Unit::PxAt),
    "Has a counter expire at a time in milliseconds since 1970",
);

const fn spec(name: &'static str, run: fn(&mut Call<'_>) -> Next, summary: &'static str) -> Spec {
    Spec::new(name, Class::Write, -3, run, summary).keys(1, 1).ends()
}

fn run(call: &mut Call<'_>, unit: Unit) -> Next {
    match parsed(&call.command, unit, call.spec.name) {
        Ok(update) => call.update(update, set::write_applied),
        Err(text) => call.fail(text),
    }
}

fn parsed(command: &Command<'_>, unit: Unit, name: &str) -> Result<Update, Vec<u8>> {
    let only = only(command)?;
    let expiry = unit.any_lifetime(command, 2, name)?;
    Ok(Update::Expire { expiry, only })
}

fn only(command: &Command<'_>) -> Result<Option<OnlyExpire>, Vec<u8>> {
    let [mut nx, mut xx, mut gt, mut lt] = [false; 4];
    for at in 3..command.len() {
        let words = [("nx", &mut nx), ("xx", &mut xx), ("gt", &mut gt), ("lt", &mut lt)];
        match words.into_iter().find(|(word, _)| command.is(at, word)) {
            Some((_, is_said)) => *is_said = true,
            None => return Err([b"ERR Unsupported option ", command.argument(at)].concat()),
        }
    }
    match (nx, xx, gt, lt) {
        (true, true, ..) | (true, _, true, _) | (true, .., true) => {
            Err("ERR NX and XX, GT or LT options at the same time are not compatible".into())
        }
        (_, _, true, true) => {
            Err("ERR GT and LT options at the same time are not compatible".into())
        }
        (true, ..) => Ok(Some(OnlyExpire::WithoutLifetime)),
        // One that never expires lives for longer than any other, so GT asks for XX as well.
        (.., true, false) => Ok(Some(OnlyExpire::Later)),
        (_, true, _, true) => Ok(Some(OnlyExpire::Shortened)),
        (.., true) => Ok(Some(OnlyExpire::Sooner)),
        (_, true, ..) => Ok(Some(OnlyExpire::WithLifetime)),
        (false, false, false, false) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use quipu_core::update::Expiry;

    use super::*;
    use crate::redis::commands::typed::typed;

    fn read(line: &str, unit: Unit) -> Result<Update, String> {
        let parsed = typed(line, |command| parsed(command, unit, "expire"));
        parsed.map_err(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn conditions_are_read_in_any_order_and_some_not_together() {
        let only = |words: &str| read(&format!("EXPIRE a 5 {words}"), Unit::Ex);
        let expire = |only| Ok(Update::Expire { expiry: Expiry::After(5_000), only });
        for (words, condition) in [
            ("", None),
            ("nx NX", Some(OnlyExpire::WithoutLifetime)),
            ("XX", Some(OnlyExpire::WithLifetime)),
            ("GT", Some(OnlyExpire::Later)),
            ("XX gt", Some(OnlyExpire::Later)),
            ("LT", Some(OnlyExpire::Sooner)),
            ("LT XX", Some(OnlyExpire::Shortened)),
        ] {
            assert_eq!(only(words), expire(condition), "{words}");
        }
        for words in ["NX XX", "GT NX", "NX LT", "NX XX GT LT"] {
            assert!(only(words).is_err_and(|text| text.starts_with("ERR NX and XX, GT or LT")));
        }
        assert!(only("GT XX LT").is_err_and(|text| text.starts_with("ERR GT and LT options")));
        assert_eq!(only("NX FOO"), Err("ERR Unsupported option FOO".to_owned()));
    }

    #[test]
    fn a_time_may_be_over_and_must_fit() {
        let at = |line: &str, unit| match read(line, unit) {
            Ok(Update::Expire { expiry, .. }) => Ok(expiry),
            Ok(other) => panic!("{other:?}"),
            Err(text) => Err(text),
        };
        assert_eq!(at("EXPIRE a -5", Unit::Ex), Ok(Expiry::At(0)));
        assert_eq!(at("EXPIRE a 0", Unit::Px), Ok(Expiry::After(0)));
        assert_eq!(at("EXPIRE a 7", Unit::ExAt), Ok(Expiry::At(7_000)));
        assert_eq!(at("EXPIRE a 7", Unit::PxAt), Ok(Expiry::At(7)));
        let too_large = Err("ERR invalid expire time in 'expire' command".to_owned());
        for (number, unit) in [
            (i64::MAX, Unit::Ex),
            (i64::MAX / 1000, Unit::Ex),
            (i64::MAX, Unit::Px),
            (i64::MIN, Unit::ExAt),
            (i64::MAX / 1000 + 1, Unit::ExAt),
        ] {
            assert_eq!(at(&format!("EXPIRE a {number}"), unit), too_large, "{number} {unit:?}");
        }
        assert!(at("EXPIRE a x", Unit::Ex).is_err_and(|text| text.contains("not an integer")));
    }
}
