//! kill -9 at every step to the disk: before each call that writes, syncs, renames or removes a
//! file, through a start, increments, a rotation, a snapshot and what it makes superfluous.

use crate::support::chaos;
use crate::support::data::DataDirectory;
use crate::support::node::{Node, PROGRAM};
use crate::support::program::quipu;
use crate::support::strace::Strace;
use crate::support::wait::{say_loudly, wait_until};

use std::time::Duration;

/// The calls that change what is on the disk.
const STEPS: &str = "openat,pwrite64,fdatasync,fsync,rename,unlink";

/// What the directory holds before the run.
const BEFORE: u64 = 3;

/// Increments on either side of the snapshot.
const INCREMENTS: u64 = 4;

/// How long a snapshot of one counter may take.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(10);

/// Kills are tried at so many steps to one file at most: a segment has room made for it in sixteen,
/// a directory of sixty-four files is cleared in sixty-four.
const STEPS_MAX: usize = 100;

/// In the short form each file's first steps, and then every so many.
const FIRST: usize = 3;
const STRIDE: usize = 9;

/// The files, each written by one thread; the removal of old segments is told by one of them.
const FILES: [&str; 8] = [
    "00000064.segment.unfinished",
    "00000064.segment",
    "00000065.segment.unfinished",
    "00000065.segment",
    "00000065.snapshot.unfinished",
    "00000001.segment",
    "00000040.segment",
    "",
];

/// What the client knows after a run.
#[derive(Debug, Default)]
struct Run {
    acknowledged: u64,
    sent: u64,
    is_whole: bool,
}

/// Counts, has a snapshot made, counts on, and ends, unless the node dies before.
fn run(node: &mut Node) -> Run {
    let mut run = Run::default();
    if !node.answers_or_ended() {
        return run;
    }
    for half in 0..2 {
        for _ in 0..INCREMENTS {
            run.sent += 1;
            match node.ask("POST", "/increment", "") {
                Ok(answer) if answer.status == 200 => run.acknowledged += 1,
                _ => return run,
            }
        }
        // Old segments go after this line, or with the end of the process.
        if half == 0 && !has_snapshot(node) {
            return run;
        }
    }
    run.is_whole = node.terminate().success();
    run
}

/// Waits for the snapshot; `false` if the node dies instead.
fn has_snapshot(node: &mut Node) -> bool {
    wait_until(
        "a snapshot is made, or the node ends",
        SNAPSHOT_TIME_MAX,
        || (node.log().contains("snapshot of "), node.has_ended()),
        |(is_made, has_ended)| *is_made || *has_ended,
    )
    .0
}

#[test]
fn a_kill_at_any_step_to_the_disk_loses_and_doubles_nothing_and_the_restart_works() {
    if !Strace::is_allowed() {
        return;
    }
    let template = DataDirectory::before_a_snapshot(BEFORE);
    let mut kills = 0;
    for file in FILES {
        let steps = (1..STEPS_MAX).filter(|n| chaos::is_long() || *n <= FIRST || n % STRIDE == 0);
        for nth in steps {
            let data = template.copy();
            let path = data.file(file).to_str().expect("text").trim_end_matches('/').to_owned();
            let strace = Strace::of(STEPS, &path, "signal=KILL", nth);
            let mut node = Node::begin_free(&strace.around(PROGRAM), &data.flags());
            let run = run(&mut node);
            node.kill();
            assert_ne!(strace.struck_to_the_end(), run.is_whole, "{file} step {nth}: {run:?}");
            let story = format!("killed at step {nth} to {file:?}: {run:?}");
            comes_back(&data, &run, &story);
            if run.is_whole {
                // There is no such step.
                assert!(nth > 1, "{file}: nothing is done to it");
                break;
            }
            kills += 1;
        }
    }
    say_loudly(&format!("{kills} kills"));
}

#[track_caller]
fn comes_back(data: &DataDirectory, run: &Run, story: &str) {
    let checked = quipu(&["check", data.path()]);
    assert_eq!(checked.code, Some(0), "{story}: {checked:?}");
    let mut node = Node::start(&data.flags());
    let count = u64::try_from(node.count()).expect("increments alone");
    let expected = BEFORE + run.acknowledged..=BEFORE + run.sent;
    assert!(expected.contains(&count), "{story}: {count} not in {expected:?}\n{}", node.log());
    assert_eq!(node.post("/increment", "").status, 200);
    node.kill();
    let node = Node::start(&data.flags());
    assert_eq!(u64::try_from(node.count()), Ok(count + 1), "{story}");
}
