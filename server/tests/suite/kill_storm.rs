//! kill -9 at random moments while clients count: of one node, of all at once, again and again.
//!
//! A kill spares what the system holds in its cache, so this shows that nothing is acknowledged
//! that was not written, that recovery is exact, and that a start after any moment succeeds. What a
//! power cut takes is the simulator's to show.

use std::time::Duration;

use crate::support::chaos;
use crate::support::storm::{Plan, Victims, weather};

const SHORT: Plan = Plan {
    nodes: 3,
    clients: 4,
    rounds: 5,
    pause: Duration::from_millis(400),
    is_random: true,
    victims: Victims::All,
    flags: &[],
};

/// How many increments a cluster acknowledges each second though a node dies every two.
const PER_SECOND_MIN: f64 = 200.0;

fn rounds(short: u64) -> u64 {
    if chaos::is_long() { 50 } else { short }
}

#[test]
fn a_lone_node_that_is_killed_at_random_moments_loses_and_doubles_nothing() {
    weather(&Plan { nodes: 1, rounds: rounds(8), ..SHORT });
}

#[test]
fn nodes_that_are_all_killed_at_once_lose_and_double_nothing() {
    weather(&Plan { rounds: rounds(5), ..SHORT });
}

#[test]
fn nodes_of_which_one_or_all_are_killed_lose_and_double_nothing() {
    weather(&Plan { rounds: rounds(5), victims: Victims::OneOrAll, ..SHORT });
}

#[test]
fn a_kill_takes_nothing_from_a_node_that_syncs_now_and_then_or_never() {
    for flags in [&["--fsync", "every:1s"], &["--fsync", "never"]] {
        weather(&Plan { nodes: 1, rounds: rounds(3), flags, ..SHORT });
    }
}

#[test]
fn five_nodes_weather_a_storm_of_two_minutes() {
    let storm = Plan {
        nodes: 5,
        clients: 8,
        rounds: if chaos::is_long() { 60 } else { 2 },
        pause: Duration::from_secs(2),
        is_random: false,
        victims: Victims::OneOrAll,
        ..SHORT
    };
    let weathered = weather(&storm);
    // In a short form among other tests the figure says nothing.
    assert!(
        !chaos::is_long() || weathered.per_second() >= PER_SECOND_MIN,
        "{:.0} acknowledged a second",
        weathered.per_second()
    );
}
