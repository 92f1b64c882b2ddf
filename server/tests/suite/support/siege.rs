//! A cluster under assault by strangers, and what they must not achieve.
//!
//! While an assault lasts, a normal client goes on incrementing. At its end counts and lists are
//! what they would be without it, the memory has grown within bounds, the log is still readable, and
//! the client was served all the time. How much slower it was is said, not demanded: a test machine
//! that does other things besides would fail for no reason of ours.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::cluster::{AGREEING_TIME_MAX, Meeting, wait_until_counted, wait_until_met};
use super::load::{Load, Tally};
use super::node::Node;
use super::wait::{say_loudly, wait_until};

/// How long an assault lasts: longer than a handshake may take, and than a silent link lives.
const ASSAULT_TIME: Duration = Duration::from_secs(4);

/// How long the client is watched in peace, to compare.
const PEACE_TIME: Duration = Duration::from_secs(1);

/// How much memory a node may gain.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// How many lines a node may log in a second.
const LINES_PER_SECOND_MAX: f64 = 10.0;

/// What no increment may take meanwhile.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// The time between looks at the nodes' memory: it is sampled for as long as the assault lasts, so
/// there is no condition to wait for.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A cluster, as strangers see it.
#[derive(Debug)]
pub struct Target {
    /// Where its nodes answer, on TCP and UDP.
    pub nodes: Vec<SocketAddr>,
    /// Where they hear calls.
    pub calls: SocketAddr,
    /// Its name.
    pub cluster: String,
    /// When the assault shall end.
    pub until: Instant,
}

/// Lets strangers do what they want to three nodes with these flags. What the assault returns is
/// held until all has been looked at.
#[track_caller]
pub fn withstand<T: Send>(flags: &[&str], assault: impl FnOnce(&Target, &[Node]) -> T + Send) {
    let meeting = Meeting::by_broadcast();
    let nodes = meeting.start_together(3, flags);
    let all: Vec<_> = nodes.iter().collect();
    let in_peace = increments_for(PEACE_TIME, &nodes[0]);
    wait_until_counted(&all, in_peace.acknowledged, AGREEING_TIME_MAX);

    let memory_before: Vec<_> = nodes.iter().map(Node::memory_bytes).collect();
    let lines_before: Vec<_> = nodes.iter().map(|node| node.log().lines().count()).collect();
    let start = Instant::now();
    let target = Target {
        nodes: nodes.iter().map(Node::address).collect(),
        calls: meeting.calls().expect("it meets by broadcast"),
        cluster: meeting.cluster().to_owned(),
        until: start + ASSAULT_TIME,
    };
    let load = Load::on(&[&nodes[0]]);
    let mut memory_most = memory_before.clone();
    let mut look = || {
        for (most, node) in memory_most.iter_mut().zip(&nodes) {
            *most = node.memory_bytes().max(*most);
        }
    };
    let held = thread::scope(|scope| {
        let assault = scope.spawn(|| assault(&target, &nodes));
        while !assault.is_finished() || start.elapsed() < ASSAULT_TIME {
            look();
            thread::sleep(LOOK_PAUSE);
        }
        assault.join().expect("the assault is carried out")
    });
    look();
    let lasted = start.elapsed();
    let tally = load.stop();

    wait_until_counted(&all, in_peace.acknowledged + tally.acknowledged, AGREEING_TIME_MAX);
    wait_until_met(&all, AGREEING_TIME_MAX);
    let growth: Vec<_> = memory_most.iter().zip(&memory_before).map(|(a, b)| a - b).collect();
    let lines: Vec<_> = nodes
        .iter()
        .zip(&lines_before)
        .map(|(node, before)| node.log().lines().count() - before)
        .collect();
    say_loudly(&format!(
        "{lasted:.1?}; memory grew by at most {growth:?} bytes; {lines:?} lines logged; increments in \
         peace {}; under assault {}",
        told(&in_peace),
        told(&tally)
    ));
    assert!(growth.iter().all(|bytes| *bytes < GROWTH_BYTES_MAX), "grew by {growth:?} bytes");
    let lines_max = LINES_PER_SECOND_MAX * lasted.as_secs_f64();
    assert!(lines.iter().all(|lines| *lines as f64 <= lines_max), "{lines:?} lines in {lasted:?}");
    assert!(tally.slowest() < ANSWER_TIME_MAX, "an increment took {:?}", tally.slowest());
    drop(held);
    wait_until_met(&all, AGREEING_TIME_MAX);
}

fn increments_for(time: Duration, node: &Node) -> Tally {
    let start = Instant::now();
    let load = Load::on(&[node]);
    wait_until("the time is over", 2 * time, || start.elapsed(), |elapsed| *elapsed > time);
    load.stop()
}

fn told(tally: &Tally) -> String {
    format!(
        "{}: median {:?}, p99 {:?}, slowest {:?}",
        tally.acknowledged,
        tally.quantile(500),
        tally.quantile(990),
        tally.slowest()
    )
}
