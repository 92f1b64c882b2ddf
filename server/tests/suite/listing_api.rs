//! Listing counters over HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::http::Connection;
use crate::support::node::Node;
use serde_json::{Value, json};

/// Adds one to each of these, in batches.
fn touch(node: &Node, names: impl Iterator<Item = String>) {
    let operations: Vec<Value> =
        names.map(|name| json!({"op": "increment", "name": name})).collect();
    for some in operations.chunks(10_000) {
        let answer = node.post("/batch", &json!({ "operations": some }).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// All pages of a listing: names and values in the order in which they came.
fn list(node: &Node, prefix: &str, limit: usize) -> Vec<(String, i64)> {
    let mut connection = Connection::open(node.address()).unwrap();
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/counters?prefix={}&limit={limit}&after={after}", encoded(prefix));
        let page = connection.request("GET", &path, &[], "").unwrap().json();
        let counters = page["counters"].as_array().unwrap();
        assert!(counters.len() <= limit);
        rows.extend(counters.iter().map(|counter| {
            (counter["name"].as_str().unwrap().to_owned(), counter["value"].as_i64().unwrap())
        }));
        match &page["next"] {
            Value::Null => return rows,
            next => after = encoded(next.as_str().unwrap()),
        }
    }
}

#[test]
fn pages_follow_one_another_in_the_order_of_the_names() {
    let node = Node::start(&[]);
    let names = ["b", "a", "ä", "a/b", "a+b", "a b", "a%20", "c&d=e", "日本", "A"];
    touch(&node, names.iter().map(ToString::to_string));
    touch(&node, ["a".to_owned()].into_iter());
    let mut expected: BTreeMap<String, i64> = names.iter().map(|n| (n.to_string(), 1)).collect();
    expected.insert("a".to_owned(), 2);
    for limit in [1, 3, 10, 1000] {
        assert!(list(&node, "", limit).into_iter().eq(expected.clone()), "limit {limit}");
    }
    let begins = |prefix: &str| {
        let names = expected.clone().into_iter().filter(|(name, _)| name.starts_with(prefix));
        names.collect::<Vec<_>>()
    };
    for prefix in ["a", "a+", "a ", "日", "b", "nothing"] {
        assert_eq!(list(&node, prefix, 2), begins(prefix), "prefix {prefix}");
    }
}

#[test]
fn a_page_says_whether_more_follow() {
    let node = Node::start(&[]);
    touch(&node, ["a", "b"].iter().map(ToString::to_string));
    let page = |query: &str| node.get(&format!("/counters{query}")).body.replace(&node.id(), "N");
    let both =
        r#"{"counters":[{"name":"a","value":1},{"name":"b","value":1}],"next":null,"node_id":"N"}"#;
    assert_eq!(page(""), both);
    assert_eq!(page("?limit=2"), both);
    assert_eq!(
        page("?limit=1"),
        r#"{"counters":[{"name":"a","value":1}],"next":"a","node_id":"N"}"#
    );
    assert_eq!(
        page("?limit=1&after=a"),
        r#"{"counters":[{"name":"b","value":1}],"next":null,"node_id":"N"}"#
    );
    assert_eq!(page("?after=zzz"), r#"{"counters":[],"next":null,"node_id":"N"}"#);
}

#[test]
fn thousands_of_names_are_listed_whole_while_others_are_counted() {
    let node = Node::start(&[]);
    let name = |number: u64| format!("user:{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    touch(&node, (0..30_000).map(name));
    let is_over = AtomicBool::new(false);
    let (rows, counted) = thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let mut connection = Connection::open(node.address()).unwrap();
            let mut counted = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(connection.request("POST", "/increment", &[], "").unwrap().status, 200);
                counted += 1;
            }
            counted
        });
        let rows = list(&node, "user:", 1000);
        is_over.store(true, Ordering::Relaxed);
        (rows, counting.join().unwrap())
    });
    let mut expected: Vec<String> = (0..30_000).map(name).collect();
    expected.sort();
    assert!(rows.iter().map(|(name, _)| name).eq(&expected));
    assert!(rows.iter().all(|(_, value)| *value == 1));
    assert_eq!(node.count(), counted);
}
