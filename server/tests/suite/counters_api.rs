//! Counters by name, over HTTP.

use std::time::Duration;

use crate::support::node::{Node, free_port};
use crate::support::transcript::transcript;
use crate::support::wait::wait_until;

#[test]
fn counters_have_names_of_their_own() {
    let node = Node::start(&[]);
    let said = transcript(
        &node,
        &[
            ("GET", "/counters/visits", ""),
            ("POST", "/counters/visits/increment", ""),
            ("POST", "/counters/visits/increment", r#"{"by":41}"#),
            ("POST", "/counters/visits/increment", r#"{"by":-2}"#),
            ("POST", "/counters/visits/increment", "{}"),
            ("POST", "/counters/visits/decrement", ""),
            ("POST", "/counters/visits/decrement", r#"{"by":50}"#),
            ("POST", "/counters/visits/decrement", r#"{"by":-5}"#),
            ("POST", "/counters/visits/raise", r#"{"to":100}"#),
            ("POST", "/counters/visits/raise", r#"{"to":7}"#),
            ("POST", "/counters/a%2Fb%20%C3%A4/increment", r#"{"by":0}"#),
            ("GET", "/counters/default", ""),
            ("POST", "/increment", ""),
            ("GET", "/counters/default", ""),
        ],
    );
    insta::assert_snapshot!(said, @r#"
    GET /counters/visits
      200 {"name":"visits","value":0,"node_id":"[node_id]","exists":false}
    POST /counters/visits/increment
      200 {"name":"visits","value":1,"node_id":"[node_id]","applied":1}
    POST /counters/visits/increment {"by":41}
      200 {"name":"visits","value":42,"node_id":"[node_id]","applied":41}
    POST /counters/visits/increment {"by":-2}
      200 {"name":"visits","value":40,"node_id":"[node_id]","applied":-2}
    POST /counters/visits/increment {}
      200 {"name":"visits","value":41,"node_id":"[node_id]","applied":1}
    POST /counters/visits/decrement
      200 {"name":"visits","value":40,"node_id":"[node_id]","applied":-1}
    POST /counters/visits/decrement {"by":50}
      200 {"name":"visits","value":-10,"node_id":"[node_id]","applied":-50}
    POST /counters/visits/decrement {"by":-5}
      200 {"name":"visits","value":-5,"node_id":"[node_id]","applied":5}
    POST /counters/visits/raise {"to":100}
      200 {"name":"visits","value":100,"node_id":"[node_id]","applied":105}
    POST /counters/visits/raise {"to":7}
      200 {"name":"visits","value":100,"node_id":"[node_id]","applied":0}
    POST /counters/a%2Fb%20%C3%A4/increment {"by":0}
      200 {"name":"a/b ä","value":0,"node_id":"[node_id]","applied":0}
    GET /counters/default
      200 {"name":"default","value":0,"node_id":"[node_id]","exists":false}
    POST /increment
      200 {"count":1,"node_id":"[node_id]"}
    GET /counters/default
      200 {"name":"default","value":1,"node_id":"[node_id]"}
    "#);
}

#[test]
fn a_counter_is_not_made_by_reading_it_or_by_what_was_refused() {
    let node = Node::start(&[]);
    for path in ["/counters/c", "/counters/c/origins"] {
        assert_eq!(node.get(path).status, 200);
    }
    assert_eq!(node.post("/counters/c/raise", r#"{"to":0}"#).json()["applied"], 0);
    for (call, body) in [("increment", r#"{"by":"x"}"#), ("decrement", "[]"), ("raise", "")] {
        assert_eq!(node.post(&format!("/counters/c/{call}"), body).status, 400);
    }
    assert_eq!(node.get("/counters").json()["counters"], serde_json::json!([]));
}

#[test]
fn the_whole_range_can_be_reached_and_never_left() {
    let node = Node::start(&[]);
    let by = |call: &str, by: i64| {
        node.post(&format!("/counters/c/{call}"), &format!(r#"{{"by":{by}}}"#))
    };
    assert_eq!(by("increment", i64::MAX).json()["value"], i64::MAX);
    assert_eq!(by("increment", 1).status, 409);
    assert_eq!(by("decrement", -1).status, 409);
    assert_eq!(by("increment", i64::MIN).json()["value"], -1);
    assert_eq!(by("decrement", i64::MAX).json()["value"], i64::MIN);
    assert_eq!(by("decrement", 1).status, 409);
    assert_eq!(by("decrement", i64::MIN).status, 400, "nothing of 64 bits is its opposite");
    let raised = node.post("/counters/c/raise", &format!(r#"{{"to":{}}}"#, i64::MAX)).json();
    assert_eq!((&raised["value"], &raised["applied"]), (&i64::MAX.into(), &u64::MAX.into()));
}

#[test]
fn who_contributed_what_is_told_by_every_node_and_adds_up() {
    let one = Node::start(&[]);
    let two = Node::start(&["--join", &one.id()]);
    one.post("/counters/c/increment", r#"{"by":10}"#);
    one.post("/counters/c/decrement", r#"{"by":3}"#);
    two.post("/counters/c/increment", r#"{"by":5}"#);
    for node in [&one, &two] {
        let told = wait_until(
            "both shares are here",
            Duration::from_secs(10),
            || node.get("/counters/c/origins").json(),
            |told| told["value"] == 12 && told["origins"][1]["address"].is_string(),
        );
        assert_eq!((&told["name"], &told["node_id"]), (&"c".into(), &node.id().into()));
        let share = |of: &Node| {
            let origins = told["origins"].as_array().unwrap();
            let share = origins.iter().find(|share| share["address"] == of.id()).unwrap();
            assert_eq!(share["origin"].as_str().map(str::len), Some(16));
            let number = |key: &str| share[key].as_u64().unwrap();
            (number("plus"), number("minus"), number("raise"))
        };
        assert_eq!((share(&one), share(&two)), ((10, 3, 0), (5, 0, 0)));
    }
}

#[test]
fn a_raise_on_a_node_that_cannot_know_the_value_is_refused_for_now() {
    // It looks for a node that does not answer, and so for a second does not know what it lacks.
    let absent = format!("127.0.0.1:{}", free_port());
    let node = Node::start(&["--join", &absent]);
    let answer = node.post("/counters/c/raise", r#"{"to":5}"#);
    match answer.status {
        200 => assert_eq!(answer.json()["applied"], 5),
        503 => assert_eq!(answer.json()["type"], "urn:quipu:problem:behind"),
        other => panic!("expected 200 once it has settled, or 503, found {other}: {answer:?}"),
    }
}
