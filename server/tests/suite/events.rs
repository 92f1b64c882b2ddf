//! Watching what changes, as any HTTP client can.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::cluster::{LEAVING_TIME_MAX, Meeting, named};
use crate::support::events::{Event, EventStream, counters};
use crate::support::http::Connection;
use crate::support::node::Node;
use crate::support::wait::wait_until;

fn add(node: &Node, name: &str, by: i64) {
    let path = format!("/counters/{name}/increment");
    assert_eq!(node.post(&path, &format!(r#"{{"by":{by}}}"#)).status, 200);
}

fn row(name: &str, value: i64) -> (String, i64) {
    (name.to_owned(), value)
}

/// As a browser says where it was.
fn behind(event: &Event) -> String {
    format!("Last-Event-ID: {}", event.id)
}

#[test]
fn a_watcher_is_told_what_is_there_and_then_what_changes_by_whatever_client() {
    let nodes = Meeting::by_broadcast().start_together(2, &[]);
    add(&nodes[0], "a", 1);
    add(&nodes[0], "b", 2);
    let mut stream = EventStream::open(&nodes[0], "", &[]);
    let snapshot = stream.next("snapshot");
    assert_eq!(counters(&snapshot), [row("a", 1), row("b", 2)]);
    assert_eq!(
        (&snapshot.data["more"], &snapshot.data["node_id"]),
        (&false.into(), &nodes[0].id().into())
    );
    let peers = stream.next("peers").data;
    assert_eq!(
        (&peers["peers"][0]["address"], &peers["peers"][0]["state"]),
        (&nodes[1].id().into(), &"alive".into())
    );
    add(&nodes[0], "a", 10);
    add(&nodes[1], "c", 5);
    let told = stream.until(&[("a", 11), ("c", 5)]);
    assert!(!told.contains_key("b"), "what did not change is not told again: {told:?}");
}

#[test]
fn a_watcher_sees_what_it_asked_for_and_nothing_else() {
    let node = Node::start(&[]);
    for name in ["pages", "pages.a", "other"] {
        add(&node, name, 1);
    }
    let mut of_prefix = EventStream::open(&node, "?prefix=pages&every=20ms", &[]);
    let mut of_names = EventStream::open(&node, "?counter=other&counter=new", &[]);
    assert_eq!(counters(&of_prefix.next("snapshot")), [row("pages", 1), row("pages.a", 1)]);
    assert_eq!(counters(&of_names.next("snapshot")), [row("other", 1)]);
    for name in ["other", "pages.b", "new", "pages"] {
        add(&node, name, 1);
    }
    let told = of_prefix.until(&[("pages", 2), ("pages.b", 1)]);
    assert_eq!(told.len(), 2, "{told:?}");
    let told = of_names.until(&[("other", 2), ("new", 1)]);
    assert_eq!(told.len(), 2, "{told:?}");
    for (query, words) in [
        ("?every=1ms", "expected every from 20ms to 60s"),
        ("?prefix=a&counter=b", "expected prefix or counter, found both"),
        ("?counters=a", "expected prefix, counter or every"),
    ] {
        let answer = node.get(&format!("/events{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains(words), "{query}: {}", answer.body);
    }
}

#[test]
fn who_lost_its_connection_goes_on_behind_the_last_event_that_it_had() {
    let node = Node::start(&[]);
    add(&node, "a", 1);
    let mut stream = EventStream::open(&node, "", &[]);
    stream.next("snapshot");
    add(&node, "b", 1);
    let last = stream.next("change");
    assert_eq!(counters(&last), [row("b", 1)]);
    drop(stream);
    add(&node, "c", 1);
    add(&node, "b", 1);
    let mut stream = EventStream::open(&node, "", &[&behind(&last)]);
    let next = stream.try_next().expect("what was missed");
    assert_eq!((next.event.as_str(), counters(&next)), ("change", vec![row("c", 1), row("b", 2)]));
}

#[test]
fn who_comes_from_another_process_or_time_is_told_so_and_begins_anew() {
    let node = Node::start(&[]);
    add(&node, "a", 1);
    for id in ["0123456789abcdef-1", "nonsense", "-", "0123456789abcdef-99999999999999999999"] {
        let mut stream = EventStream::open(&node, "", &[&format!("Last-Event-ID: {id}")]);
        assert_eq!(stream.try_next().expect("an event").event, "reset", "{id}");
        assert_eq!(counters(&stream.next("snapshot")), [row("a", 1)], "{id}");
    }
}

#[test]
fn who_reads_nothing_skips_values_and_never_the_last_of_any_counter() {
    let node = Node::start(&[]);
    let names: Vec<_> =
        (0..3000).map(|n| format!("counter-with-a-rather-long-name-{n:04}")).collect();
    let mut stream = EventStream::open(&node, "?every=20ms", &[]);
    stream.next("snapshot");
    let rounds = 40;
    let mut connection = node.connect().expect("a connection");
    for _ in 0..rounds {
        let ops: Vec<_> =
            names.iter().map(|name| format!(r#"{{"op":"increment","name":"{name}"}}"#)).collect();
        let body = format!(r#"{{"operations":[{}]}}"#, ops.join(","));
        let answer = connection.request("POST", "/batch", &[], &body).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let wanted: Vec<_> = names.iter().map(|name| (name.as_str(), rounds)).collect();
    let told = stream.until(&wanted);
    for values in told.values() {
        assert!(values.is_sorted(), "a count went back: {values:?}");
    }
}

#[test]
fn a_quick_counter_is_told_no_more_often_than_was_asked_for() {
    let node = Node::start(&[]);
    let mut stream = EventStream::open(&node, "?every=1s", &[]);
    stream.next("snapshot");
    let mut connection = node.connect().expect("a connection");
    let mut increments = 0;
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        let answer = connection.request("POST", "/increment", &[], "").expect("an answer");
        assert_eq!(answer.status, 200);
        increments += 1;
    }
    let told = stream.until(&[("default", increments)]);
    let seconds = start.elapsed().as_secs_f64();
    let times = told["default"].len() as f64;
    assert!(times <= seconds + 2.0, "{times} times in {seconds} s");
}

#[test]
fn watchers_see_a_peer_go_in_the_list_and_in_the_log() {
    let mut nodes = Meeting::by_broadcast().start_together(2, &[]);
    let mut stream = EventStream::open(&nodes[0], "?counter=none", &[]);
    stream.next("snapshot");
    let id = nodes[1].id();
    nodes[1].kill();
    let start = std::time::Instant::now();
    loop {
        let peers = stream.next("peers").data;
        let is_down = |peer: &serde_json::Value| peer["address"] == *id && peer["state"] == "down";
        if peers["peers"].as_array().is_some_and(|peers| peers.iter().any(is_down)) {
            break;
        }
        assert!(start.elapsed() < LEAVING_TIME_MAX, "{peers}");
    }
    let mut again = EventStream::open(&nodes[0], "?counter=none", &[]);
    loop {
        let line = again.next("log").data;
        if line["text"].as_str().is_some_and(|text| text.contains(&format!("{id} is down"))) {
            break;
        }
    }
}

#[test]
fn watchers_see_a_peer_that_is_suspect_and_one_that_is_joining() {
    let nodes = Meeting::by_broadcast().start_together(2, &[]);
    let mut stream = EventStream::open(&nodes[0], "?counter=none", &[]);
    stream.next("snapshot");
    let other = nodes[1].id();
    nodes[1].pause();
    // No node answers there: what TCP and UDP call discard.
    nodes[0].post("/register", &named("127.0.0.9:9"));
    let mut missing = BTreeSet::from([
        format!("{other} suspect"),
        "127.0.0.9:9 joining".to_owned(),
        format!("peer {other} is suspect"),
        "peer 127.0.0.9:9 is joining".to_owned(),
    ]);
    while !missing.is_empty() {
        let event = stream.try_next().unwrap_or_else(|error| panic!("{missing:?}: {error}"));
        for peer in event.data["peers"].as_array().into_iter().flatten() {
            let text = |key: &str| peer[key].as_str().unwrap_or_default().to_owned();
            missing.remove(&format!("{} {}", text("address"), text("state")));
        }
        let line = event.data["text"].as_str().unwrap_or_default();
        missing.retain(|wanted| !line.starts_with(wanted.as_str()));
    }
}

#[test]
fn watchers_are_bounded_in_number_and_leave_room_when_they_go() {
    let node = Node::start(&[]);
    let mut streams: Vec<_> =
        (0..256).map(|_| EventStream::open(&node, "?counter=a", &[])).collect();
    let refused = node.get("/events");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(node.get("/count").status, 200, "others are served");
    let metrics = node.get("/metrics").body;
    for sample in [
        "quipu_watchers{kind=\"events\"} 256\n",
        "quipu_watchers{kind=\"redis\"} 0\n",
        "quipu_watchers_refused_total{kind=\"events\"} 1\n",
    ] {
        assert!(metrics.contains(sample), "{sample}in {metrics}");
    }
    streams.clear();
    wait_until(
        "there is no watcher",
        Duration::from_secs(10),
        || node.get("/metrics").body,
        |metrics| metrics.contains("quipu_watchers{kind=\"events\"} 0\n"),
    );
    wait_until(
        "there is room",
        Duration::from_secs(10),
        || {
            let mut connection = Connection::open(node.address()).expect("a connection");
            connection.request("GET", "/events?counter=a", &[], "").expect("an answer").status
        },
        |status| *status == 200,
    );
}

#[test]
fn a_node_that_is_told_to_stop_does_not_wait_for_those_who_watch() {
    let mut node = Node::start(&[]);
    let mut stream = EventStream::open(&node, "", &[]);
    stream.next("snapshot");
    assert!(node.terminate().success());
    assert!(!node.log().contains("still open"), "{}", node.log());
    while stream.try_next().is_ok() {}
}
