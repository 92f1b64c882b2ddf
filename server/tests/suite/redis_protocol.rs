//! What clients of Redis meet at a node, whatever they ask: pipelines however they are cut, bounds, and
//! connections that end.

use std::time::Duration;

use crate::support::node::Node;
use crate::support::resp::{Client, framed};
use crate::support::wait::wait_until;

/// Longer than anything that is waited for takes.
const LONG: Duration = Duration::from_secs(20);

fn start() -> Node {
    Node::start(&["--redis", "127.0.0.1:0"])
}

/// What `/metrics` says under a name with its labels.
#[track_caller]
fn metric(node: &Node, name: &str) -> u64 {
    let text = node.get("/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
}

/// 64 commands, of which the answers depend on nothing but `name`: typed and framed, of counters and
/// of the connection, right and wrong, in transactions and out of them.
fn pipeline(name: &str) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    for n in 0..4 {
        bytes.extend(framed(&["INCRBY", name, &n.to_string()]));
        bytes.extend(b"GET absent:touched:this\r\n");
        bytes.extend(framed(&["MGET", name, "absent:touched:this"]));
        bytes.extend(framed(&["ECHO", "a\r\nb"]));
        bytes.extend(framed(&["DECRBY", name, "-9223372036854775808"]));
        bytes.extend(b"MULTI\r\n");
        bytes.extend(framed(&["INCR", name]));
        bytes.extend(framed(&["GET", name]));
        bytes.extend(b"EXEC\r\n");
        bytes.extend(framed(&["NOPE", "x"]));
        bytes.extend(framed(&["EXISTS", name, name, "absent:touched:this"]));
        bytes.extend(framed(&["SUBSCRIBE", "counter:absent"]));
        bytes.extend(b"PING \"\\x41 b\"\n");
        bytes.extend(framed(&["UNSUBSCRIBE", "counter:absent"]));
        bytes.extend(framed(&["WAIT", "0", "0"]));
        bytes.extend(framed(&["KEYS", "absent:*"]));
    }
    (bytes, 64)
}

/// The last quarter of the answers.
const LAST_ANSWERS: [&str; 16] = [
    ":9\\r\\n",
    "$-1\\r\\n",
    "*2\\r\\n$1\\r\\n9\\r\\n$-1\\r\\n",
    "$4\\r\\na\\r\\nb\\r\\n",
    "-ERR decrement would overflow\\r\\n",
    "+OK\\r\\n",
    "+QUEUED\\r\\n",
    "+QUEUED\\r\\n",
    "*2\\r\\n:10\\r\\n$2\\r\\n10\\r\\n",
    "-ERR unknown command \\'NOPE\\', with args beginning with: \\'x\\' \\r\\n",
    ":2\\r\\n",
    "*3\\r\\n$9\\r\\nsubscribe\\r\\n$14\\r\\ncounter:absent\\r\\n:1\\r\\n",
    "*2\\r\\n$4\\r\\npong\\r\\n$3\\r\\nA b\\r\\n",
    "*3\\r\\n$11\\r\\nunsubscribe\\r\\n$14\\r\\ncounter:absent\\r\\n:0\\r\\n",
    ":0\\r\\n",
    "*0\\r\\n",
];

#[test]
fn a_pipeline_cut_at_any_byte_is_answered_in_the_same_way() {
    let node = start();
    let answers = |name: &str, cut: usize| {
        let (bytes, replies) = pipeline(name);
        let mut client = Client::open(node.redis());
        let (first, second) = bytes.split_at(cut);
        client.send(first);
        client.wait_until_read();
        client.send(second);
        let answers: Vec<String> = (0..replies).map(|_| client.reply()).collect();
        client.abort();
        answers
    };
    let length = pipeline("cut:0000").0.len();
    let whole = answers("cut:0000", length);
    assert_eq!(whole[48..], LAST_ANSWERS);
    for cut in 1..length {
        assert_eq!(answers(&format!("cut:{cut:04}"), cut), whole, "cut at byte {cut}");
    }
}

#[test]
fn a_pipeline_sent_byte_by_byte_is_answered_too() {
    let node = start();
    let mut client = Client::open(node.redis());
    let (bytes, replies) = pipeline("slow");
    for byte in bytes {
        client.send(&[byte]);
    }
    let found: Vec<String> = (0..replies).map(|_| client.reply()).collect();
    assert_eq!(found[48..], LAST_ANSWERS);
    assert_eq!(client.ask(&["GET", "slow"]), "$2\\r\\n10\\r\\n");
}

#[test]
fn a_client_that_wants_no_replies_gets_none_and_is_left_without_one() {
    let node = start();
    for silence in ["OFF", "SKIP"] {
        for last in ["QUIT\r\n", "*x\r\n", "GET \"a\r\n", "POST / HTTP/1.1\r\n"] {
            let mut client = Client::open(node.redis());
            client.send(format!("CLIENT REPLY {silence}\r\n{last}").as_bytes());
            assert_eq!(client.rest(), "", "{silence} {last:?}");
        }
    }
    let mut client = Client::open(node.redis());
    let counted = [&b"CLIENT REPLY OFF\r\n"[..], &b"INCR quiet\r\n".repeat(20_000)].concat();
    client.send(&counted);
    assert_eq!(client.ask(&["CLIENT", "REPLY", "ON"]), "+OK\\r\\n");
    assert_eq!(client.ask(&["GET", "quiet"]), "$5\\r\\n20000\\r\\n");
}

/// A browser may be made to send a request to any port; what it is given as its body would be read
/// as commands.
#[test]
fn a_request_of_http_is_not_taken_for_commands() {
    let node = start();
    for request in [
        "POST / HTTP/1.1\r\nHost: node:6380\r\n\r\nINCRBY hacked 1000\r\n",
        "PUT / HTTP/1.1\r\nhost: node:6380\r\n\r\nINCR hacked\r\n",
        "*1\r\n$4\r\npost\r\nINCR hacked\r\n",
    ] {
        let mut client = Client::open(node.redis());
        client.send(request.as_bytes());
        let left = client.rest();
        assert!(left.is_empty() || left.starts_with("-ERR unknown command"), "{left}");
        assert_eq!(left.matches("\\r\\n").count(), usize::from(!left.is_empty()), "{left}");
    }
    let mut client = Client::open(node.redis());
    assert_eq!(client.ask(&["GET", "hacked"]), "$-1\\r\\n");
    // A counter may be called so.
    assert_eq!(client.ask(&["INCR", "post"]), ":1\\r\\n");
}

/// Half of a name may be another counter's.
#[test]
fn a_typed_line_that_holds_a_nul_counts_nothing() {
    let node = start();
    for line in ["INCR a\x00b", "INCR a \x00", "INCR a\x00", "INCRBY a 1\x000"] {
        let mut client = Client::open(node.redis());
        client.send(format!("PING\r\n{line}\r\n").as_bytes());
        let told = "+PONG\\r\\n-ERR Protocol error: NUL in inline request\\r\\n";
        assert_eq!(client.rest(), told, "{line:?}");
    }
    assert_eq!(Client::open(node.redis()).ask(&["EXISTS", "a"]), ":0\\r\\n");
}

#[test]
fn a_million_bytes_of_commands_may_be_sent_before_the_first_answer_is_read() {
    let node = start();
    let mut client = Client::open(node.redis());
    let many: Vec<u8> = framed(&["INCR", "many"]).repeat(200_000);
    client.send(&many);
    let mut reply = Vec::new();
    for _ in 0..200_000 {
        reply.clear();
        client.read_reply(&mut reply).expect("a reply for each");
    }
    assert_eq!(reply, b":200000\r\n");
}

#[test]
fn a_client_that_does_not_read_its_answers_is_dropped_at_a_bound() {
    let node = start();
    let before = node.memory_bytes();
    let mut client = Client::open(node.redis());
    let echo = framed(&["ECHO", &"x".repeat(1 << 20)]);
    // What the bound leaves, and the sockets' own buffers on the way, are less than this.
    let sent = (0..256).find(|_| client.try_send(&echo).is_err());
    assert!(sent.is_some(), "256 MiB of answers that were not read");
    let dropped = "quipu_redis_connections_dropped_total{reason=\"unread\"}";
    wait_until("it is counted", LONG, || metric(&node, dropped), |dropped| *dropped == 1);
    assert!(node.memory_bytes() < before + (128 << 20), "what is not read is kept");
    assert_eq!(Client::open(node.redis()).ask(&["PING"]), "+PONG\\r\\n");
}

#[test]
fn what_is_beyond_a_bound_is_a_protocol_error_and_ends_the_connection() {
    let node = start();
    for (bytes, error) in [
        (b"*65537\r\n".to_vec(), "invalid multibulk length"),
        (b"*1\r\n$1048577\r\n".to_vec(), "invalid bulk length"),
        (vec![b'x'; 70_000], "too big inline request"),
        ([&b"*"[..], &[b'1'; 70_000]].concat(), "too big mbulk count string"),
        ([&b"*1\r\n$"[..], &[b'1'; 70_000]].concat(), "too big bulk count string"),
    ] {
        let mut client = Client::open(node.redis());
        client.send(b"INCR bounds\r\n");
        client.send(&bytes);
        let answers = client.rest();
        let expected = format!("-ERR Protocol error: {error}\\r\\n");
        assert!(answers.starts_with(':') && answers.ends_with(&expected), "{error}: {answers}");
    }
    let dropped = "quipu_redis_connections_dropped_total{reason=\"protocol\"}";
    wait_until("they are counted", LONG, || metric(&node, dropped), |dropped| *dropped == 5);
}

#[test]
fn connections_beyond_the_bound_are_told_so_and_the_node_goes_on() {
    let node = Node::start_with_descriptors(80, &["--disable-discovery", "--redis", "127.0.0.1:0"]);
    let mut clients: Vec<Client> = (0..100).map(|_| Client::open(node.redis())).collect();
    let replies: Vec<String> = clients
        .iter_mut()
        .map(|client| match client.try_send(b"PING\r\n") {
            Ok(()) => {
                let mut reply = Vec::new();
                let _ = client.read_reply(&mut reply);
                reply.escape_ascii().to_string()
            }
            Err(_) => String::new(),
        })
        .collect();
    let served = replies.iter().filter(|reply| *reply == "+PONG\\r\\n").count();
    assert!((10..80).contains(&served), "{served} of 100 were served");
    let told = "-ERR max number of clients reached\\r\\n";
    assert!(replies.iter().any(|reply| reply == told), "{replies:?}");
    assert_eq!(node.get("/health").status, 200, "HTTP has its own share");
    assert_eq!(clients[0].ask(&["INCR", "a"]), ":1\\r\\n");
    drop(clients);
    let again = || Client::open(node.redis()).try_send(b"PING\r\n").is_ok();
    wait_until("those that leave make room", LONG, again, |again| *again);
}

/// As `nc -N` does, and many a script. Whether it reads on is not known, so it is not waited for.
#[test]
fn a_client_that_ends_its_side_behind_its_commands_is_still_answered() {
    let node = start();
    for round in 1..=20 {
        let mut client = Client::open(node.redis());
        client.send(b"INCR half\r\nWAIT 0 0\r\nWAIT 1 0\r\nWAIT 1 60000\r\nGET half\r\n");
        client.end_sending();
        let value = bulk(round);
        assert_eq!(client.rest(), format!(":{round}\\r\\n:0\\r\\n:0\\r\\n:0\\r\\n{value}"));
    }
}

fn bulk(number: u32) -> String {
    let text = number.to_string();
    format!("${}\\r\\n{text}\\r\\n", text.len())
}

#[test]
fn what_a_client_sends_while_it_waits_is_answered_behind_it() {
    let node = start();
    let mut client = Client::open(node.redis());
    client.send(b"INCR w\r\nWAIT 1 300\r\n");
    assert_eq!(client.reply(), ":1\\r\\n");
    client.send(b"INCR w\r\n");
    assert_eq!([client.reply(), client.reply()], [":0\\r\\n", ":2\\r\\n"]);
}

#[test]
fn a_client_that_waits_and_goes_is_let_go() {
    let node = start();
    let mut client = Client::open(node.redis());
    // What it sends behind that is no sign of leaving.
    client.send(b"INCR w\r\nWAIT 1 0\r\nPING\r\n");
    assert_eq!(client.reply(), ":1\\r\\n");
    assert_eq!(metric(&node, "quipu_redis_connections"), 1);
    client.send(b"PING\r\n");
    drop(client);
    let open = || metric(&node, "quipu_redis_connections");
    wait_until("its connection ends", LONG, open, |open| *open == 0);
}

#[test]
fn a_stopping_node_answers_what_was_asked_and_ends_though_clients_are_connected() {
    let mut node = start();
    let mut idle = Client::open(node.redis());
    assert_eq!(idle.ask(&["INCR", "a"]), ":1\\r\\n");
    let mut waiting = Client::open(node.redis());
    waiting.send(b"INCR a\r\n");
    assert_eq!(waiting.reply(), ":2\\r\\n");
    assert!(node.terminate().success());
    assert_eq!(idle.rest(), "");
}

#[test]
fn metrics_count_commands_by_class_and_name_no_counter() {
    let node = start();
    let mut client = Client::open(node.redis());
    for command in ["INCR secret:name", "GET secret:name", "APPEND secret:name 1", "NOPE", "PING"] {
        client.send(format!("{command}\r\n").as_bytes());
        client.reply();
    }
    for class in ["write", "read", "refused", "unknown", "connection"] {
        let name = format!("quipu_redis_commands_total{{class=\"{class}\"}}");
        let commands = || metric(&node, &name);
        wait_until("it is counted", LONG, commands, |commands| *commands == 1);
    }
    assert!(!node.get("/metrics").body.contains("secret:name"));
}
