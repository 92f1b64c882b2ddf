//! What may happen to a data directory while no node looks: damage, copies, old copies, another
//! release, a second process. Nothing of it may cost a count without a word, and what is refused is
//! refused with its file, its place and a way out.

use std::fs;
use std::process::Command;

use crate::support::cluster::{
    AGREEING_TIME_MAX, MEETING_TIME_MAX, Meeting, RETURNING_TIME_MAX, wait_until_counted,
    wait_until_met,
};
use crate::support::data::DataDirectory;
use crate::support::load::Load;
use crate::support::node::{Node, PROGRAM, free_address};
use crate::support::program::{quipu, refused};
use crate::support::resp::Client;
use crate::support::wait::wait_until;

/// Where in the head of a file its format stands.
const FORMAT_AT: usize = 8;

#[track_caller]
fn increment(node: &Node, times: u64) {
    for _ in 0..times {
        assert_eq!(node.post("/increment", "").status, 200);
    }
}

/// A directory in which a node has counted so far, and was then killed: nothing but its records
/// says what was synced.
fn counted(count: u64) -> DataDirectory {
    let data = DataDirectory::empty();
    let mut node = Node::start(&data.flags());
    increment(&node, count);
    node.kill();
    data
}

/// The same, of a node that was asked to end: its last record says that all before it is synced.
fn ended_at(count: u64) -> DataDirectory {
    let data = DataDirectory::empty();
    let mut node = Node::start(&data.flags());
    increment(&node, count);
    assert!(node.terminate().success());
    data
}

/// A directory that cannot be started on: refused by a start and by `quipu check` with the same
/// words, which name this file and this place; and neither touches anything.
#[track_caller]
fn is_refused(data: &DataDirectory, file: &str, offset: usize) {
    let before = data.contents();
    let place = format!("damaged at byte {offset} of {file}: ");
    let said = refused(&data.flags());
    for words in [place.as_str(), "quipu check", "quipu repair", data.path()] {
        assert!(said.contains(words), "expected {words:?} in {said:?}");
    }
    let checked = quipu(&["check", data.path()]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.complaint.contains(&place), "{checked:?}");
    assert!(before == data.contents(), "something was changed");
}

/// Mends a directory, and starts a node on it beside a peer that has everything.
#[track_caller]
fn repair_and_get_the_rest(data: &DataDirectory, damaged: &str, peer: &Node, count: u64) {
    let before = fs::read(data.file(damaged)).ok();
    let repaired = quipu(&["repair", data.path()]);
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    if let Some(before) = before {
        let kept_as = format!("{damaged}.damaged");
        assert!(repaired.output.contains(&kept_as), "{repaired:?}");
        assert!(before == fs::read(data.file(&kept_as)).expect("a copy"), "no copy");
    }
    let again = quipu(&["repair", data.path()]);
    assert!(again.output.contains("nothing is damaged"), "{again:?}");
    let node = Node::start(&[&data.flags()[..], &["--join", &peer.id()]].concat());
    wait_until_counted(&[&node, peer], count, MEETING_TIME_MAX);
    increment(&node, 1);
    increment(peer, 1);
    wait_until_counted(&[&node, peer], count + 2, AGREEING_TIME_MAX);
}

/// A peer that has learnt what this directory holds.
fn peer_that_knows(data: &DataDirectory, count: u64) -> Node {
    let peer = Node::start(&[]);
    let mut node = Node::start(&[&data.flags()[..], &["--join", &peer.id()]].concat());
    wait_until_counted(&[&peer], count, MEETING_TIME_MAX);
    assert!(node.terminate().success());
    peer
}

#[test]
fn a_node_that_is_asked_to_end_has_kept_everything_however_rarely_it_syncs() {
    for fsync in ["always", "every:1s", "every:3600s", "never"] {
        let data = DataDirectory::empty();
        let flags = [&data.flags()[..], &["--fsync", fsync]].concat();
        let mut node = Node::start(&flags);
        let load = Load::on(&[&node, &node]);
        wait_until("it counts", AGREEING_TIME_MAX, || node.count(), |count| *count > 20);
        let acknowledged = load.stop().acknowledged;
        assert!(node.terminate().success(), "{fsync}: {}", node.log());
        let checked = quipu(&["check", data.path()]);
        assert!(!checked.output.contains("crash"), "{fsync}: {checked:?}");
        let node = Node::start(&flags);
        assert_eq!(u64::try_from(node.count()), Ok(acknowledged), "{fsync}");
    }
}

#[test]
fn a_torn_tail_is_reported_cut_off_and_told_with_file_and_offset() {
    for tear in [
        // The last record is cut short, as if its second sector had never been written.
        |bytes: &mut Vec<u8>, _start: usize, end: usize| bytes[end - 3..].fill(0),
        |bytes: &mut Vec<u8>, _start: usize, end: usize| bytes.truncate(end - 1),
        |bytes: &mut Vec<u8>, start: usize, _end: usize| bytes[start + 20] ^= 1,
        |bytes: &mut Vec<u8>, start: usize, end: usize| bytes[start..end].fill(0xff),
    ] {
        let data = counted(5);
        let segment = data.last(".segment");
        let (starts, end) = data.starts_of_records(&segment);
        let start = *starts.last().expect("records");
        data.edit(&segment, |bytes| tear(bytes, start, end));

        let before = data.contents();
        let checked = quipu(&["check", data.path()]);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let place = format!("at byte {start} of ");
        assert!(checked.output.contains("a crash tore the last write"), "{checked:?}");
        assert!(checked.output.contains(&format!("{place}{segment}")), "{checked:?}");
        let repaired = quipu(&["repair", data.path()]);
        assert!(repaired.output.contains("nothing is damaged"), "{repaired:?}");
        assert!(before == data.contents(), "something was changed");

        let node = Node::start(&data.flags());
        assert!(node.log().contains(&place) && node.log().contains(&segment), "{}", node.log());
        // The last one was answered, but no record was left to say that it had been synced.
        assert_eq!(node.count(), 4);
        increment(&node, 1);
        assert_eq!(node.count(), 5);
    }
}

#[test]
fn a_byte_that_flips_before_the_last_known_sync_is_refused_and_repaired_with_the_help_of_peers() {
    let data = ended_at(6);
    let peer = peer_that_knows(&data, 6);
    let segment = data.names().into_iter().find(|name| name.ends_with(".segment")).expect("one");
    let (starts, _) = data.starts_of_records(&segment);
    data.edit(&segment, |bytes| bytes[starts[2] + 20] ^= 0x40);
    is_refused(&data, &segment, starts[2]);
    repair_and_get_the_rest(&data, &segment, &peer, 6);
}

#[test]
fn a_byte_that_flips_in_the_segment_that_was_written_last_is_refused_once_it_was_marked() {
    let data = ended_at(6);
    let segment = data.last(".segment");
    let (starts, _) = data.starts_of_records(&segment);
    // All but the mark itself, behind which no mark says that it was synced.
    for start in &starts[..starts.len() - 1] {
        let flipped = data.copy();
        flipped.edit(&segment, |bytes| bytes[start + 18] ^= 1);
        is_refused(&flipped, &segment, *start);
    }
}

#[test]
fn a_byte_that_flips_anywhere_in_a_snapshot_is_refused_and_repaired_with_the_help_of_peers() {
    let data = DataDirectory::of_format_1();
    let snapshot = data.last(".snapshot");
    let length = data.contents()[&snapshot].len();
    // Every one of the few bytes that a head leaves empty, and others all over the file.
    for at in (0..length).filter(|at| (44..64).contains(at) || at % 7 == 0) {
        let flipped = data.copy();
        flipped.edit(&snapshot, |bytes| bytes[at] ^= 0x10);
        let before = flipped.contents();
        let checked = quipu(&["check", flipped.path()]);
        assert_eq!(checked.code, Some(1), "byte {at}: {checked:?}");
        assert!(checked.complaint.contains(&format!(" of {snapshot}: ")), "{checked:?}");
        assert!(before == flipped.contents(), "something was changed");
    }
    let peer = peer_that_knows(&data, 1_000);
    let (starts, _) = data.starts_of_records(&snapshot);
    data.edit(&snapshot, |bytes| bytes[starts[starts.len() - 2] + 20] ^= 1);
    is_refused(&data, &snapshot, starts[starts.len() - 2]);
    repair_and_get_the_rest(&data, &snapshot, &peer, 1_000);
}

#[test]
fn a_missing_segment_is_refused_and_repaired_with_the_help_of_peers() {
    let data = ended_at(4);
    let mut node = Node::start(&data.flags());
    increment(&node, 4);
    assert!(node.terminate().success());
    let peer = peer_that_knows(&data, 8);
    let missing = data.names().into_iter().filter(|name| name.ends_with(".segment")).nth(1);
    let missing = missing.expect("three starts make three segments");
    fs::remove_file(data.file(&missing)).expect("it is there");
    is_refused(&data, &missing, 0);
    repair_and_get_the_rest(&data, &missing, &peer, 8);
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let data = ended_at(2);
    let segment = data.last(".segment");
    data.edit(&segment, |bytes| bytes[FORMAT_AT] = 2);
    let before = data.contents();
    let said = refused(&data.flags());
    assert!(said.contains(&segment) && said.contains("upgrade quipu"), "{said}");
    for command in ["check", "repair"] {
        let ended = quipu(&[command, data.path()]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.complaint.contains("upgrade quipu"), "{ended:?}");
    }
    assert!(
        before.iter().all(|(name, bytes)| data.contents().get(name) == Some(bytes)),
        "something was changed"
    );
}

#[test]
fn a_second_process_on_a_data_directory_is_refused_at_once() {
    let data = DataDirectory::empty();
    let node = Node::start(&data.flags());
    increment(&node, 1);
    let said = refused(&data.flags());
    assert!(said.contains("is in use by another process; stop it"), "{said}");
    let repaired = quipu(&["repair", data.path()]);
    assert_eq!(repaired.code, Some(1), "{repaired:?}");
    assert!(repaired.complaint.contains("is in use"), "{repaired:?}");
    // Looking does no harm.
    assert_eq!(quipu(&["check", data.path()]).code, Some(0));
    increment(&node, 1);
    assert_eq!(node.count(), 2);
}

#[test]
fn an_old_copy_that_is_put_back_doubles_nothing_and_loses_nothing_that_peers_have() {
    let meeting = Meeting::by_hand();
    let data = DataDirectory::empty();
    let address = free_address([127, 0, 2, 1]);
    let peer = meeting.start(&[]);
    let seed = peer.id();
    let join = [&data.flags()[..], &["--join", &seed]].concat();
    let begin = || Node::begin(&[PROGRAM], address, &meeting.flags(&join)).answering();

    let mut node = begin();
    increment(&node, 3);
    assert!(node.terminate().success());
    let backup = data.copy();

    let mut node = begin();
    increment(&node, 4);
    wait_until_counted(&[&node, &peer], 7, MEETING_TIME_MAX);
    node.kill();

    // The same origins stand in it with smaller numbers; the new start counts under a fresh one.
    data.become_like(&backup);
    let mut node = begin();
    increment(&node, 5);
    wait_until_counted(&[&node, &peer], 12, MEETING_TIME_MAX);
    node.kill();
    let node = begin();
    wait_until_counted(&[&node, &peer], 12, MEETING_TIME_MAX);
}

#[test]
fn a_plain_copy_of_a_running_nodes_directory_loads_or_is_refused_clearly() {
    let data = DataDirectory::empty();
    let node = Node::start(&data.flags());
    let load = Load::on(&[&node, &node, &node]);
    let mut loaded = 0;
    for _ in 0..10 {
        let before = node.count();
        let copy = data.copy();
        let after = node.count();
        let checked = quipu(&["check", copy.path()]);
        if checked.code == Some(0) {
            let clone = Node::start(&copy.flags());
            let count = clone.count();
            assert!((before..=after).contains(&count), "{before} <= {count} <= {after}");
            loaded += 1;
        } else {
            is_refused_somewhere(&copy);
        }
    }
    let acknowledged = load.stop().acknowledged;
    wait_until_counted(&[&node], acknowledged, AGREEING_TIME_MAX);
    assert!(loaded > 0, "a copy is good unless it was taken at a bad moment");
}

#[track_caller]
fn is_refused_somewhere(data: &DataDirectory) {
    let said = refused(&data.flags());
    assert!(said.contains("damaged at byte ") && said.contains("quipu repair"), "{said}");
}

#[test]
fn two_live_copies_of_one_directory_become_two_nodes_and_nothing_is_lost_or_doubled() {
    let meeting = Meeting::by_hand();
    let (one, third) = (DataDirectory::empty(), meeting.start(&[]));
    let start = |data: &DataDirectory| {
        meeting.start(&[&data.flags()[..], &["--join", &third.id()]].concat())
    };
    let mut node = start(&one);
    increment(&node, 3);
    assert!(node.terminate().success());
    let two = one.copy();

    let mut nodes = [start(&one), start(&two)];
    let load = Load::on(&[&nodes[0], &nodes[1]]);
    wait_until_met(&[&nodes[0], &nodes[1], &third], MEETING_TIME_MAX);
    let mut count = 3 + load.stop().acknowledged;
    for node in &nodes {
        increment(node, 2);
        count += 2;
    }
    wait_until_counted(&[&nodes[0], &nodes[1], &third], count, AGREEING_TIME_MAX);
    assert_ne!(number(&nodes[0]), number(&nodes[1]), "two nodes have one NodeId");

    // For good: what they call themselves now is in their journals.
    let numbers = nodes.each_ref().map(number);
    for node in &mut nodes {
        node.kill();
    }
    let nodes = [start(&one), start(&two)];
    assert_eq!(nodes.each_ref().map(number), numbers);
    wait_until_met(&[&nodes[0], &nodes[1], &third], MEETING_TIME_MAX);
    for node in &nodes {
        increment(node, 1);
        count += 1;
    }
    wait_until_counted(&[&nodes[0], &nodes[1], &third], count, AGREEING_TIME_MAX);
}

/// Its NodeId.
fn number(node: &Node) -> String {
    node.get("/status").json()["node"].as_str().expect("a NodeId").to_owned()
}

#[test]
fn an_empty_node_on_a_dead_nodes_address_gets_everything_from_the_others() {
    let meeting = Meeting::by_hand();
    let address = free_address([127, 0, 2, 2]);
    let peer = meeting.start(&[]);
    let seed = peer.id();
    let begin = |data: &DataDirectory| {
        let flags = [&data.flags()[..], &["--join", &seed]].concat();
        Node::begin(&[PROGRAM], address, &meeting.flags(&flags)).answering()
    };
    let old = DataDirectory::empty();
    let mut node = begin(&old);
    increment(&node, 4);
    wait_until_counted(&[&peer], 4, MEETING_TIME_MAX);
    node.kill();

    let new = DataDirectory::empty();
    let node = begin(&new);
    wait_until_counted(&[&node], 4, RETURNING_TIME_MAX + MEETING_TIME_MAX);
    increment(&node, 2);
    increment(&peer, 2);
    wait_until_counted(&[&node, &peer], 8, AGREEING_TIME_MAX);
    wait_until_met(&[&node, &peer], MEETING_TIME_MAX);
}

#[test]
fn while_it_reads_what_it_kept_a_node_says_that_it_is_starting() {
    let data = ended_at(3);
    let segment = data.last(".segment");
    let aside = fs::read(data.file(&segment)).expect("a segment");
    // A pipe takes as long to be opened as no program writes to it.
    fs::remove_file(data.file(&segment)).expect("it is there");
    let made = Command::new("mkfifo").arg(data.file(&segment)).status();
    assert!(made.expect("mkfifo can be started").success());

    let address = free_address([127, 0, 2, 3]);
    let redis = free_address([127, 0, 2, 3]);
    let redis_flag = redis.to_string();
    let flags = [&["--disable-discovery", "--redis", &redis_flag], &data.flags()[..]].concat();
    let mut node = Node::begin(&[PROGRAM], address, &flags);
    let health = wait_until(
        "it answers",
        MEETING_TIME_MAX,
        || node.ask("GET", "/health", "").ok(),
        Option::is_some,
    )
    .expect("an answer");
    assert_eq!((health.status, health.body.as_str()), (503, r#"{"status":"starting"}"#));
    for (method, path) in [("POST", "/increment"), ("GET", "/count"), ("GET", "/metrics")] {
        let answer = node.request(method, path, "");
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        assert!(answer.body.contains("the node is starting"), "{answer:?}");
    }
    let batch = r#"{"operations":[{"op":"increment","name":"a"}]}"#;
    for (method, path, body) in
        [("GET", "/counters", ""), ("POST", "/counters/a/increment", ""), ("POST", "/batch", batch)]
    {
        let answer = node.request(method, path, body);
        let document = answer.json();
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        assert_eq!(document["type"], "urn:quipu:problem:starting", "{method} {path}: {answer:?}");
        assert_eq!(document["title"], "This node is starting", "{method} {path}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{method} {path}: {answer:?}");
    }
    let mut client = Client::open(redis);
    for command in [&["GET", "a"][..], &["INCR", "a"], &["DBSIZE"], &["PING"]] {
        let refused = client.ask(command);
        assert_eq!(refused, "-LOADING Redis is loading the dataset in memory\\r\\n", "{command:?}");
    }
    // What clients ask when they connect, and what they wait by.
    assert!(client.ask(&["HELLO", "2"]).starts_with("*14"));
    let info = client.ask(&["INFO"]);
    assert!(info.contains("loading:1\\r\\nloading_eta_seconds:1\\r\\n"), "{info}");
    let asked = quipu(&["health", "--node", &address.to_string()]);
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(node.terminate().success(), "it can be stopped meanwhile");

    fs::remove_file(data.file(&segment)).expect("it is there");
    fs::write(data.file(&segment), aside).expect("put back");
    let node = Node::begin(&[PROGRAM], address, &flags).answering();
    assert_eq!((node.get("/health").status, node.count()), (200, 3));
    let info = Client::open(redis).ask(&["INFO", "persistence"]);
    assert!(info.contains("loading:0\\r\\n"), "{info}");
}

#[test]
fn a_directory_that_format_1_left_is_read_by_every_later_release() {
    let data = DataDirectory::of_format_1();
    let checked = quipu(&["check", data.path()]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let mut node = Node::start(&data.flags());
    let has_kept_all = |node: &Node| {
        let status = node.get("/status").json();
        assert_eq!(status["node"], "d7e28b85e2ba93ad", "{status}");
        assert_eq!(node.count(), 1_000);
        assert_eq!(node.get("/counters/kept-in-the-snapshot").json()["value"], 7);
        assert_eq!(node.get("/counters/kept-in-the-journal").json()["value"], -12);
        assert_eq!(node.get("/counters/kept-in-both").json()["value"], 30);
        assert_eq!(node.get("/counters/kept-by-a-peer").json()["value"], 5);
    };
    has_kept_all(&node);
    increment(&node, 1);
    node.kill();
    let node = Node::start(&data.flags());
    assert_eq!(node.count(), 1_001);
}
