//! As many clients as large services have workers, nearly all of them idle; and clients for whom
//! there is no descriptor left.

use std::net::TcpStream;
use std::time::Duration;

use crate::support::http::Connection;
use crate::support::node::Node;
use crate::support::resp::Client;
use crate::support::wait::wait_until;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long something may take that was caused.
const TIME_MAX: Duration = Duration::from_secs(20);

const REDIS: [&str; 2] = ["--redis", "127.0.0.1:0"];

/// What an idle connection may cost the node at most. Some 5 KiB were measured.
const BYTES_PER_CONNECTION_MAX: u64 = 8 << 10;

/// Lets this process have as many descriptors as it may, and tells how many connections it and a
/// node can have with each other.
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let descriptors = usize::try_from(limit.maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    // A third is HTTP's share, and both processes have others open.
    (descriptors / 2).min(10_000)
}

fn clients(node: &Node) -> u64 {
    let info = Client::open(node.redis()).ask(&["INFO", "clients"]);
    let told = info.split("connected_clients:").nth(1).and_then(|rest| rest.split('\\').next());
    told.and_then(|told| told.parse().ok()).unwrap_or_else(|| panic!("{info}"))
}

/// One more client, if it is served.
fn served(node: &Node) -> Option<Client> {
    let (mut client, mut reply) = (Client::open(node.redis()), Vec::new());
    let is_served = client.try_send(b"PING\r\n").is_ok()
        && client.read_reply(&mut reply).is_ok()
        && reply == b"+PONG\r\n";
    is_served.then_some(client)
}

#[test]
fn ten_thousand_idle_clients_cost_little_and_are_served_like_any_other() {
    let count = connections();
    let node = Node::start(&REDIS);
    assert_eq!(Client::open(node.redis()).ask(&["INCR", "a"]), ":1\\r\\n");
    let before = node.memory_bytes();
    let idle: Vec<TcpStream> =
        (0..count).map(|_| TcpStream::connect(node.redis()).unwrap()).collect();
    let all = || clients(&node);
    wait_until("all are taken", TIME_MAX, all, |clients| *clients > count as u64);
    let grown = node.memory_bytes().saturating_sub(before);
    assert!(grown / count as u64 <= BYTES_PER_CONNECTION_MAX, "{grown} bytes for {count}");
    assert_eq!(node.get("/health").status, 200);
    let mut idle: Vec<Client> =
        idle.into_iter().map(|stream| Client::over(stream).unwrap()).collect();
    for client in &mut idle {
        client.send(b"INCR a\r\n");
    }
    for client in &mut idle {
        assert!(client.reply().starts_with(':'));
    }
    assert_eq!(Client::open(node.redis()).ask(&["INCR", "a"]), format!(":{}\\r\\n", count + 2));
    drop(idle);
    let left = || clients(&node);
    wait_until("all have left", TIME_MAX, left, |clients| *clients == 1);
}

#[test]
fn a_client_that_comes_when_no_descriptor_is_left_is_told_so_and_the_others_are_served() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    let mut connection = node.connect().unwrap();
    assert_eq!(client.ask(&["INCR", "a"]), ":1\\r\\n");
    assert_eq!(connection.request("GET", "/health", &[], "").unwrap().status, 200);
    // As if files and links had taken all others, but for the gaps that they left.
    let limit = node.take_descriptors();
    let gaps: Vec<Client> = std::iter::from_fn(|| served(&node)).collect();
    assert!(node.log().contains("cannot take connections for now"), "{}", node.log());
    for _ in 0..3 {
        let mut late = Client::open(node.redis());
        assert_eq!(late.rest(), "-ERR max number of clients reached\\r\\n");
        let answer = Connection::open(node.address()).unwrap().answer().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert_eq!(client.ask(&["PING"]), "+PONG\\r\\n");
        assert_eq!(connection.request("POST", "/increment", &[], "").unwrap().status, 200);
    }
    drop(gaps);
    node.limit_descriptors(limit);
    assert_eq!(Client::open(node.redis()).ask(&["INCR", "a"]), ":2\\r\\n");
    assert_eq!(node.get("/health").status, 200);
}
