//! A data directory that goes while a node counts on it: nothing is acknowledged that only a file
//! without a name holds, and the node ends.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::data::DataDirectory;
use crate::support::node::{Node, PROGRAM};
use crate::support::program::complaint;
use crate::support::strace::Strace;

/// How long a node may take to notice, and to end.
const NOTICING_TIME_MAX: Duration = Duration::from_secs(2);

/// A node whose directory goes while it counts, and one whose directory goes while it rests.
#[track_caller]
fn ends_when(lose: impl Fn(&Path), what: &str) {
    for is_busy in [true, false] {
        let data = DataDirectory::empty();
        let inside = data.file("node");
        let path = inside.to_str().expect("text");
        let mut node = Node::start(&["--data-dir", path]);
        assert_eq!(node.post("/increment", "").status, 200);
        lose(&inside);
        let lost = Instant::now();
        if is_busy {
            while let Ok(answer) = node.ask("POST", "/increment", "") {
                assert!(lost.elapsed() < NOTICING_TIME_MAX, "{what}: it counts on: {answer:?}");
            }
        }
        assert_eq!(node.wait_for_end().code(), Some(1), "{what}: {}", node.log());
        assert!(lost.elapsed() < NOTICING_TIME_MAX, "{what}: after {:?}", lost.elapsed());
        let said = complaint(&node.log());
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(path) && said.contains("was removed or replaced"), "{what}: {said}");
    }
}

#[test]
fn a_node_whose_directory_is_removed_or_replaced_ends() {
    let removed = |path: &Path| fs::remove_dir_all(path).expect("it is there");
    ends_when(removed, "removed");
    ends_when(
        |path| {
            removed(path);
            fs::create_dir(path).expect("the name is free");
        },
        "removed and made anew",
    );
    ends_when(
        |path| {
            let away = path.with_extension("away");
            fs::rename(path, away).expect("it is there");
        },
        "moved away",
    );
    ends_when(
        |path| {
            let away = path.with_extension("away");
            fs::rename(path, &away).expect("it is there");
            fs::create_dir(path).expect("the name is free");
            for entry in fs::read_dir(away).expect("it is there") {
                let from = entry.expect("an entry").path();
                fs::copy(&from, path.join(from.file_name().expect("a name"))).expect("room");
            }
        },
        "replaced by a copy",
    );
    ends_when(|path| fs::remove_file(path.join("LOCK")).expect("it is there"), "without its lock");
    ends_when(
        |path| {
            fs::remove_file(path.join("LOCK")).expect("it is there");
            fs::write(path.join("LOCK"), "").expect("room");
        },
        "with another lock",
    );
}

#[test]
fn nothing_is_acknowledged_that_only_a_removed_file_holds() {
    for fsync in ["always", "every:1s", "never"] {
        let data = DataDirectory::empty();
        let inside = data.file("node");
        let path = inside.to_str().expect("text");
        let mut node = Node::start(&["--data-dir", path, "--fsync", fsync]);
        let mut connection = node.connect().expect("a connection");
        let answer = connection.request("POST", "/increment", &[], "").expect("an answer");
        assert_eq!(answer.status, 200);
        fs::remove_dir_all(&inside).expect("it is there");
        let answer = connection.request("POST", "/increment", &[], "");
        assert!(!answer.as_ref().is_ok_and(|answer| answer.status == 200), "{fsync}: {answer:?}");
        assert_eq!(node.wait_for_end().code(), Some(1), "{fsync}: {}", node.log());
    }
}

#[test]
fn a_directory_that_a_start_makes_is_safe_in_those_above_it() {
    if !Strace::is_allowed() {
        return;
    }
    let data = DataDirectory::empty();
    let inside = data.file("a").join("b");
    let flags = ["--data-dir", inside.to_str().expect("text")];
    for above in [data.file("a"), data.file("")] {
        let above = above.to_str().expect("text").trim_end_matches('/').to_owned();
        let strace = Strace::of("fsync", &above, "error=EIO", 1);
        let mut node = Node::begin_free(&strace.around(PROGRAM), &flags);
        assert!(!node.answers_or_ended(), "it started though {above} was not synced");
        assert_eq!(node.wait_for_end().code(), Some(1), "{}", node.log());
        let said = complaint(&node.log());
        assert!(said.contains("cannot use the data directory"), "{said}");
        let _ = fs::remove_dir_all(data.file("a"));
    }
    assert_eq!(Node::start(&flags).count(), 0);
}
