//! `quipu watch`: what a node tells, as lines, while nodes go and come back.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::node::{Node, PROGRAM, free_port};
use crate::support::program::quipu;
use crate::support::wait::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long something may take that was caused.
const TIME_MAX: std::time::Duration = std::time::Duration::from_secs(20);

/// The command as it runs. Killed when dropped.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(node: &Node, arguments: &[&str]) -> Watching {
        let mut child = Command::new(PROGRAM)
            .args(["watch", "--every", "20ms", "--node", &node.id()])
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Watching { child, lines }
    }

    /// Reads until a line has, behind its time, these words.
    #[track_caller]
    fn until(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        for line in &mut self.lines {
            let line = line.expect("text");
            if line.split_once('\t').is_some_and(|(_, rest)| rest == wanted) {
                return;
            }
            seen.push(line);
        }
        panic!("expected {wanted:?}, found {seen:?}");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("a child can be signalled");
    }

    /// Its exit code once it has ended, and all that it complained of.
    #[track_caller]
    fn end(&mut self) -> (Option<i32>, String) {
        let ended = wait_until(
            "the command ends",
            TIME_MAX,
            || self.child.try_wait().expect("a child can be waited for"),
            Option::is_some,
        );
        let mut complaints = String::new();
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut complaints).expect("text");
        (ended.and_then(|ended| ended.code()), complaints)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add(node: &Node, name: &str, by: i64) {
    let path = format!("/counters/{name}/increment");
    assert_eq!(node.post(&path, &format!(r#"{{"by":{by}}}"#)).status, 200);
}

#[test]
fn what_is_there_comes_first_and_then_each_change_and_a_signal_ends_it_quietly() {
    let node = Node::start(&[]);
    add(&node, "pages.a", 5);
    add(&node, "other", 1);
    for signal in [Signal::INT, Signal::TERM] {
        let before = node.value("pages.a");
        let mut watching = Watching::start(&node, &["pages"]);
        watching.until(&format!("pages.a\t{before}\t="));
        add(&node, "other", 1);
        add(&node, "pages.a", 3);
        watching.until(&format!("pages.a\t{}\t+3", before + 3));
        watching.signal(signal);
        assert_eq!(watching.end(), (Some(0), String::new()));
    }
}

#[test]
fn programs_are_told_in_json_of_the_counters_that_they_name() {
    let node = Node::start(&[]);
    add(&node, "a", 5);
    let mut watching = Watching::start(&node, &["--json", "--counter", "a", "--counter", "b"]);
    let mut next = || {
        let line = watching.lines.next().expect("a line").expect("text");
        let line: Value = serde_json::from_str(&line).expect("an object a line");
        assert!(line["at_ms"].as_u64().is_some_and(|at_ms| at_ms > 0), "{line}");
        (line["name"].as_str().map(str::to_owned), line["value"].clone(), line["change"].clone())
    };
    assert_eq!(next(), (Some("a".to_owned()), 5.into(), Value::Null));
    add(&node, "c", 1);
    add(&node, "b", 7);
    let told = std::iter::from_fn(|| Some(next())).find(|(name, ..)| name.is_some());
    assert_eq!(told, Some((Some("b".to_owned()), 7.into(), 7.into())));
}

#[test]
fn a_node_that_comes_back_is_watched_again_and_both_are_said() {
    let mut node = Node::start(&[]);
    let port = node.address().port();
    add(&node, "a", 5);
    let mut watching = Watching::start(&node, &[]);
    watching.until("a\t5\t=");
    node.kill();
    let node = Node::start_at(port, &["--disable-discovery"]);
    // Kept in memory only, so that it begins at nothing, and says that it is another process.
    watching.until("\tthe node cannot tell all that was missed, and begins anew");
    add(&node, "a", 2);
    watching.until("a\t2\t+2");
    watching.signal(Signal::TERM);
    let (code, complaints) = watching.end();
    let lines: Vec<_> = complaints.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{complaints}");
    assert!(lines[0].starts_with(&format!("quipu: {} went away: ", node.id())), "{complaints}");
    assert_eq!(lines[1], format!("quipu: {} is back", node.id()));
}

#[test]
fn peers_are_lines_too() {
    let node = Node::start(&[]);
    let mut watching = Watching::start(&node, &[]);
    node.post("/register", r#"{"id":"127.0.0.4:9"}"#);
    watching.until("\tpeer 127.0.0.4:9 is joining");
}

#[test]
fn a_reader_that_has_gone_ends_it_quietly() {
    let node = Node::start(&[]);
    let mut watching = Watching::start(&node, &[]);
    add(&node, "a", 1);
    let mut counted = 1;
    wait_until(
        "the first line is there",
        TIME_MAX,
        || watching.lines.next().is_some_and(|line| line.is_ok()),
        |is_there| *is_there,
    );
    let Watching { child, lines } = &mut watching;
    // Another pipe in its place; the one that is written to has no reader from here on.
    let reader = Command::new("true").stdout(Stdio::piped()).spawn();
    let mut reader = reader.expect("a program that does nothing");
    *lines = BufReader::new(reader.stdout.take().expect("a pipe")).lines();
    let _ = reader.wait();
    let ended = wait_until(
        "the command ends at the next line that it writes",
        TIME_MAX,
        || {
            counted += 1;
            add(&node, "a", 1);
            child.try_wait().expect("a child can be waited for")
        },
        Option::is_some,
    );
    assert_eq!(ended.and_then(|ended| ended.code()), Some(0), "after {counted} changes");
    assert_eq!(watching.end(), (Some(0), String::new()));
}

#[test]
fn a_node_that_is_not_there_or_says_no_is_one_line_and_exit_code_1() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let ended = quipu(&["watch", "--node", &nowhere]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.complaint.starts_with("no node answers at "), "{ended:?}");
    let node = Node::start(&[]);
    let too_many = vec!["--counter=a"; 201];
    let ended = quipu(&[&["watch", "--node", &node.id()], &too_many[..]].concat());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.complaint.contains("refused it with status 400: expected"), "{ended:?}");
    let ended = quipu(&["watch", "a", "--counter", "b"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}
