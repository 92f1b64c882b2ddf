//! The commands that ask a running node.

use std::process::{Command, Output, Stdio};

use crate::support::node::{Node, free_port};
use serde_json::Value;

/// The program with these arguments, asking this node by way of its environment.
fn quipu(node: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quipu"))
        .args(arguments)
        .env_clear()
        .env("QUIPU_HTTP", node)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started")
}

/// What was said on stdout by a command that succeeded.
#[track_caller]
fn said(node: &Node, arguments: &[&str]) -> String {
    let output = quipu(&node.id(), arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The one line that was said on stderr with this exit code.
#[track_caller]
fn complaint(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "expected one line, found:\n{text}");
    text.strip_prefix("quipu: ").expect("the program's name first").trim_end().to_owned()
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn counters_are_added_to_read_and_listed() {
    let node = Node::start(&[]);
    assert_eq!(said(&node, &["add", "visits"]), "1\n");
    assert_eq!(said(&node, &["add", "visits", "41"]), "42\n");
    assert_eq!(said(&node, &["add", "visits", "-5"]), "37\n");
    assert_eq!(said(&node, &["add", "a/b ä?&=%+", "2"]), "2\n");
    assert_eq!(said(&node, &["get", "visits"]), "37\n");
    assert_eq!(
        said(&node, &["get", "visits", "absent", "a/b ä?&=%+"]),
        "visits\t37\nabsent\t0\na/b ä?&=%+\t2\n"
    );
    assert_eq!(said(&node, &["list"]), "a/b ä?&=%+\t2\nvisits\t37\n");
    assert_eq!(said(&node, &["list", "vi"]), "visits\t37\n");
    assert_eq!(said(&node, &["list", "--limit", "1"]), "a/b ä?&=%+\t2\n");
    assert_eq!(said(&node, &["list", "nothing"]), "");
}

#[test]
fn programs_are_answered_in_json() {
    let node = Node::start(&[]);
    let added = &objects(&said(&node, &["add", "c", "5", "--json"]))[0];
    assert_eq!(
        (&added["name"], &added["value"], &added["applied"]),
        (&"c".into(), &5.into(), &5.into())
    );
    assert_eq!(
        said(&node, &["get", "c", "d", "--json"]),
        "{\"name\":\"c\",\"value\":5}\n{\"name\":\"d\",\"value\":0,\"exists\":false}\n"
    );
    assert_eq!(said(&node, &["list", "--json"]), "{\"name\":\"c\",\"value\":5}\n");
    assert_eq!(objects(&said(&node, &["status", "--json"]))[0]["node_id"], node.id());
    node.post("/register", r#"{"id":"127.0.0.4:9"}"#);
    let peers = objects(&said(&node, &["peers", "--json"]));
    assert_eq!((peers.len(), &peers[0]["address"]), (1, &"127.0.0.4:9".into()));
}

#[test]
fn a_listing_of_many_pages_is_whole() {
    let node = Node::start(&[]);
    let operations: Vec<_> = (0..2500)
        .map(|n| serde_json::json!({"op": "increment", "name": format!("c{n:04}"), "by": n}))
        .collect();
    node.post("/batch", &serde_json::json!({ "operations": operations }).to_string());
    let expected: String = (0..2500).map(|n| format!("c{n:04}\t{n}\n")).collect();
    assert_eq!(said(&node, &["list"]), expected);
    assert_eq!(said(&node, &["list", "--limit", "1500"]).lines().count(), 1500);
}

#[test]
fn a_node_is_described_for_people() {
    let node = Node::start(&[]);
    node.post("/register", r#"{"id":"127.0.0.4:9"}"#);
    let status = said(&node, &["status"]);
    assert!(status.starts_with(&format!("address   {}\n", node.id())), "{status}");
    assert!(status.contains("127.0.0.4:9\tjoining\tno link"), "{status}");
    assert_eq!(said(&node, &["peers"]), "127.0.0.4:9\tjoining\tno link\n");
}

#[test]
fn another_node_is_asked_by_its_name() {
    let node = Node::start(&[]);
    let elsewhere = format!("127.0.0.1:{}", free_port());
    let output = quipu(&elsewhere, &["add", "c", "--node", &node.id()]);
    assert_eq!(output.stdout, b"1\n", "{output:?}");
    // As it stands in a browser.
    for (url, value) in [("http://{}", 2), ("http://{}/", 3), ("HTTP://{}", 4)] {
        let url = url.replace("{}", &node.id());
        let output = quipu(&elsewhere, &["add", "c", "--node", &url]);
        assert_eq!(output.stdout, format!("{value}\n").into_bytes(), "{url}: {output:?}");
    }
}

#[test]
fn what_is_no_node_is_refused_with_what_one_is() {
    for (node, words) in [
        ("https://127.0.0.1:8088", "expected a node as HOST[:PORT] or http://HOST[:PORT], found"),
        ("http://127.0.0.1:8088/count", "found \"http://127.0.0.1:8088/count\""),
        ("http://127.0.0.1:8088?a", "expected a node as HOST[:PORT]"),
        ("http://", "expected a node as HOST[:PORT]"),
        ("redis://127.0.0.1:6380", "expected a node as HOST[:PORT]"),
        ("http://me@127.0.0.1", "expected a node as HOST[:PORT]"),
        ("", "--node: expected"),
        ("127.0.0.1:0", "--node: expected a port between 1 and 65535"),
        ("127.0.0.1:x", "--node: expected a port between 1 and 65535"),
    ] {
        for command in [&["get", "c"][..], &["health"], &["top"], &["peers"], &["watch"]] {
            let line = complaint(&quipu("127.0.0.1:1", &[command, &["--node", node]].concat()), 2);
            assert!(line.contains(words) && line.starts_with("--node: "), "{node:?}: {line}");
        }
    }
}

#[test]
fn a_script_can_tell_a_refusal_from_a_wrong_command_line() {
    let node = Node::start(&[]);
    said(&node, &["add", "c", "9223372036854775807"]);
    let line = complaint(&quipu(&node.id(), &["add", "c"]), 1);
    assert!(line.contains("refused it with status 409: expected a value from"), "{line}");
    let line = complaint(&quipu(&node.id(), &["get", "c", "a\nb"]), 1);
    assert!(line.contains("1 of 2 counters could not be read: expected a counter name"), "{line}");

    let nowhere = format!("127.0.0.1:{}", free_port());
    let line = complaint(&quipu(&nowhere, &["get", "c"]), 1);
    assert!(line.starts_with(&format!("no node answers at {nowhere}: ")), "{line}");
    assert!(line.ends_with("; start one with: quipu"), "{line}");

    for (arguments, words) in [
        (&["add"][..], "missing: <NAME>; see quipu add --help"),
        (
            &["add", "c", "many"],
            "'[BY]': expected a whole number from -9223372036854775808 to 9223372036854775807, \
             found \"many\"; see quipu add --help",
        ),
        (&["add", "c", "9223372036854775808"], "found \"9223372036854775808\""),
        (&["add", "c", "1.5"], "expected a whole number from"),
        (&["add", ""], "expected a counter name of 1 to 1024 bytes, found none"),
        (&["add", ".."], "expected a counter name"),
        (&["add", "c", "1", "2"], "unexpected argument '2' found; see quipu add --help"),
        (&["get"], "missing: <NAME>...; see quipu get --help"),
        (&["status", "x"], "unexpected argument 'x' found; see quipu status --help"),
        (&["check"], "missing: <DIR>; see quipu check --help"),
        (&["repair"], "missing: <DIR>; see quipu repair --help"),
        (&["check", ""], "'<DIR>': expected a directory, found \"\"; see quipu check --help"),
        (&["list", "a", "b"], "unexpected argument 'b' found; see quipu list --help"),
        (&["list", "--limit", "many"], "expected a whole number of 1 or more, found \"many\""),
        (&["bench", "--redis", "here"], "expected an IP address and a port, like 127.0.0.1:6380"),
        (&["bench", "--seconds", "1.5"], "expected a whole number from 1 to 3600, found \"1.5\""),
        (&["bench", "--rate=-1"], "expected a whole number from 1 to 1000000000, found \"-1\""),
        (&["bench", "--protocol", "ftp"], "[possible values: http, redis]"),
        (&["top", "--every", "1h"], "expected 100ms to 60s, like 500ms or 2s, found \"1h\""),
        (&["top", "--every", "0.05"], "expected 100ms to 60s"),
        (&["watch", "--every", "1ms"], "expected 20ms to 60s, like 500ms or 2s, found \"1ms\""),
        (&["watch", "--every", "soon"], "expected 20ms to 60s"),
        (&["watch", "--every"], "see quipu watch --help"),
        (&["help", "nonsense"], "unrecognized subcommand 'nonsense'; see quipu --help"),
        (&["get", "c", "--node", "a b"], "--node: expected a host"),
        (&["list", "--limit", "0"], "expected a whole number of 1 or more, found \"0\""),
        (
            &["bench", "--pipeline", "1001"],
            "expected a whole number from 1 to 1000, found \"1001\"",
        ),
    ] {
        let line = complaint(&quipu(&node.id(), arguments), 2);
        assert!(line.contains(words), "{arguments:?}: {line}");
    }
}

#[test]
fn who_reads_only_the_beginning_of_a_listing_hears_no_complaint() {
    let node = Node::start(&[]);
    let operations: Vec<_> = (0..5000)
        .map(|n| serde_json::json!({"op": "increment", "name": format!("{n:0200}")}))
        .collect();
    node.post("/batch", &serde_json::json!({ "operations": operations }).to_string());
    let script = format!("{} list --node {} | head -n 1", env!("CARGO_BIN_EXE_quipu"), node.id());
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{:0200}\t1\n", 0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_bench_counts_what_was_acknowledged() {
    let node = Node::start(&[]);
    for (arguments, counter) in [
        (&["--requests", "500", "--connections", "4"][..], "bench"),
        (
            &[
                "--requests",
                "600",
                "--connections",
                "3",
                "--pipeline",
                "16",
                "--names",
                "50",
                "--name",
                "many",
            ],
            "many:",
        ),
    ] {
        let all = [&["bench", "--seconds", "60", "--json"], arguments].concat();
        let report = objects(&said(&node, &all)).remove(0);
        let requests: u64 = arguments[1].parse().unwrap();
        assert_eq!(
            (&report["acknowledged"], &report["counted"]),
            (&requests.into(), &requests.into()),
            "{report}"
        );
        assert_eq!((&report["refused"], &report["unanswered"]), (&0.into(), &0.into()));
        assert!(report["latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{report}");
        let listed = said(&node, &["list", counter]);
        let sum: u64 = listed
            .lines()
            .map(|line| line.split('\t').nth(1).unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(sum, requests, "{listed}");
    }
    let text = said(&node, &["bench", "--requests", "10", "--connections", "1"]);
    assert!(
        text.contains("acknowledged 10 ") && text.contains("counted 10\nlatency in ms: p50 "),
        "{text}"
    );
}

#[test]
fn a_bench_speaks_the_redis_protocol_as_well() {
    let node = Node::start(&["--redis", "127.0.0.1:0"]);
    let redis = node.redis().to_string();
    let arguments = ["bench", "--protocol", "redis", "--redis", &redis, "--requests", "1000"];
    let more = ["--connections", "2", "--pipeline", "64", "--names", "10", "--json"];
    let report = objects(&said(&node, &[&arguments[..], &more].concat())).remove(0);
    assert_eq!((&report["protocol"], &report["address"]), (&"redis".into(), &redis.into()));
    assert_eq!((&report["acknowledged"], &report["counted"]), (&1000.into(), &1000.into()));
}

#[test]
fn a_bench_sends_no_faster_than_it_was_asked_to() {
    let node = Node::start(&[]);
    let arguments = ["bench", "--rate", "1000", "--requests", "300", "--connections", "3"];
    let report = objects(&said(&node, &[&arguments[..], &["--json"]].concat())).remove(0);
    assert_eq!(report["acknowledged"], 300);
    // The first is due at once, the last 299 ms later.
    assert!(report["seconds"].as_f64().unwrap() >= 0.299, "{report}");
}

#[test]
fn a_bench_whose_increments_are_refused_fails() {
    let node = Node::start(&[]);
    said(&node, &["add", "bench", "9223372036854775800"]);
    let output = quipu(&node.id(), &["bench", "--requests", "20", "--connections", "1"]);
    let line = complaint(&output, 1);
    assert!(line.contains("found 7 that were, 13 that were refused"), "{line}");
    assert!(!output.stdout.is_empty(), "what was measured is told all the same");
}
