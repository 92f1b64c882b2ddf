//! Whom a request asks: said once, and on a node that only its own machine can reach, by a name of that
//! machine or by one that the operator allows.

use crate::support::http::Connection;
use crate::support::node::Node;

#[test]
fn a_request_that_does_not_say_whom_it_asks_is_refused() {
    let node = Node::start(&[]);
    let status = |head: &str| {
        let mut connection = Connection::open(node.address()).unwrap();
        connection.send(format!("{head}\r\n\r\n").as_bytes()).unwrap();
        let answer = connection.answer().unwrap();
        if answer.status == 400 {
            let reason = answer.json()["error"].to_string();
            assert!(reason.contains("expected one Host header"), "{answer:?}");
        }
        answer.status
    };
    assert_eq!(status("POST /increment HTTP/1.1"), 400);
    assert_eq!(status("POST /increment HTTP/1.1\r\nHost: a\r\nHost: a"), 400);
    assert_eq!(status("POST /increment HTTP/1.1\r\nHost: a\r\nhost: localhost"), 400);
    assert_eq!(status("POST /increment HTTP/1.1\r\nHost: a, b"), 400);
    assert_eq!(status("POST /increment HTTP/1.1\r\nHost: a b"), 400);
    assert_eq!(status("POST /increment HTTP/1.1\r\nHost: user@a"), 400);
    assert_eq!(status("POST http://localhost/increment HTTP/1.1"), 400);
    assert_eq!(status("GET /nothing HTTP/1.1"), 400);
    assert_eq!(node.count(), 0);
    assert_eq!(status("POST /increment HTTP/1.1\r\nHost:"), 200, "a target without a host");
    assert_eq!(status("POST /increment HTTP/1.0"), 200, "HTTP/1.0 knew no Host");
    assert_eq!(status("POST http://localhost/increment HTTP/1.1\r\nHost: localhost"), 200);
    // The host of the target is the one that counts.
    assert_eq!(status("GET http://evil.example/count HTTP/1.1\r\nHost: localhost"), 403);
    assert_eq!(node.count(), 3);
}

#[test]
fn a_node_on_loopback_answers_to_the_names_that_its_operator_allows() {
    let ask = |node: &Node, host: &str| {
        let mut connection = Connection::open(node.address()).unwrap();
        connection.send(format!("GET /count HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        connection.answer().unwrap()
    };
    let closed = Node::start(&[]);
    let refused = ask(&closed, "counts.example.com");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("--allow-host NAME"), "{refused:?}");
    let open = Node::start(&["--allow-host", "Counts.example.com,b.example"]);
    for host in ["counts.example.com", "COUNTS.example.com:443", "b.example", "localhost"] {
        assert_eq!(ask(&open, host).status, 200, "{host}");
    }
    for host in ["evil.example", "a.counts.example.com", "counts.example.com.evil.example"] {
        assert_eq!(ask(&open, host).status, 403, "{host}");
    }
}
