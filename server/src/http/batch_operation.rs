//! One operation of a batch: which members it has, and what they ask for.
//!
//! They mean what they mean in the calls that do the same to one counter.

use std::borrow::Cow;

use bytes::Bytes;
use quipu_core::name::{CounterName, NAME_BYTES_MAX, NameError};
use quipu_core::update::Update;
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, ObjectBuilder, SchemaFormat, Type,
};

use super::addition::{Addition, expiry, negated};
use super::endings::{expire_at, reset_to, set_to};
use super::errors::{Kind, Problem};
use super::field::Field;
use super::given::{Given, at_or_null_schema, ttl_or_null_schema, ttl_schema};
use super::unknown::{Stranger, listed};

/// The members of an operation.
pub(super) const MEMBERS: [&str; 11] =
    ["op", "name", "by", "to", "value", "ttl", "ttl_if_none", "at", "min", "max", "saturate"];

// Where they stand among them.
const OP: usize = 0;
const NAME: usize = 1;
const BY: usize = 2;
const TO: usize = 3;
const VALUE: usize = 4;
const TTL: usize = 5;
const TTL_IF_NONE: usize = 6;
const AT: usize = 7;
const MIN: usize = 8;
const MAX: usize = 9;
const SATURATE: usize = 10;

/// What can be asked for, and which members may stand beside `op` and `name`.
const OPS: [(&str, &[usize]); 8] = [
    ("increment", &[BY, TTL, TTL_IF_NONE, MIN, MAX, SATURATE]),
    ("decrement", &[BY, TTL, TTL_IF_NONE, MIN, MAX, SATURATE]),
    ("raise", &[TO]),
    ("set", &[VALUE, TTL]),
    ("reset", &[TO]),
    ("delete", &[]),
    ("expire", &[TTL, AT]),
    ("get", &[]),
];

/// One operation as it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add {
        name: CounterName,
        by: i64,
    },
    /// The same with bounds, or with a lifetime; in a block of its own, since it is seldom.
    Bounded {
        name: CounterName,
        addition: Box<Addition>,
    },
    Raise {
        name: CounterName,
        to: i64,
    },
    Get {
        name: CounterName,
    },
    /// Sets the counter, ends it or says when it ends.
    End {
        name: CounterName,
        update: Box<Update>,
    },
    /// None that could be carried out.
    Wrong {
        name: Option<CounterName>,
        problem: Problem,
    },
}

/// What an operation's object holds.
pub(super) struct Members<'de> {
    fields: [Field<'de>; MEMBERS.len()],
    /// The first member that should not be there.
    pub(super) stranger: Option<Stranger>,
}

impl Default for Members<'_> {
    fn default() -> Self {
        Members { fields: [const { Field::Missing }; MEMBERS.len()], stranger: None }
    }
}

impl<'de> Members<'de> {
    /// The place of a member, with its name.
    pub(super) fn place_of(&mut self, key: &str) -> Option<(&mut Field<'de>, &'static str)> {
        let at = MEMBERS.iter().position(|member| *member == key)?;
        Some((&mut self.fields[at], MEMBERS[at]))
    }

    /// What they ask for. The name goes on as a slice of the body.
    pub(super) fn read(mut self, body: &Bytes) -> Operation {
        let name = match std::mem::replace(&mut self.fields[NAME], Field::Missing) {
            Field::Text(Cow::Borrowed(text)) => CounterName::new(body.slice_ref(text.as_bytes())),
            Field::Text(Cow::Owned(text)) => CounterName::new(text),
            other if self.stranger.is_none() => return refused("a string as name", &other),
            // What else is wrong with it is told.
            _ => Err(NameError::Empty),
        };
        if let Some(stranger) = &self.stranger {
            let (known, found) = (listed(&MEMBERS), stranger.found(&MEMBERS));
            let problem = Problem::new(Kind::Body, format!("expected {known} as members, {found}"));
            return Operation::Wrong { name: name.ok(), problem };
        }
        let name = match name {
            Ok(name) => name,
            Err(error) => return Operation::Wrong { name: None, problem: error.into() },
        };
        match self.asked(&name) {
            Ok(operation) => operation,
            Err(problem) => Operation::Wrong { name: Some(name), problem },
        }
    }

    fn asked(&self, name: &CounterName) -> Result<Operation, Problem> {
        let Field::Text(word) = &self.fields[OP] else {
            return Err(expected("a string as op", &self.fields[OP]));
        };
        let Some((_, may_have)) = OPS.iter().find(|(op, _)| op == word) else {
            let ops = OPS.map(|(op, _)| op);
            return Err(expected(&format!("{} as op", listed(&ops)), &self.fields[OP]));
        };
        for (at, field) in self.fields.iter().enumerate().skip(BY) {
            if !matches!(field, Field::Missing) && !may_have.contains(&at) {
                return Err(expected(&format!("nothing as {} of {word}", MEMBERS[at]), field));
            }
        }
        let name = name.clone();
        let end = |name, update| Operation::End { name, update: Box::new(update) };
        Ok(match &**word {
            "increment" => self.addition(name, self.integer(BY)?.unwrap_or(1))?,
            "decrement" => self.addition(name, negated(self.integer(BY)?.unwrap_or(1))?)?,
            "raise" => Operation::Raise { name, to: self.needed(TO)? },
            "set" => end(name, set_to(self.needed(VALUE)?, self.given(TTL)?)),
            "reset" => end(name, reset_to(self.integer(TO)?.unwrap_or(0))),
            "delete" => end(name, Update::Delete),
            "expire" => end(name, expire_at(self.given(TTL)?, self.given(AT)?).map_err(wrong)?),
            _ => Operation::Get { name },
        })
    }

    fn addition(&self, name: CounterName, by: i64) -> Result<Operation, Problem> {
        if self.fields[TTL..].iter().all(|field| matches!(field, Field::Missing)) {
            return Ok(Operation::Add { name, by });
        }
        let expiry = expiry(self.given(TTL)?, self.given(TTL_IF_NONE)?).map_err(wrong)?;
        let bound = |at| match &self.fields[at] {
            Field::Null => Ok(None),
            _ => self.integer(at),
        };
        let saturate = match &self.fields[SATURATE] {
            Field::Missing => false,
            Field::Truth(truth) => *truth,
            other => return Err(expected("true or false as saturate", other)),
        };
        let addition = Addition { by, min: bound(MIN)?, max: bound(MAX)?, saturate, expiry };
        Ok(Operation::Bounded { name, addition: Box::new(addition.checked().map_err(wrong)?) })
    }

    fn integer(&self, at: usize) -> Result<Option<i64>, Problem> {
        match &self.fields[at] {
            Field::Missing => Ok(None),
            Field::Integer(number) => Ok(Some(*number)),
            other => Err(expected(&format!("an integer of 64 bits as {}", MEMBERS[at]), other)),
        }
    }

    fn needed(&self, at: usize) -> Result<i64, Problem> {
        self.integer(at)?.ok_or_else(|| {
            expected(&format!("an integer of 64 bits as {}", MEMBERS[at]), &Field::Missing)
        })
    }

    fn given<T: super::given::Told>(&self, at: usize) -> Result<Given<T>, Problem> {
        Given::read(&self.fields[at]).map_err(|reason| wrong(format!("{}: {reason}", MEMBERS[at])))
    }
}

/// Something else than an operation.
pub(super) fn refused(what: &str, found: &Field<'_>) -> Operation {
    Operation::Wrong { name: None, problem: expected(what, found) }
}

fn expected(what: &str, found: &Field<'_>) -> Problem {
    wrong(format!("expected {what}, found {found}"))
}

fn wrong(reason: String) -> Problem {
    Problem::new(Kind::Body, reason)
}

/// An operation, as the API's description has it.
pub(super) fn schema() -> ObjectBuilder {
    let integer = |says: &str| {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .description(Some(says))
    };
    let op =
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(OPS.map(|(op, _)| op)));
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(NAME_BYTES_MAX))
        .description(Some(
            "1 to 1,024 bytes of UTF-8 without control characters, and neither . nor ..",
        ));
    let saturate = ObjectBuilder::new().schema_type(Type::Boolean).description(Some(
        "For increment and decrement: whether to go as far as the bounds let it",
    ));
    ObjectBuilder::new()
        .property("op", op)
        .property("name", name)
        .property("by", integer("For increment and decrement; 1 if it is not given"))
        .property("to", integer("For raise, which needs it, and reset; 0 if it is not given"))
        .property("value", integer("For set, which needs it"))
        .property("ttl", ttl_or_null_schema())
        .property("ttl_if_none", ttl_schema())
        .property("at", at_or_null_schema())
        .property("min", integer("For increment and decrement: the least value to come to"))
        .property("max", integer("For increment and decrement: the largest value to come to"))
        .property("saturate", saturate)
        .required("op")
        .required("name")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

#[cfg(test)]
mod tests {
    use quipu_core::update::Expiry;

    use super::*;

    fn read(json: &str) -> Operation {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(json).unwrap();
        let texts: Vec<(String, String)> =
            object.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        let mut members = Members::default();
        for (key, text) in &texts {
            *members.place_of(key).unwrap().0 = serde_json::from_str(text).unwrap();
        }
        members.fields[NAME] = Field::Text(Cow::Owned("a".to_owned()));
        members.read(&Bytes::new())
    }

    fn name() -> CounterName {
        CounterName::new("a".to_owned()).unwrap()
    }

    #[test]
    fn what_bounds_and_ends_counters_is_read_as_by_its_own_calls() {
        let end = |update| Operation::End { name: name(), update: Box::new(update) };
        let set = |to, expiry| Update::Set { to, only: None, expiry };
        for (json, update) in [
            (r#"{"op":"set","value":7}"#, set(7, Expiry::Never)),
            (r#"{"op":"set","value":-7,"ttl":"60s"}"#, set(-7, Expiry::After(60_000))),
            (r#"{"op":"reset"}"#, set(0, Expiry::Keep)),
            (r#"{"op":"reset","to":5}"#, set(5, Expiry::Keep)),
            (r#"{"op":"delete"}"#, Update::Delete),
            (r#"{"op":"expire","ttl":null}"#, Update::Expire { expiry: Expiry::Never, only: None }),
            (r#"{"op":"expire","at":9}"#, Update::Expire { expiry: Expiry::At(9), only: None }),
        ] {
            assert_eq!(read(json), end(update), "{json}");
        }
        let json =
            r#"{"op":"decrement","by":3,"min":0,"max":null,"saturate":true,"ttl_if_none":"1s"}"#;
        let addition = Addition {
            by: -3,
            min: Some(0),
            max: None,
            saturate: true,
            expiry: Expiry::AfterIfNone(1000),
        };
        assert_eq!(read(json), Operation::Bounded { name: name(), addition: Box::new(addition) });
        assert_eq!(read(r#"{"op":"decrement"}"#), Operation::Add { name: name(), by: -1 });
    }

    #[test]
    fn what_an_operation_does_not_take_is_refused_by_the_name_of_the_member() {
        for (json, words) in [
            (r#"{"op":"set"}"#, "an integer of 64 bits as value, found nothing"),
            (r#"{"op":"set","value":1,"ttl_if_none":"1s"}"#, "nothing as ttl_if_none of set"),
            (r#"{"op":"delete","to":0}"#, "nothing as to of delete, found 0"),
            (r#"{"op":"expire"}"#, "expected ttl or at, found neither"),
            (r#"{"op":"expire","ttl":"soon"}"#, "ttl: expected a time from 1ms"),
            (
                r#"{"op":"increment","ttl":5}"#,
                "ttl: expected a time like \"60s\" or \"7d\", found 5",
            ),
            (r#"{"op":"increment","saturate":"x"}"#, "expected true or false as saturate"),
            (r#"{"op":"increment","min":true}"#, "64 bits as min, found true"),
            (r#"{"op":"get","max":1}"#, "nothing as max of get, found 1"),
            (
                r#"{"op":"put"}"#,
                "expected increment, decrement, raise, set, reset, delete, expire or get as op, found \
                 \"put\"",
            ),
        ] {
            let Operation::Wrong { problem, .. } = read(json) else { panic!("{json} was taken") };
            assert!(problem.reason.contains(words), "{json}: {}", problem.reason);
        }
    }
}
