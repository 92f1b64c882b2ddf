//! Nodes that cannot reach each other: each on a machine of its own, found by real broadcasts, with
//! a switch between them that loses what it is told to lose.
//!
//! In every story all nodes take increments all the time, the cut-off one too, and are exact soon
//! after they reach each other again.

use std::time::{Duration, Instant};

use crate::support::cluster::{
    AGREEING_TIME_MAX, LEAVING_TIME_MAX, MEETING_TIME_MAX, wait_until_counted, wait_until_met,
    wait_until_unlisted,
};
use crate::support::load::Load;
use crate::support::network::Network;
use crate::support::node::Node;
use crate::support::wait::{say_loudly, wait_until};

/// What an increment may take, cut off or not: the promise. Of a hundred one may be late, for on a
/// machine that runs other tests too the clients themselves wait for a processor now and then.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(100);

/// What not even that one may take: less than anything in the protocol would wait for a peer.
const ANSWER_TIME_MAX_BY_FAR: Duration = Duration::from_secs(2);

/// TCP sends again what was lost, later each time; links that fall silent meanwhile begin anew.
const NEWS_THROUGH_LOSS_TIME_MAX: Duration = Duration::from_secs(20);

/// A link that is silent ends after three seconds; so all faults here last longer.
const FAULT_TIME: Duration = Duration::from_secs(5);

/// Three nodes that have met, each on a machine of its own.
fn three() -> Option<(Network, Vec<Node>)> {
    let network = Network::of(3)?;
    let nodes = network.start_all();
    wait_until_met(&nodes.iter().collect::<Vec<_>>(), MEETING_TIME_MAX);
    Some((network, nodes))
}

/// Increments everywhere while something is wrong and `meanwhile` looks on; then all is well again,
/// and the nodes shall be exact.
#[track_caller]
fn count_through(network: &Network, nodes: &[Node], meanwhile: impl FnOnce(&[&Node])) {
    let all: Vec<_> = nodes.iter().collect();
    let before = u64::try_from(nodes[0].count()).expect("increments alone");
    let load = Load::on(&all);
    let start = Instant::now();
    meanwhile(&all);
    // A fault that no node had to notice would show nothing.
    wait_until("the fault has lasted", FAULT_TIME * 2, || start.elapsed(), |t| *t > FAULT_TIME);
    let lost = network.heal();
    let healed = Instant::now();
    let tally = load.stop();
    wait_until_counted(&all, before + tally.acknowledged, AGREEING_TIME_MAX);
    let exact = healed.elapsed();
    wait_until_met(&all, AGREEING_TIME_MAX.saturating_sub(healed.elapsed()));
    assert!(!lost.is_empty() && !lost.contains(&0), "no fault without effect: {lost:?}");
    assert!(exact < AGREEING_TIME_MAX, "exact {exact:?} after the healing");
    assert!(tally.quantile(990) < ANSWER_TIME_MAX, "p99 {:?}", tally.quantile(990));
    assert!(tally.slowest() < ANSWER_TIME_MAX_BY_FAR, "an increment took {:?}", tally.slowest());
    say_loudly(&format!(
        "{lost:?} packets lost; {} increments, median {:?}, p99 {:?}, slowest {:?}; exact {exact:?} and all lists complete \
         {:?} after the healing",
        tally.acknowledged,
        tally.quantile(500),
        tally.quantile(990),
        tally.slowest(),
        healed.elapsed()
    ));
}

/// Waits until this node shows more than the other did a moment ago, so that news got through.
#[track_caller]
fn wait_for_news(at: &Node, of: &Node, within: Duration) {
    let theirs = of.count();
    wait_until("news get through", within, || at.count(), |count| *count >= theirs);
}

/// The last node has no link, which cannot be helped, and the others are as before.
#[track_caller]
fn cut_off_is_the_last(nodes: &[&Node]) {
    for other in &nodes[..2] {
        wait_until_unlinked(other, nodes[2]);
    }
    wait_for_news(nodes[0], nodes[1], AGREEING_TIME_MAX);
}

/// Waits until both have found that what was between them is no link any more.
#[track_caller]
fn wait_until_unlinked(one: &Node, other: &Node) {
    wait_until(
        "the link is found to be cut",
        AGREEING_TIME_MAX,
        || (has_link(one, &other.id()), has_link(other, &one.id())),
        |linked| *linked == (false, false),
    );
}

/// Whether `node` has a link to the peer at this address.
fn has_link(node: &Node, peer: &str) -> bool {
    let status = node.get("/status").json();
    let peers = status["peers"].as_array().expect("a list of peers");
    peers.iter().any(|row| row["address"] == peer && !row["link"].is_null())
}

#[test]
fn a_cut_link_is_repaired_through_a_third_node() {
    let Some((network, nodes)) = three() else { return };
    network.cut_both_ways(0, 1);
    count_through(&network, &nodes, |nodes| {
        wait_until_unlinked(nodes[0], nodes[1]);
        for (at, of) in [(0, 1), (1, 0)] {
            wait_for_news(nodes[at], nodes[of], AGREEING_TIME_MAX);
        }
        assert!(!has_link(nodes[0], &nodes[1].id()), "the news came through the third node");
    });
    wait_until(
        "the link is dialed again",
        AGREEING_TIME_MAX,
        || has_link(&nodes[0], &nodes[1].id()) && has_link(&nodes[1], &nodes[0].id()),
        |linked| *linked,
    );
}

#[test]
fn a_link_cut_one_way_is_repaired_through_a_third_node() {
    for (from, to) in [(0, 1), (1, 0)] {
        let Some((network, nodes)) = three() else { return };
        network.cut(from, to);
        count_through(&network, &nodes, |nodes| {
            wait_until_unlinked(nodes[0], nodes[1]);
            for (at, of) in [(from, to), (to, from)] {
                wait_for_news(nodes[at], nodes[of], AGREEING_TIME_MAX);
            }
        });
    }
}

#[test]
fn a_node_that_hears_no_other_counts_on() {
    let Some((network, nodes)) = three() else { return };
    network.cut(0, 2);
    network.cut(1, 2);
    count_through(&network, &nodes, cut_off_is_the_last);
}

#[test]
fn a_node_that_no_other_hears_counts_on() {
    let Some((network, nodes)) = three() else { return };
    network.cut(2, 0);
    network.cut(2, 1);
    count_through(&network, &nodes, cut_off_is_the_last);
}

#[test]
fn a_node_all_alone_counts_on_and_no_node_forgets_it() {
    let Some((network, nodes)) = three() else { return };
    network.cut_both_ways(2, 0);
    network.cut_both_ways(2, 1);
    count_through(&network, &nodes, |nodes| {
        wait_until_unlisted(&nodes[..2], &nodes[2].id(), LEAVING_TIME_MAX);
        wait_until("it is alone", LEAVING_TIME_MAX, || nodes[2].peers(), Vec::is_empty);
        wait_for_news(nodes[0], nodes[1], AGREEING_TIME_MAX);
    });
}

#[test]
fn nodes_that_are_all_alone_count_on() {
    let Some((network, nodes)) = three() else { return };
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        network.cut_both_ways(one, other);
    }
    count_through(&network, &nodes, |nodes| {
        for node in nodes {
            wait_until("it is alone", 2 * LEAVING_TIME_MAX, || node.peers(), Vec::is_empty);
        }
    });
}

#[test]
fn a_network_that_loses_three_packets_in_ten_delays_and_loses_no_count() {
    let Some((network, nodes)) = three() else { return };
    network.lose(30);
    count_through(&network, &nodes, |nodes| {
        for (at, of) in [(0, 1), (1, 2), (2, 0)] {
            wait_for_news(nodes[at], nodes[of], NEWS_THROUGH_LOSS_TIME_MAX);
        }
    });
}
