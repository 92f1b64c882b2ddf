//! What is refused on named counters, as problem documents (RFC 9457).

use crate::support::http::Answer;
use crate::support::node::Node;
use serde_json::Value;

/// Checks that an answer is a problem document of this type, and tells its detail.
#[track_caller]
fn detail(answer: &Answer, status: u16, kind: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let document = answer.json();
    assert_eq!(document["type"], format!("urn:quipu:problem:{kind}"), "{document}");
    assert_eq!(document["status"], status, "{document}");
    assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
    let detail = document["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("expected") && detail.contains("found"), "{detail}");
    detail
}

#[test]
fn a_name_that_no_counter_can_have_is_refused_with_the_reason() {
    let node = Node::start(&[]);
    let long = "x".repeat(1025);
    for (name, reason) in [
        (long.as_str(), "1 to 1024 bytes, found 1025"),
        ("a%0Ab", "control characters, found U+000A"),
        ("a%FF", "UTF-8"),
    ] {
        for (method, call) in [
            ("GET", ""),
            ("GET", "/origins"),
            ("POST", "/increment"),
            ("POST", "/decrement"),
            ("POST", "/raise"),
        ] {
            let answer = node.request(method, &format!("/counters/{name}{call}"), "");
            let detail = detail(&answer, 400, "name");
            assert!(detail.contains(reason), "{name}{call}: {detail}");
        }
    }
    assert_eq!(node.get(&format!("/counters/{}", "x".repeat(1024))).status, 200);
}

#[test]
fn a_body_that_does_not_say_what_is_needed_is_refused_with_the_finding() {
    let node = Node::start(&[]);
    for (path, body, found) in [
        ("/counters/c/increment", "{", "EOF"),
        ("/counters/c/increment", r#"{"by":"5"}"#, "string"),
        ("/counters/c/decrement", r#"{"by":1.5}"#, "floating point"),
        ("/counters/c/decrement", "[5]", "something else"),
        ("/counters/c/raise", "", "no body"),
        ("/counters/c/raise", "{}", "missing field `to`"),
        ("/counters/c/raise", r#"{"to":9223372036854775808}"#, "9223372036854775808"),
        ("/batch", "", "no body"),
        ("/batch", r#"{"operations":[}"#, "expected value"),
    ] {
        let detail = detail(&node.post(path, body), 400, "body");
        assert!(detail.contains(found), "{path} {body:?}: {detail}");
    }
    assert_eq!(node.get("/counters/c").json()["value"], 0);
}

#[test]
fn an_overflow_names_the_range_and_the_value_that_it_found() {
    let node = Node::start(&[]);
    let max = format!(r#"{{"by":{}}}"#, i64::MAX);
    node.post("/counters/c/increment", &max);
    let detail = detail(&node.post("/counters/c/increment", r#"{"by":2}"#), 409, "overflow");
    assert_eq!(
        detail,
        "expected a value from -9223372036854775808 to 9223372036854775807 after adding 2, found \
         9223372036854775807 before it; nothing was changed"
    );
    assert_eq!(node.get("/counters/c").json()["value"], i64::MAX);
}

#[test]
fn a_query_that_makes_no_sense_is_refused() {
    let node = Node::start(&[]);
    for query in ["limit=0", "limit=1001", "limit=ten", "after=%FF", "prefix=a%0Ab", "lmit=5"] {
        detail(&node.get(&format!("/counters?{query}")), 400, "query");
    }
}

#[test]
fn a_body_beyond_the_bound_is_too_large() {
    let node = Node::start(&[]);
    let large = format!("{{\"by\":1{}}}", " ".repeat(64 << 10));
    detail(&node.post("/counters/c/increment", &large), 413, "body-too-large");
    assert_eq!(node.get("/counters/c").json()["value"], 0);
}

#[test]
fn a_wrong_method_or_path_below_counters_is_a_problem_of_theirs() {
    let node = Node::start(&[]);
    for (method, path, status, kind) in [
        ("PATCH", "/counters/c", 405, "method"),
        ("GET", "/counters/c/raise", 405, "method"),
        ("PUT", "/counters", 405, "method"),
        ("GET", "/batch", 405, "method"),
        ("GET", "/counters/", 404, "path"),
        ("POST", "/counters/c/double", 404, "path"),
    ] {
        detail(&node.request(method, path, ""), status, kind);
    }
}

#[test]
fn the_original_calls_and_unknown_paths_say_it_as_they_always_did() {
    let node = Node::start(&[]);
    for (method, path, status) in
        [("POST", "/sync", 400), ("GET", "/nothing", 404), ("GET", "/increment", 405)]
    {
        let answer = node.request(method, path, "");
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let Value::Object(said) = answer.json() else { panic!("{answer:?}") };
        assert_eq!(said.keys().collect::<Vec<_>>(), ["error"]);
    }
}
