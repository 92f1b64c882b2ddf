//! Reading the operations of a batch.
//!
//! The body is read in one pass, straight into operations, and a long name without escapes is a
//! slice of the body: nothing is allocated for an operation. Everything that JSON allows is let in
//! where a field stands, since what is wrong with one operation must not refuse the others.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use quipu_core::name::{CounterName, NAME_BYTES_MAX};
use quipu_core::node::REQUEST_OPS_MAX;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::errors::{Kind, Problem};

/// Most operations in one request. The driver is busy with them for a millisecond or two, and nobody
/// else waits for longer than that.
pub(super) const OPERATIONS_MAX: usize = 10_000;

// A raise is two of the node's operations.
const _: () = assert!(2 * OPERATIONS_MAX <= REQUEST_OPS_MAX);

/// A body, for whoever sent something else.
const EXAMPLE: &str = r#"{"operations": [{"op": "increment", "name": "visits", "by": 5}]}"#;

/// The operations of one request, as the API's description tells of them.
pub(super) struct Batch;

impl ToSchema for Batch {}

impl PartialSchema for Batch {
    fn schema() -> RefOr<Schema> {
        let integer = |says: &str| {
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .description(Some(says))
        };
        let op = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([
            "increment",
            "decrement",
            "raise",
            "get",
        ]));
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(NAME_BYTES_MAX))
            .description(Some("1 to 255 bytes of UTF-8 without control characters, and neither . nor .."));
        let operation = ObjectBuilder::new()
            .property("op", op)
            .property("name", name)
            .property("by", integer("For increment and decrement; 1 if it is not given"))
            .property("to", integer("For raise, which needs it"))
            .required("op")
            .required("name");
        let operations = ArrayBuilder::new().items(operation).max_items(Some(OPERATIONS_MAX));
        let batch = ObjectBuilder::new().property("operations", operations).required("operations");
        batch.into()
    }
}

/// One operation as it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Increment {
        name: CounterName,
        by: i64,
    },
    Decrement {
        name: CounterName,
        by: i64,
    },
    Raise {
        name: CounterName,
        to: i64,
    },
    Get {
        name: CounterName,
    },
    /// None that could be carried out.
    Wrong {
        name: Option<CounterName>,
        problem: Problem,
    },
}

impl Operation {
    /// All operations of a batch.
    pub(super) fn all(body: &Bytes) -> Result<Vec<Operation>, Problem> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let mut count = 0;
        let read = Whole { body, count: &mut count }
            .deserialize(&mut json)
            .and_then(|operations| json.end().map(|()| operations));
        match read {
            Ok(Some(operations)) => Ok(operations),
            Ok(None) => Err(wrong("found no \"operations\"")),
            Err(_) if count > OPERATIONS_MAX => Err(Problem::new(
                Kind::TooManyOperations,
                format!(
                    "expected at most {OPERATIONS_MAX} operations, found more; nothing was changed"
                ),
            )),
            Err(_) if body.trim_ascii().is_empty() => Err(wrong("found no body")),
            Err(error) => Err(wrong(format_args!("found: {error}"))),
        }
    }
}

fn wrong(found: impl fmt::Display) -> Problem {
    Problem::new(Kind::Body, format!("expected a JSON object like {EXAMPLE}, {found}"))
}

/// The object around the operations.
struct Whole<'b> {
    body: &'b Bytes,
    /// How many operations were met.
    count: &'b mut usize,
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Option<Vec<Operation>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Option<Vec<Operation>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut operations = None;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            if &*key.0 == "operations" {
                if operations.is_some() {
                    return Err(serde::de::Error::duplicate_field("operations"));
                }
                let list = List { body: self.body, count: self.count };
                operations = Some(map.next_value_seed(list)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(operations)
    }
}

/// The operations.
struct List<'b> {
    body: &'b Bytes,
    count: &'b mut usize,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Vec<Operation>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Vec<Operation>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of operations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut operations = Vec::new();
        *self.count = 0;
        while let Some(operation) = seq.next_element_seed(One(self.body))? {
            *self.count += 1;
            if *self.count > OPERATIONS_MAX {
                return Err(A::Error::custom("too many operations"));
            }
            operations.push(operation);
        }
        Ok(operations)
    }
}

/// One operation, or whatever stands in its place.
struct One<'b>(&'b Bytes);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Operation;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Operation, D::Error> {
        let One(body) = self;
        Ok(match Fields::deserialize(json)? {
            Fields::Object { op, name, by, to } => read(body, &op, name, &by, &to),
            Fields::Other(found) => refused(None, "an object", &found),
        })
    }
}

/// What an operation's object holds.
enum Fields<'de> {
    Object { op: Field<'de>, name: Field<'de>, by: Field<'de>, to: Field<'de> },
    Other(Field<'de>),
}

/// Whatever stands behind a key.
enum Field<'de> {
    Missing,
    Null,
    Text(Cow<'de, str>),
    Integer(i64),
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
            Field::Other(what) => f.write_str(what),
        }
    }
}

fn read(
    body: &Bytes,
    op: &Field<'_>,
    name: Field<'_>,
    by: &Field<'_>,
    to: &Field<'_>,
) -> Operation {
    let name = match name {
        // The name goes on as a slice of the body.
        Field::Text(Cow::Borrowed(text)) => CounterName::new(body.slice_ref(text.as_bytes())),
        Field::Text(Cow::Owned(text)) => CounterName::new(text),
        other => return refused(None, "a string as name", &other),
    };
    let name = match name {
        Ok(name) => name,
        Err(error) => return Operation::Wrong { name: None, problem: error.into() },
    };
    let Field::Text(word) = op else {
        return refused(Some(name), "a string as op", op);
    };
    let by = match by {
        Field::Missing => Ok(1),
        Field::Integer(by) => Ok(*by),
        other => Err(other),
    };
    let expected = "an integer of 64 bits as by";
    match (&**word, by, to) {
        ("increment", Ok(by), _) => Operation::Increment { name, by },
        ("decrement", Ok(by), _) => Operation::Decrement { name, by },
        ("increment" | "decrement", Err(found), _) => refused(Some(name), expected, found),
        ("raise", _, Field::Integer(to)) => Operation::Raise { name, to: *to },
        ("raise", _, found) => refused(Some(name), "an integer of 64 bits as to", found),
        ("get", ..) => Operation::Get { name },
        _ => refused(Some(name), "increment, decrement, raise or get as op", op),
    }
}

fn refused(name: Option<CounterName>, expected: &str, found: &Field<'_>) -> Operation {
    let problem = Problem::new(Kind::Body, format!("expected {expected}, found {found}"));
    Operation::Wrong { name, problem }
}

struct Key<'de>(Cow<'de, str>);

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

struct AnyField;

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

    fn visit_bool<E>(self, _: bool) -> Result<Field<'de>, E> {
        Ok(Field::Other("a boolean"))
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

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(AnyFields)
    }
}

struct AnyFields;

impl<'de> Visitor<'de> for AnyFields {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let [mut op, mut name, mut by, mut to] = [const { Field::Missing }; 4];
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "op" => op = map.next_value()?,
                "name" => name = map.next_value()?,
                "by" => by = map.next_value()?,
                "to" => to = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Fields::Object { op, name, by, to })
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Fields<'de>, E> {
        AnyField.visit_borrowed_str(text).map(Fields::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Fields<'de>, E> {
        AnyField.visit_str(text).map(Fields::Other)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Fields<'de>, E> {
        AnyField.visit_i64(number).map(Fields::Other)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Fields<'de>, E> {
        AnyField.visit_u64(number).map(Fields::Other)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Fields<'de>, E> {
        AnyField.visit_f64(number).map(Fields::Other)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Fields<'de>, E> {
        AnyField.visit_bool(truth).map(Fields::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Fields<'de>, E> {
        AnyField.visit_unit().map(Fields::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Fields<'de>, A::Error> {
        AnyField.visit_seq(seq).map(Fields::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(body: &str) -> Result<Vec<Operation>, Problem> {
        Operation::all(&Bytes::copy_from_slice(body.as_bytes()))
    }

    fn name(text: &str) -> CounterName {
        CounterName::new(text.to_owned()).unwrap()
    }

    #[test]
    fn operations_are_read_in_order_whatever_else_stands_around_them() {
        let body = r#" {"more":[{}],"operations":[
            {"op":"increment","name":"a"}, {"by":-5,"name":"a","op":"increment","note":{"x":1}},
            {"op":"decrement","name":"b\u00e4","by":1}, {"op":"raise","name":"c","to":7},
            {"op":"get","name":"d","by":"ignored"}]} "#;
        let expected = [
            Operation::Increment { name: name("a"), by: 1 },
            Operation::Increment { name: name("a"), by: -5 },
            Operation::Decrement { name: name("bä"), by: 1 },
            Operation::Raise { name: name("c"), to: 7 },
            Operation::Get { name: name("d") },
        ];
        assert_eq!(all(body).unwrap(), expected);
        assert_eq!(all(r#"{"operations":[]}"#).unwrap(), []);
    }

    #[test]
    fn what_is_wrong_with_one_operation_is_its_own_problem() {
        for (operation, words) in [
            ("5", "expected an object, found 5"),
            ("null", "expected an object, found null"),
            ("[1,[2]]", "expected an object, found an array"),
            ("{}", "expected a string as name, found nothing"),
            (r#"{"op":"get","name":7}"#, "expected a string as name, found 7"),
            (r#"{"op":"get","name":""}"#, "1 to 255 bytes, found none"),
            (r#"{"op":"get","name":"a\n"}"#, "without control characters"),
            (r#"{"name":"a"}"#, "expected a string as op, found nothing"),
            (r#"{"op":"set","name":"a"}"#, "or get as op, found \"set\""),
            (r#"{"op":"increment","name":"a","by":"5"}"#, "as by, found \"5\""),
            (r#"{"op":"increment","name":"a","by":1.5}"#, "as by, found a number that is no"),
            (r#"{"op":"increment","name":"a","by":9223372036854775808}"#, "more than 63 bits"),
            (r#"{"op":"raise","name":"a"}"#, "as to, found nothing"),
            (r#"{"op":"raise","name":"a","to":{"x":[]}}"#, "as to, found an object"),
        ] {
            let read = all(&format!(r#"{{"operations":[{operation},{{"op":"get","name":"z"}}]}}"#));
            let [Operation::Wrong { problem, .. }, Operation::Get { .. }] = &read.unwrap()[..]
            else {
                panic!("{operation} was taken");
            };
            assert!(problem.reason.contains(words), "{operation}: {}", problem.reason);
        }
    }

    #[test]
    fn what_is_wrong_with_the_whole_refuses_the_whole() {
        for (body, words) in [
            ("", "found no body"),
            ("{}", "found no \"operations\""),
            ("[]", "expected an object"),
            (r#"{"operations":{}}"#, "expected an array of operations"),
            (r#"{"operations":[{"op":"get","name":"a"}"#, "EOF while parsing"),
            (r#"{"operations":[{"op":"get","name":"a"},]}"#, "trailing comma"),
            (r#"{"operations":[]} x"#, "trailing characters"),
        ] {
            let problem = all(body).unwrap_err();
            assert_eq!(problem.kind, Kind::Body);
            assert!(problem.reason.contains(words), "{body:?}: {}", problem.reason);
        }
    }

    #[test]
    fn as_many_operations_as_are_promised_are_taken_and_not_one_more() {
        let body = |count: usize| {
            let all = vec![r#"{"op":"get","name":"a"}"#; count].join(",");
            format!(r#"{{"operations":[{all}]}}"#)
        };
        assert_eq!(all(&body(OPERATIONS_MAX)).unwrap().len(), OPERATIONS_MAX);
        let problem = all(&body(OPERATIONS_MAX + 1)).unwrap_err();
        assert_eq!(problem.kind, Kind::TooManyOperations);
    }

    #[test]
    fn a_long_name_without_escapes_is_a_slice_of_the_body() {
        let name = "visits".repeat(6);
        let body = Bytes::from(format!(r#"{{"operations":[{{"op":"get","name":"{name}"}}]}}"#));
        let read = Operation::all(&body).unwrap();
        let [Operation::Get { name }] = &read[..] else { panic!("{read:?}") };
        let inside = body.as_ptr_range();
        assert!(inside.contains(&name.as_str().as_ptr()));
    }
}
