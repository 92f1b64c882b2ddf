//! What an increment or a decrement asks for: how much, how far that may take the counter, and what
//! becomes of its lifetime.

use quipu_core::name::CounterName;
use quipu_core::operation::{Op, Outcome, Value};
use quipu_core::update::{Expiry, Update};
use serde::Deserialize;
use utoipa::ToSchema;

use super::errors::{Kind, Problem};
use super::extract::Object;
use super::given::{Given, Ttl, ttl_or_null_schema, ttl_schema};

/// By how much, how far, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    #[serde(default = "one")]
    #[schema(default = 1)]
    by: i64,
    /// Without it the lifetime stays.
    #[serde(default)]
    #[schema(schema_with = ttl_or_null_schema, required = false)]
    ttl: Given<Ttl>,
    /// The same, if it has no lifetime.
    #[serde(default)]
    #[schema(schema_with = ttl_schema, required = false)]
    ttl_if_none: Given<Ttl>,
    /// The least value that this may lead to; else nothing is done, and `applied` is 0.
    min: Option<i64>,
    /// The largest value that this may lead to.
    max: Option<i64>,
    /// Whether to go as far as the bounds let it, instead of not at all.
    #[serde(default)]
    saturate: bool,
}

impl Object for By {
    const MEMBERS: &'static [&'static str] =
        &["by", "ttl", "ttl_if_none", "min", "max", "saturate"];
}

impl Default for By {
    fn default() -> Self {
        By {
            by: one(),
            ttl: Given::Missing,
            ttl_if_none: Given::Missing,
            min: None,
            max: None,
            saturate: false,
        }
    }
}

fn one() -> i64 {
    1
}

/// What is added, and under which conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) by: i64,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    pub(super) saturate: bool,
    pub(super) expiry: Expiry,
}

impl By {
    pub(super) fn added(self) -> Result<Addition, Problem> {
        let By { by, ttl, ttl_if_none, min, max, saturate } = self;
        let wrong = |reason| Problem::new(Kind::Body, reason);
        let expiry = expiry(ttl, ttl_if_none).map_err(wrong)?;
        Addition { by, min, max, saturate, expiry }.checked().map_err(wrong)
    }

    pub(super) fn subtracted(self) -> Result<Addition, Problem> {
        let by = negated(self.by)?;
        By { by, ..self }.added()
    }
}

impl Addition {
    pub(super) fn checked(self) -> Result<Self, String> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => {
                Err(format!("expected a min of at most max, found {min} and {max}"))
            }
            _ => Ok(self),
        }
    }

    /// Whether nothing is asked for but to add: by far the most, and the quickest.
    fn is_plain(&self) -> bool {
        let Addition { by: _, min, max, saturate, expiry } = self;
        min.is_none() && max.is_none() && !saturate && *expiry == Expiry::Keep
    }

    pub(super) fn op(&self, name: CounterName) -> Op {
        let by = self.by;
        if self.is_plain() {
            return Op::Add { name, by };
        }
        let within = (self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX));
        let Addition { saturate, expiry, .. } = *self;
        Op::Update { name, update: Box::new(Update::Add { by, within, saturate, expiry }) }
    }

    /// Whether it was not made for the range of all counters, and for no bound that its client gave.
    pub(super) fn overflowed(&self, outcome: &Outcome) -> bool {
        let bound = if self.by < 0 { self.min } else { self.max };
        !outcome.applied && bound.is_none()
    }
}

/// What an addition makes of the lifetime.
pub(super) fn expiry(ttl: Given<Ttl>, ttl_if_none: Given<Ttl>) -> Result<Expiry, String> {
    match (ttl, ttl_if_none) {
        (Given::Missing, Given::Missing) => Ok(Expiry::Keep),
        (Given::Null, Given::Missing) => Ok(Expiry::Never),
        (Given::Value(Ttl(ms)), Given::Missing) => Ok(Expiry::After(ms)),
        (Given::Missing, Given::Value(Ttl(ms))) => Ok(Expiry::AfterIfNone(ms)),
        (Given::Missing, Given::Null) => {
            Err("expected a time like \"60s\" as ttl_if_none, found null".to_owned())
        }
        _ => Err("expected ttl or ttl_if_none, found both".to_owned()),
    }
}

/// What is to be added so that `by` is subtracted.
pub(super) fn negated(by: i64) -> Result<i64, Problem> {
    by.checked_neg().ok_or_else(|| {
        let reason = format!("expected at least {} to decrement by, found {by}", -i64::MAX);
        Problem::new(Kind::Body, reason)
    })
}

/// What is said of an addition that was refused.
pub(super) fn overflow(by: i64, found: Value) -> Problem {
    let (min, max) = (i64::MIN, i64::MAX);
    let reason = if i64::try_from(found.0 + i128::from(by)).is_err() {
        let found = found.0;
        format!("expected a value from {min} to {max} after adding {by}, found {found} before it")
    } else {
        let max = u64::MAX;
        format!(
            "expected at most {max} added or subtracted on this node in all, found more by {by}"
        )
    };
    Problem::new(Kind::Overflow, format!("{reason}; nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Addition, String> {
        let by: By = serde_json::from_str(json).map_err(|error| error.to_string())?;
        by.added().map_err(|problem| problem.reason)
    }

    fn name() -> CounterName {
        CounterName::new("visits".to_owned()).unwrap()
    }

    #[test]
    fn what_asks_for_nothing_but_to_add_is_a_plain_addition() {
        for json in ["{}", r#"{"by":1}"#, r#"{"min":null,"saturate":false}"#] {
            assert_eq!(read(json).unwrap().op(name()), Op::Add { name: name(), by: 1 }, "{json}");
        }
    }

    #[test]
    fn bounds_and_lifetimes_are_handed_on() {
        for (json, within, saturate, expiry) in [
            (r#"{"ttl":"60s"}"#, (i64::MIN, i64::MAX), false, Expiry::After(60_000)),
            (r#"{"ttl":null}"#, (i64::MIN, i64::MAX), false, Expiry::Never),
            (
                r#"{"ttl_if_none":"1h"}"#,
                (i64::MIN, i64::MAX),
                false,
                Expiry::AfterIfNone(3_600_000),
            ),
            (r#"{"min":0}"#, (0, i64::MAX), false, Expiry::Keep),
            (r#"{"max":9,"saturate":true}"#, (i64::MIN, 9), true, Expiry::Keep),
        ] {
            let update = Box::new(Update::Add { by: 1, within, saturate, expiry });
            let expected = Op::Update { name: name(), update };
            assert_eq!(read(json).unwrap().op(name()), expected, "{json}");
        }
        let by: By = serde_json::from_str(r#"{"by":5,"min":0}"#).unwrap();
        assert_eq!(by.subtracted().unwrap().by, -5);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (json, words) in [
            (r#"{"ttl":"1s","ttl_if_none":"1s"}"#, "expected ttl or ttl_if_none, found both"),
            (r#"{"ttl":null,"ttl_if_none":"1s"}"#, "found both"),
            (r#"{"ttl_if_none":null}"#, "as ttl_if_none, found null"),
            (r#"{"min":3,"max":2}"#, "expected a min of at most max, found 3 and 2"),
            (r#"{"ttl":60}"#, "expected a time like \"60s\" or \"7d\", found 60"),
            (r#"{"saturate":1}"#, "expected a boolean"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
    }

    #[test]
    fn only_what_no_bound_of_the_client_forbade_has_overflowed() {
        let outcome = Outcome { applied: false, ..Outcome::MISSING };
        let of = |json| read(json).unwrap().overflowed(&outcome);
        assert!(of(r#"{"ttl":"1s"}"#) && of(r#"{"min":0}"#) && of(r#"{"by":-1,"max":0}"#));
        assert!(!of(r#"{"max":0}"#) && !of(r#"{"by":-1,"min":0}"#));
        assert!(!read("{\"ttl\":\"1s\"}").unwrap().overflowed(&Outcome::MISSING));
    }
}
