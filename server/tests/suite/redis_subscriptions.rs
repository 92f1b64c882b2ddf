//! Listening to counters as clients of Redis do: `SUBSCRIBE counter:<name>` and its like.

use std::collections::HashSet;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::cluster::Meeting;
use crate::support::node::Node;
use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, framed};
use crate::support::wait::wait_until;

/// How long something may take that was caused.
const TIME_MAX: Duration = Duration::from_secs(20);

const REDIS: [&str; 2] = ["--redis", "127.0.0.1:0"];

fn bulk(text: &str) -> String {
    format!("${}\\r\\n{text}\\r\\n", text.len())
}

/// Several texts as one message, of a kind that the version has for it.
fn message(kind: char, texts: &[&str]) -> String {
    let texts_told: String = texts.iter().map(|text| bulk(text)).collect();
    format!("{kind}{}\\r\\n{texts_told}", texts.len())
}

fn confirmation(kind: char, what: &str, channel: &str, count: usize) -> String {
    format!("{kind}3\\r\\n{}{}:{count}\\r\\n", bulk(what), bulk(channel))
}

/// One who speaks this version, and how it is told what it did not ask for.
fn listeners(node: &Node) -> [(Client, char); 2] {
    let mut third = Client::open(node.redis());
    assert!(third.ask(&["HELLO", "3"]).starts_with("%7"));
    [(Client::open(node.redis()), '*'), (third, '>')]
}

/// Reads messages until one says this value; all values, in order.
#[track_caller]
fn until(client: &mut Client, value: i64) -> Vec<i64> {
    let deadline = Instant::now() + TIME_MAX;
    let mut values = Vec::new();
    while values.last() != Some(&value) {
        let message = client.reply();
        let last = message.trim_end_matches("\\r\\n").rsplit("\\r\\n").next();
        let told = last.and_then(|last| last.parse().ok());
        values.push(told.unwrap_or_else(|| panic!("expected a message, found {message}")));
        assert!(Instant::now() < deadline, "expected {value}, found {values:?}");
    }
    values
}

#[test]
fn a_channel_tells_the_value_of_its_counter_whatever_client_changes_it() {
    let nodes = Meeting::by_broadcast().start_together(2, &REDIS);
    for (version, (mut client, kind)) in listeners(&nodes[0]).into_iter().enumerate() {
        let (name, channel) = (format!("a{version}"), format!("counter:a{version}"));
        let confirmed = client.ask(&["SUBSCRIBE", &channel]);
        assert_eq!(confirmed, confirmation(kind, "subscribe", &channel, 1));
        for (node, total) in [(&nodes[0], "5"), (&nodes[1], "10")] {
            let mut other = Client::open(node.redis());
            other.ask(&["INCR", "unrelated"]);
            other.ask(&["INCRBY", &name, "5"]);
            assert_eq!(client.reply(), message(kind, &["message", &channel, total]));
        }
    }
}

#[test]
fn a_pattern_tells_of_all_counters_that_match_it_and_of_no_other() {
    let node = Node::start(&REDIS);
    let mut other = Client::open(node.redis());
    for (version, (mut client, kind)) in listeners(&node).into_iter().enumerate() {
        let pattern = format!("counter:page{version}:[ab]");
        let confirmed = client.ask(&["PSUBSCRIBE", &pattern]);
        assert_eq!(confirmed, confirmation(kind, "psubscribe", &pattern, 1));
        let name = |letter| format!("page{version}:{letter}");
        for letter in ["c", "a"] {
            other.ask(&["INCR", &name(letter)]);
        }
        let channel = format!("counter:{}", name("a"));
        assert_eq!(client.reply(), message(kind, &["pmessage", &pattern, &channel, "1"]));
        let confirmed = client.ask(&["SUBSCRIBE", &channel]);
        assert_eq!(confirmed, confirmation(kind, "subscribe", &channel, 2));
        other.ask(&["DECRBY", &name("a"), "3"]);
        assert_eq!(client.reply(), message(kind, &["message", &channel, "-2"]));
        assert_eq!(client.reply(), message(kind, &["pmessage", &pattern, &channel, "-2"]));
        let confirmed = client.ask(&["PUNSUBSCRIBE"]);
        assert_eq!(confirmed, confirmation(kind, "punsubscribe", &pattern, 1));
        other.ask(&["INCR", &name("b")]);
        other.ask(&["INCR", &name("a")]);
        assert_eq!(client.reply(), message(kind, &["message", &channel, "-1"]));
    }
}

#[test]
fn one_who_wants_no_replies_is_told_of_changes_all_the_same() {
    let node = Node::start(&REDIS);
    let mut other = Client::open(node.redis());
    for (version, (mut client, kind)) in listeners(&node).into_iter().enumerate() {
        let (name, channel) = (format!("quiet{version}"), format!("counter:quiet{version}"));
        client.send(&framed(&["CLIENT", "REPLY", "OFF"]));
        let confirmed = client.ask(&["SUBSCRIBE", &channel]);
        assert_eq!(confirmed, confirmation(kind, "subscribe", &channel, 1));
        other.ask(&["INCR", &name]);
        assert_eq!(client.reply(), message(kind, &["message", &channel, "1"]));
        client.send(&framed(&["PING"]));
        let confirmed = client.ask(&["UNSUBSCRIBE"]);
        assert_eq!(confirmed, confirmation(kind, "unsubscribe", &channel, 0));
    }
}

#[test]
fn version_3_counts_while_it_listens() {
    let node = Node::start(&REDIS);
    let [_, (mut client, kind)] = listeners(&node);
    client.ask(&["SUBSCRIBE", "counter:a"]);
    // The reply and the message are told apart by their kind, and may come in either order.
    client.send(&framed(&["INCR", "a"]));
    let mut told = [client.reply(), client.reply()];
    told.sort();
    assert_eq!(told, [":1\\r\\n".to_owned(), message(kind, &["message", "counter:a", "1"])]);
}

#[test]
fn a_quick_counter_is_told_ten_times_a_second_and_never_without_its_last_value() {
    let node = Node::start(&REDIS);
    let [(mut client, _), _] = listeners(&node);
    client.ask(&["SUBSCRIBE", "counter:quick"]);
    let mut other = Client::open(node.redis());
    let (start, mut counted) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(800) {
        other.ask(&["INCR", "quick"]);
        counted += 1;
    }
    let values = until(&mut client, counted);
    let most = start.elapsed().as_millis() / 100 + 2;
    assert!(values.is_sorted(), "a count went back: {values:?}");
    assert!(values.len() as u128 <= most, "{} messages, at most {most}", values.len());
}

#[test]
fn one_who_does_not_read_skips_values_and_is_told_the_last_of_each_counter() {
    let node = Node::start(&REDIS);
    let mut slow = TcpStream::connect(node.redis()).expect("a connection");
    slow.set_read_timeout(Some(TIME_MAX)).expect("a socket");
    std::io::Write::write_all(&mut slow, &framed(&["PSUBSCRIBE", "counter:*"])).expect("a socket");
    let mut first = [0; 1];
    slow.read_exact(&mut first).expect("a confirmation");
    let names: Vec<_> = (0..2000).map(|n| format!("{}{n:04}", "long-name-".repeat(20))).collect();
    let mut other = Client::open(node.redis());
    let rounds = 60;
    let before_bytes = node.memory_bytes();
    for _ in 0..rounds {
        let round: Vec<u8> = names.iter().flat_map(|name| framed(&["INCR", name])).collect();
        other.send(&round);
        for _ in &names {
            other.reply();
        }
    }
    let grown_bytes = node.memory_bytes().saturating_sub(before_bytes);
    assert!(grown_bytes < 64 << 20, "messages were gathered: {grown_bytes} bytes more");
    let (mut read, mut part) = (Vec::new(), vec![0; 1 << 20]);
    let ends = format!("\r\n$2\r\n{rounds}\r\n");
    let (ends, name_bytes) = (ends.as_bytes(), names[0].len());
    let deadline = Instant::now() + TIME_MAX;
    let mut missing: HashSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "{} counters lack their last value", missing.len());
        let more = slow.read(&mut part).expect("messages");
        assert!(more > 0, "the connection was ended");
        read.extend_from_slice(&part[..more]);
        for at in (name_bytes..read.len()).filter(|at| read[*at..].starts_with(ends)) {
            missing.remove(&read[at - name_bytes..at]);
        }
        let kept = read.len().saturating_sub(1 << 10);
        read.drain(..kept);
    }
}

#[test]
fn what_cannot_be_listened_to_is_refused_with_the_reason() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    let long = "x".repeat(1041);
    let many: Vec<_> = (0..201).map(|n| format!("news:{n}")).collect();
    let many: Vec<_> = ["SUBSCRIBE"].into_iter().chain(many.iter().map(String::as_str)).collect();
    for (command, words) in [
        (&["SUBSCRIBE", "counter:a", "counter:"][..], "-ERR expected a counter name of 1 to 1024"),
        (&["SUBSCRIBE", "counter:.."], "-ERR expected a counter name other than"),
        (&["SUBSCRIBE", "news", "counter:."], "-ERR expected a counter name other than"),
        (
            &["SUBSCRIBE", "news", &long],
            "-ERR expected a channel of at most 1040 bytes, found 1041",
        ),
        (&["PSUBSCRIBE", &long.repeat(2)], "-ERR expected a pattern of at most 2064 bytes, found"),
        (&many, "-ERR expected at most 200 channels of a connection"),
        (&["PUBLISH", "counter:a", "1"], "-ERR PUBLISH is refused: nodes pass no messages on"),
        (&["PUBLISH", "news", "1"], "-ERR PUBLISH is refused: nodes pass no messages on"),
        (&["SSUBSCRIBE", "a"], "-ERR SSUBSCRIBE is refused: what can be listened to"),
    ] {
        let told = client.ask(command);
        assert!(told.starts_with(words), "{told}");
    }
    assert_eq!(client.ask(&["PING"]), "+PONG\\r\\n", "nothing was subscribed to");
}

/// All that a server answers to these commands until it closes.
fn answers(server: SocketAddr, commands: &[&str], resp3: bool) -> String {
    let mut client = Client::open(server);
    if resp3 {
        assert!(client.ask(&["HELLO", "3"]).starts_with("%7"), "a server that speaks RESP3");
    }
    let framed_all = commands.iter().chain(&["QUIT"]);
    let bytes: Vec<u8> =
        framed_all.flat_map(|command| framed(&command.split(' ').collect::<Vec<_>>())).collect();
    // In one piece: what is sent behind a QUIT that was answered would reset the connection.
    client.send(&bytes);
    client.rest()
}

#[test]
fn confirmations_and_errors_are_those_of_redis_byte_for_byte() {
    let Some(redis) = RedisServer::start() else { return };
    let node = Node::start(&REDIS);
    for commands in [
        &["SUBSCRIBE counter:a counter:b counter:a", "PSUBSCRIBE counter:* counter:[a-c]"][..],
        &["SUBSCRIBE counter:a", "UNSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "GET absent"],
        &["UNSUBSCRIBE", "PUNSUBSCRIBE", "UNSUBSCRIBE x y", "PUNSUBSCRIBE x y", "PING"],
        &["PSUBSCRIBE counter:*", "SUBSCRIBE counter:a", "UNSUBSCRIBE x counter:a", "PING"],
        &["PSUBSCRIBE counter:*", "PUNSUBSCRIBE counter:a", "PUNSUBSCRIBE", "PING", "PING x"],
        &["SUBSCRIBE counter:a", "PING", "PING x", "PING x y", "ping", "RESET", "PING"],
        &["SUBSCRIBE counter:a", "GET absent", "get absent", "CLIENT GETNAME", "HELLO 2", "MULTI"],
        &["SUBSCRIBE counter:a", "SELECT 0", "ECHO x", "FOO x", "GET", "EXEC", "DBSIZE"],
        &["PSUBSCRIBE counter:*", "SET a 1", "PUBLISH a b", "DEL a", "RESET", "GET absent"],
        &["SUBSCRIBE", "PSUBSCRIBE", "subscribe counter:a", "SUBSCRIBE"],
        &["PUBSUB CHANNELS", "PUBSUB CHANNELS *", "PUBSUB NUMPAT", "PUBSUB NUMSUB"],
        &["PUBSUB NUMSUB counter:a counter:b", "PUBSUB", "PUBSUB FOO", "PUBSUB NUMPAT x"],
        // Channels on which a node never tells anything.
        &["SUBSCRIBE __Booksleeve_MasterChanged", "PING", "UNSUBSCRIBE", "PING"],
        &["SUBSCRIBE news counter:a news", "PSUBSCRIBE news.* counter:* count", "GET absent"],
        &["SUBSCRIBE news counter:a", "UNSUBSCRIBE counter:a", "PING", "UNSUBSCRIBE", "PING"],
        &[
            "SUBSCRIBE news",
            "UNSUBSCRIBE other news",
            "PSUBSCRIBE __keyspace@0__:*",
            "PUNSUBSCRIBE",
        ],
        &["SUBSCRIBE news", "PUBSUB CHANNELS", "PUBSUB NUMSUB news counter:a", "RESET", "PING"],
        &["PSUBSCRIBE news.*", "PUBSUB NUMPAT", "PUNSUBSCRIBE news.*", "PUBSUB NUMPAT"],
        &["SUBSCRIBE news counter:a", "RESET", "PUBSUB CHANNELS", "PUBSUB NUMSUB news counter:a"],
        &["PSUBSCRIBE news.* counter:*", "RESET", "PUBSUB NUMPAT", "PUBSUB CHANNELS *"],
        &["PUBSUB CHANNELS a b", "SUBSCRIBE counter:a", "PUBSUB CHANNELS", "PUBSUB NUMPAT"],
    ] {
        for resp3 in [false, true] {
            // Version 3 lets those who listen do all else, and then these differ by design.
            if resp3 && commands.iter().any(|one| one.starts_with("SET") || *one == "HELLO 2") {
                continue;
            }
            let expected = answers(redis.address(), commands, resp3);
            let found = answers(node.redis(), commands, resp3);
            assert_eq!(found, expected, "{commands:?}, resp3 {resp3}");
        }
    }
}

#[test]
fn who_listens_is_told_of_all_connections_and_forgotten_when_they_go() {
    let node = Node::start(&REDIS);
    let mut asking = Client::open(node.redis());
    let (mut one, mut other) = (Client::open(node.redis()), Client::open(node.redis()));
    one.ask(&["SUBSCRIBE", "counter:a"]);
    other.ask(&["SUBSCRIBE", "counter:a"]);
    other.ask(&["PSUBSCRIBE", "counter:*"]);
    assert_eq!(asking.ask(&["PUBSUB", "CHANNELS"]), format!("*1\\r\\n{}", bulk("counter:a")));
    assert_eq!(asking.ask(&["PUBSUB", "CHANNELS", "counter:[b-z]"]), "*0\\r\\n");
    let numbers = |a: usize, b: usize| {
        format!("*4\\r\\n{}:{a}\\r\\n{}:{b}\\r\\n", bulk("counter:a"), bulk("b"))
    };
    assert_eq!(asking.ask(&["PUBSUB", "NUMSUB", "counter:a", "b"]), numbers(2, 0));
    assert_eq!(asking.ask(&["PUBSUB", "NUMPAT"]), ":1\\r\\n");
    assert!(asking.ask(&["INFO", "stats"]).contains("pubsub_channels:1"));
    let watchers = |kind: &str| format!("quipu_watchers{{kind=\"{kind}\"}}");
    let metrics = node.get("/metrics").body;
    assert!(metrics.contains(&format!("{} 2\n", watchers("redis"))), "{metrics}");
    assert!(metrics.contains(&format!("{} 0\n", watchers("events"))), "{metrics}");
    // One says so, the other just goes.
    one.ask(&["RESET"]);
    assert_eq!(asking.ask(&["PUBSUB", "NUMSUB", "counter:a", "b"]), numbers(1, 0));
    drop(other);
    wait_until(
        "the one that is gone listens no more",
        TIME_MAX,
        || asking.ask(&["PUBSUB", "NUMPAT"]),
        |patterns| patterns == ":0\\r\\n",
    );
    assert_eq!(asking.ask(&["PUBSUB", "NUMSUB", "counter:a", "b"]), numbers(0, 0));
}

/// Clients subscribe to channels of Redis or of their own as soon as they connect, as
/// StackExchange.Redis does, and are not to be refused for it.
#[test]
fn a_channel_of_no_counter_is_silent_and_takes_nothing_from_those_who_listen_to_counters() {
    let node = Node::start(&REDIS);
    let mut silent: Vec<Client> = (0..300).map(|_| Client::open(node.redis())).collect();
    for client in &mut silent {
        let confirmed = client.ask(&["SUBSCRIBE", "__Booksleeve_MasterChanged"]);
        assert_eq!(confirmed, confirmation('*', "subscribe", "__Booksleeve_MasterChanged", 1));
        let confirmed = client.ask(&["PSUBSCRIBE", "__keyspace@0__:*"]);
        assert_eq!(confirmed, confirmation('*', "psubscribe", "__keyspace@0__:*", 2));
    }
    let mut asking = Client::open(node.redis());
    let numbers = asking.ask(&["PUBSUB", "NUMSUB", "__Booksleeve_MasterChanged"]);
    assert_eq!(numbers, format!("*2\\r\\n{}:300\\r\\n", bulk("__Booksleeve_MasterChanged")));
    assert_eq!(asking.ask(&["PUBSUB", "NUMPAT"]), ":1\\r\\n");
    let watchers = |count: usize| {
        let metrics = node.get("/metrics").body;
        assert!(
            metrics.contains(&format!("quipu_watchers{{kind=\"redis\"}} {count}\n")),
            "{metrics}"
        );
    };
    watchers(0);
    // One of them listens to a counter too, and is told of that and of no other.
    let listener = &mut silent[299];
    let confirmed = listener.ask(&["SUBSCRIBE", "counter:__Booksleeve_MasterChanged"]);
    let channel = "counter:__Booksleeve_MasterChanged";
    assert_eq!(confirmed, confirmation('*', "subscribe", channel, 3));
    watchers(1);
    for name in ["__keyspace@0__:a", "unrelated", "__Booksleeve_MasterChanged"] {
        asking.ask(&["INCR", name]);
    }
    assert_eq!(listener.reply(), message('*', &["message", channel, "1"]));
    let confirmed = listener.ask(&["UNSUBSCRIBE", channel]);
    assert_eq!(confirmed, confirmation('*', "unsubscribe", channel, 2));
    watchers(0);
    assert_eq!(listener.ask(&["PING"]), message('*', &["pong", ""]));
    drop(silent);
    wait_until(
        "those who are gone listen no more",
        TIME_MAX,
        || asking.ask(&["PUBSUB", "CHANNELS"]),
        |channels| channels == "*0\\r\\n",
    );
}

#[test]
fn all_connections_together_have_a_bound_of_subscriptions_and_are_told_of_it() {
    let node = Node::start(&REDIS);
    let channels: Vec<_> = (0..200).map(|n| format!("news:{n}")).collect();
    let words: Vec<_> =
        ["SUBSCRIBE"].into_iter().chain(channels.iter().map(String::as_str)).collect();
    let mut clients: Vec<Client> = (0..250).map(|_| Client::open(node.redis())).collect();
    for client in &mut clients {
        client.send(&framed(&words));
        (0..200).for_each(|_| assert!(client.reply().starts_with("*3\\r\\n$9\\r\\nsubscribe")));
    }
    let mut late = Client::open(node.redis());
    for command in [["SUBSCRIBE", "news"], ["SUBSCRIBE", "counter:a"], ["PSUBSCRIBE", "counter:*"]]
    {
        let refused = late.ask(&command);
        assert!(refused.starts_with("-ERR expected at most 50000 subscriptions of a"), "{refused}");
    }
    assert_eq!(late.ask(&["PING"]), "+PONG\\r\\n", "it does not listen");
    let ended = clients[0].ask(&["UNSUBSCRIBE", "news:7"]);
    assert_eq!(ended, confirmation('*', "unsubscribe", "news:7", 199));
    let confirmed = late.ask(&["SUBSCRIBE", "counter:a"]);
    assert_eq!(confirmed, confirmation('*', "subscribe", "counter:a", 1));
    drop(clients);
    let again = || late.ask(&["PSUBSCRIBE", "counter:*"]);
    wait_until("those who leave make room", TIME_MAX, again, |told| told.starts_with('*'));
}

#[test]
fn the_crate_redis_listens_in_both_versions_of_the_protocol() -> redis::RedisResult<()> {
    let node = Node::start(&REDIS);
    for version in ["resp2", "resp3"] {
        let url = format!("redis://{}/?protocol={version}", node.redis());
        let mut connection = redis::Client::open(url)?.get_connection()?;
        connection.set_read_timeout(Some(TIME_MAX))?;
        let mut listener = connection.as_pubsub();
        listener.subscribe(format!("counter:{version}"))?;
        listener.psubscribe(format!("counter:{version}:*"))?;
        let address = node.redis();
        let counting = thread::spawn(move || {
            let mut other = Client::open(address);
            other.ask(&["INCRBY", version, "3"]);
            other.ask(&["INCRBY", &format!("{version}:x"), "4"]);
        });
        let mut told = Vec::new();
        for _ in 0..2 {
            let message = listener.get_message()?;
            told.push((message.get_channel_name().to_owned(), message.get_payload::<i64>()?));
        }
        told.sort();
        let channels = [(format!("counter:{version}"), 3), (format!("counter:{version}:x"), 4)];
        assert_eq!(told, channels);
        counting.join().expect("it counts");
        listener.unsubscribe(format!("counter:{version}"))?;
    }
    Ok(())
}
