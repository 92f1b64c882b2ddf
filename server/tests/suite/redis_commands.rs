//! What commands of Redis are answered: of counters, of the connection, of the node; walks and
//! transactions, and both versions of the protocol.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::node::Node;
use crate::support::resp::{Client, framed};

fn start() -> Node {
    Node::start(&["--redis", "127.0.0.1:0"])
}

#[test]
fn what_redis_counts_http_shows_and_the_other_way_round() {
    let node = start();
    let mut client = Client::open(node.redis());
    assert_eq!(client.ask(&["INCRBY", "default", "41"]), ":41\\r\\n");
    assert_eq!(node.post("/increment", "").status, 200);
    assert_eq!(client.ask(&["GET", "default"]), "$2\\r\\n42\\r\\n");
    assert_eq!(node.count(), 42);
}

#[test]
fn version_three_has_maps_and_a_null_of_its_own() {
    let node = start();
    let mut client = Client::open(node.redis());
    let hello = client.ask(&["HELLO", "3", "SETNAME", "me"]);
    assert!(hello.starts_with("%7\\r\\n$6\\r\\nserver\\r\\n$5\\r\\nquipu\\r\\n"), "{hello}");
    assert!(hello.contains("$5\\r\\nproto\\r\\n:3\\r\\n"), "{hello}");
    assert_eq!(client.ask(&["GET", "nope"]), "_\\r\\n");
    assert_eq!(client.ask(&["CLIENT", "GETNAME"]), "$2\\r\\nme\\r\\n");
    // As clients are told to that have a user and a password in their settings.
    let hello = client.ask(&["HELLO", "3", "AUTH", "default", "secret", "SETNAME", "you"]);
    assert!(hello.starts_with("%7\\r\\n$6\\r\\nserver"), "{hello}");
    assert_eq!(client.ask(&["CLIENT", "GETNAME"]), "$3\\r\\nyou\\r\\n");
    assert_eq!(
        client.ask(&["CONFIG", "GET", "save", "appendonly"]),
        "%2\\r\\n$10\\r\\nappendonly\\r\\n$2\\r\\nno\\r\\n$4\\r\\nsave\\r\\n$0\\r\\n\\r\\n"
    );
    assert!(client.ask(&["INFO"]).starts_with('='), "a verbatim string");
    assert!(
        client.ask(&["COMMAND", "DOCS", "incr"]).starts_with("%1\\r\\n$4\\r\\nincr\\r\\n%2\\r\\n")
    );
    // Within one pipeline each reply is of the version that was spoken when its command came.
    client.send(b"GET nope\r\nHELLO 2\r\nGET nope\r\n");
    assert_eq!(client.reply(), "_\\r\\n");
    assert!(client.reply().starts_with("*14\\r\\n"));
    assert_eq!(client.reply(), "$-1\\r\\n");
}

#[test]
fn connections_have_numbers_of_their_own() {
    let node = start();
    let ids: BTreeSet<String> =
        (0..3).map(|_| Client::open(node.redis()).ask(&["CLIENT", "ID"])).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn clients_may_tell_what_they_are() {
    let node = start();
    let mut client = Client::open(node.redis());
    assert_eq!(client.ask(&["CLIENT", "SETINFO", "LIB-NAME", "tests"]), "+OK\\r\\n");
    assert_eq!(client.ask(&["client", "setinfo", "lib-ver", "1"]), "+OK\\r\\n");
    assert!(client.ask(&["CLIENT", "SETINFO", "LIB-NAME", "a b"]).starts_with("-ERR lib-name can"));
    assert!(client.ask(&["CLIENT", "SETINFO", "x", "y"]).starts_with("-ERR Unrecognized option"));
}

#[test]
fn commands_are_described() {
    let node = start();
    let mut client = Client::open(node.redis());
    let count = client.ask(&["COMMAND", "COUNT"]);
    let all = client.ask(&["COMMAND"]);
    assert!(all.starts_with(&count.replace(':', "*")), "{count} {all}");
    let incr = client.ask(&["COMMAND", "INFO", "INCR", "nope"]);
    assert!(incr.starts_with("*2\\r\\n*10\\r\\n$4\\r\\nincr\\r\\n:2\\r\\n"), "{incr}");
    assert!(incr.ends_with("$-1\\r\\n"), "{incr}");
    assert!(client.ask(&["COMMAND", "LIST"]).contains("$6\\r\\nincrby\\r\\n"));
    let some = client.ask(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "DECR*"]);
    assert_eq!(some, "*2\\r\\n$4\\r\\ndecr\\r\\n$6\\r\\ndecrby\\r\\n");
}

#[test]
fn what_an_error_says_to_try_is_there_and_names_every_second_word() {
    let node = start();
    let mut client = Client::open(node.redis());
    for (command, words) in [
        (
            "CLIENT",
            &[
                "GETNAME",
                "GETREDIR",
                "ID",
                "INFO",
                "KILL <ip:port> | [ID <id>] [ADDR <ip:port>] [LADDR <ip:port>] [TYPE <type>] \
                 [USER <name>] [SKIPME yes|no]",
                "LIST [TYPE normal|master|replica|pubsub] [ID <id> ...]",
                "NO-EVICT ON|OFF",
                "NO-TOUCH ON|OFF",
                "REPLY ON|OFF|SKIP",
                "SETINFO LIB-NAME|LIB-VER <text>",
                "SETNAME <name>",
                "TRACKING OFF",
                "TRACKINGINFO",
                "UNBLOCK <id> [TIMEOUT|ERROR]",
            ][..],
        ),
        (
            "COMMAND",
            &[
                "COUNT",
                "DOCS [<name> ...]",
                "INFO [<name> ...]",
                "LIST [FILTERBY MODULE|ACLCAT|PATTERN <what>]",
            ],
        ),
        (
            "CONFIG",
            &["GET <pattern> [<pattern> ...]", "RESETSTAT", "REWRITE", "SET <setting> <value> ..."],
        ),
        ("SLOWLOG", &["GET [<count>]", "LEN", "RESET"]),
        ("LATENCY", &["DOCTOR", "HISTORY <event>", "LATEST", "RESET [<event> ...]"]),
        ("PUBSUB", &["CHANNELS [<pattern>]", "NUMPAT", "NUMSUB [<channel> ...]"]),
    ] {
        let error = client.ask(&[command, "nonsense"]);
        assert!(error.contains(&format!("Try {command} HELP.")), "{error}");
        let help = client.ask(&[command, "help"]);
        // A line of usage and one of explanation for each, and for HELP itself.
        let lines = 1 + 2 * (words.len() + 1);
        assert!(help.starts_with(&format!("*{lines}\\r\\n+{command} <subcommand>")), "{help}");
        for word in words {
            assert!(
                help.contains(&format!("\\r\\n+{word}\\r\\n+    ")),
                "{word} is missing in {help}"
            );
        }
    }
}

#[test]
fn every_node_says_that_it_takes_writes() {
    let node = start();
    let mut client = Client::open(node.redis());
    assert_eq!(client.ask(&["ROLE"]), "*3\\r\\n$6\\r\\nmaster\\r\\n:0\\r\\n*0\\r\\n");
    client.ask(&["INCR", "a"]);
    assert_eq!(client.ask(&["ROLE"]), "*3\\r\\n$6\\r\\nmaster\\r\\n:1\\r\\n*0\\r\\n");
}

#[test]
fn info_tells_sections_that_are_asked_for() {
    let node = start();
    let mut client = Client::open(node.redis());
    client.ask(&["INCR", "a"]);
    let all = client.ask(&["INFO"]);
    for line in
        ["# Server", "redis_version:", "quipu_version:", "connected_clients:1", "db0:keys=1,"]
    {
        assert!(all.contains(line), "{line} is missing in {all}");
    }
    let memory = client.ask(&["INFO", "memory"]);
    let bytes = memory.split("used_memory:").nth(1).and_then(|rest| rest.split("\\r").next());
    assert!(bytes.is_some_and(|bytes| bytes.parse::<u64>().unwrap() > 1 << 20), "{memory}");
    assert!(client.ask(&["INFO", "cpu"]).contains("used_cpu_user:"));
    let port = format!("tcp_port:{}", node.redis().port());
    assert!(client.ask(&["INFO", "SERVER"]).contains(&port));
    let some = client.ask(&["INFO", "keyspace", "clients"]);
    assert!(
        some.contains("# Clients") && some.contains("# Keyspace") && !some.contains("# Server")
    );
    assert_eq!(client.ask(&["INFO", "nope"]), "$0\\r\\n\\r\\n");
}

#[test]
fn a_walk_names_every_counter_once_in_bounded_steps() {
    let node = start();
    let mut client = Client::open(node.redis());
    for n in 0..2500 {
        client.send(&framed(&["INCR", &format!("walk:{n}")]));
    }
    (0..2500).for_each(|_| assert_eq!(client.reply(), ":1\\r\\n"));
    let (mut cursor, mut names, mut steps) = ("0".to_owned(), BTreeSet::new(), 0);
    loop {
        let reply = client.ask(&["SCAN", &cursor, "MATCH", "walk:*9", "COUNT", "100"]);
        let words: Vec<&str> = reply.split("\\r\\n").collect();
        let found: Vec<_> = words.iter().filter(|word| word.starts_with("walk:")).collect();
        assert!(found.len() <= 100);
        found.iter().for_each(|name| assert!(names.insert((**name).to_owned()), "{name} twice"));
        words[2].clone_into(&mut cursor);
        steps += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((names.len(), steps), (250, 25));
    assert_eq!(client.ask(&["DBSIZE"]), ":2500\\r\\n");
    assert!(client.ask(&["KEYS", "walk:24?9"]).starts_with("*10\\r\\n"));
}

#[test]
fn keys_beyond_its_bound_names_scan() {
    let node = start();
    let mut client = Client::open(node.redis());
    let commands: Vec<u8> =
        (0..10_001).flat_map(|n| framed(&["INCRBY", &format!("many:{n}"), "0"])).collect();
    client.send(&commands);
    (0..10_001).for_each(|_| assert_eq!(client.reply(), ":0\\r\\n"));
    let refused = "-ERR KEYS tells at most 10000 names, and more match; use SCAN with MATCH\\r\\n";
    assert_eq!(client.ask(&["KEYS", "*"]), refused);
    assert!(client.ask(&["KEYS", "many:???"]).starts_with("*900\\r\\n"));
    // One command may name as many as one message holds, and is never cut.
    let names: Vec<String> = (0..10_001).map(|n| format!("many:{n}")).collect();
    let most: Vec<&str> = ["MGET"].into_iter().chain(names.iter().map(String::as_str)).collect();
    assert!(client.ask(&most[..10_001]).starts_with("*10000\\r\\n$1\\r\\n0\\r\\n"));
    let refused = "-ERR expected at most 10000 keys in a command, found 10001\\r\\n";
    assert_eq!(client.ask(&most), refused);
}

#[test]
fn no_client_sees_half_of_a_transaction() {
    let node = start();
    let address = node.redis();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::open(address);
                    for _ in 0..500 {
                        client.send(b"MULTI\r\nINCR left\r\nDECR right\r\nEXEC\r\n");
                        let replies: Vec<String> = (0..4).map(|_| client.reply()).collect();
                        assert_eq!(replies[..3], ["+OK\\r\\n", "+QUEUED\\r\\n", "+QUEUED\\r\\n"]);
                        assert!(replies[3].starts_with("*2\\r\\n:"), "{replies:?}");
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut client = Client::open(address);
            while !is_over.load(Relaxed) {
                let both = client.ask(&["MGET", "left", "right"]);
                let [_, _, left, _, right, _] = both.split("\\r\\n").collect::<Vec<_>>()[..] else {
                    assert_eq!(both, "*2\\r\\n$-1\\r\\n$-1\\r\\n");
                    continue;
                };
                assert_eq!(right.trim_start_matches('-'), left, "{both}");
            }
        });
        writers.into_iter().for_each(|writer| writer.join().expect("no reply was wrong"));
        is_over.store(true, Relaxed);
    });
    assert_eq!(Client::open(address).ask(&["GET", "left"]), "$4\\r\\n1000\\r\\n");
}

#[test]
fn a_transaction_has_a_bound() {
    let node = start();
    let mut client = Client::open(node.redis());
    assert_eq!(client.ask(&["MULTI"]), "+OK\\r\\n");
    let name = "n".repeat(255);
    let queue = |client: &mut Client, count: usize| {
        (0..count).for_each(|_| client.send(&framed(&["INCRBY", &name, "1000000000000000"])));
        (0..count).for_each(|_| assert_eq!(client.reply(), "+QUEUED\\r\\n"));
    };
    queue(&mut client, 9_998);
    // Each name is an operation.
    assert_eq!(client.ask(&["MGET", "a", "b"]), "+QUEUED\\r\\n");
    let refused = "-ERR expected a transaction of at most 10000 operations, found more\\r\\n";
    assert_eq!(client.ask(&["INCR", "a"]), refused);
    assert!(client.ask(&["EXEC"]).starts_with("-EXECABORT"));
    assert_eq!(client.ask(&["EXISTS", "a", &name]), ":0\\r\\n");

    assert_eq!(client.ask(&["MULTI"]), "+OK\\r\\n");
    queue(&mut client, 10_000);
    client.send(&framed(&["EXEC"]));
    let mut reply = Vec::new();
    client.read_reply(&mut reply).expect("as many as were held back");
    assert!(reply.starts_with(b"*10000\r\n:1000000000000000\r\n"));
    assert!(reply.ends_with(b":10000000000000000000\r\n") || reply.ends_with(b"overflow\r\n"));

    // Empty words are words too, and take room.
    assert_eq!(client.ask(&["MULTI"]), "+OK\\r\\n");
    let words: Vec<&str> =
        ["COMMAND", "DOCS"].into_iter().chain(std::iter::repeat_n("", 60_000)).collect();
    let replies: Vec<String> = (0..10).map(|_| client.ask(&words)).collect();
    let refused =
        format!("-ERR expected a transaction of at most {} bytes, found more\\r\\n", 4 << 20);
    assert!(replies.contains(&refused), "{replies:?}");
}

/// They are dot segments of a path, and would name another counter by HTTP.
#[test]
fn the_names_of_dot_segments_are_counted_neither_alone_nor_in_a_batch() {
    let node = start();
    let mut client = Client::open(node.redis());
    for name in [".", ".."] {
        for command in [&["INCR", name][..], &["DECRBY", name, "5"], &["INCRBY", name, "0"]] {
            let refused = client.ask(command);
            assert!(refused.starts_with("-ERR expected a counter name other than"), "{refused}");
        }
        // As any that fails when it is done: alone.
        client.send(format!("MULTI\r\nINCR a\r\nINCR {name}\r\nINCR a\r\nEXEC\r\n").as_bytes());
        let replies: Vec<String> = (0..5).map(|_| client.reply()).collect();
        assert!(replies[4].contains("-ERR expected a counter name other than"), "{replies:?}");
    }
    assert_eq!(client.ask(&["GET", "a"]), "$1\\r\\n4\\r\\n");
    assert_eq!(client.ask(&["KEYS", "*"]), "*1\\r\\n$1\\r\\na\\r\\n");
    // A dot beside others is a name as any.
    for name in ["...", "a/..", "./a", ".a", "a."] {
        assert_eq!(client.ask(&["INCR", name]), ":1\\r\\n", "{name}");
    }
    for pattern in ["counter:.*", "counter:..", "counter:."] {
        assert!(
            client.ask(&["PSUBSCRIBE", pattern]).starts_with("*3\\r\\n$10\\r\\npsub"),
            "{pattern}"
        );
    }
}

#[test]
fn wait_tells_how_many_peers_have_synced_the_last_change() {
    let first = start();
    let mut alone = Client::open(first.redis());
    assert_eq!(alone.ask(&["INCR", "w"]), ":1\\r\\n");
    let asked = Instant::now();
    assert_eq!(alone.ask(&["WAIT", "1", "100"]), ":0\\r\\n");
    assert!(asked.elapsed() >= Duration::from_millis(100), "it did not wait");
    let second = Node::start(&["--join", &first.id()]);
    // Without end, since the peer is on its way.
    assert_eq!(alone.ask(&["WAIT", "1", "0"]), ":1\\r\\n");
    alone.send(b"INCR w\r\nWAIT 1 0\r\nGET w\r\n");
    assert_eq!(
        [alone.reply(), alone.reply(), alone.reply()],
        [":2\\r\\n", ":1\\r\\n", "$1\\r\\n2\\r\\n"]
    );
    assert_eq!(second.get("/counters/w").json()["value"], 2, "it was synced there");
}

#[test]
fn as_many_wait_for_as_long_as_they_said_as_there_are() {
    let node = start();
    let mut clients: Vec<Client> = (0..1100).map(|_| Client::open(node.redis())).collect();
    let asked = Instant::now();
    clients.iter_mut().for_each(|client| client.send(b"INCR w\r\nWAIT 1 3000\r\n"));
    clients.iter_mut().for_each(|client| assert!(client.reply().starts_with(':')));
    assert!(asked.elapsed() < Duration::from_secs(3), "they wait at the same time");
    for client in &mut clients {
        assert_eq!(client.reply(), ":0\\r\\n");
        assert!(asked.elapsed() >= Duration::from_secs(3), "one did not wait");
    }
}
