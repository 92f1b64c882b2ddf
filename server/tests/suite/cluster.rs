//! Real processes on one machine: how they meet, and that they count together whatever becomes of
//! one of them.
//!
//! The simulator plays thousands of such stories over the same protocol. What only real processes
//! can show is that sockets, the clock and the driver do what the simulator takes for granted.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::cluster::{
    AGREEING_TIME_MAX, LEAVING_TIME_MAX, MEETING_TIME_MAX, Meeting, RETURNING_TIME_MAX, named,
    wait_until_counted, wait_until_met, wait_until_unlisted,
};
use crate::support::load::Load;
use crate::support::node::Node;
use crate::support::wait::{say_loudly, wait_until};

/// A node calls six times in its first two seconds, and then every three or so.
const CALLING_TIME_MAX: Duration = Duration::from_secs(30);

/// How often a node has called, or answered a call, since its start.
#[track_caller]
fn beacons_sent(node: &Node) -> u64 {
    let text = node.get("/metrics").body;
    let sent = text.lines().find_map(|line| line.strip_prefix("quipu_beacons_sent_total "));
    sent.and_then(|sent| sent.parse().ok()).unwrap_or_else(|| panic!("expected it in:\n{text}"))
}

/// Increments on every node at once, and all nodes come to exactly what was acknowledged.
#[track_caller]
fn count_together(nodes: &[&Node]) {
    let before = u64::try_from(nodes[0].count()).expect("increments alone");
    let load = Load::on(nodes);
    wait_until(
        "the count grows by some hundred",
        AGREEING_TIME_MAX,
        || nodes[0].count(),
        |count| u64::try_from(*count).expect("increments alone") > before + 300,
    );
    let acknowledged = load.stop().acknowledged;
    wait_until_counted(nodes, before + acknowledged, AGREEING_TIME_MAX);
}

#[test]
fn nodes_that_call_by_broadcast_meet_and_count_together() {
    let nodes = Meeting::by_broadcast().start_together(3, &[]);
    count_together(&nodes.iter().collect::<Vec<_>>());
}

#[test]
fn five_nodes_of_which_each_was_told_of_the_one_before_meet_and_count_together() {
    let meeting = Meeting::by_hand();
    let mut nodes = vec![meeting.start(&[])];
    while nodes.len() < 5 {
        let known = nodes.last().expect("at least one").id();
        nodes.push(meeting.start(&["--join", &known]));
    }
    let nodes: Vec<_> = nodes.iter().collect();
    wait_until_met(&nodes, MEETING_TIME_MAX);
    count_together(&nodes);
}

#[test]
fn nodes_that_are_registered_at_one_of_them_meet_and_count_together() {
    let meeting = Meeting::by_hand();
    let nodes: Vec<_> = (0..3).map(|_| meeting.start(&[])).collect();
    for other in &nodes[1..] {
        assert_eq!(nodes[0].post("/register", &named(&other.id())).status, 200);
        assert!(nodes[0].peers().contains(&other.id()), "listed at once");
    }
    let nodes: Vec<_> = nodes.iter().collect();
    wait_until_met(&nodes, MEETING_TIME_MAX);
    count_together(&nodes);
}

#[test]
fn a_newcomer_shows_the_count_without_any_new_increment() {
    let meeting = Meeting::by_broadcast();
    let mut nodes = meeting.start_together(2, &[]);
    for _ in 0..5 {
        nodes[0].post("/increment", "");
    }
    nodes.push(meeting.start(&[]));
    wait_until_counted(&[&nodes[2]], 5, RETURNING_TIME_MAX);
}

#[test]
fn a_killed_node_leaves_the_lists_and_a_restarted_one_returns_with_the_count() {
    let meeting = Meeting::by_broadcast();
    let mut nodes = meeting.start_together(3, &[]);
    count_together(&nodes.iter().collect::<Vec<_>>());
    let count = u64::try_from(nodes[0].count()).expect("increments alone");

    nodes[2].kill();
    let load = Load::on(&[&nodes[0], &nodes[1]]);
    let left = wait_until_unlisted(&[&nodes[0], &nodes[1]], &nodes[2].id(), LEAVING_TIME_MAX);

    let start = Instant::now();
    nodes[2] = meeting.start_at(nodes[2].address().port());
    let all: Vec<_> = nodes.iter().collect();
    wait_until_met(&all, RETURNING_TIME_MAX.saturating_sub(start.elapsed()));
    let returned = start.elapsed();
    let acknowledged = load.stop().acknowledged;
    wait_until_counted(&all, count + acknowledged, AGREEING_TIME_MAX);
    say_loudly(&format!("off every list after {left:?}, back after {returned:?}"));
}

#[test]
fn a_node_that_is_restarted_before_a_node_missed_it_returns_at_once() {
    let meeting = Meeting::by_broadcast();
    let mut nodes = meeting.start_together(3, &[]);
    count_together(&nodes.iter().collect::<Vec<_>>());
    let count = u64::try_from(nodes[0].count()).expect("increments alone");
    nodes[2].kill();
    let start = Instant::now();
    nodes[2] = meeting.start_at(nodes[2].address().port());
    let all: Vec<_> = nodes.iter().collect();
    wait_until_counted(&all, count, RETURNING_TIME_MAX.saturating_sub(start.elapsed()));
    wait_until_met(&all, RETURNING_TIME_MAX.saturating_sub(start.elapsed()));
    count_together(&all);
}

#[test]
fn a_node_that_stood_still_for_twenty_seconds_returns_and_is_exact() {
    let nodes = Meeting::by_broadcast().start_together(3, &[]);
    let all: Vec<_> = nodes.iter().collect();
    count_together(&all);
    let before = u64::try_from(nodes[0].count()).expect("increments alone");
    let load = Load::on(&[&nodes[0], &nodes[1]]);
    let start = Instant::now();
    nodes[2].pause();
    wait_until_unlisted(&[&nodes[0], &nodes[1]], &nodes[2].id(), LEAVING_TIME_MAX);
    // The pause is the story, not a way to wait for something.
    thread::sleep(Duration::from_secs(20).saturating_sub(start.elapsed()));
    nodes[2].resume();
    let start = Instant::now();
    wait_until_met(&all, AGREEING_TIME_MAX);
    let returned = start.elapsed();
    let tally = load.stop();
    wait_until_counted(&all, before + tally.acknowledged, AGREEING_TIME_MAX);
    count_together(&all);
    say_loudly(&format!(
        "in every list again {returned:?} after it went on; the others' slowest answer took {:?}",
        tally.slowest()
    ));
}

#[test]
fn a_removed_node_stays_away_though_it_calls_and_restarts_until_it_is_registered_again() {
    let meeting = Meeting::by_broadcast();
    let mut nodes = meeting.start_together(3, &[]);
    let (port, id) = (nodes[2].address().port(), nodes[2].id());
    assert_eq!(nodes[0].post("/remove-peer", &named(&id)).status, 200);
    wait_until_unlisted(&[&nodes[0], &nodes[1]], &id, AGREEING_TIME_MAX);
    wait_until("it has no peers", AGREEING_TIME_MAX, || nodes[2].peers(), Vec::is_empty);

    nodes[2].kill();
    nodes[2] = meeting.start_at(port);
    // It calls six times in its first two seconds, and is told each time that it is removed.
    wait_until(
        "it learns that it is removed",
        MEETING_TIME_MAX,
        || nodes[2].get("/status").json()["removed"] == true,
        |removed| *removed,
    );
    nodes[0].post("/increment", "");
    nodes[2].post("/increment", "");
    nodes[2].post("/increment", "");
    wait_until_counted(&[&nodes[0], &nodes[1]], 1, AGREEING_TIME_MAX);
    // Six calls of the first two seconds, the one after them, and an answer to each of the others.
    let stays_away = || {
        for node in &nodes[..2] {
            assert!(!node.peers().contains(&id), "{} lists it again", node.id());
            assert_eq!(node.count(), 1, "{} counts what it counts", node.id());
        }
        assert_eq!((nodes[2].count(), nodes[2].peers().len()), (2, 0), "it serves its own clients");
        beacons_sent(&nodes[2])
    };
    wait_until("it calls on", CALLING_TIME_MAX, stays_away, |sent| *sent >= 9);

    assert_eq!(nodes[1].post("/register", &named(&id)).status, 200);
    let all: Vec<_> = nodes.iter().collect();
    let met = wait_until_met(&all, AGREEING_TIME_MAX);
    let counted = wait_until_counted(&all, 3, AGREEING_TIME_MAX);
    count_together(&all);
    say_loudly(&format!("registered again: listed after {met:?}, counts equal {counted:?} later"));
}
