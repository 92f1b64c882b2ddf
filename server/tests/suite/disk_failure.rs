//! A disk that fails, and one that is full: nothing of what it did not take is acknowledged or sent,
//! the node ends with one line, and what it did acknowledge comes back.

use std::fs;
use std::time::Duration;

use crate::support::cluster::{AGREEING_TIME_MAX, MEETING_TIME_MAX, Meeting, wait_until_counted};
use crate::support::data::DataDirectory;
use crate::support::mount::SmallDisk;
use crate::support::node::{Node, PROGRAM};
use crate::support::program::complaint;
use crate::support::strace::Strace;
use crate::support::wait::{say_loudly, wait_until};

/// More increments than any of these stories takes.
const INCREMENTS_MAX: u64 = 100;

/// How long it may take until a peer knows that a link is gone.
const NOTICING_TIME_MAX: Duration = Duration::from_secs(6);

/// What comes of increments at a node until it fails.
struct Failed {
    acknowledged: u64,
    log: String,
}

/// Increments one after the other, each of which the peer has before the next, until the node fails.
#[track_caller]
fn count_until_it_fails(node: &mut Node, peer: &Node) -> Failed {
    let mut acknowledged = 0;
    // It may fail as early as it meets the peer, which it writes down.
    node.answers_or_ended();
    while acknowledged < INCREMENTS_MAX {
        match node.ask("POST", "/increment", "") {
            Ok(answer) if answer.status == 200 => acknowledged += 1,
            // Either it says that it stops, or it says nothing.
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                break;
            }
            Err(_) => break,
        }
        wait_until(
            "the peer has it",
            AGREEING_TIME_MAX,
            || (peer.count(), node.has_ended()),
            |(count, has_ended)| u64::try_from(*count) == Ok(acknowledged) || *has_ended,
        );
    }
    assert!(acknowledged < INCREMENTS_MAX, "the fault never came");
    assert_eq!(node.wait_for_end().code(), Some(1), "{}", node.log());
    Failed { acknowledged, log: node.log() }
}

/// A node whose journal meets this fault, beside a peer in memory.
#[track_caller]
fn fails_once(calls: &str, how: &str, nth: usize, words: &str) {
    let meeting = Meeting::by_hand();
    let data = DataDirectory::empty();
    let peer = meeting.start(&[]);
    let segment = data.file("00000001.segment");
    let segment = segment.to_str().expect("text");
    let strace = Strace::of(calls, segment, how, nth);
    let seed = peer.id();
    let flags = [&data.flags()[..], &["--join", &seed]].concat();
    let mut node = Node::begin_free(&strace.around(PROGRAM), &meeting.flags(&flags));
    let failed = count_until_it_fails(&mut node, &peer);

    assert!(
        strace.struck_to_the_end(),
        "{calls} {how} {nth}: it ended for another reason: {}",
        failed.log
    );
    let said = complaint(&failed.log);
    assert_eq!(said.lines().count(), 1, "{said}");
    for expected in ["the disk failed, and the node stopped", segment, words] {
        assert!(said.contains(expected), "expected {expected:?} in {said:?}");
    }
    let calls = strace.calls();
    let after = calls.iter().rposition(|call| call.contains("(INJECTED)")).expect("it has struck");
    assert_eq!(after + 1, calls.len(), "tried again after a failure: {:?}", &calls[after..]);

    // When its link has ended, whatever it had sent is here.
    wait_until(
        "the peer knows that the link is gone",
        NOTICING_TIME_MAX,
        || peer.get("/status").json()["peers"][0]["link"].clone(),
        serde_json::Value::is_null,
    );
    // One more than was acknowledged may be safe, if the node failed at what came behind it and
    // before its answer was written; the one at which the disk failed may be there all the same.
    let possible = failed.acknowledged..=failed.acknowledged + 1;
    let sent = u64::try_from(peer.count()).expect("increments alone");
    assert!(sent <= *possible.end(), "sent though it was not safe: {sent} not in {possible:?}");
    // An answer and its frame leave behind the same sync: what comes next may fail before the peer has
    // the last one, which is on the disk then. All before it the peer had.
    assert!(sent + 1 >= failed.acknowledged, "not sent: {sent} of {}", failed.acknowledged);
    let mut node = Node::start(&data.flags());
    let kept = u64::try_from(node.count()).expect("increments alone");
    assert!(possible.contains(&kept) && kept >= sent, "{kept} kept of {sent} sent, {possible:?}");
    assert!(node.terminate().success());

    let node = meeting.start(&flags);
    let count = u64::try_from(node.count()).expect("increments alone");
    assert_eq!(count, kept);
    assert_eq!(node.post("/increment", "").status, 200);
    wait_until_counted(&[&node, &peer], count + 1, MEETING_TIME_MAX);
}

#[test]
fn a_sync_that_fails_stops_the_node_and_is_never_tried_again() {
    if Strace::is_allowed() {
        for nth in [3, 6] {
            fails_once("fdatasync", "error=EIO", nth, "Input/output error");
        }
    }
}

#[test]
fn a_write_that_fails_stops_the_node_and_is_never_tried_again() {
    if Strace::is_allowed() {
        // Room for records is made in sixteen writes.
        fails_once("pwrite64", "error=EIO", 20, "Input/output error");
        fails_once("pwrite64", "error=ENOSPC", 22, "No space left on device");
        fails_once("pwrite64", "error=ENOSPC", 3, "No space left on device");
    }
}

#[test]
fn a_start_that_cannot_write_ends_with_one_line_and_changes_nothing() {
    if !Strace::is_allowed() {
        return;
    }
    let data = DataDirectory::of_format_1();
    let before = data.contents();
    let segment = data.file("00000067.segment.unfinished");
    let segment = segment.to_str().expect("text");
    for (call, how) in
        [("pwrite64", "error=ENOSPC"), ("fdatasync", "error=EIO"), ("rename", "error=EIO")]
    {
        let strace = Strace::of(call, segment, how, 1);
        let mut node = Node::begin_free(&strace.around(PROGRAM), &data.flags());
        assert!(!node.answers_or_ended(), "it started");
        assert_eq!(node.wait_for_end().code(), Some(1));
        let said = complaint(&node.log());
        assert_eq!(said.lines().count(), 1, "{}", node.log());
        assert!(said.contains(segment) && said.contains(data.path()), "{said}");
        let after = data.contents();
        assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "{call}");
        assert_eq!(Node::start(&data.copy().flags()).count(), 1_000);
    }
}

#[test]
fn a_snapshot_that_cannot_be_written_is_given_up_and_the_node_goes_on() {
    if !Strace::is_allowed() {
        return;
    }
    let template = DataDirectory::before_a_snapshot(3);
    for (call, how, nth) in
        [("pwrite64", "error=ENOSPC", 2), ("fdatasync", "error=EIO", 1), ("rename", "error=EIO", 1)]
    {
        let data = template.copy();
        let file = data.file("00000065.snapshot.unfinished");
        let strace = Strace::of(call, file.to_str().expect("text"), how, nth);
        let mut node = Node::begin_free(&strace.around(PROGRAM), &data.flags()).answering();
        assert_eq!(node.post("/increment", "").status, 200);
        wait_until(
            "the snapshot is given up",
            AGREEING_TIME_MAX,
            || node.log(),
            |log| log.contains("the snapshot is given up, the journal goes on"),
        );
        assert_eq!(node.post("/increment", "").status, 200);
        assert_eq!(node.count(), 5);
        let names = data.names();
        assert!(names.iter().all(|name| !name.contains("snapshot")), "{names:?}");
        assert!(names.contains(&"00000001.segment".to_owned()), "{names:?}");
        node.kill();
        let node = Node::start(&data.flags());
        assert_eq!(node.count(), 5);
    }
}

#[test]
fn a_disk_that_is_really_full_stops_the_node_and_what_it_acknowledged_comes_back() {
    let disk = match SmallDisk::of_bytes(4 << 20) {
        Ok(disk) => disk,
        Err(why) => return say_loudly(&format!("SKIPPED, nothing was tested: {why}")),
    };
    let flags = ["--disable-discovery", "--data-dir", disk.inside()];
    let enter = disk.enter(PROGRAM);
    let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
    let mut node = Node::begin_free(&enter, &flags).answering();
    let long_name = "n".repeat(255);
    let path = format!("/counters/{long_name}/increment");
    let mut connection = node.connect().expect("a connection");
    let mut increment = || match connection.request("POST", &path, &[], "") {
        Ok(answer) if answer.status == 200 => Some(answer),
        _ => None,
    };
    assert!(increment().is_some());
    // Another program takes all that is left; what the journal has room for is still taken.
    disk.fill();
    let mut acknowledged = 1;
    while increment().is_some() {
        acknowledged += 1;
    }
    assert_eq!(node.wait_for_end().code(), Some(1), "{}", node.log());
    let said = complaint(&node.log());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("the disk failed") && said.contains("No space left"), "{said}");
    assert!(acknowledged > 1_000, "the room that was made held only {acknowledged}");

    let mut node = Node::begin_free(&enter, &flags);
    assert!(!node.answers_or_ended(), "it started without room for a segment");
    assert!(complaint(&node.log()).contains("No space left"), "{}", node.log());

    fs::remove_file(disk.filler()).expect("it was filled");
    let node = Node::begin_free(&enter, &flags).answering();
    let count = node.value(&long_name);
    assert!(count == acknowledged || count == acknowledged + 1, "{count}, not {acknowledged}");
}
