//! Members of a body that may be left out, which is not the same as `null`; and the times that some of
//! them tell.

use serde::de::{Deserialize, Deserializer, Error};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

use super::field::Field;
use crate::lifetime;
use crate::lifetime::moment;

/// What [`Ttl`] looks like, for the API's description.
const TTL_PATTERN: &str = "^[0-9]{1,12}(ms|s|m|h|d)$";

/// A member that may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Given<T> {
    #[default]
    Missing,
    Null,
    Value(T),
}

/// How long from now, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ttl(pub(super) u64);

/// When, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(pub(super) u64);

/// Something that a single member tells.
pub(super) trait Told: Sized {
    fn read(field: &Field<'_>) -> Result<Self, String>;
}

impl Told for Ttl {
    fn read(field: &Field<'_>) -> Result<Self, String> {
        match field {
            Field::Text(text) => lifetime::read(text).map(Ttl),
            other => Err(format!("expected a time like \"60s\" or \"7d\", found {other}")),
        }
    }
}

impl Told for At {
    fn read(field: &Field<'_>) -> Result<Self, String> {
        match field {
            Field::Text(text) => moment::read(text).map(At),
            Field::Integer(ms @ 0..) => Ok(At(ms.unsigned_abs())),
            other => Err(format!(
                "expected a time like \"2026-12-01T00:00:00Z\", or milliseconds since 1970, found \
                 {other}"
            )),
        }
    }
}

impl<T: Told> Given<T> {
    /// Reads a member of an operation in a batch.
    pub(super) fn read(field: &Field<'_>) -> Result<Self, String> {
        match field {
            Field::Missing => Ok(Given::Missing),
            Field::Null => Ok(Given::Null),
            field => T::read(field).map(Given::Value),
        }
    }
}

impl<'de, T: Told> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Given::read(&Field::deserialize(json)?).map_err(D::Error::custom)
    }
}

/// A [`Ttl`], as the API's description has it.
pub(super) fn ttl_schema() -> ObjectBuilder {
    let says =
        "So long from now, the same if it has no lifetime yet: like 500ms, 60s, 5m, 2h or 7d";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(TTL_PATTERN))
        .description(Some(says))
}

/// The same, where null stands for never.
pub(super) fn ttl_or_null_schema() -> ObjectBuilder {
    let says = "The counter expires so long from now, like 500ms, 60s, 5m, 2h or 7d; null: never";
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .pattern(Some(TTL_PATTERN))
        .description(Some(says))
}

/// An [`At`], where null stands for never.
pub(super) fn at_or_null_schema() -> ObjectBuilder {
    let says = "The counter expires then: RFC 3339, like 2026-12-01T00:00:00Z, or milliseconds since \
                1970; null: never";
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Integer, Type::Null]))
        .minimum(Some(0))
        .maximum(Some(i64::MAX))
        .description(Some(says))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Told>(json: &str) -> Result<Given<T>, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_time_is_read_and_null_is_not_the_same_as_nothing() {
        assert_eq!(read(r#""60s""#), Ok(Given::Value(Ttl(60_000))));
        assert_eq!(read::<Ttl>("null"), Ok(Given::Null));
        assert_eq!(read(r#""1970-01-01T00:01:00Z""#), Ok(Given::Value(At(60_000))));
        assert_eq!(read("60000"), Ok(Given::Value(At(60_000))));
        assert_eq!(Given::<At>::read(&Field::Missing), Ok(Given::Missing));
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_one_looks_like() {
        for json in ["60", "true", "[]", "1.5", "{}", r#""60""#, r#""soon""#] {
            let error = read::<Ttl>(json).unwrap_err();
            assert!(error.contains("expected a time") && error.contains("60s"), "{json}: {error}");
        }
        for json in ["-1", "true", "1.5", "18446744073709551615", r#""60s""#, r#""60000""#] {
            let error = read::<At>(json).unwrap_err();
            assert!(error.contains("2026-12-01T00:00:00Z"), "{json}: {error}");
        }
    }
}
