//! Random pipelines sent to a node and to a real redis-server: the same bytes must come back.
//!
//! The list in `redis_compare.rs` holds what its authors thought of; this looks for the rest. What
//! differs by design is not drawn: names that no counter can have, commands that are refused, a NUL
//! in a line, more arguments than a command may have here.

use std::net::SocketAddr;

use crate::support::chance::Chance;
use crate::support::node::Node;
use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, framed};

/// Each takes some milliseconds.
const PIPELINES: u64 = 400;

/// All that a server answers until it closes. What it waits for never comes, so it closes in the end.
fn answers(server: SocketAddr, bytes: &[u8]) -> String {
    let mut client = Client::open(server);
    client.send(bytes);
    client.end_sending();
    without_names(&client.rest())
}

/// Who a server is differs, and nothing else in its answer to HELLO.
fn without_names(answers: &str) -> String {
    let mut rest = answers;
    let mut kept = String::new();
    while let Some(at) = rest.find("$6\\r\\nserver\\r\\n") {
        let end = "$7\\r\\nmodules\\r\\n*0\\r\\n";
        let Some(length) = rest[at..].find(end) else { break };
        kept.push_str(&rest[..at]);
        kept.push_str("<who it is>");
        rest = &rest[at + length + end.len()..];
    }
    kept + rest
}

/// Has both answer these pipelines, and tells where they differ.
#[track_caller]
fn compare(kind: &str, pipeline: impl Fn(&mut Chance) -> Vec<u8>) {
    let Some(redis) = RedisServer::start() else { return };
    let node = Node::start(&["--redis", "127.0.0.1:0"]);
    let mut differences = Vec::new();
    for seed in 0..PIPELINES {
        let bytes = pipeline(&mut Chance(seed));
        let (expected, found) = (answers(redis.address(), &bytes), answers(node.redis(), &bytes));
        if expected != found {
            differences.push(format!(
                "{kind} {seed}\nsent      {}\nredis     {expected}\nthis node {found}\n",
                bytes.escape_ascii()
            ));
        }
    }
    let count = differences.len();
    differences.truncate(3);
    assert!(differences.is_empty(), "{count} differ, as\n{}", differences.join("\n"));
}

/// Commands that may stand within MULTI as well, and those that may not.
const ANYWHERE: &str = "\
    PING; PING x; PING x y; ECHO a; ECHO; GET a; GET nope; GET a b; INCR a; INCR a b; \
    INCRBY a 5; INCRBY a x; INCRBY a 1 2; INCRBY a +1; INCRBY a 1.0; INCRBY a 0x1; \
    INCRBY a 1e3; INCRBY a -0; INCRBY a 01; DECR a; DECRBY a -9223372036854775808; \
    INCRBY a 9223372036854775808; MGET a nope; EXISTS a a nope; TTL a; TTL a b; TYPE a; \
    STRLEN a; TOUCH a; PTTL nope; EXPIRETIME a; RESET; SELECT 0; SELECT x; SELECT +0; \
    HELLO; HELLO 2; HELLO 3; HELLO 3 SETNAME z; HELLO 9; HELLO x; HELLO 3 FOO; \
    AUTH default x; AUTH me x; AUTH x; CLIENT GETNAME; CLIENT SETNAME foo; CLIENT SETNAME; \
    CLIENT REPLY ON; CLIENT REPLY SKIP; CLIENT REPLY OFF; CLIENT REPLY ON; CLIENT FOO; \
    CLIENT; CONFIG GET save; CONFIG GET nope; CONFIG GET; CONFIG FOO; COMMAND COUNT x; \
    COMMAND INFO nope; COMMAND LIST x; COMMAND LIST FILTERBY PATTERN incr; FOO; FOO a b; \
    UNWATCH; ";
const OUTSIDE: &str = "\
    SUBSCRIBE counter:a; SUBSCRIBE news; SUBSCRIBE; UNSUBSCRIBE counter:a; \
    UNSUBSCRIBE news; UNSUBSCRIBE x y; PSUBSCRIBE news.*; PSUBSCRIBE counter:a*; \
    PUNSUBSCRIBE counter:a*; PUNSUBSCRIBE news.*; PUBSUB NUMPAT; \
    PUBSUB NUMSUB news counter:a x; PUBSUB CHANNELS zz; PUBSUB FOO; PUBSUB CHANNELS a b; \
    WAIT 0 0; WAIT x 0; WAIT 0 x; WAIT 0 0 0; SCAN x; SCAN 0 COUNT; SCAN 0 COUNT 0; \
    SCAN 0 MATCH zz COUNT 1000; SCAN 0 FOO 1; KEYS zz; DBSIZE x";

/// Commands as they should be and as they should not, in any order.
fn commands(chance: &mut Chance) -> Vec<u8> {
    let [anywhere, outside] = [ANYWHERE, OUTSIDE].map(|all| all.split("; ").collect::<Vec<_>>());
    let (mut bytes, mut is_within) = (Vec::new(), false);
    for _ in 0..2 + chance.below(12) {
        let command = match chance.below(8) {
            0 if !is_within => {
                is_within = true;
                "MULTI"
            }
            0 => {
                is_within = false;
                *chance.one_of(&["EXEC", "EXEC", "DISCARD"])
            }
            1..=3 if !is_within => *chance.one_of(&outside),
            _ => *chance.one_of(&anywhere),
        };
        is_within &= command != "RESET";
        if chance.below(3) == 0 || command.is_empty() {
            bytes.extend_from_slice(format!("{command}\r\n").as_bytes());
        } else {
            bytes.extend(framed(&command.split(' ').collect::<Vec<_>>()));
        }
    }
    // All replies are wanted again, and no subscription outlives the connection.
    bytes.extend(b"RESET\r\nQUIT\r\n");
    bytes
}

#[test]
fn random_commands_are_answered_as_redis_does() {
    compare("commands", commands);
}

const LENGTHS: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "+1",
    "01",
    "00",
    "-0",
    " 1",
    "1 ",
    "1\t",
    "",
    "x",
    "1x",
    "0x1",
    "1e0",
    "1.0",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "--1",
    "99999999999999999999",
];
const ENDS: [&str; 14] = [
    "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n\r",
    "", " \r\n",
];
const BLANKS: [&str; 9] = [" ", " ", " ", " ", "  ", "\t", "\x0b", "\x0c", "\r"];
const WORDS: [&str; 30] = [
    "PING",
    "ECHO",
    "INCR",
    "a",
    "b",
    "MULTI",
    "EXEC",
    "\"a b\"",
    "'a'",
    "\"\\x41\"",
    "\"\\xZZ\"",
    "\"\\x4\"",
    "'\\''",
    "\"a\"b",
    "a\"b\"",
    "\"",
    "'",
    "\\",
    "\"\\\"",
    "'\\",
    "$1",
    "*1",
    "-1",
    "CLIENT",
    "REPLY",
    "ON",
    "GETNAME",
    "5",
    "DISCARD",
    "RESET",
];
const KINDS: [&[u8]; 8] = [b"", b"*", b"+", b":", b"\r", b"\n", b"%", b"\xff"];
const BEHIND: [&str; 5] = ["xx", "\n\r", "", "\r", "xxx"];

/// The protocol as it should be and as it should not.
fn protocol(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=chance.below(4) {
        let words: Vec<&str> = (0..chance.below(4)).map(|_| *chance.one_of(&WORDS)).collect();
        if chance.below(2) == 0 {
            bytes.extend_from_slice(words.join(*chance.one_of(&BLANKS)).as_bytes());
            bytes.extend_from_slice(chance.one_of(&ENDS).as_bytes());
            continue;
        }
        let length = |chance: &mut Chance, right: usize| match chance.below(6) {
            0 => (*chance.one_of(&LENGTHS)).to_owned(),
            _ => right.to_string(),
        };
        let rarely = |chance: &mut Chance| chance.below(12) == 0;
        let count = length(chance, words.len());
        bytes.extend_from_slice(format!("*{count}{}", chance.one_of(&ENDS)).as_bytes());
        for word in words {
            let kind = if rarely(chance) { *chance.one_of(&KINDS) } else { &b"$"[..] };
            bytes.extend_from_slice(kind);
            let (length, end) = (length(chance, word.len()), *chance.one_of(&ENDS));
            let behind = if rarely(chance) { *chance.one_of(&BEHIND) } else { "\r\n" };
            bytes.extend_from_slice(format!("{length}{end}{word}{behind}").as_bytes());
        }
    }
    bytes
}

#[test]
fn random_bytes_are_answered_as_redis_does() {
    compare("bytes", protocol);
}
