//! The query of a request: `?prefix=a&limit=5`.
//!
//! Every parameter that a call does not know is refused ([`unknown`]), and so is one that is given
//! twice where once is all that makes sense: which of the two was meant is not to be guessed.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::errors::{Kind, Problem};
use super::routes::Route;
use super::unknown;

/// A parameter and its value, decoded.
pub(super) type Pair<'q> = (Cow<'q, str>, Cow<'q, str>);

/// The parameters of a query, in their order, all of them such as the call knows. Those that stand
/// for nothing, as between two `&`, are left out.
pub(super) fn pairs(route: Route, query: &str) -> Result<Vec<Pair<'_>>, Problem> {
    let known = route.parameters();
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded("a parameter", name)?;
        if !known.contains(&&*name) {
            return Err(unknown_parameter(route, &name));
        }
        if !route.may_repeat(&name) && pairs.iter().any(|(other, _)| *other == name) {
            return Err(wrong(format!("expected {name} once, found it again")));
        }
        let value = decoded(&name, value)?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn unknown_parameter(route: Route, name: &str) -> Problem {
    let known = route.parameters();
    let expected = match known {
        [] => "no query parameter".to_owned(),
        known => unknown::listed(known),
    };
    let found = unknown::found("parameter", name, known);
    let elsewhere = match (route, route.example()) {
        (Route::Increment, _) => format!("; {}", super::original::ADDS_MORE),
        (_, Some(example)) => format!("; this call is told by its body, such as {example}"),
        (_, None) => String::new(),
    };
    wrong(format!("expected {expected}, {found}{elsewhere}"))
}

/// As forms are encoded, which is how clients encode queries: a plus is a space.
fn decoded<'a>(what: &str, text: &'a str) -> Result<Cow<'a, str>, Problem> {
    let spaced: Cow<'a, str> =
        if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|error| {
        let at = error.valid_up_to();
        wrong(format!("expected {what} in percent-encoded UTF-8, found other bytes at offset {at}"))
    })?;
    Ok(decoded.into_owned().into())
}

pub(super) fn wrong(reason: String) -> Problem {
    Problem::new(Kind::Query, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_as_forms_are() {
        let read = pairs(Route::Counters, "&prefix=a%2Fb+%C3%A4%2B&&limit=7&after").unwrap();
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(read, [("prefix", "a/b ä+"), ("limit", "7"), ("after", "")]);
        assert_eq!(pairs(Route::Health, ""), Ok(Vec::new()));
        assert_eq!(pairs(Route::Health, "&&"), Ok(Vec::new()));
        assert_eq!(pairs(Route::Events, "counter=a&counter=a").unwrap().len(), 2);
    }

    #[test]
    fn a_parameter_that_a_call_does_not_know_is_refused_with_those_that_it_knows() {
        for (route, query, words) in [
            (
                Route::Counters,
                "lmit=5",
                "expected prefix, limit or after, found the unknown parameter \"lmit\"; did you mean \
                 \"limit\"?",
            ),
            (Route::Counters, "limit=5&Limit=6", "did you mean \"limit\"?"),
            (Route::Counters, "=5", "found the unknown parameter \"\""),
            (Route::Counters, "after=a&after=b", "expected after once"),
            (Route::Counters, "%61fter=a&after=b", "expected after once"),
            (Route::Events, "prefix=a&prefix=b", "expected prefix once"),
            (Route::Events, "every=2s&every=3s", "expected every once"),
            (Route::Count, "x", "expected no query parameter, found the unknown parameter \"x\""),
            (
                Route::CounterIncrement,
                "by=5",
                "found the unknown parameter \"by\"; this call is told by its body, such as \
                 {\"by\": 5}",
            ),
            (Route::Increment, "by=5", "POST /counters/default/increment"),
            (Route::Counters, "prefix=%FF", "percent-encoded UTF-8, found other bytes at offset 0"),
            (Route::Counters, "%FF=a", "percent-encoded UTF-8, found other bytes at offset 0"),
        ] {
            let problem = pairs(route, query).unwrap_err();
            assert_eq!(problem.kind, Kind::Query);
            assert!(problem.reason.contains(words), "{query}: {}", problem.reason);
        }
    }
}
