//! A member of a JSON object before it is judged.
//!
//! What stands where an integer is expected may be anything: it is taken in, so that the refusal can
//! name it, and so that what follows it can still be read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whatever stands behind a key.
#[derive(Debug)]
pub(super) enum Field<'de> {
    Missing,
    Null,
    Text(Cow<'de, str>),
    Integer(i64),
    Truth(bool),
    /// Something of another kind, in a word.
    Other(&'static str),
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Missing => f.write_str("nothing"),
            Field::Null => f.write_str("null"),
            Field::Text(text) if text.chars().count() > 32 => {
                write!(f, "{:?}…", text.chars().take(32).collect::<String>())
            }
            Field::Text(text) => write!(f, "{text:?}"),
            Field::Integer(number) => write!(f, "{number}"),
            Field::Truth(truth) => write!(f, "{truth}"),
            Field::Other(what) => f.write_str(what),
        }
    }
}

/// The name of a member; one without escapes is a part of the body.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        match Field::deserialize(json)? {
            Field::Text(text) => Ok(Key(text)),
            _ => Err(D::Error::custom("expected a key")),
        }
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(AnyField)
    }
}

/// Reads whatever stands there, and keeps of arrays and objects only that they were there.
pub(super) struct AnyField;

impl<'de> Visitor<'de> for AnyField {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field<'de>, E> {
        Ok(Field::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
        Ok(i64::try_from(number)
            .map_or(Field::Other("an integer of more than 63 bits"), Field::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field<'de>, E> {
        Ok(Field::Other("a number that is no integer of 64 bits"))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Field<'de>, E> {
        Ok(Field::Truth(truth))
    }

    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other("an object"))
    }
}
