//! What a client says that no call understands: a member of a JSON object, a parameter of a query.
//!
//! It is refused and never passed over. A client that means to add 5 and writes `amount` for `by`
//! would have 1 counted, and would learn of it when the sums are compared. The refusal names what
//! was found and what is understood, and what was probably meant where that is close.

use std::fmt::{self, Write};

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

/// As much of a client's text as an answer repeats, in characters.
const ECHO_CHARS_MAX: usize = 64;

/// As much of a client's text as an answer repeats.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// That a member or parameter was found that is none of `known`, for a sentence that has told what was
/// expected.
pub(super) fn found(what: &str, name: &str, known: &[&str]) -> String {
    let mut text = format!("found the unknown {what} {:?}", shortened(name));
    if let Some(meant) = meant(name, known) {
        // Writing to memory does not fail.
        let _ = write!(text, "; did you mean {meant:?}?");
    }
    text
}

/// What was probably meant by `name`: the same in other letters, or a slip or two away from it.
fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > ECHO_CHARS_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let slips = |known: &str| strsim::osa_distance(&name, known);
    let closest = known.iter().min_by_key(|known| slips(known))?;
    // In a short word a few slips make any other one.
    let slips_max = (closest.len() / 3).clamp(1, 2);
    (slips(closest) <= slips_max).then_some(closest)
}

/// A list of what is understood, as a sentence has it: `prefix, limit or after`.
pub(super) fn listed(known: &[&str]) -> String {
    match known {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The first member of a JSON object that is none of `known`.
pub(super) fn member(json: &[u8], known: &[&str]) -> Option<String> {
    let mut keys = serde_json::from_slice::<Keys>(json).ok()?.0.into_iter();
    keys.find(|key| !known.contains(&key.as_str()))
}

/// The keys of an object.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(KeysOf)
    }
}

struct KeysOf;

impl<'de> Visitor<'de> for KeysOf {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = map.next_entry()? {
            keys.push(key);
        }
        Ok(Keys(keys))
    }
}

/// A member of an object that stands where none of that name does.
#[derive(Debug)]
pub(super) enum Stranger {
    Unknown(String),
    /// One that was there already.
    Again(&'static str),
}

impl Stranger {
    pub(super) fn found(&self, known: &[&str]) -> String {
        match self {
            Stranger::Unknown(name) => found("member", name, known),
            Stranger::Again(name) => format!("found {name} twice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_is_said_to_be_meant_and_what_is_not_is_not() {
        for (name, known, close) in [
            ("BY", &["by"][..], Some("by")),
            ("bye", &["by"], Some("by")),
            ("yb", &["by"], Some("by")),
            ("amount", &["by"], None),
            ("to", &["by"], None),
            ("", &["by"], None),
            ("Count", &["count"], Some("count")),
            ("amount", &["count"], None),
            ("conut", &["count"], Some("count")),
            ("lmit", &["prefix", "limit", "after"], Some("limit")),
            ("operation", &["operations"], Some("operations")),
            ("anything", &[], None),
        ] {
            assert_eq!(meant(name, known), close, "{name}");
        }
        assert_eq!(meant(&"by".repeat(1000), &["by"]), None);
    }

    #[test]
    fn a_member_is_found_wherever_it_stands() {
        assert_eq!(member(br#"{"by":{"x":1},"BY":2}"#, &["by"]), Some("BY".to_owned()));
        assert_eq!(member(br#"{"by":1,"by":2}"#, &["by"]), None);
        assert_eq!(member(br#"{"\u0062y":1}"#, &["by"]), None);
        for other in ["[]", "5", "", "{\"x\"", "\"by\""] {
            assert_eq!(member(other.as_bytes(), &["by"]), None, "{other}");
        }
    }

    #[test]
    fn a_refusal_repeats_no_more_than_a_line_of_what_a_client_sent() {
        let text = found("member", &"x".repeat(60_000), &["by"]);
        assert!(text.len() < 120, "{text}");
        assert_eq!(listed(&["prefix", "limit", "after"]), "prefix, limit or after");
    }
}
