//! What operators' tools and client libraries ask of a server beside counters: connections, settings, slow
//! commands, databases, and who is told that a counter has ended.

use std::time::Duration;

use crate::support::cluster::{AGREEING_TIME_MAX, MEETING_TIME_MAX, Meeting, wait_until_met};
use crate::support::node::Node;
use crate::support::redis_server::RedisServer;
use crate::support::resp::Client;
use crate::support::wait::wait_until;

const REDIS: [&str; 2] = ["--redis", "127.0.0.1:0"];

/// How long something may take that was caused.
const TIME_MAX: Duration = Duration::from_secs(20);

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn ask(client: &mut Client, line: &str) -> String {
    client.ask(&words(line))
}

/// What cannot be ended yet since the node has just started is asked again: the node says so.
#[track_caller]
fn end(client: &mut Client, line: &str) -> String {
    let is_answer = |answer: &String| !answer.starts_with("-TRYAGAIN");
    wait_until(line, AGREEING_TIME_MAX, || ask(client, line), is_answer)
}

/// A field of a line of `CLIENT LIST`.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let found = line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("expected the field {name}, found {line}"))
}

/// The lines of `CLIENT LIST`.
fn list(client: &mut Client, options: &str) -> Vec<String> {
    let told = ask(client, format!("CLIENT LIST {options}").trim_end());
    let lines =
        told.split("\\n").filter_map(|line| line.find("id=").map(|at| line[at..].to_owned()));
    lines.collect()
}

fn id(client: &mut Client) -> String {
    ask(client, "CLIENT ID").trim_start_matches(':').trim_end_matches("\\r\\n").to_owned()
}

/// A line with all numbers that differ between servers masked.
fn masked(line: &str) -> String {
    let masked = ["id", "addr", "laddr", "fd", "age", "idle", "qbuf", "qbuf-free", "argv-mem"];
    let masked = [&masked[..], &["multi-mem", "rbs", "rbp", "tot-mem"]].concat();
    let mask = |field: &str| match field.split_once('=') {
        Some((name, _)) if masked.contains(&name) => format!("{name}=?"),
        _ => field.to_owned(),
    };
    line.split(' ').map(mask).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_connection_is_told_in_the_line_that_redis_has_for_it() {
    let Some(redis) = RedisServer::start() else { return };
    let node = Node::start(&REDIS);
    for lines in [
        "CLIENT INFO",
        "CLIENT SETNAME me; SELECT 3; CLIENT INFO",
        "HELLO 3; SUBSCRIBE news; PSUBSCRIBE a* b*; CLIENT INFO",
        "HELLO 3; CLIENT NO-EVICT ON; SELECT 3; CLIENT SETNAME me; RESET; CLIENT INFO",
        "CLIENT NO-EVICT ON; CLIENT LIST TYPE normal",
    ] {
        let told = |server| {
            let mut client = Client::open(server);
            let mut last = String::new();
            for line in lines.split("; ") {
                last = ask(&mut client, line);
                // A confirmation of each further pattern.
                if line.starts_with("PSUBSCRIBE") {
                    last = client.reply();
                }
            }
            let at = last.find("id=").unwrap_or_else(|| panic!("{lines}: {last}"));
            masked(&last[at..])
        };
        assert_eq!(told(node.redis()), told(redis.address()), "{lines}");
    }
}

#[test]
fn a_list_tells_what_each_connection_is_and_does() {
    let node = Node::start(&REDIS);
    let [mut asks, mut counts, mut listens, mut holds] =
        [(); 4].map(|()| Client::open(node.redis()));
    assert_eq!(ask(&mut counts, "CLIENT SETNAME worker"), "+OK\\r\\n");
    assert_eq!(ask(&mut counts, "SELECT 5"), "+OK\\r\\n");
    assert_eq!(ask(&mut counts, "INCR a"), ":1\\r\\n");
    ask(&mut listens, "SUBSCRIBE counter:a");
    ask(&mut holds, "MULTI");
    ask(&mut holds, "INCR b");
    let counts_id = id(&mut counts);
    assert_eq!(ask(&mut counts, "INCR a"), ":2\\r\\n");
    let lines = list(&mut asks, "");
    assert_eq!(lines.len(), 4, "{lines:?}");
    let told = |line: &str, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| field(line, name).to_owned()).collect()
    };
    let names = ["name", "db", "flags", "cmd", "sub", "multi"];
    assert_eq!(told(&lines[0], &names), ["", "0", "N", "client|list", "0", "-1"]);
    assert_eq!(told(&lines[1], &names), ["worker", "5", "N", "incr", "0", "-1"]);
    assert_eq!(told(&lines[2], &names), ["", "0", "P", "subscribe", "1", "-1"]);
    assert_eq!(told(&lines[3], &names), ["", "0", "x", "incr", "0", "1"]);
    assert_eq!(field(&lines[0], "laddr"), node.redis().to_string());
    assert_eq!(list(&mut asks, &format!("ID {counts_id}")).len(), 1);
    assert_eq!(list(&mut asks, "TYPE pubsub").len(), 1);
    assert_eq!(list(&mut asks, "TYPE normal").len(), 3);
    drop((counts, listens, holds));
    wait_until("they are gone", TIME_MAX, || list(&mut asks, "").len(), |open| *open == 1);
}

#[test]
fn a_killed_connection_ends_and_what_it_had_counted_stays() {
    let node = Node::start(&REDIS);
    let open = || Client::open(node.redis());
    let [mut asks, mut one, mut two, mut listens] = [open(), open(), open(), open()];
    assert_eq!(ask(&mut one, "INCR a"), ":1\\r\\n");
    let (one_id, two_id) = (id(&mut one), id(&mut two));
    assert_eq!(ask(&mut asks, &format!("CLIENT KILL ID {one_id}")), ":1\\r\\n");
    assert_eq!(one.rest(), "", "it is closed");
    assert_eq!(ask(&mut asks, &format!("CLIENT KILL ID {one_id}")), ":0\\r\\n");
    let line = list(&mut asks, &format!("ID {two_id}")).remove(0);
    let address = field(&line, "addr").to_owned();
    assert_eq!(ask(&mut asks, &format!("CLIENT KILL {address}")), "+OK\\r\\n");
    assert_eq!(two.rest(), "");
    ask(&mut listens, "SUBSCRIBE counter:a");
    assert_eq!(ask(&mut asks, "CLIENT KILL TYPE pubsub"), ":1\\r\\n");
    assert_eq!(listens.rest(), "");
    assert_eq!(
        ask(&mut asks, "PUBSUB NUMSUB counter:a"),
        "*2\\r\\n$9\\r\\ncounter:a\\r\\n:0\\r\\n"
    );
    let mut third = open();
    id(&mut third);
    // Not itself, unless it says so.
    assert_eq!(ask(&mut asks, "CLIENT KILL TYPE normal"), ":1\\r\\n");
    assert_eq!(third.rest(), "");
    assert_eq!(ask(&mut asks, "GET a"), "$1\\r\\n1\\r\\n");
    assert_eq!(ask(&mut asks, "CLIENT KILL USER default SKIPME no"), ":1\\r\\n");
    assert_eq!(asks.rest(), "", "it was answered, and then closed");
    let mut last = open();
    wait_until("all are forgotten", TIME_MAX, || list(&mut last, "").len(), |open| *open == 1);
}

#[test]
fn one_that_waits_is_unblocked_by_another() {
    let node = Node::start(&REDIS);
    let [mut waits, mut asks] = [(); 2].map(|()| Client::open(node.redis()));
    let waits_id = id(&mut waits);
    for (reason, expected) in
        [("", ":0\\r\\n"), ("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\\r\\n")]
    {
        waits.send(b"WAIT 5 0\r\n");
        let unblock = format!("CLIENT UNBLOCK {waits_id} {reason}");
        let unblocked = || ask(&mut asks, unblock.trim_end());
        wait_until("it waits", TIME_MAX, unblocked, |said| said == ":1\\r\\n");
        assert_eq!(waits.reply(), expected);
        assert_eq!(ask(&mut asks, unblock.trim_end()), ":0\\r\\n", "it does not wait any more");
    }
}

#[test]
fn slow_commands_are_logged_from_the_bound_on_that_is_set() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    assert_eq!(ask(&mut client, "SLOWLOG RESET"), "+OK\\r\\n");
    assert_eq!(ask(&mut client, "CONFIG SET slowlog-log-slower-than 0"), "+OK\\r\\n");
    assert_eq!(ask(&mut client, "CLIENT SETNAME me"), "+OK\\r\\n");
    assert_eq!(ask(&mut client, "INCRBY a 7"), ":7\\r\\n");
    let newest = ask(&mut client, "SLOWLOG GET 1");
    for part in
        ["*1\\r\\n*6\\r\\n:", "*3\\r\\n$6\\r\\nINCRBY\\r\\n$1\\r\\na\\r\\n$1\\r\\n7\\r\\n", "me"]
    {
        assert!(newest.contains(part), "{part}: {newest}");
    }
    client.send(b"INCR a\r\nINCR a\r\nINCR a\r\n");
    (0..3).for_each(|_| drop(client.reply()));
    let newest = ask(&mut client, "SLOWLOG GET 1");
    assert!(newest.contains("INCR"), "{newest}");
    assert_eq!(ask(&mut client, "CONFIG SET slowlog-max-len 2"), "+OK\\r\\n");
    ask(&mut client, "PING");
    assert_eq!(ask(&mut client, "SLOWLOG LEN"), ":2\\r\\n");
    assert_eq!(ask(&mut client, "CONFIG SET slowlog-log-slower-than -1"), "+OK\\r\\n");
    assert_eq!(ask(&mut client, "SLOWLOG RESET"), "+OK\\r\\n");
    assert_eq!(ask(&mut client, "INCR a"), ":11\\r\\n");
    assert_eq!(ask(&mut client, "SLOWLOG GET -1"), "*0\\r\\n");
}

#[test]
fn counts_of_info_begin_anew_and_those_of_metrics_go_on() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    (0..100).for_each(|_| drop(ask(&mut client, "PING")));
    let processed = |client: &mut Client| -> u64 {
        let told = ask(client, "INFO stats");
        let line =
            told.split("\\r\\n").find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.and_then(|number| number.parse().ok()).expect("a number")
    };
    assert!(processed(&mut client) >= 100);
    assert_eq!(ask(&mut client, "CONFIG RESETSTAT"), "+OK\\r\\n");
    assert!(processed(&mut client) < 100);
    assert!(node.get("/metrics").body.contains("quipu_redis_commands_total"));
}

#[test]
fn each_database_is_told_with_what_it_holds_and_what_will_expire() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    assert_eq!(end(&mut client, "SET a 1"), "+OK\\r\\n");
    for (line, expected) in [
        ("SET b 1 EX 100", "+OK\\r\\n"),
        ("SELECT 9", "+OK\\r\\n"),
        ("SET c 1 EX 100", "+OK\\r\\n"),
        ("INCR d", ":1\\r\\n"),
        ("INCR e", ":1\\r\\n"),
        ("DBSIZE", ":3\\r\\n"),
        ("SELECT 0", "+OK\\r\\n"),
        ("DBSIZE", ":2\\r\\n"),
        ("SELECT 10", "+OK\\r\\n"),
        ("DBSIZE", ":0\\r\\n"),
    ] {
        assert_eq!(ask(&mut client, line), expected, "{line}");
    }
    let keyspace = ask(&mut client, "INFO keyspace");
    assert!(keyspace.contains("db0:keys=2,expires=1,avg_ttl="), "{keyspace}");
    assert!(keyspace.contains("db9:keys=3,expires=1,avg_ttl="), "{keyspace}");
    assert!(!keyspace.contains("db10"), "{keyspace}");
    let left = keyspace.split("avg_ttl=").nth(1).and_then(|rest| rest.split("\\r").next());
    let left: u64 = left.and_then(|left| left.parse().ok()).expect("milliseconds");
    assert!((90_000..=100_000).contains(&left), "{keyspace}");
}

/// Two nodes: on whichever a counter is deleted, and whichever tells of it.
#[test]
fn those_who_listen_are_told_that_counters_expire_and_are_deleted_once_they_ask_for_it() {
    let meeting = Meeting::by_broadcast();
    let nodes = [meeting.start(&REDIS), meeting.start(&REDIS)];
    wait_until_met(&[&nodes[0], &nodes[1]], MEETING_TIME_MAX);
    let [mut here, mut there] = [0, 1].map(|place: usize| Client::open(nodes[place].redis()));
    let mut listens = Client::open(nodes[0].redis());
    // Nothing is told to one who subscribed before it was asked for.
    let mut early = Client::open(nodes[0].redis());
    ask(&mut early, "PSUBSCRIBE __key*");
    assert_eq!(ask(&mut here, "CONFIG SET notify-keyspace-events KEgx"), "+OK\\r\\n");
    ask(&mut listens, "SUBSCRIBE __keyevent@0__:expired __keyspace@2__:b");
    ask(&mut listens, "PSUBSCRIBE __key*@0__:d*");
    listens.reply();

    assert_eq!(end(&mut there, "SET a 1 PX 300"), "+OK\\r\\n");
    let event = "*3\\r\\n$7\\r\\nmessage\\r\\n$22\\r\\n__keyevent@0__:expired\\r\\n$1\\r\\na\\r\\n";
    assert_eq!(listens.reply(), event);

    assert_eq!(ask(&mut there, "SELECT 2"), "+OK\\r\\n");
    assert_eq!(end(&mut there, "SET b 1"), "+OK\\r\\n");
    let counted = |said: &String| said == "$1\\r\\n1\\r\\n";
    wait_until("it is here", TIME_MAX, || ask(&mut here, "GET db2:b"), counted);
    assert_eq!(end(&mut there, "DEL b"), ":1\\r\\n");
    let event = "*3\\r\\n$7\\r\\nmessage\\r\\n$16\\r\\n__keyspace@2__:b\\r\\n$3\\r\\ndel\\r\\n";
    assert_eq!(listens.reply(), event);

    assert_eq!(end(&mut here, "SET d 1"), "+OK\\r\\n");
    assert_eq!(end(&mut here, "DEL d"), ":1\\r\\n");
    let pattern = "*4\\r\\n$8\\r\\npmessage\\r\\n$13\\r\\n__key*@0__:d*\\r\\n";
    let keyspace = "$16\\r\\n__keyspace@0__:d\\r\\n$3\\r\\ndel\\r\\n";
    let keyevent = "$18\\r\\n__keyevent@0__:del\\r\\n$1\\r\\nd\\r\\n";
    assert_eq!(listens.reply(), format!("{pattern}{keyspace}"));
    assert_eq!(listens.reply(), format!("{pattern}{keyevent}"));
    assert_eq!(
        ask(&mut early, "PUNSUBSCRIBE"),
        "*3\\r\\n$12\\r\\npunsubscribe\\r\\n$6\\r\\n__key*\\r\\n:0\\r\\n"
    );
}

#[test]
fn a_name_of_a_thousand_bytes_is_counted_on_every_node() {
    let meeting = Meeting::by_broadcast();
    let nodes = [meeting.start(&REDIS), meeting.start(&REDIS)];
    wait_until_met(&[&nodes[0], &nodes[1]], MEETING_TIME_MAX);
    let [mut here, mut there] = [0, 1].map(|place: usize| Client::open(nodes[place].redis()));
    let name = "n".repeat(1024);
    assert_eq!(here.ask(&["INCR", &name]), ":1\\r\\n");
    let counted = |said: &String| said == "$1\\r\\n1\\r\\n";
    wait_until("it is there", TIME_MAX, || there.ask(&["GET", &name]), counted);
    assert_eq!(nodes[1].get(&format!("/counters/{name}")).json()["value"], 1);
    assert!(there.ask(&["INCR", &"n".repeat(1025)]).starts_with("-ERR expected a counter name"));
}
