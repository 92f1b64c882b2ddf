//! A peer that does not take what it is sent costs the others neither memory nor time.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::cluster::{
    AGREEING_TIME_MAX, LEAVING_TIME_MAX, MEETING_TIME_MAX, Meeting, wait_until_counted,
    wait_until_met,
};
use crate::support::deaf::DeafPeer;
use crate::support::http::Connection;
use crate::support::load::Load;
use crate::support::node::Node;
use crate::support::wait::{say_loudly, wait_until};

/// How much memory a node may gain while a peer takes nothing off its hands.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// What no increment may take meanwhile.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// How long the peer takes nothing after the node has given up on it.
const BEHIND_TIME: Duration = Duration::from_secs(3);

/// How long it may take until what waits for the peer has filled every buffer on the way to it, and
/// the node gives up: at a few megabytes a second, several of them each.
const FILLING_TIME_MAX: Duration = Duration::from_secs(60);

/// Counters whose names are as long as names can be, so that every push is long.
struct LongNames {
    names: Vec<String>,
    connection: Connection,
    rounds: u64,
}

impl LongNames {
    fn on(node: &Node) -> LongNames {
        let names = (0..200).map(|number| format!("{number:0>255}")).collect();
        let connection = node.connect().expect("a node that runs takes connections");
        LongNames { names, connection, rounds: 0 }
    }

    fn increment_each(&mut self) {
        for name in &self.names {
            let path = format!("/counters/{name}/increment");
            let answer = self.connection.request("POST", &path, &[], "").expect("an answer");
            assert_eq!(answer.status, 200);
        }
        self.rounds += 1;
    }

    #[track_caller]
    fn wait_until_counted(&self, nodes: &[&Node]) {
        for name in &self.names {
            let path = format!("/counters/{name}");
            wait_until(
                "every node has every counter",
                AGREEING_TIME_MAX,
                || nodes.iter().map(|n| n.get(&path).json()["value"].clone()).collect::<Vec<_>>(),
                |values| values.iter().all(|value| *value == self.rounds),
            );
        }
    }
}

/// Increments all the time at the first two of these nodes, while `work` does what the peer shall
/// not take; then `after`, and all nodes shall be exact.
#[track_caller]
fn costs_nothing(nodes: &[&Node], work: impl FnOnce(&mut LongNames), after: impl FnOnce()) {
    let busy = &nodes[..2];
    let mut names = LongNames::on(busy[0]);
    names.increment_each();
    let before: Vec<_> = busy.iter().map(|node| node.memory_bytes()).collect();
    let load = Load::on(busy);
    work(&mut names);
    let now = busy.iter().map(|node| node.memory_bytes());
    let growth: Vec<_> = now.zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
    after();
    let tally = load.stop();
    wait_until_counted(nodes, tally.acknowledged, AGREEING_TIME_MAX);
    names.wait_until_counted(nodes);
    say_loudly(&format!(
        "{} increments of each of {} counters: memory grew by {growth:?} bytes, slowest answer {:?}",
        names.rounds,
        names.names.len(),
        tally.slowest()
    ));
    assert!(growth.iter().all(|bytes| *bytes < GROWTH_BYTES_MAX), "grew by {growth:?} bytes");
    assert!(tally.slowest() < ANSWER_TIME_MAX, "an increment took {:?}", tally.slowest());
}

/// What a node tells of a peer.
fn row(node: &Node, peer: &str) -> Value {
    let status = node.get("/status").json();
    let peers = status["peers"].as_array().expect("a list of peers");
    peers.iter().find(|row| row["address"] == peer).cloned().unwrap_or_default()
}

#[test]
fn a_process_that_is_stopped_costs_the_others_nothing_and_catches_up() {
    let nodes = Meeting::by_broadcast().start_together(3, &[]);
    let all: Vec<_> = nodes.iter().collect();
    let work = |names: &mut LongNames| {
        let start = Instant::now();
        nodes[2].pause();
        while start.elapsed() < LEAVING_TIME_MAX {
            names.increment_each();
        }
    };
    costs_nothing(&all, work, || nodes[2].resume());
    wait_until_met(&all, AGREEING_TIME_MAX);
}

#[test]
fn a_live_peer_that_reads_nothing_from_its_links_costs_the_others_nothing() {
    let meeting = Meeting::by_broadcast();
    let nodes = meeting.start_together(2, &[]);
    let all: Vec<_> = nodes.iter().collect();
    let addresses: Vec<_> = nodes.iter().map(Node::address).collect();
    let deaf = DeafPeer::join(&addresses, meeting.cluster());
    let rows = || all.iter().map(|node| row(node, deaf.id())).collect::<Vec<_>>();
    wait_until("it has joined, and is linked", MEETING_TIME_MAX, rows, |rows| {
        rows.iter().all(|row| row["state"] == "alive" && row["link"].is_object())
    });
    let work = |names: &mut LongNames| {
        wait_until(
            "the node gives up on pushing to it",
            FILLING_TIME_MAX,
            || {
                names.increment_each();
                row(&nodes[0], deaf.id())
            },
            |row| row["link"]["behind"] == true,
        );
        let start = Instant::now();
        while start.elapsed() < BEHIND_TIME {
            names.increment_each();
        }
        let rows = rows();
        let is_linked = rows.iter().all(|row| row["state"] == "alive" && row["link"].is_object());
        assert!(is_linked, "expected it to be alive and linked all the time, found {rows:?}");
    };
    costs_nothing(&all, work, || ());
}
