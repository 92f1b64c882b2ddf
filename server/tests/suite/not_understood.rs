//! What is not understood is refused, and never guessed: members of bodies, parameters of queries,
//! bodies where none is taken, peers that can be none.

use crate::support::http::{Answer, Connection};
use crate::support::node::Node;
use serde_json::{Value, json};

/// Why it was refused, in whichever form.
#[track_caller]
fn reason(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{answer:?}");
    let said = answer.json();
    let reason = said["error"].as_str().or_else(|| said["detail"].as_str()).unwrap_or_default();
    assert!(reason.contains("expected"), "{said}");
    reason.to_owned()
}

/// All values of a node together: whatever was counted under whatever name.
fn counted(node: &Node) -> Vec<Value> {
    node.get("/counters").json()["counters"].as_array().expect("a list").clone()
}

#[test]
fn a_member_that_a_call_does_not_know_is_refused_and_named() {
    let node = Node::start(&[]);
    for (path, member) in [
        ("/counters/c/increment", "by"),
        ("/counters/c/decrement", "by"),
        ("/counters/c/raise", "to"),
        ("/sync", "count"),
    ] {
        let upper = member.to_uppercase();
        for (body, unknown) in [
            (r#"{"amount":5}"#.to_owned(), "amount"),
            (format!(r#"{{"{upper}":5}}"#), upper.as_str()),
            (format!(r#"{{"{member}":5,"amount":5}}"#), "amount"),
            (format!(r#"{{"amount":null,"{member}":5}}"#), "amount"),
            (format!(r#"{{"{member}":5,"":0}}"#), ""),
            (format!(r#"{{"{member}":5,"name":"d"}}"#), "name"),
            (format!(r#"{{"{member} ":5}}"#), &format!("{member} ")),
        ] {
            let reason = reason(&node.post(path, &body));
            assert!(reason.contains(&format!("found the unknown member {unknown:?}")), "{reason}");
            assert!(reason.contains(&format!("{{\"{member}\": ")), "an example: {reason}");
            let is_close = unknown.trim().eq_ignore_ascii_case(member);
            assert_eq!(reason.contains(&format!("did you mean {member:?}?")), is_close, "{reason}");
        }
        let twice = format!(r#"{{"{member}":1,"{member}":2}}"#);
        let reason = reason(&node.post(path, &twice));
        assert!(reason.contains(&format!("duplicate field `{member}`")), "{reason}");
    }
    for path in ["/register", "/remove-peer"] {
        for body in [r#"{"id":"127.0.0.2:1","port":1}"#, r#"{"ID":"127.0.0.2:1"}"#] {
            reason(&node.post(path, body));
        }
    }
    assert_eq!(counted(&node), Vec::<Value>::new());
    assert_eq!(node.peers(), Vec::<String>::new());
}

#[test]
fn a_batch_refuses_of_what_it_does_not_know_the_whole_or_the_one_operation() {
    let node = Node::start(&[]);
    for operation in [
        r#"{"op":"increment","name":"a","amount":5}"#,
        r#"{"op":"increment","name":"a","BY":5}"#,
        r#"{"op":"increment","name":"a","by":5,"by":6}"#,
        r#"{"op":"increment","name":"a","to":5}"#,
        r#"{"op":"raise","name":"a","to":5,"by":5}"#,
        r#"{"op":"decrement","name":"a","name":"b"}"#,
        r#"{"op":"get","name":"a","by":5}"#,
    ] {
        let body = format!(r#"{{"operations":[{operation},{{"op":"get","name":"a"}}]}}"#);
        let answer = node.post("/batch", &body);
        let results = answer.json()["results"].clone();
        assert_eq!(
            results[0]["problem"]["type"], "urn:quipu:problem:body",
            "{operation}: {results}"
        );
        assert_eq!(results[0]["value"], Value::Null, "{results}");
        assert_eq!(
            results[1],
            json!({"name": "a", "value": 0, "exists": false}),
            "the others are carried out"
        );
    }
    for body in [
        r#"{"operations":[{"op":"increment","name":"a"}],"atomic":true}"#,
        r#"{"Operations":[{"op":"increment","name":"a"}]}"#,
        r#"{"operations":[{"op":"increment","name":"a"}],"operations":[]}"#,
    ] {
        reason(&node.post("/batch", body));
    }
    assert_eq!(counted(&node), Vec::<Value>::new());
}

#[test]
fn a_parameter_that_a_call_does_not_know_is_refused_on_every_call() {
    let node = Node::start(&[]);
    for (method, path, body) in [
        ("GET", "/health", ""),
        ("GET", "/count", ""),
        ("POST", "/increment", ""),
        ("POST", "/sync", r#"{"count":7}"#),
        ("GET", "/peers", ""),
        ("POST", "/register", r#"{"id":"127.0.0.2:1"}"#),
        ("POST", "/remove-peer", r#"{"id":"127.0.0.2:1"}"#),
        ("GET", "/discovery", ""),
        ("GET", "/counters", ""),
        ("DELETE", "/counters", ""),
        ("GET", "/counters/c", ""),
        ("PUT", "/counters/c", r#"{"value":7}"#),
        ("DELETE", "/counters/c", ""),
        ("POST", "/counters/c/reset", ""),
        ("POST", "/counters/c/expire", r#"{"ttl":"1s"}"#),
        ("POST", "/counters/c/increment", ""),
        ("POST", "/counters/c/decrement", ""),
        ("POST", "/counters/c/raise", r#"{"to":7}"#),
        ("GET", "/counters/c/origins", ""),
        ("POST", "/batch", r#"{"operations":[{"op":"increment","name":"c"}]}"#),
        ("GET", "/openapi.json", ""),
        ("GET", "/status", ""),
        ("GET", "/metrics", ""),
        ("GET", "/events", ""),
        ("GET", "/link", ""),
        ("GET", "/", ""),
        ("GET", "/page/main.js", ""),
        ("HEAD", "/count", ""),
    ] {
        for query in ["by=5", "x", "%62y=5", "=", "by=5&by=6"] {
            let answer = node.request(method, &format!("{path}?{query}"), body);
            assert_eq!(answer.status, 400, "{method} {path}?{query}: {answer:?}");
            if method != "HEAD" {
                let reason = reason(&answer);
                assert!(reason.contains("found the unknown parameter"), "{path}?{query}: {reason}");
            }
        }
        // A wrong method is what is wrong first.
        assert_eq!(node.request("PATCH", &format!("{path}?by=5"), "").status, 405, "{path}");
    }
    let reason = reason(&node.post("/counters/c/increment?by=5", ""));
    assert!(reason.ends_with("such as {\"by\": 5}"), "{reason}");
    assert_eq!(node.get("/counters?limit=1&Limit=1").status, 400);
    assert_eq!(counted(&node), Vec::<Value>::new());
    assert_eq!(node.peers(), Vec::<String>::new());
    // What says nothing is nothing.
    assert_eq!(node.get("/count?").status, 200);
    assert_eq!(node.get("/count?&&").status, 200);
}

#[test]
fn an_increment_that_is_asked_for_more_than_one_names_the_call_that_can() {
    let node = Node::start(&[]);
    for body in [
        r#"{"by":5}"#,
        r#"{"amount":5}"#,
        r#"{"BY": 5}"#,
        " {\"count\":5}\n",
        "{by:5}",
        "5",
        "by=5",
    ] {
        let reason = reason(&node.post("/increment", body));
        assert!(reason.contains("POST /counters/default/increment"), "{body}: {reason}");
    }
    let in_query = reason(&node.post("/increment?by=5", ""));
    assert!(in_query.contains("POST /counters/default/increment"), "{in_query}");
    assert_eq!(node.count(), 0);
    // All else is ignored, as it always was.
    let ignored = ["", "{}", " { } ", "null", "[]", "x", "\0\u{1}"];
    for (body, count) in ignored.into_iter().zip(1..) {
        assert_eq!(node.post("/increment", body).json()["count"], count, "{body:?}");
    }
    let post = node.post("/counters/default/increment", r#"{"by":5}"#).json();
    assert_eq!(post["value"], 12);
}

#[test]
fn a_body_is_refused_where_none_is_understood_and_ignored_where_it_always_was() {
    let node = Node::start(&[]);
    for path in [
        "/counters",
        "/counters/c",
        "/counters/c/origins",
        "/openapi.json",
        "/status",
        "/metrics",
        "/events",
        "/link",
        "/",
        "/page/main.js",
    ] {
        for body in [r#"{"prefix":"a"}"#, "x", " "] {
            let reason = reason(&node.request("GET", path, body));
            assert!(reason.contains("expected no body for this call"), "{path}: {reason}");
        }
    }
    let chunked = |path: &str, chunks: &str| {
        let mut connection = Connection::open(node.address()).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.send(format!("{head}{chunks}").as_bytes()).unwrap();
        connection.answer().unwrap().status
    };
    assert_eq!(chunked("/status", "1\r\nx\r\n0\r\n\r\n"), 400);
    assert_eq!(chunked("/status", "0\r\n\r\n"), 200, "no body, however its length is told");
    for path in ["/health", "/count", "/peers", "/discovery"] {
        let answer = node.request("GET", path, r#"{"name":"a"}"#);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}

#[test]
fn a_raise_of_the_original_takes_no_negative_number_and_names_the_call_that_does() {
    let node = Node::start(&[]);
    node.post("/counters/default/decrement", r#"{"by":10}"#);
    let reason = reason(&node.post("/sync", r#"{"count":-5}"#));
    assert!(reason.starts_with("expected a count of 0 or more, found -5;"), "{reason}");
    assert!(reason.contains("POST /counters/default/raise"), "{reason}");
    assert_eq!(node.count(), -10);
    assert_eq!(node.post("/counters/default/raise", r#"{"to":-5}"#).json()["value"], -5);
    assert_eq!(node.post("/sync", r#"{"count":0}"#).json()["count"], 0);
}

#[test]
fn a_peer_is_a_host_and_a_port_or_a_name() {
    let node = Node::start(&[]);
    for id in [
        "",
        " ",
        ":8088",
        "a:",
        "a:0",
        "a:65536",
        "a:+1",
        "a:b",
        "a:1:2",
        "http://a:1",
        "http://a",
        "a/b:1",
        "user@a:1",
        "a b",
        " a:1",
        "a,b",
        "a..b:1",
        ".a:1",
        "-a:1",
        "a-:1",
        "a.-b:1",
        "*:1",
        "größe:1",
        "256.1.1.1:1",
        "1.2.3:1",
        "1.2.3.4.5:1",
        "127.1:1",
        "8088",
        "a.1:1",
        "0x7f000001:1",
        "::1",
        "::1:8088",
        "[]:1",
        "[::g]:1",
        "[a]:1",
        "[127.0.0.1]:1",
        "[::1:1",
        "[::1]x:1",
        "0.0.0.0:1",
        "[::]:1",
        "255.255.255.255:1",
        "224.0.0.1:1",
        "[ff02::1]:1",
    ] {
        for path in ["/register", "/remove-peer"] {
            let answer = node.post(path, &json!({ "id": id }).to_string());
            let reason = reason(&answer);
            assert!(reason.contains("found"), "{path} {id:?}: {reason}");
        }
    }
    let long = format!("{}:1", "a".repeat(64));
    reason(&node.post("/register", &json!({ "id": long }).to_string()));
    assert_eq!(node.peers(), Vec::<String>::new());
    for id in ["test-peer", "node_1", "a.b-c.example.:1", "3com", "127.0.0.9:1", "[::1]:1", "A:1"] {
        let named = json!({ "id": id }).to_string();
        assert_eq!(node.post("/register", &named).status, 200, "{id}");
        assert_eq!(node.peers(), [id]);
        assert_eq!(node.post("/remove-peer", &named).status, 200, "{id}");
        assert_eq!(node.peers(), Vec::<String>::new());
    }
}
