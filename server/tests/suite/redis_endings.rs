//! Counters that are set, deleted and expire, as Redis clients see it: on two nodes, and byte for byte as
//! a real redis-server has it.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::support::cluster::{AGREEING_TIME_MAX, MEETING_TIME_MAX, Meeting, wait_until_met};
use crate::support::node::Node;
use crate::support::redis_server::RedisServer;
use crate::support::resp::Client;
use crate::support::wait::wait_until;

const REDIS: [&str; 2] = ["--redis", "127.0.0.1:0"];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Two nodes that have met, and a client of each.
fn pair() -> ([Node; 2], [Client; 2]) {
    let meeting = Meeting::by_broadcast();
    let nodes = [meeting.start(&REDIS), meeting.start(&REDIS)];
    wait_until_met(&[&nodes[0], &nodes[1]], MEETING_TIME_MAX);
    let clients = [Client::open(nodes[0].redis()), Client::open(nodes[1].redis())];
    (nodes, clients)
}

/// Asks until the answer is this.
#[track_caller]
fn until(client: &mut Client, line: &str, expected: &str) {
    let seen = |answer: &String| answer == expected;
    wait_until(line, AGREEING_TIME_MAX, || client.ask(&words(line)), seen);
}

/// What cannot be ended yet since the node has just started is asked again: the node says so.
#[track_caller]
fn ask(client: &mut Client, line: &str) -> String {
    let is_answer = |answer: &String| !answer.starts_with("-TRYAGAIN");
    wait_until(line, AGREEING_TIME_MAX, || client.ask(&words(line)), is_answer)
}

#[test]
fn what_one_node_sets_and_deletes_the_other_shows() {
    let (_nodes, [mut one, mut other]) = pair();
    assert_eq!(ask(&mut one, "SET stock 40"), "+OK\\r\\n");
    until(&mut other, "GET stock", "$2\\r\\n40\\r\\n");
    assert_eq!(ask(&mut other, "INCRBY stock 2"), ":42\\r\\n");
    until(&mut one, "GET stock", "$2\\r\\n42\\r\\n");
    assert_eq!(ask(&mut one, "GETSET stock -7"), "$2\\r\\n42\\r\\n");
    until(&mut other, "GET stock", "$2\\r\\n-7\\r\\n");
    assert_eq!(ask(&mut other, "SET stock 1 NX"), "$-1\\r\\n");
    assert_eq!(ask(&mut other, "DEL stock nope"), ":1\\r\\n");
    until(&mut one, "EXISTS stock", ":0\\r\\n");
    until(&mut one, "DBSIZE", ":0\\r\\n");
    assert_eq!(ask(&mut one, "KEYS *"), "*0\\r\\n");
    assert_eq!(ask(&mut one, "SCAN 0"), "*2\\r\\n$1\\r\\n0\\r\\n*0\\r\\n");
    assert_eq!(ask(&mut one, "RANDOMKEY"), "$-1\\r\\n");
}

#[test]
fn a_lifetime_ends_a_counter_on_both_nodes() {
    let (_nodes, [mut one, mut other]) = pair();
    assert_eq!(ask(&mut one, "SET kept 1 EX 100"), "+OK\\r\\n");
    until(&mut other, "TTL kept", ":100\\r\\n");
    let at = ask(&mut one, "PEXPIRETIME kept");
    assert_eq!(ask(&mut other, "PEXPIRETIME kept"), at);
    assert_eq!(ask(&mut other, "PERSIST kept"), ":1\\r\\n");
    until(&mut one, "TTL kept", ":-1\\r\\n");

    assert_eq!(ask(&mut one, "SET short 5 PX 1500"), "+OK\\r\\n");
    until(&mut other, "GET short", "$1\\r\\n5\\r\\n");
    until(&mut other, "GET short", "$-1\\r\\n");
    until(&mut one, "TTL short", ":-2\\r\\n");
    assert_eq!(ask(&mut other, "INCREX short BYINT 3 EX 100 ENX"), "*2\\r\\n:3\\r\\n:3\\r\\n");
    until(&mut one, "GET short", "$1\\r\\n3\\r\\n");

    assert_eq!(ask(&mut one, "EXPIREAT short 1"), ":1\\r\\n");
    until(&mut other, "EXISTS short", ":0\\r\\n");
}

#[test]
fn a_transaction_that_watches_does_nothing_if_the_other_node_changed_it() {
    let (nodes, [mut one, mut other]) = pair();
    assert_eq!(ask(&mut one, "INCR a"), ":1\\r\\n");
    assert_eq!(ask(&mut one, "WATCH a b"), "+OK\\r\\n");
    until(&mut other, "INCRBY a 0", ":1\\r\\n");
    assert_eq!(ask(&mut other, "INCR a"), ":2\\r\\n");
    let mut witness = Client::open(nodes[0].redis());
    until(&mut witness, "GET a", "$1\\r\\n2\\r\\n");
    for (line, expected) in [
        ("MULTI", "+OK\\r\\n"),
        ("SET a 100", "+QUEUED\\r\\n"),
        ("EXEC", "*-1\\r\\n"),
        ("GET a", "$1\\r\\n2\\r\\n"),
        // It watches no more.
        ("MULTI", "+OK\\r\\n"),
        ("INCR a", "+QUEUED\\r\\n"),
        ("EXEC", "*1\\r\\n:3\\r\\n"),
    ] {
        assert_eq!(one.ask(&words(line)), expected, "{line}");
    }
}

/// Each adds one by reading, watching and setting, and again where it was told that another was first.
#[test]
fn of_transactions_that_watch_the_same_counter_none_undoes_another() {
    const ADDED: usize = 50;
    let node = Node::start(&REDIS);
    assert_eq!(ask(&mut Client::open(node.redis()), "SET n 0"), "+OK\\r\\n");
    let add = |address: SocketAddr| {
        let mut client = Client::open(address);
        for _ in 0..ADDED {
            loop {
                assert_eq!(client.ask(&["WATCH", "n"]), "+OK\\r\\n");
                let value = client.ask(&["GET", "n"]);
                let value: i64 = value.split("\\r\\n").nth(1).unwrap().parse().unwrap();
                client.ask(&["MULTI"]);
                client.ask(&["SET", "n", &(value + 1).to_string()]);
                if client.ask(&["EXEC"]) == "*1\\r\\n+OK\\r\\n" {
                    break;
                }
            }
        }
    };
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| add(node.redis()))));
    });
    let expected = (4 * ADDED).to_string();
    let said = ask(&mut Client::open(node.redis()), "GET n");
    assert_eq!(said, format!("${}\\r\\n{expected}\\r\\n", expected.len()));
}

#[test]
fn a_flush_deletes_in_steps_and_one_database_alone() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    let names: Vec<String> = (0..2_500).map(|n| format!("n{n}")).collect();
    let mset: Vec<&str> =
        ["MSET"].into_iter().chain(names.iter().flat_map(|name| [name.as_str(), "1"])).collect();
    wait_until("MSET", AGREEING_TIME_MAX, || client.ask(&mset), |said| said == "+OK\\r\\n");
    for (line, expected) in [
        ("SELECT 3", "+OK\\r\\n"),
        ("DBSIZE", ":0\\r\\n"),
        ("SET a 7", "+OK\\r\\n"),
        ("DBSIZE", ":1\\r\\n"),
        ("KEYS *", "*1\\r\\n$1\\r\\na\\r\\n"),
        ("RANDOMKEY", "$1\\r\\na\\r\\n"),
        ("SELECT 0", "+OK\\r\\n"),
        ("DBSIZE", ":2500\\r\\n"),
        ("GET a", "$-1\\r\\n"),
        ("GET db3:a", "$1\\r\\n7\\r\\n"),
        ("KEYS *a", "*0\\r\\n"),
        ("FLUSHDB", "+OK\\r\\n"),
        ("DBSIZE", ":0\\r\\n"),
        ("RANDOMKEY", "$-1\\r\\n"),
        ("INCR last", ":1\\r\\n"),
        ("KEYS *", "*1\\r\\n$4\\r\\nlast\\r\\n"),
        ("RANDOMKEY", "$4\\r\\nlast\\r\\n"),
        ("SELECT 3", "+OK\\r\\n"),
        ("GET a", "$1\\r\\n7\\r\\n"),
        ("FLUSHALL ASYNC", "+OK\\r\\n"),
        ("EXISTS a", ":0\\r\\n"),
        ("SELECT 0", "+OK\\r\\n"),
        ("DBSIZE", ":0\\r\\n"),
    ] {
        assert_eq!(client.ask(&words(line)), expected, "{line}");
    }
    assert_eq!(node.get("/counters").json()["counters"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_walk_goes_on_behind_counters_that_have_ended() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    for n in 0..40 {
        assert_eq!(client.ask(&["INCR", &format!("n{n}")]), ":1\\r\\n");
    }
    assert_eq!(ask(&mut client, "FLUSHDB"), "+OK\\r\\n");
    assert_eq!(client.ask(&["INCR", "last"]), ":1\\r\\n");
    let (mut cursor, mut named) = ("0".to_owned(), 0);
    loop {
        let step = client.ask(&["SCAN", &cursor]);
        named += step.matches("last").count();
        assert!(!step.contains("\\r\\nn"), "{step}");
        step.split("\\r\\n").nth(2).expect("a cursor").clone_into(&mut cursor);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(named, 1);
}

/// As Redis since 8.8 has it, which few have: so it stands here.
#[test]
fn increx_keeps_to_its_bounds_and_tells_what_it_added() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    for (line, expected) in [
        ("INCREX a", "*2\\r\\n:1\\r\\n:1\\r\\n"),
        ("INCREX a BYINT 9 UBOUND 5", "*2\\r\\n:1\\r\\n:0\\r\\n"),
        ("INCREX a BYINT 9 UBOUND 5 SATURATE", "*2\\r\\n:5\\r\\n:4\\r\\n"),
        ("INCREX a BYINT -9 LBOUND 0 SATURATE", "*2\\r\\n:0\\r\\n:-5\\r\\n"),
        ("INCREX new BYINT 9 UBOUND 5 EX 100", "*2\\r\\n:0\\r\\n:0\\r\\n"),
        ("EXISTS new", ":0\\r\\n"),
        ("INCREX a BYINT 9 UBOUND 5 EX 100", "*2\\r\\n:0\\r\\n:0\\r\\n"),
        ("TTL a", ":-1\\r\\n"),
        ("INCREX a EX 100 ENX", "*2\\r\\n:1\\r\\n:1\\r\\n"),
        ("INCREX a EX 500 ENX", "*2\\r\\n:2\\r\\n:1\\r\\n"),
        ("TTL a", ":100\\r\\n"),
        ("INCREX a PERSIST", "*2\\r\\n:3\\r\\n:1\\r\\n"),
        ("TTL a", ":-1\\r\\n"),
        ("INCREX a BYINT 9223372036854775807", "*2\\r\\n:3\\r\\n:0\\r\\n"),
        ("INCREX a EXAT 1", "*2\\r\\n:0\\r\\n:-3\\r\\n"),
        ("EXISTS a", ":0\\r\\n"),
        ("INCREX a ENX", "-ERR ENX flag requires an expiration\\r\\n"),
    ] {
        assert_eq!(ask(&mut client, line), expected, "{line}");
    }
}

/// Commands in order: what one does, the next ones find.
const COMMANDS: &str = "\
    SET a 1; GET a; SET a 2 NX; SET a 2 XX; GET a; SET b 5 XX; GET b; SET b 5 NX; SET b 6 GET; \
    SET c 7 GET; SET c 8 NX GET; GET c; SET d 9 XX GET; EXISTS d; SET a 1 EX 100; TTL a; \
    SET a 2 KEEPTTL; TTL a; SET a 3; TTL a; SET a 1 PX 100000; TTL a; SET a 1 EXAT 33177117420; \
    EXPIRETIME a; PEXPIRETIME a; SET a 1 PXAT 33177117420999; PEXPIRETIME a; EXPIRETIME a; \
    SET a 1 EX 5 EX 100; TTL a; SET a -5; GET a; INCR a; SET a 0; GET a; STRLEN a; TYPE a; \
    SET a 9223372036854775807; INCR a; SET a -9223372036854775808; GET a; DECR a; SET a 1 PXAT 1; \
    EXISTS a; GET a; SET; SET a; SET a 1 NX XX; SET a 1 XX NX; SET a 1 EX; SET a 1 EX 0; \
    SET a 1 EX -1; SET a 1 PX 0; SET a 1 EX x; SET a 1 EX 9223372036854775807; SET a 1 FOO; \
    SET a 1 PX 9223372036854775807; SET a 1 EX 1 PX 1; SET a 1 KEEPTTL EX 1; SET a 1 PERSIST; \
    SET a 1 EXAT 0; SET a 1 GET GET; SET a 1 NX NX; \
    SETNX n 1; SETNX n 2; GET n; SETNX n; SETEX n 100 5; TTL n; GET n; SETEX n 0 5; SETEX n x 5; \
    SETEX n -1 5; SETEX n 100; PSETEX n 100000 6; TTL n; GET n; PSETEX n 0 5; PSETEX n x 5; \
    GETSET n 7; TTL n; GETSET m 1; GETSET m; GETDEL m; GETDEL m; GETDEL; EXISTS m; \
    GETEX n; GETEX n EX 100; TTL n; GETEX n PERSIST; TTL n; GETEX n PX 100000; TTL n; \
    GETEX n EXAT 33177117420; EXPIRETIME n; GETEX n PXAT 33177117420123; PEXPIRETIME n; GETEX nope; \
    GETEX nope EX 0; GETEX n EX 0; GETEX n EX x; GETEX n EX; GETEX n EX 1 PX 1; GETEX n KEEPTTL; \
    GETEX n NX; GETEX n PERSIST EX 1; GETEX nope EX 1 PERSIST; GETEX n EX 0 EX 100; GETEX n EXAT 1; \
    EXISTS n; DEL nope; SET a 1; SET b 2; DEL a b a nope; UNLINK a; SET a 1; UNLINK a; DEL; UNLINK; \
    SET e 1; EXPIRE e 100; TTL e; EXPIRE e 200 NX; EXPIRE e 200 XX; TTL e; EXPIRE e 100 GT; \
    EXPIRE e 300 GT; TTL e; EXPIRE e 400 LT; EXPIRE e 250 LT; TTL e; EXPIRE e 200 XX LT; \
    EXPIRE e 300 XX GT; TTL e; PERSIST e; PERSIST e; PERSIST nope; EXPIRE e 100 GT; EXPIRE e 100 XX LT; \
    EXPIRE e 100 LT; TTL e; PERSIST e; EXPIRE e 100 XX; EXPIRE e 100 NX; TTL e; EXPIRE nope 100; \
    EXPIRE e 10 NX XX; EXPIRE e 10 NX GT; EXPIRE e 10 NX LT; EXPIRE e 10 GT LT; EXPIRE e 10 FOO; \
    EXPIRE e 10 NX FOO; EXPIRE e x; EXPIRE e x FOO; EXPIRE e; EXPIRE e 9223372036854775807; \
    EXPIRE e -9223372036854775808; EXPIRE e 9223372036854775; PEXPIRE e 9223372036854775807; \
    EXPIREAT e 9223372036854775807; PEXPIRE e 100000; TTL e; EXPIREAT e 33177117420; EXPIRETIME e; \
    PEXPIREAT e 33177117420500; PEXPIRETIME e; EXPIRETIME e; PEXPIREAT e 33177117420400 GT; \
    PEXPIREAT e 33177117420600 LT; EXPIRE e 0; EXISTS e; SET e 1; EXPIRE e -1; EXISTS e; SET e 1; \
    EXPIREAT e 1; EXISTS e; SET e 1; PEXPIRE e -5; TTL e; SET e 1; PEXPIREAT e -5 LT; PTTL e; \
    SET e 1; EXPIRE e -1 GT; EXISTS e; PERSIST; TTL; PTTL e f; EXPIRETIME; PEXPIRETIME e; \
    MSET x 1 y 2; MGET x y; MSET x; MSET x 1 y; MSET; MSET x 3 x 4; GET x; MSETNX x 5 z 6; EXISTS z; \
    MSETNX z 6 w 7; MGET z w; MSETNX z; MSETNX v 1 v 2; GET v; EXPIRE x 100; MSET x 1; TTL x; \
    INCR x; SET x 5 EX 100; INCR x; TTL x; DECRBY x 3; TTL x; TOUCH x nope y; RANDOMKEY x; \
    OBJECT ENCODING x; OBJECT ENCODING nope; OBJECT REFCOUNT x; OBJECT REFCOUNT nope; SET x 10000; \
    OBJECT REFCOUNT x; OBJECT FREQ x; OBJECT FREQ nope; OBJECT IDLETIME x; OBJECT IDLETIME nope; \
    OBJECT FOO x; OBJECT; OBJECT ENCODING; OBJECT ENCODING x y; MEMORY USAGE nope; MEMORY USAGE; \
    MEMORY USAGE x FOO; MEMORY USAGE x SAMPLES; MEMORY USAGE x SAMPLES x; MEMORY USAGE x SAMPLES -1; \
    MEMORY FOO; TIME x; FLUSHDB FOO; FLUSHALL SYNC ASYNC; FLUSHDB SYNC FOO; \
    CONFIG GET databases; CONFIG GET notify-keyspace-events; CONFIG GET maxmemory-policy; \
    WATCH; WATCH x; MULTI; WATCH x; INCR x; EXEC; WATCH x nope; INCR x; MULTI; INCR x; EXEC; GET x; \
    WATCH x; INCR x; UNWATCH; MULTI; INCR x; EXEC; WATCH nope2; SET nope2 1; MULTI; PING; EXEC; \
    WATCH x; EXPIRE x 100; MULTI; PING; EXEC; WATCH x; INCR x; MULTI; DISCARD; MULTI; PING; EXEC; \
    WATCH x; DEL x; MULTI; FOO; EXEC; MULTI; PING; EXEC; WATCH y; MULTI; UNWATCH; INCR y; EXEC; \
    MULTI; SET t 1 EX 100; TTL t; GETEX t PERSIST; TTL t; GETDEL t; EXISTS t; SET t x y; SETNX t 5; \
    DEL t t; MSET t 1 u 2; UNLINK t u; PERSIST t; EXPIRE t 5; OBJECT ENCODING t; EXEC; \
    SELECT 15; GET y; SET y 99; GET y; KEYS *; DBSIZE; SCAN 0 COUNT 1000; RANDOMKEY; MULTI; SELECT 1; SET q 1; \
    SELECT 15; GET q; EXEC; SELECT 1; GET q; DBSIZE; FLUSHDB ASYNC; DBSIZE; RANDOMKEY; SELECT 16; \
    GET q; SELECT -1; SELECT 0; GET y; EXISTS q; SELECT 15; RESET; GET y; FLUSHALL; DBSIZE; KEYS *; \
    SCAN 0 COUNT 1000; RANDOMKEY; SET last 1; RANDOMKEY; FLUSHDB SYNC; DBSIZE";

#[test]
fn redis_answers_the_same_bytes() {
    let Some(redis) = RedisServer::start() else { return };
    for resp3 in [false, true] {
        let node = Node::start(&REDIS);
        // A node that has just started may not end counters yet.
        assert_eq!(ask(&mut Client::open(node.redis()), "SET first 1"), "+OK\\r\\n");
        let [mut theirs, mut ours] = [redis.address(), node.redis()].map(Client::open);
        assert_eq!([&mut theirs, &mut ours].map(|one| one.ask(&["FLUSHALL"])), ["+OK\\r\\n"; 2]);
        if resp3 {
            for one in [&mut theirs, &mut ours] {
                assert!(one.ask(&["HELLO", "3"]).starts_with("%7"), "a server that speaks RESP3");
            }
        }
        let mut differences = Vec::new();
        for line in COMMANDS.split("; ") {
            let expected = theirs.ask(&words(line));
            let found = ours.ask(&words(line));
            if expected != found {
                differences.push(format!("{line}\nredis     {expected}\nthis node {found}"));
            }
        }
        assert!(differences.is_empty(), "resp3 {resp3}\n{}", differences.join("\n"));
    }
}

/// What no counter can be or do, and why.
#[test]
fn what_differs_from_redis_is_refused_and_says_why() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    let not_an_integer = "-ERR value is not an integer or out of range\\r\\n";
    for (line, expected) in [
        ("SET a x", not_an_integer),
        ("SET a 1.5", not_an_integer),
        ("SETNX a x", not_an_integer),
        ("SETEX a 5 x", not_an_integer),
        ("GETSET a x", not_an_integer),
        ("MSET a 1 b x", not_an_integer),
        ("MSETNX a 1 b x", not_an_integer),
        ("EXISTS a b", ":0\\r\\n"),
        ("INCREX a BYFLOAT 1.5", "-ERR INCREX BYFLOAT is refused: counters are integers"),
        ("RENAME a b", "-ERR RENAME is refused: other nodes count on a name at once"),
        ("COPY a b", "-ERR COPY is refused: other nodes count on a name at once"),
        ("APPEND a 1", "-ERR APPEND is refused: a counter"),
        ("MULTI", "+OK\\r\\n"),
        ("MSETNX a 1", "-ERR Command not allowed inside a transaction\\r\\n"),
        ("FLUSHALL", "-ERR Command not allowed inside a transaction\\r\\n"),
        ("DISCARD", "+OK\\r\\n"),
    ] {
        let found = client.ask(&words(line));
        assert!(found.starts_with(expected), "{line}: {found}");
    }
    let names: Vec<String> = (0..1025).map(|n| format!("n{n}")).collect();
    let watch: Vec<&str> = ["WATCH"].into_iter().chain(names.iter().map(String::as_str)).collect();
    assert_eq!(client.ask(&watch[..1025]), "+OK\\r\\n");
    assert!(client.ask(&watch).starts_with("-ERR expected at most 1024 watched keys"));
    // Both are what the clock of this node shows.
    let time = client.ask(&["TIME"]);
    assert!(time.starts_with("*2\\r\\n$10\\r\\n"), "{time}");
    wait_until(
        "MEMORY USAGE",
        Duration::from_secs(5),
        || client.ask(&["INCR", "used"]),
        |said| said == ":1\\r\\n",
    );
    assert_eq!(client.ask(&["MEMORY", "USAGE", "used"]), ":149\\r\\n");
}
