//! Nodes that keep their data, and are killed: each is the same node afterwards, knows what it
//! acknowledged, and is met by its peers as the one that they knew.
//!
//! What a power cut does to the files is played by the simulator, over a disk that lies. A killed
//! process leaves its files alone; what is new here is that its sockets vanish in the middle of
//! whatever they did.

use crate::support::cluster::{
    AGREEING_TIME_MAX, MEETING_TIME_MAX, Meeting, RETURNING_TIME_MAX, named, wait_until_counted,
    wait_until_met, wait_until_unlisted,
};
use crate::support::data::DataDirectory;
use crate::support::load::Load;
use crate::support::node::Node;
use crate::support::wait::wait_until;

/// Three nodes that keep their data and know each other.
fn three(meeting: &Meeting) -> (Vec<DataDirectory>, Vec<Node>) {
    let data: Vec<_> = (0..3).map(|_| DataDirectory::empty()).collect();
    let nodes: Vec<_> = data.iter().map(|data| meeting.start(&data.flags())).collect();
    wait_until_met(&nodes.iter().collect::<Vec<_>>(), MEETING_TIME_MAX);
    (data, nodes)
}

fn restart(meeting: &Meeting, node: &mut Node, data: &DataDirectory) {
    node.kill();
    *node = Node::start_at(node.address().port(), &meeting.flags(&data.flags()));
}

/// The id that stays, and that of this one start.
fn ids(node: &Node) -> (String, String) {
    let status = node.get("/status").json();
    let id = |key: &str| status[key].as_str().expect("an id").to_owned();
    (id("node"), id("origin"))
}

#[test]
fn a_node_killed_right_behind_an_answer_is_itself_again_and_has_forgotten_nothing() {
    let meeting = Meeting::by_broadcast();
    let (data, mut nodes) = three(&meeting);
    let (node, origin) = ids(&nodes[2]);
    let load = Load::on(&[&nodes[0], &nodes[1]]);
    let mut acknowledged = 0;
    for kills in 1..=3 {
        for _ in 0..20 * kills {
            assert_eq!(nodes[2].post("/increment", "").status, 200);
            acknowledged += 1;
        }
        restart(&meeting, &mut nodes[2], &data[2]);
        let all: Vec<_> = nodes.iter().collect();
        wait_until_met(&all, RETURNING_TIME_MAX);
    }
    let (node_now, origin_now) = ids(&nodes[2]);
    assert_eq!(node_now, node, "the same node");
    assert_ne!(origin_now, origin, "by another start");
    acknowledged += load.stop().acknowledged;
    wait_until_counted(&nodes.iter().collect::<Vec<_>>(), acknowledged, AGREEING_TIME_MAX);
}

#[test]
fn a_cluster_that_is_killed_as_a_whole_has_forgotten_nothing() {
    let meeting = Meeting::by_broadcast();
    let (data, mut nodes) = three(&meeting);
    let load = Load::on(&nodes.iter().collect::<Vec<_>>());
    wait_until("it counts", AGREEING_TIME_MAX, || nodes[0].count(), |count| *count > 200);
    let acknowledged = load.stop().acknowledged;
    for node in &mut nodes {
        node.kill();
    }
    for (node, data) in nodes.iter_mut().zip(&data) {
        restart(&meeting, node, data);
    }
    let all: Vec<_> = nodes.iter().collect();
    wait_until_counted(&all, acknowledged, AGREEING_TIME_MAX);
    wait_until_met(&all, AGREEING_TIME_MAX);
}

#[test]
fn a_removed_node_and_those_that_removed_it_remember_it_when_they_are_killed() {
    let meeting = Meeting::by_broadcast();
    let (data, mut nodes) = three(&meeting);
    let id = nodes[2].id();
    assert_eq!(nodes[0].post("/remove-peer", &named(&id)).status, 200);
    wait_until_unlisted(&[&nodes[0], &nodes[1]], &id, AGREEING_TIME_MAX);
    let is_removed = |node: &Node| node.get("/status").json()["removed"] == true;
    wait_until("it is told", AGREEING_TIME_MAX, || is_removed(&nodes[2]), |removed| *removed);
    for node in &mut nodes {
        node.kill();
    }
    for (node, data) in nodes.iter_mut().zip(&data) {
        restart(&meeting, node, data);
    }
    assert!(is_removed(&nodes[2]), "it need not be told again");
    wait_until_met(&[&nodes[0], &nodes[1]], MEETING_TIME_MAX);
    assert_eq!(nodes[2].peers(), [""; 0]);

    assert_eq!(nodes[0].post("/register", &named(&id)).status, 200);
    wait_until_met(&nodes.iter().collect::<Vec<_>>(), AGREEING_TIME_MAX);
}
