//! Reading the operations of a batch.
//!
//! The body is read in one pass, straight into operations, and a long name without escapes is a
//! slice of the body: nothing is allocated for an operation. Everything that JSON allows is let in
//! where a field stands, since what is wrong with one operation must not refuse the others. A member
//! that is not understood is a wrong of its operation ([`unknown`](super::unknown)).

use std::fmt;

use bytes::Bytes;
use quipu_core::node::REQUEST_OPS_MAX;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::batch_operation::{Members, Operation, refused, schema};
use super::errors::{Kind, Problem};
use super::field::{AnyField, Field, Key};
use super::routes::Route;
use super::unknown::{Stranger, shortened};

/// Most operations in one request. The driver is busy with them for a millisecond or two, and no
/// other client waits for longer than that.
pub(super) const OPERATIONS_MAX: usize = 10_000;

// A raise is two of the node's operations.
const _: () = assert!(2 * OPERATIONS_MAX <= REQUEST_OPS_MAX);

/// The members of a body.
const MEMBERS: [&str; 1] = ["operations"];

/// The operations of one request, as the API's description tells of them.
pub(super) struct Batch;

impl ToSchema for Batch {}

impl PartialSchema for Batch {
    fn schema() -> RefOr<Schema> {
        let operations = ArrayBuilder::new().items(schema()).max_items(Some(OPERATIONS_MAX));
        let batch = ObjectBuilder::new()
            .property("operations", operations)
            .required("operations")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        batch.into()
    }
}

impl Batch {
    /// All operations of a batch.
    pub(super) fn read(body: &Bytes) -> Result<Vec<Operation>, Problem> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let (mut count, mut stranger) = (0, None);
        let read = Whole { body, count: &mut count, stranger: &mut stranger }
            .deserialize(&mut json)
            .and_then(|operations| json.end().map(|()| operations));
        if let (Ok(_), Some(stranger)) = (&read, stranger) {
            return Err(wrong(stranger.found(&MEMBERS)));
        }
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
    let example = Route::Batch.example().unwrap_or_default();
    Problem::new(Kind::Body, format!("expected a JSON object like {example}, {found}"))
}

/// The object around the operations.
struct Whole<'b> {
    body: &'b Bytes,
    /// How many operations were met.
    count: &'b mut usize,
    /// What stands beside them.
    stranger: &'b mut Option<Stranger>,
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
                self.stranger.get_or_insert_with(|| Stranger::Unknown(shortened(&key.0)));
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
            Fields::Object(members) => members.read(body),
            Fields::Other(found) => refused("an object", &found),
        })
    }
}

/// What stands in an operation's place.
// Read on the stack and gone with the next operation; a box would be an allocation for each.
#[expect(clippy::large_enum_variant)]
enum Fields<'de> {
    Object(Members<'de>),
    Other(Field<'de>),
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
        let mut members = Members::default();
        while let Some(Key(key)) = map.next_key()? {
            let Some((field, known)) = members.place_of(&key) else {
                map.next_value::<IgnoredAny>()?;
                members.stranger.get_or_insert_with(|| Stranger::Unknown(shortened(&key)));
                continue;
            };
            let was_there = !matches!(field, Field::Missing);
            *field = map.next_value()?;
            if was_there {
                members.stranger.get_or_insert(Stranger::Again(known));
            }
        }
        Ok(Fields::Object(members))
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
    use quipu_core::name::CounterName;

    use super::*;

    fn all(body: &str) -> Result<Vec<Operation>, Problem> {
        Batch::read(&Bytes::copy_from_slice(body.as_bytes()))
    }

    fn name(text: &str) -> CounterName {
        CounterName::new(text.to_owned()).unwrap()
    }

    #[test]
    fn operations_are_read_in_order_whatever_the_order_of_their_members() {
        let body = r#" {"operations":[
            {"op":"increment","name":"a"}, {"by":-5,"name":"a","op":"increment"},
            {"op":"decrement","name":"b\u00e4","by":1}, {"op":"raise","name":"c","to":7},
            {"\u006fp":"get","name":"d"}]} "#;
        let expected = [
            Operation::Add { name: name("a"), by: 1 },
            Operation::Add { name: name("a"), by: -5 },
            Operation::Add { name: name("bä"), by: -1 },
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
            (r#"{"op":"get","name":""}"#, "1 to 1024 bytes, found none"),
            (r#"{"op":"get","name":"a\n"}"#, "without control characters"),
            (r#"{"name":"a"}"#, "expected a string as op, found nothing"),
            (r#"{"op":"put","name":"a"}"#, "or get as op, found \"put\""),
            (r#"{"op":"increment","name":"a","by":"5"}"#, "as by, found \"5\""),
            (r#"{"op":"increment","name":"a","by":1.5}"#, "as by, found a number that is no"),
            (r#"{"op":"increment","name":"a","by":9223372036854775808}"#, "more than 63 bits"),
            (r#"{"op":"increment","name":"a","by":null}"#, "as by, found null"),
            (r#"{"op":"increment","name":"a","to":5}"#, "nothing as to of increment, found 5"),
            (
                r#"{"op":"decrement","name":"a","to":null}"#,
                "nothing as to of decrement, found null",
            ),
            (r#"{"op":"raise","name":"a","to":5,"by":5}"#, "nothing as by of raise, found 5"),
            (r#"{"op":"get","name":"a","by":"x"}"#, "nothing as by of get, found \"x\""),
            (r#"{"op":"get","name":"a","to":1}"#, "nothing as to of get, found 1"),
            (
                r#"{"op":"increment","name":"a","amount":5}"#,
                "max or saturate as members, found the unknown member \"amount\"",
            ),
            (r#"{"op":"increment","name":"a","BY":5}"#, "member \"BY\"; did you mean \"by\"?"),
            (r#"{"op":"get","nam":"a","x":1}"#, "member \"nam\"; did you mean \"name\"?"),
            (r#"{"op":"increment","name":"a","by":1,"by":2}"#, "found by twice"),
            (r#"{"op":"get","op":"get","name":"a"}"#, "found op twice"),
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
            (r#"{"operations":[],"Operations":[]}"#, "did you mean \"operations\"?"),
            (r#"{"operation":[]}"#, "member \"operation\"; did you mean \"operations\"?"),
            (r#"{"more":[{}],"operations":[]}"#, "found the unknown member \"more\""),
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
        let read = Batch::read(&body).unwrap();
        let [Operation::Get { name }] = &read[..] else { panic!("{read:?}") };
        let inside = body.as_ptr_range();
        assert!(inside.contains(&name.as_str().as_ptr()));
    }
}
