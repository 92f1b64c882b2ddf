//! The HTTP API of a real node, byte for byte where clients look.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::http::{Connection, request};
use crate::support::node::Node;
use crate::support::transcript::transcript;
use crate::support::wait::wait_until;
use serde_json::json;

/// Every call.
const CALLS: [(&str, &str); 27] = [
    ("GET", "/health"),
    ("GET", "/count"),
    ("POST", "/increment"),
    ("POST", "/sync"),
    ("GET", "/peers"),
    ("POST", "/register"),
    ("POST", "/remove-peer"),
    ("GET", "/discovery"),
    ("GET", "/counters/c"),
    ("PUT", "/counters/c"),
    ("DELETE", "/counters/c"),
    ("POST", "/counters/c/increment"),
    ("POST", "/counters/c/decrement"),
    ("POST", "/counters/c/raise"),
    ("POST", "/counters/c/reset"),
    ("POST", "/counters/c/expire"),
    ("GET", "/counters/c/origins"),
    ("GET", "/counters"),
    ("DELETE", "/counters"),
    ("POST", "/batch"),
    ("GET", "/openapi.json"),
    ("GET", "/status"),
    ("GET", "/metrics"),
    ("GET", "/events"),
    ("GET", "/link"),
    ("GET", "/"),
    ("GET", "/page/main.js"),
];

#[test]
fn the_eight_original_calls_are_answered_as_recorded() {
    let node = Node::start(&[]);
    let said = transcript(
        &node,
        &[
            ("GET", "/health", ""),
            ("GET", "/count", ""),
            ("POST", "/increment", ""),
            ("POST", "/increment", ""),
            ("POST", "/sync", r#"{"count":7}"#),
            ("POST", "/sync", r#"{"count":3}"#),
            ("GET", "/count", ""),
            ("GET", "/peers", ""),
            ("GET", "/discovery", ""),
            ("POST", "/register", r#"{"id":"127.0.0.2:1"}"#),
            ("GET", "/peers", ""),
            ("GET", "/discovery", ""),
            ("POST", "/register", r#"{"id":"127.0.0.2:1"}"#),
            ("GET", "/peers", ""),
            ("POST", "/remove-peer", r#"{"id":"127.0.0.2:1"}"#),
            ("GET", "/peers", ""),
            ("POST", "/remove-peer", r#"{"id":"127.0.0.2:1"}"#),
        ],
    );
    insta::assert_snapshot!(said, @r#"
    GET /health
      200 {"status":"ok","node_id":"[node_id]"}
    GET /count
      200 {"count":0,"node_id":"[node_id]"}
    POST /increment
      200 {"count":1,"node_id":"[node_id]"}
    POST /increment
      200 {"count":2,"node_id":"[node_id]"}
    POST /sync {"count":7}
      200 {"count":7,"node_id":"[node_id]"}
    POST /sync {"count":3}
      200 {"count":7,"node_id":"[node_id]"}
    GET /count
      200 {"count":7,"node_id":"[node_id]"}
    GET /peers
      200 []
    GET /discovery
      200 {"node_id":"[node_id]","peers":[],"node":"[random]","removed":false}
    POST /register {"id":"127.0.0.2:1"}
      200 {"status":"ok","node_id":"[node_id]"}
    GET /peers
      200 ["127.0.0.2:1"]
    GET /discovery
      200 {"node_id":"[node_id]","peers":["127.0.0.2:1"],"node":"[random]","removed":false}
    POST /register {"id":"127.0.0.2:1"}
      200 {"status":"ok","node_id":"[node_id]"}
    GET /peers
      200 ["127.0.0.2:1"]
    POST /remove-peer {"id":"127.0.0.2:1"}
      200 {"status":"ok","node_id":"[node_id]"}
    GET /peers
      200 []
    POST /remove-peer {"id":"127.0.0.2:1"}
      200 {"status":"ok","node_id":"[node_id]"}
    "#);
}

/// The answer was that the address was taken in, and it was never asked.
#[test]
fn an_address_too_many_that_is_registered_is_refused_with_the_reason() {
    let node = Node::start(&[]);
    let register = |n: usize| {
        let address = format!("127.0.{}.{}:1", 2 + n / 200, 1 + n % 200);
        node.post("/register", &format!(r#"{{"id":"{address}"}}"#))
    };
    // Each is asked for five seconds, and then makes room.
    let refused = (0..2_000).map(register).find(|answer| answer.status != 200).expect("a refusal");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("256 registered addresses are being asked"), "{}", refused.body);
    assert!(refused.body.contains("nothing was changed"), "{}", refused.body);
    assert_eq!(node.peers().len(), 256);
}

#[test]
fn registering_oneself_changes_nothing() {
    let node = Node::start(&[]);
    assert_eq!(node.post("/register", &format!(r#"{{"id":"{}"}}"#, node.id())).status, 200);
    assert_eq!(node.peers(), Vec::<String>::new());
}

#[test]
fn a_peer_without_a_port_is_listed_exactly_as_it_was_given_until_it_is_removed() {
    let node = Node::start(&[]);
    assert_eq!(node.post("/register", r#"{"id":"127.0.0.3"}"#).status, 200);
    assert_eq!(node.peers(), ["127.0.0.3"]);
    assert_eq!(node.post("/remove-peer", r#"{"id":"127.0.0.3:8088"}"#).status, 200);
    assert_eq!(node.peers(), Vec::<String>::new());
}

#[test]
fn discovery_names_the_node_and_its_peers_first() {
    let node = Node::start(&[]);
    let answer = node.get("/discovery");
    assert_eq!(answer.status, 200);
    let start = format!(r#"{{"node_id":"{}","peers":[],"#, node.id());
    assert!(answer.body.starts_with(&start), "{}", answer.body);
}

#[test]
fn the_content_type_of_a_request_is_not_looked_at() {
    let node = Node::start(&[]);
    let mut connection = Connection::open(node.address()).unwrap();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "nonsense"] {
        let header = format!("Content-Type: {content_type}");
        let answer = connection.request("POST", "/sync", &[&header], r#"{"count":5}"#).unwrap();
        assert_eq!((answer.status, node.count()), (200, 5), "{content_type}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn a_wrong_method_is_refused_and_the_right_one_named() {
    let node = Node::start(&[]);
    for (method, path) in CALLS {
        let of_path = CALLS.iter().filter(|(_, other)| *other == path);
        let right: Vec<&str> = of_path.map(|(method, _)| *method).collect();
        let expected = match &right[..] {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => method.to_owned(),
        };
        let all = ["GET", "POST", "PUT", "DELETE", "PATCH"];
        for wrong in all.into_iter().filter(|wrong| !right.contains(wrong)) {
            let answer = node.request(wrong, path, "");
            assert_eq!(answer.status, 405, "{wrong} {path}: {answer:?}");
            let allowed = answer.header("allow").unwrap_or_default();
            assert!(allowed.split(',').any(|a| a == method), "{wrong} {path}: {answer:?}");
            let said = answer.json();
            let reason = said.get("error").or_else(|| said.get("detail"));
            assert_eq!(reason, Some(&json!(format!("expected {expected}, found {wrong}"))));
        }
    }
    assert_eq!(node.count(), 0);
}

#[test]
fn a_body_that_does_not_say_what_is_needed_is_refused_with_the_reason() {
    let node = Node::start(&[]);
    for path in ["/sync", "/register", "/remove-peer"] {
        for body in ["", "{", "{}", "[]", "7", "null", r#"{"count":"7","id":7}"#, "\0\u{1}"] {
            let answer = node.post(path, body);
            assert_eq!(answer.status, 400, "{path} {body:?}: {answer:?}");
            let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
            assert!(error.starts_with("expected"), "{path} {body:?}: {error}");
        }
    }
    for body in [r#"{"count":1.5}"#, r#"{"count":9223372036854775808}"#, r#"{"Count":7}"#] {
        assert_eq!(node.post("/sync", body).status, 400, "{body}");
    }
    for id in ["", ":8088", "a:0", "a:65536", "http://a:1", "a b", "a\\nb", "::1"] {
        for path in ["/register", "/remove-peer"] {
            let answer = node.post(path, &format!(r#"{{"id":"{id}"}}"#));
            assert_eq!(answer.status, 400, "{path} {id:?}: {answer:?}");
        }
    }
    assert_eq!(node.count(), 0);
    assert_eq!(node.peers(), Vec::<String>::new());
}

#[test]
fn a_path_that_does_not_exist_is_answered_with_those_that_do() {
    let node = Node::start(&[]);
    for (path, key) in [
        ("/nothing", "error"),
        ("/page/a/b", "error"),
        ("/count/", "error"),
        ("/counters/", "detail"),
        ("/counters/a/b", "detail"),
    ] {
        let answer = node.get(path);
        assert_eq!(answer.status, 404, "{path}");
        let error = answer.json()[key].to_string();
        assert!(error.contains("POST /increment") && error.contains(path), "{path}: {error}");
    }
}

#[test]
fn a_body_beyond_the_bound_is_refused_whether_or_not_its_length_is_told() {
    let node = Node::start(&[]);
    let large = "x".repeat((64 << 10) + 1);
    let mut told = Connection::open(node.address()).unwrap();
    // Only the length is sent: it is refused before any of the body is read.
    told.send(b"POST /increment HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n")
        .unwrap();
    assert_eq!(told.answer().unwrap().status, 413);
    let mut untold = Connection::open(node.address()).unwrap();
    let head = "POST /increment HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    untold.send(format!("{head}{:x}\r\n{large}", large.len()).as_bytes()).unwrap();
    let answer = untold.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert_eq!(node.count(), 0);
    assert_eq!(
        node.post("/increment", &"x".repeat(64 << 10)).status,
        200,
        "ignored, within bounds"
    );
    assert_eq!(node.count(), 1);
}

#[test]
fn a_head_beyond_the_bound_is_refused() {
    let node = Node::start(&[]);
    let mut connection = Connection::open(node.address()).unwrap();
    let head = format!("GET /count HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    // The node may close before it has read all of it.
    let _ = connection.send(head.as_bytes());
    assert!(connection.answer().map_or(true, |answer| answer.status == 431));
    assert_eq!(node.count(), 0);
}

#[test]
fn rubbish_is_answered_with_400_and_the_connection_closed() {
    let node = Node::start(&[]);
    for rubbish in
        ["\0\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0", "a b c\r\n\r\n"]
    {
        let mut connection = Connection::open(node.address()).unwrap();
        connection.send(rubbish.as_bytes()).unwrap();
        let said = connection.rest().unwrap();
        assert!(said.starts_with("HTTP/1.1 400 "), "{rubbish:?}: {said:?}");
    }
    assert_eq!(node.count(), 0);
}

/// As `nc -N` does, and many a script.
#[test]
fn who_ends_its_side_behind_its_requests_is_still_answered() {
    let node = Node::start(&[]);
    for round in 1..=20 {
        let mut stream = TcpStream::connect(node.address()).unwrap();
        let increment = "POST /increment HTTP/1.1\r\nHost: t\r\n\r\n";
        let last = "GET /count HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("{increment}{last}").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        let counted = format!("\"count\":{round},");
        assert_eq!(answers.matches(&counted).count(), 2, "{answers}");
    }
}

#[test]
fn half_requests_held_open_keep_no_client_waiting_and_count_nothing() {
    let node = Node::start(&[]);
    let halves: Vec<_> = (0..300)
        .map(|number| {
            let mut connection = Connection::open(node.address()).unwrap();
            let half: &[u8] = match number % 3 {
                0 => b"POST /incr",
                1 => b"POST /increment HTTP/1.1\r\nHost: t\r\n",
                _ => b"POST /increment HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nab",
            };
            connection.send(half).unwrap();
            connection
        })
        .collect();
    let start = Instant::now();
    for wanted in 1..=20 {
        assert_eq!(node.post("/increment", "").json()["count"], wanted);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "20 increments took {:?}", start.elapsed());
    drop(halves);
    assert_eq!(node.count(), 20);
}

#[test]
fn connections_beyond_the_bound_are_told_so_and_room_is_made_by_those_that_leave() {
    // Half of so few descriptors are for connections, all of HTTP where there are no Redis clients.
    let node = Node::start_with_descriptors(200, &["--disable-discovery"]);
    let mut held: Vec<_> = (0..100)
        .map(|_| {
            let mut connection = Connection::open(node.address()).unwrap();
            connection.send(b"GET /count HTTP/1.1\r\n").unwrap();
            connection
        })
        .collect();
    let mut refused = Connection::open(node.address()).unwrap();
    let answer = refused.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert!(answer.json()["error"].is_string());
    held.pop();
    wait_until(
        "there is room again",
        Duration::from_secs(5),
        || request(node.address(), "GET", "/count", "").is_ok_and(|answer| answer.status == 200),
        |served| *served,
    );
}

#[test]
fn requests_sent_together_are_answered_in_order() {
    let node = Node::start(&[]);
    let mut connection = Connection::open(node.address()).unwrap();
    let one = "POST /increment HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    connection.send(one.repeat(50).as_bytes()).unwrap();
    for wanted in 1..=50 {
        assert_eq!(connection.answer().unwrap().json()["count"], wanted);
    }
}

#[test]
fn a_link_needs_an_upgrade_and_gets_one() {
    let node = Node::start(&[]);
    let plain = node.get("/link");
    assert_eq!((plain.status, plain.header("upgrade")), (426, Some("quipu/1")));
    let mut other = Connection::open(node.address()).unwrap();
    let headers = ["Connection: Upgrade", "Upgrade: quipu/999"];
    let answer = other.request("GET", "/link", &headers, "").unwrap();
    assert_eq!(answer.status, 426);
    assert!(answer.body.contains("quipu/999"), "{answer:?}");
    let mut link = Connection::open(node.address()).unwrap();
    let headers = ["Connection: keep-alive, Upgrade", "Upgrade: QUIPU/1"];
    let answer = link.request("GET", "/link", &headers, "").unwrap();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("quipu/1")));
}

#[test]
fn status_tells_what_an_operator_asks_first() {
    let node = Node::start(&[]);
    node.post("/counters/a/increment", "");
    node.post("/register", r#"{"id":"127.0.0.4:9"}"#);
    let status = node.get("/status").json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["node_id"], node.id());
    assert_eq!(status["fsync"], "in-memory");
    assert_eq!(status["counters"], 1);
    assert_eq!(status["removed"], false);
    for id in ["node", "origin"] {
        assert_eq!(status[id].as_str().map(str::len), Some(16), "{status}");
    }
    let peer = &status["peers"][0];
    assert_eq!((&peer["address"], &peer["state"]), (&"127.0.0.4:9".into(), &"joining".into()));
    assert!(peer["node"].is_null() && peer["link"].is_null(), "{status}");
}

#[test]
fn metrics_describe_every_sample_and_name_no_counter() {
    let node = Node::start(&[]);
    node.post("/counters/secret-name/increment", "");
    node.post("/increment", "");
    node.get("/nothing");
    let answer = node.get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type").unwrap(), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!answer.body.contains("# EOF") && !answer.body.contains("# UNIT"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
    let open = node.connect().unwrap().request("GET", "/metrics", &[accept], "").unwrap();
    let kind = open.header("content-type").unwrap();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.body.ends_with("# EOF\n"));
    // The older format calls a family as its samples are called, but for a histogram's.
    for (answer, endings) in [
        (&answer, &["_bucket", "_sum", "_count"][..]),
        (&open, &["_total", "_info", "_bucket", "_sum", "_count"]),
    ] {
        assert!(!answer.body.contains("secret-name"));
        for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = endings.iter().find_map(|ending| name.strip_suffix(ending));
            for kind in ["HELP", "TYPE"] {
                let said = format!("# {kind} {} ", family.unwrap_or(name));
                assert!(answer.body.contains(&said), "{said}for {line}");
            }
        }
    }
    for sample in [
        "quipu_increments_total 2",
        "quipu_refusals_total{reason=\"overflow\"} 0",
        "quipu_http_requests_total{route=\"/increment\",status=\"2xx\"} 1",
        "quipu_http_requests_total{route=\"unknown\",status=\"4xx\"} 1",
        "quipu_peers{state=\"alive\"} 0",
        "quipu_build_info{version=",
        "quipu_http_request_latency_seconds_count{kind=\"write\"} 2",
        "quipu_http_request_latency_seconds_bucket{le=\"+Inf\",kind=\"unknown\"} 1",
        "quipu_watchers{kind=\"events\"} 0",
        "quipu_watchers_refused_total{kind=\"redis\"} 0",
    ] {
        assert!(answer.body.contains(sample), "{sample} in {}", answer.body);
    }
}

#[test]
fn a_stopping_node_ends_in_order_though_connections_are_open() {
    let mut node = Node::start(&[]);
    let mut idle = Connection::open(node.address()).unwrap();
    assert_eq!(idle.request("POST", "/increment", &[], "").unwrap().status, 200);
    let start = Instant::now();
    assert!(node.terminate().success(), "{}", node.log());
    assert!(start.elapsed() < Duration::from_secs(3), "took {:?}", start.elapsed());
    assert_eq!(idle.rest().unwrap(), "");
    wait_until(
        "its port is closed",
        Duration::from_secs(1),
        || request(node.address(), "GET", "/health", "").is_err(),
        |refused| *refused,
    );
}
