//! Many operations in one request.

use crate::support::http::Connection;
use crate::support::node::Node;
use crate::support::transcript::transcript;
use serde_json::json;

#[test]
fn operations_are_answered_in_order_each_with_its_own_result_or_problem() {
    let node = Node::start(&[]);
    let body = r#"{"operations":[{"op":"increment","name":"a","by":5},{"op":"decrement","name":"a"},{"op":"get","name":"a"},{"op":"raise","name":"b","to":7},{"op":"raise","name":"b","to":3},{"op":"put","name":"c"},{"op":"get","name":""},7,{"op":"increment","name":"d","by":9223372036854775807},{"op":"increment","name":"d"},{"op":"get","name":"d"},{"op":"decrement","name":"e","by":-9223372036854775808}]}"#;
    let answer = transcript(&node, &[("POST", "/batch", body)]);
    let said = answer.lines().nth(1).unwrap().replace("},{\"name\"", "},\n{\"name\"");
    insta::assert_snapshot!(said.replace("},{\"problem\"", "},\n{\"problem\""), @r#"
      200 {"node_id":"[node_id]","results":[{"name":"a","value":5,"applied":5},
    {"name":"a","value":4,"applied":-1},
    {"name":"a","value":4},
    {"name":"b","value":7,"applied":7},
    {"name":"b","value":7,"applied":0},
    {"name":"c","problem":{"type":"urn:quipu:problem:body","title":"Not a body for this call","status":400,"detail":"expected increment, decrement, raise, set, reset, delete, expire or get as op, found \"put\""}},
    {"problem":{"type":"urn:quipu:problem:name","title":"Not a counter's name","status":400,"detail":"expected a counter name of 1 to 1024 bytes, found none"}},
    {"problem":{"type":"urn:quipu:problem:body","title":"Not a body for this call","status":400,"detail":"expected an object, found 7"}},
    {"name":"d","value":9223372036854775807,"applied":9223372036854775807},
    {"name":"d","problem":{"type":"urn:quipu:problem:overflow","title":"Increment or decrement would overflow","status":409,"detail":"expected a value from -9223372036854775808 to 9223372036854775807 after adding 1, found 9223372036854775807 before it; nothing was changed"}},
    {"name":"d","value":9223372036854775807},
    {"name":"e","problem":{"type":"urn:quipu:problem:body","title":"Not a body for this call","status":400,"detail":"expected at least -9223372036854775807 to decrement by, found -9223372036854775808"}}]}
    "#);
    assert_eq!(node.get("/counters/e").json()["value"], 0);
}

#[test]
fn a_batch_of_nothing_is_answered_with_nothing() {
    let node = Node::start(&[]);
    assert_eq!(node.post("/batch", r#"{"operations":[]}"#).json()["results"], json!([]));
}

#[test]
fn ten_thousand_of_the_longest_operations_fit_and_one_more_is_too_many() {
    let node = Node::start(&[]);
    let name = |number: usize| format!("{number:0>255}");
    let operation = |n: usize| json!({"op": "decrement", "name": name(n), "by": -1_000_000_000_000_000_000_i64});
    let body = |count: usize| {
        let operations: Vec<_> = (0..count).map(operation).collect();
        json!({ "operations": operations }).to_string()
    };
    let answer = node.post("/batch", &body(10_000));
    assert_eq!(answer.status, 200, "{}", &answer.body[..200]);
    let results = answer.json();
    let results = results["results"].as_array().unwrap();
    assert_eq!(results.len(), 10_000);
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result["name"], name(number));
        assert_eq!(result["applied"], 1_000_000_000_000_000_000_i64);
    }
    let answer = node.post("/batch", &body(10_001));
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (400, Some("urn:quipu:problem:too-many-operations"))
    );
    assert_eq!(
        node.get(&format!("/counters/{}", name(3))).json()["value"],
        1_000_000_000_000_000_000_i64
    );
}

#[test]
fn ten_thousand_raises_fit_though_each_is_read_first() {
    let node = Node::start(&[]);
    let operation = |n: usize| json!({"op": "raise", "name": "high", "to": n});
    let operations: Vec<_> = (1..=10_000).map(operation).collect();
    let answer = node.post("/batch", &json!({ "operations": operations }).to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    let results = answer.json();
    let results = results["results"].as_array().unwrap();
    assert_eq!(results.len(), 10_000);
    for (n, result) in results.iter().enumerate() {
        assert_eq!((&result["value"], &result["applied"]), (&json!(n + 1), &json!(1)));
    }
}

/// As writers of JSON do that keep to ASCII.
#[test]
fn ten_thousand_operations_fit_however_their_names_are_escaped() {
    let node = Node::start(&[]);
    let escaped = "\\u00e9".repeat(127);
    let operations: Vec<String> = (0..10_000)
        .map(|_| format!("{{\"op\":\"increment\",\"name\":\"{escaped}\",\"by\":1}}"))
        .collect();
    let answer = node.post("/batch", &format!("{{\"operations\":[{}]}}", operations.join(",\n  ")));
    assert_eq!(answer.status, 200, "{}", &answer.body[..200]);
    assert_eq!(node.get(&format!("/counters/{}", "%C3%A9".repeat(127))).json()["value"], 10_000);
    let twice = r#"{"operations":[{"op":"increment","name":"a"}],"operations":[]}"#;
    let answer = node.post("/batch", twice);
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("duplicate field `operations`"), "{}", answer.body);
}

#[test]
fn a_body_beyond_the_bound_is_refused_before_it_is_read() {
    let node = Node::start(&[]);
    let mut connection = Connection::open(node.address()).unwrap();
    connection
        .send(b"POST /batch HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n")
        .unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
}

#[test]
fn a_batch_without_a_length_is_taken_as_well() {
    let node = Node::start(&[]);
    let mut connection = Connection::open(node.address()).unwrap();
    let body = r#"{"operations":[{"op":"increment","name":"a"}]}"#;
    let head = "POST /batch HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).unwrap();
    assert_eq!(connection.answer().unwrap().json()["results"][0]["value"], 1);
}
