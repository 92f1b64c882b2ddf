//! Names that clients take out of a path before they send it: `.` and `..`.
//!
//! A browser makes `/increment` of `/counters/../increment`, so a counter of that name could never be
//! meant by a path, and what is meant for it would go elsewhere. No door takes such a name; what
//! earlier releases counted under one is kept, told to peers and listed.

use crate::support::cluster::{AGREEING_TIME_MAX, Meeting, named};
use crate::support::data::DataDirectory;
use crate::support::node::Node;
use crate::support::program::{Ended, quipu};
use crate::support::resp::Client;
use crate::support::wait::wait_until;
use serde_json::json;

/// What a node lists: names and values.
fn listed(node: &Node, query: &str) -> Vec<(String, i64)> {
    let answer = node.get(&format!("/counters{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.json()["counters"].as_array().expect("a list").clone();
    rows.iter()
        .map(|row| {
            let name = row["name"].as_str().expect("a name").to_owned();
            (name, row["value"].as_i64().expect("a value"))
        })
        .collect()
}

#[test]
fn http_takes_no_dot_segment_as_a_name_however_it_is_spelled() {
    let node = Node::start(&[]);
    for name in [".", "..", "%2e", "%2E", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2E%2e"] {
        for (method, call) in [
            ("POST", "/increment"),
            ("POST", "/decrement"),
            ("POST", "/raise"),
            ("GET", "/origins"),
            ("GET", ""),
        ] {
            let body = if call == "/raise" { r#"{"to":5}"# } else { "" };
            let path = format!("/counters/{name}{call}");
            let answer = node.request(method, &path, body);
            assert_eq!(answer.status, 400, "{method} {path}: {answer:?}");
            assert_eq!(answer.json()["type"], "urn:quipu:problem:name", "{path}");
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("take out of a path"), "{path}: {detail}");
        }
        let answer = node.get(&format!("/events?counter={name}"));
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
    }
    for name in [".", ".."] {
        for op in ["increment", "decrement", "get"] {
            let operations = json!({"operations": [{"op": op, "name": name}]});
            let answer = node.post("/batch", &operations.to_string()).json();
            let problem = &answer["results"][0]["problem"];
            assert_eq!(problem["type"], "urn:quipu:problem:name", "{answer}");
        }
        let escaped = name.replace('.', "\\u002e");
        let raise = format!(r#"{{"operations":[{{"op":"raise","name":"{escaped}","to":7}}]}}"#);
        assert_eq!(node.post("/batch", &raise).json()["results"][0]["problem"]["status"], 400);
    }
    assert_eq!(listed(&node, ""), [], "nothing was counted, under no name");
    assert_eq!(node.count(), 0);
}

/// What a careless path may come to: none of it counts, whatever else it is.
#[test]
fn paths_that_resemble_a_call_are_none() {
    let node = Node::start(&[]);
    for path in [
        "/counters//increment",
        "//increment",
        "/./increment",
        "/../increment",
        "/counters/../increment/",
        "/increment/",
        "/increment/.",
        "/counters/a/../increment",
        "/counters/a/./increment",
        "/counters/a/increment/",
        "/counters/a//increment",
        "/counters\\..\\increment",
        "/counters/..\\increment",
        "/%2e/increment",
        "/%2fincrement",
        "/counters%2f..%2fincrement",
        "/counters/%00/increment",
        "/counters/%ff/increment",
        "/Increment",
    ] {
        let answer = node.request("POST", path, "");
        assert!([400, 404, 405].contains(&answer.status), "{path}: {answer:?}");
    }
    assert_eq!(listed(&node, ""), []);
    // A dot beside other characters is part of a name as any other.
    for (name, path) in [
        ("...", "..."),
        (".a", ".a"),
        ("../increment", "..%2Fincrement"),
        ("..\\", "..%5c"),
        ("a/../../increment", "a%2f..%2f..%2fincrement"),
        ("%2e%2e", "%252e%252e"),
    ] {
        let answer = node.post(&format!("/counters/{path}/increment"), "");
        assert_eq!((answer.status, &answer.json()["name"]), (200, &json!(name)), "{answer:?}");
    }
    assert_eq!(node.count(), 0);
}

#[test]
fn redis_clients_and_the_command_line_cannot_name_one() {
    let node = Node::start(&["--redis", "127.0.0.1:0"]);
    let mut redis = Client::open(node.redis());
    for name in [".", ".."] {
        for command in [
            &["INCR", name][..],
            &["DECR", name],
            &["INCRBY", name, "5"],
            &["DECRBY", name, "5"],
            &["GET", name],
            &["MGET", "a", name],
            &["EXISTS", name],
            &["STRLEN", name],
            &["TYPE", name],
            &["TTL", name],
            &["SUBSCRIBE", &format!("counter:{name}")],
        ] {
            let reply = redis.ask(command);
            assert!(reply.starts_with("-ERR expected a counter name other than"), "{reply}");
        }
        let address = node.id();
        for (command, exit_code) in [
            (&["add", name, "5", "--node", &address][..], 2),
            (&["get", "a", name, "--node", &address], 1),
            (&["watch", "--counter", name, "--node", &address], 2),
        ] {
            let Ended { code, complaint, .. } = quipu(command);
            assert_eq!(code, Some(exit_code), "{command:?}: {complaint}");
            assert!(complaint.contains("expected a counter name other than"), "{complaint}");
        }
    }
    assert_eq!(listed(&node, ""), []);
}

#[test]
fn what_earlier_releases_counted_under_one_is_kept_told_and_listed() {
    let data = DataDirectory::of_dot_names();
    let kept = [(".".to_owned(), 2), ("..".to_owned(), 2), ("..a".to_owned(), 1)];
    let meeting = Meeting::by_hand();
    let node = meeting.start(&data.flags());
    assert_eq!(listed(&node, ""), kept);
    assert_eq!(listed(&node, "?prefix=."), kept);
    assert_eq!(listed(&node, "?prefix=.."), kept[1..]);
    assert_eq!(listed(&node, "?limit=1&after=."), kept[1..2]);
    assert_eq!(listed(&node, "?after=%2e%2e"), kept[2..]);
    let peer = meeting.start(&[]);
    assert_eq!(peer.post("/register", &named(&node.id())).status, 200);
    wait_until("the peer has them", AGREEING_TIME_MAX, || listed(&peer, ""), |rows| *rows == kept);
    let ended = quipu(&["list", "--node", &peer.id()]);
    assert_eq!(ended.output, ".\t2\n..\t2\n..a\t1\n");
    // No client adds to them any more.
    assert_eq!(node.post("/counters/%2e%2e/increment", "").status, 400);
    assert_eq!(listed(&node, ""), kept);
    drop(node);
    assert_eq!(quipu(&["check", data.path()]).code, Some(0));
}
