//! Wall clocks that are apart: only when counters expire depends on them, and operators are told.

use std::time::Duration;

use quipu_core::event::Event;
use quipu_core::time::Time;

use crate::cluster::{A, B, C, Cluster, config, secs};
use crate::network::Place;

/// Nodes whose wall clocks show so many milliseconds since 1970 when they start.
fn showing(clocks: &[u64]) -> Cluster {
    let mut cluster = Cluster::new();
    for (place, boot) in clocks.iter().enumerate() {
        cluster.start(quipu_core::node::Config { boot: *boot, ..config(place) });
    }
    cluster.run(secs(20));
    cluster
}

fn warns(cluster: &Cluster, place: Place) -> bool {
    cluster.told(Time::ZERO, place, |event| matches!(event, Event::ClockOff { .. }))
}

#[test]
fn of_three_nodes_the_one_whose_clock_is_off_says_so() {
    let cluster = showing(&[1_000_000, 1_060_000, 1_000_200]);
    assert_eq!([A, B, C].map(|place| warns(&cluster, place)), [false, true, false]);
    let status = cluster.node(B).status(cluster.now());
    let behind = status.clock_behind_ms.expect("its peers have told");
    assert!((-60_010..=-59_790).contains(&behind), "{behind}");
    let status = cluster.node(A).status(cluster.now());
    assert!(status.clock_behind_ms.is_some_and(|behind| behind.abs() <= 210));
}

#[test]
fn of_two_nodes_both_say_so() {
    let cluster = showing(&[1_000_000, 1_005_000]);
    assert_eq!([A, B].map(|place| warns(&cluster, place)), [true, true]);
}

/// `A speaks version 5, in which a pong tells no time.`
#[test]
fn a_node_of_the_release_before_tells_no_time_and_is_linked() {
    let mut cluster = Cluster::new();
    cluster.start(config(A));
    cluster.speak_up_to(A, 5);
    cluster.start(quipu_core::node::Config { boot: 90_000, ..config(B) });
    cluster.run(secs(20));
    assert!(cluster.are_linked(A, B));
    assert_eq!([A, B].map(|place| warns(&cluster, place)), [false, false]);
    assert_eq!(cluster.node(B).status(cluster.now()).clock_behind_ms, None);
}

/// `A node that is alone has no clock to compare with.`
#[test]
fn a_node_alone_knows_of_no_other_clock() {
    let mut cluster = Cluster::of(1);
    cluster.run(Duration::from_secs(5));
    assert_eq!(cluster.node(A).status(cluster.now()).clock_behind_ms, None);
}
