//! What HTTP clients and operators see of counters that are set, bounded, ended and given a lifetime:
//! asked of one node, and looked at on another.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::{AGREEING_TIME_MAX, Meeting, named};
use crate::support::events::EventStream;
use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::program::quipu;
use crate::support::wait::wait_until;

/// How long a lifetime of a test is: what is to be seen while it lasts is seen within it, on a machine
/// that runs other tests too.
const LIFETIME: &str = "3s";

/// By when it is over everywhere.
const EXPIRING_TIME_MAX: Duration = Duration::from_secs(10);

fn two() -> [Node; 2] {
    let mut nodes = Meeting::by_broadcast().start_together(2, &[]).into_iter();
    std::array::from_fn(|_| nodes.next().expect("two nodes"))
}

/// What a call answers, but for who does.
#[track_caller]
fn said(node: &Node, method: &str, path: &str, body: &str) -> Value {
    let answer = node.request(method, path, body);
    assert_eq!(answer.status, 200, "{method} {path} {body}: {answer:?}");
    let mut said = answer.json();
    let node_id = said.as_object_mut().expect("an object").remove("node_id");
    assert_eq!(node_id, Some(json!(node.id())));
    said
}

/// Waits until a node shows a counter with this value, or none if there is no value.
#[track_caller]
fn shows(node: &Node, name: &str, value: Option<i64>) {
    let seen = || {
        let counter = node.get(&format!("/counters/{name}")).json();
        let value = counter["value"].as_i64().expect("a value");
        if counter["exists"] == false { None } else { Some(value) }
    };
    wait_until("it shows", AGREEING_TIME_MAX.max(EXPIRING_TIME_MAX), seen, |seen| *seen == value);
}

#[track_caller]
fn refused(answer: &Answer, status: u16, kind: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    let document = answer.json();
    assert_eq!(document["type"], format!("urn:quipu:problem:{kind}"), "{document}");
    document["detail"].as_str().expect("a detail").to_owned()
}

/// Takes what is left of a lifetime out of an answer, in milliseconds.
#[track_caller]
fn taken_ttl_ms(said: &mut Value) -> u64 {
    let said = said.as_object_mut().expect("an object");
    let at = said.remove("expires_at").expect("when it expires");
    assert!(at.as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{at}");
    said.remove("ttl_ms").and_then(|ms| ms.as_u64()).expect("what is left")
}

#[test]
fn a_counter_is_set_reset_and_deleted_and_the_other_node_shows_it() {
    let [one, two] = two();
    let set = said(&one, "PUT", "/counters/stock", r#"{"value":40}"#);
    assert_eq!(set, json!({"name": "stock", "value": 40, "before": 0, "existed": false}));
    shows(&two, "stock", Some(40));

    let set = said(&two, "PUT", "/counters/stock", r#"{"value":-3}"#);
    assert_eq!(set, json!({"name": "stock", "value": -3, "before": 40, "existed": true}));
    shows(&one, "stock", Some(-3));

    let reset = said(&one, "POST", "/counters/stock/reset", "");
    assert_eq!(reset, json!({"name": "stock", "value": 0, "before": -3, "existed": true}));
    shows(&two, "stock", Some(0));
    let reset = said(&one, "POST", "/counters/stock/reset", r#"{"to":7}"#);
    assert_eq!(reset, json!({"name": "stock", "value": 7, "before": 0, "existed": true}));
    shows(&two, "stock", Some(7));

    let gone = json!({
        "name": "stock", "value": 0, "exists": false, "before": 7, "existed": true,
    });
    assert_eq!(said(&two, "DELETE", "/counters/stock", ""), gone);
    shows(&one, "stock", None);
    let gone = json!({
        "name": "stock", "value": 0, "exists": false, "before": 0, "existed": false,
    });
    assert_eq!(said(&one, "DELETE", "/counters/stock", ""), gone);
    for node in [&one, &two] {
        assert_eq!(node.get("/counters").json()["counters"], json!([]));
        assert_eq!(node.get("/counters/stock/origins").json()["origins"], json!([]));
        assert!(node.get("/metrics").body.contains("\nquipu_counters 0\n"));
    }
    assert!(one.get("/metrics").body.contains("\nquipu_names 1\n"));

    assert_eq!(said(&one, "POST", "/counters/stock/increment", "")["value"], 1);
    shows(&two, "stock", Some(1));
    let origins = two.get("/counters/stock/origins").json();
    assert_eq!((&origins["value"], &origins["origins"][0]["plus"]), (&json!(1), &json!(1)));
}

#[test]
fn an_increment_keeps_to_the_bounds_that_it_is_given() {
    let node = Node::start(&[]);
    let asked = |call: &str, body: &str| said(&node, "POST", &format!("/counters/c/{call}"), body);
    for (call, body, value, applied) in [
        ("increment", r#"{"by":8,"max":10}"#, 8, 8),
        ("increment", r#"{"by":3,"max":10}"#, 8, 0),
        ("increment", r#"{"by":3,"max":10,"saturate":true}"#, 10, 2),
        ("decrement", r#"{"by":9,"min":0}"#, 1, -9),
        ("decrement", r#"{"by":3,"min":0}"#, 1, 0),
        ("decrement", r#"{"by":3,"min":0,"saturate":true}"#, 0, -1),
        ("increment", r#"{"by":-3,"min":0,"saturate":true}"#, 0, 0),
    ] {
        let expected = json!({"name": "c", "value": value, "applied": applied});
        assert_eq!(asked(call, body), expected, "{call} {body}");
    }
    // What a bound refused has not made the counter.
    let refused_at_once = said(&node, "POST", "/counters/new/increment", r#"{"max":0}"#);
    let expected = json!({"name": "new", "value": 0, "applied": 0, "exists": false});
    assert_eq!(refused_at_once, expected);
    // No bound of the client's forbids this.
    let most = format!(r#"{{"by":{},"ttl":"60s"}}"#, i64::MAX);
    asked("increment", &most);
    let answer = node.post("/counters/c/increment", r#"{"by":1,"ttl":"60s"}"#);
    assert!(refused(&answer, 409, "overflow").contains("nothing was changed"));
}

#[test]
fn a_counter_expires_on_both_nodes_and_those_who_watch_are_told() {
    let [one, two] = two();
    let mut events = EventStream::open(&two, "?every=20ms", &[]);
    let body = format!(r#"{{"by":5,"ttl_if_none":"{LIFETIME}"}}"#);
    let mut added = said(&one, "POST", "/counters/hits/increment", &body);
    assert!((1..=3_000).contains(&taken_ttl_ms(&mut added)));
    assert_eq!(added, json!({"name": "hits", "value": 5, "applied": 5}));
    let left = said(&one, "POST", "/counters/hits/increment", &body)["ttl_ms"].clone();
    assert!(left.as_u64().is_some_and(|ms| ms <= 3_000), "it is not lengthened: {left}");
    assert!(one.post("/counters/hits/increment", "").json()["ttl_ms"].is_u64());
    events.until(&[("hits", 11)]);
    let told = loop {
        let event = events.next("change");
        let rows = event.data["counters"].as_array().expect("a list").clone();
        if let Some(row) = rows.into_iter().find(|row| row["deleted"] == true) {
            break row;
        }
    };
    assert_eq!(told, json!({"name": "hits", "value": 0, "deleted": true}));
    for node in [&one, &two] {
        shows(node, "hits", None);
    }
    assert_eq!(said(&two, "POST", "/counters/hits/increment", "")["value"], 1, "it begins anew");
    shows(&one, "hits", Some(1));
}

#[test]
fn a_lifetime_is_given_moved_and_taken_away() {
    let [one, two] = two();
    let expire = |body: &str| said(&one, "POST", "/counters/c/expire", body);
    let missing = json!({"name": "c", "value": 0, "exists": false, "before": 0, "existed": false});
    assert_eq!(expire(r#"{"ttl":"60s"}"#), missing);
    one.post("/counters/c/increment", r#"{"by":3}"#);
    let mut given = expire(r#"{"ttl":"1h"}"#);
    assert!((3_500_000..=3_600_000).contains(&taken_ttl_ms(&mut given)));
    assert_eq!(given, json!({"name": "c", "value": 3, "before": 3, "existed": true}));
    let at = "2099-12-01T00:00:00Z";
    assert_eq!(expire(&format!(r#"{{"at":"{at}"}}"#))["expires_at"], at);
    let seen = || two.get("/counters/c").json()["expires_at"].clone();
    wait_until("the other node has it", AGREEING_TIME_MAX, seen, |seen| *seen == at);

    // A reset leaves it, and a set takes it.
    let reset = said(&one, "POST", "/counters/c/reset", r#"{"to":4}"#);
    assert_eq!((&reset["expires_at"], &reset["value"]), (&json!(at), &json!(4)));
    let set = said(&one, "PUT", "/counters/c", r#"{"value":5}"#);
    assert_eq!(set, json!({"name": "c", "value": 5, "before": 4, "existed": true}));
    let set = said(&one, "PUT", "/counters/c", r#"{"value":5,"ttl":"7d"}"#);
    assert!(set["ttl_ms"].as_u64().is_some_and(|ms| ms > 600_000_000), "{set}");
    let kept = json!({"name": "c", "value": 5, "before": 5, "existed": true});
    assert_eq!(expire(r#"{"ttl":null}"#), kept);

    let gone = json!({"name": "c", "value": 0, "exists": false, "before": 5, "existed": true});
    assert_eq!(expire(r#"{"at":1000}"#), gone, "a time that is over ends it at once");
    shows(&two, "c", None);
}

#[test]
fn a_batch_does_the_same() {
    let node = Node::start(&[]);
    let operations = json!([
        {"op": "set", "name": "a", "value": 9},
        {"op": "increment", "name": "a", "by": 5, "max": 10},
        {"op": "increment", "name": "a", "by": 5, "max": 10, "saturate": true},
        {"op": "decrement", "name": "b", "by": 2, "ttl": "60s"},
        {"op": "reset", "name": "a", "to": 1},
        {"op": "delete", "name": "a"},
        {"op": "get", "name": "a"},
        {"op": "expire", "name": "b", "at": null},
        {"op": "increment", "name": "a", "value": 1},
        {"op": "increment", "name": "d", "by": i64::MAX},
        {"op": "increment", "name": "d", "ttl": "1s"},
    ]);
    let body = json!({ "operations": operations }).to_string();
    let mut results = said(&node, "POST", "/batch", &body)["results"].clone();
    assert!((1..=60_000).contains(&taken_ttl_ms(&mut results[3])));
    let expected = [
        json!({"name": "a", "value": 9, "before": 0, "existed": false}),
        json!({"name": "a", "value": 9, "applied": 0}),
        json!({"name": "a", "value": 10, "applied": 1}),
        json!({"name": "b", "value": -2, "applied": -2}),
        json!({"name": "a", "value": 1, "before": 10, "existed": true}),
        json!({"name": "a", "value": 0, "exists": false, "before": 1, "existed": true}),
        json!({"name": "a", "value": 0, "exists": false}),
        json!({"name": "b", "value": -2, "before": -2, "existed": true}),
    ];
    assert_eq!(results.as_array().expect("a list")[..expected.len()], expected);
    let problem = |at: usize| results[at]["problem"]["type"].clone();
    assert_eq!(problem(8), "urn:quipu:problem:body");
    assert_eq!(problem(10), "urn:quipu:problem:overflow");
}

#[test]
fn all_counters_of_a_prefix_are_deleted_and_no_others() {
    let [one, two] = two();
    let add = |n: usize| json!({"op": "increment", "name": format!("day/{n:05}")});
    let operations: Vec<Value> = (0..2500).map(add).collect();
    one.post("/batch", &json!({ "operations": operations }).to_string());
    one.post("/counters/days/increment", "");
    let count = |node: &Node| node.get("/status").json()["counters"].clone();
    wait_until("both have all", AGREEING_TIME_MAX, || count(&two), |count| *count == 2501);
    for query in ["", "?prefix=", "?prefix=a&limit=5"] {
        refused(&one.request("DELETE", &format!("/counters{query}"), ""), 400, "query");
    }
    let deleted = said(&two, "DELETE", "/counters?prefix=day%2F", "");
    assert_eq!(deleted, json!({"prefix": "day/", "deleted": 2500, "more": false}));
    wait_until("they are gone", AGREEING_TIME_MAX, || count(&one), |count| *count == 1);
    assert_eq!(said(&one, "DELETE", "/counters?prefix=day%2F", "")["deleted"], 0);
    assert_eq!(one.get("/counters").json()["counters"], json!([{"name": "days", "value": 1}]));
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let node = Node::start(&[]);
    node.post("/counters/c/increment", r#"{"by":3}"#);
    for (method, path, body, words) in [
        ("PUT", "/counters/c", "", "found no body"),
        ("PUT", "/counters/c", "{}", "missing field `value`"),
        ("PUT", "/counters/c", r#"{"to":5}"#, "found the unknown member \"to\""),
        ("PUT", "/counters/c", r#"{"value":5,"ttl":60}"#, "expected a time like \"60s\""),
        ("PUT", "/counters/c", r#"{"value":5,"ttl":"0s"}"#, "expected a time from 1ms"),
        ("POST", "/counters/c/reset", r#"{"value":5}"#, "found the unknown member \"value\""),
        ("POST", "/counters/c/expire", "{}", "expected ttl or at, found neither"),
        ("POST", "/counters/c/expire", r#"{"at":"tomorrow"}"#, "(RFC 3339), found \"tomorrow\""),
        ("POST", "/counters/c/expire", r#"{"ttl":"1s","ttl":"2s"}"#, "duplicate field `ttl`"),
        ("POST", "/counters/c/increment", r#"{"min":3,"max":2}"#, "expected a min of at most max"),
        ("POST", "/counters/c/increment", r#"{"tll":"1s"}"#, "did you mean \"ttl\"?"),
        ("DELETE", "/counters/c", "{}", "expected no body for this call, found one"),
    ] {
        let detail = refused(&node.request(method, path, body), 400, "body");
        assert!(detail.contains(words), "{method} {path} {body}: {detail}");
    }
    refused(&node.request("DELETE", "/counters/c?prefix=c", ""), 400, "query");
    let detail = refused(&node.request("PATCH", "/counters/c", ""), 405, "method");
    assert_eq!(detail, "expected GET, PUT or DELETE, found PATCH");
    assert_eq!(node.get("/counters/c").json()["value"], 3);
}

#[test]
fn a_node_that_was_removed_ends_nothing_and_says_so() {
    let [one, two] = two();
    two.post("/counters/c/increment", r#"{"by":3}"#);
    shows(&one, "c", Some(3));
    assert_eq!(one.post("/remove-peer", &named(&two.id())).status, 200);
    let removed = || two.get("/discovery").json()["removed"].clone();
    wait_until("it is told", AGREEING_TIME_MAX, removed, |removed| *removed == true);
    for (method, path, body) in [
        ("PUT", "/counters/c", r#"{"value":1}"#),
        ("DELETE", "/counters/c", ""),
        ("POST", "/counters/c/reset", ""),
        ("POST", "/counters/c/expire", r#"{"ttl":"1s"}"#),
        ("POST", "/counters/c/increment", r#"{"ttl":"1s"}"#),
        ("DELETE", "/counters?prefix=c", ""),
    ] {
        let detail = refused(&two.request(method, path, body), 503, "removed");
        assert!(detail.ends_with("nothing was changed"), "{method} {path}: {detail}");
    }
    assert_eq!(two.post("/counters/c/increment", "").json()["value"], 4);
    let metrics = two.get("/metrics").body;
    assert!(metrics.contains("\nquipu_refusals_total{reason=\"ends\"} 6\n"), "{metrics}");
}

#[test]
fn the_original_calls_tell_what_they_always_told() {
    let node = Node::start(&[]);
    let id = node.id();
    said(&node, "PUT", "/counters/default", r#"{"value":5,"ttl":"1h"}"#);
    assert_eq!(node.get("/count").body, format!(r#"{{"count":5,"node_id":"{id}"}}"#));
    let added = node.post("/increment", "").body;
    assert_eq!(added, format!(r#"{{"count":6,"node_id":"{id}"}}"#));
    node.request("DELETE", "/counters/default", "");
    assert_eq!(node.get("/count").body, format!(r#"{{"count":0,"node_id":"{id}"}}"#));
}

/// What the program answers, asking this node.
#[track_caller]
fn told(node: &Node, arguments: &[&str]) -> String {
    let ended = quipu(&[arguments, &["--node", &node.id()]].concat());
    assert_eq!((ended.code, ended.complaint.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
    ended.output
}

#[test]
fn operators_set_reset_delete_and_expire_at_the_command_line() {
    let node = Node::start(&[]);
    assert_eq!(told(&node, &["set", "a", "-7"]), "-7\n");
    assert_eq!(told(&node, &["set", "a", "40", "--ttl", "7d"]), "40\n");
    let seen = told(&node, &["get", "a"]);
    assert!(["40\t7d\n", "40\t6d23h\n"].contains(&seen.as_str()), "{seen}");
    assert_eq!(told(&node, &["reset", "a"]), "40\n");
    assert_eq!(told(&node, &["reset", "a", "--to", "-5"]), "0\n");
    assert_eq!(told(&node, &["expire", "a", "--never"]), "never\n");
    assert_eq!(told(&node, &["get", "a", "b"]), "a\t-5\nb\t0\n");
    let left = told(&node, &["expire", "a", "2h"]);
    assert!(["2h\n", "1h59m\n"].contains(&left.as_str()), "{left}");
    assert_eq!(told(&node, &["expire", "a", "--at", "2020-01-01T00:00:00Z"]), "expired\n");
    for name in ["a", "b", "x/1", "x/2"] {
        told(&node, &["add", name, "3"]);
    }
    assert_eq!(told(&node, &["delete", "a"]), "3\n");
    assert_eq!(told(&node, &["delete", "a", "b"]), "a\t0\nb\t3\n");
    assert_eq!(told(&node, &["delete", "--prefix", "x/", "--yes"]), "2\n");
    assert_eq!(told(&node, &["list"]), "");
    let set: Value = serde_json::from_str(&told(&node, &["set", "c", "1", "--json"])).unwrap();
    assert_eq!(set, json!({"name": "c", "value": 1, "before": 0, "existed": false}));
    let deleted = told(&node, &["delete", "--prefix", "c", "--yes", "--json"]);
    assert_eq!(deleted, "{\"deleted\":1,\"prefix\":\"c\"}\n");
}

#[test]
fn what_cannot_be_done_at_the_command_line_is_said_in_one_line() {
    let node = Node::start(&[]);
    told(&node, &["add", "a"]);
    let id = node.id();
    for (arguments, code, words) in [
        (&["expire", "x", "1s"][..], 1, "expected a counter that exists, found none named \"x\""),
        (&["expire", "a"], 2, "missing: <TIME|--at <MOMENT>|--never>"),
        (&["expire", "a", "1s", "--never"], 2, "cannot be used with"),
        (&["expire", "a", "1w"], 2, "expected a time from 1ms to 36500d"),
        (&["expire", "a", "--at", "noon"], 2, "expected a time like 2026-12-01T00:00:00Z"),
        (&["set", "a", "x"], 2, "expected a whole number"),
        (&["set", "a", "1", "--ttl", "0s"], 2, "expected a time from 1ms"),
        (&["delete"], 2, "missing: <NAME>"),
        (&["delete", "a", "--prefix", "a"], 2, "cannot be used with"),
        (&["delete", "--prefix", ""], 2, "1 to 1024 bytes"),
        // Its input is no terminal.
        (&["delete", "--prefix", "a"], 1, "expected --yes"),
    ] {
        let ended = quipu(&[arguments, &["--node", &id]].concat());
        let line = ended.complaint;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {line}");
        assert!(line.contains(words) && line.lines().count() == 1, "{arguments:?}: {line}");
    }
    assert_eq!(told(&node, &["get", "a"]), "1\n");
}

#[test]
fn a_watcher_who_comes_back_is_not_shown_what_has_ended_meanwhile() {
    let node = Node::start(&[]);
    node.post("/counters/a/increment", "");
    node.post("/counters/b/increment", "");
    let mut events = EventStream::open(&node, "?every=20ms", &[]);
    let seen = events.next("snapshot");
    node.request("DELETE", "/counters/a", "");
    let behind = format!("Last-Event-ID: {}", seen.id);
    let mut again = EventStream::open(&node, "?every=20ms", &[&behind]);
    let told = again.next("change").data["counters"].clone();
    assert_eq!(told, json!([{"name": "a", "value": 0, "deleted": true}]));
    let mut fresh = EventStream::open(&node, "", &[]);
    let snapshot = fresh.next("snapshot").data["counters"].clone();
    assert_eq!(snapshot, json!([{"name": "b", "value": 1}]));
}
