//! Every check holds on a cluster that does as described, and fails on one that does not, saying
//! what it expected.

use super::Which;
use super::fake::{Fake, Fault};
use super::full;
use crate::stage::Stage;

/// Makes a check of a cluster that does one thing wrong.
#[track_caller]
fn fails(which: Which, fault: Fault, expected: &str) {
    let fake = Fake::start(fault);
    let failure = (which.check().unwrap().look)(&fake).expect_err("the check must fail");
    let text = failure.to_string();
    assert!(text.starts_with("  FAILED: ") && text.contains(expected), "{fault:?}: {text}");
    assert_eq!(fake.nodes().len(), 3, "{fault:?}: a node is left behind");
}

#[track_caller]
fn holds(which: Which) {
    let fake = Fake::start(Fault::None);
    (which.check().unwrap().look)(&fake).unwrap();
    assert_eq!((fake.nodes().len(), fake.strangers(), fake.removed()), (3, 0, 0));
}

#[test]
fn health_needs_every_node_to_be_well() {
    holds(Which::Health);
    fails(Which::Health, Fault::Silent, "node2 does not answer GET /health");
    fails(Which::Health, Fault::Unwell, "expected node2's status to be ok");
}

#[test]
fn count_needs_equal_counts() {
    holds(Which::Count);
    fails(
        Which::Count,
        Fault::CountsLess,
        "expected equal counts; found node1 7, node2 6, node3 7",
    );
    fails(Which::Count, Fault::Silent, "found node1 7, node2 does not answer, node3 7");
}

#[test]
fn increment_needs_one_increment_on_every_node() {
    holds(Which::Increment);
    fails(Which::Increment, Fault::CountsTwice, "expected 8; found 9");
    let expected =
        "expected 8 on node1, node2, node3 within 0.5 s; found node1 8, node2 7, node3 7";
    fails(Which::Increment, Fault::KeepsIncrements, expected);
}

#[test]
fn sync_needs_a_raise_and_no_fall() {
    holds(Which::Sync);
    fails(Which::Sync, Fault::IgnoresSync, "expected 17 on node1, node2, node3");
    fails(Which::Sync, Fault::Lowers, "expected every count to stay at 17; found node1 7");
}

#[test]
fn all_peers_needs_complete_lists() {
    holds(Which::AllPeers);
    fails(Which::AllPeers, Fault::ListsLess, "expected every node to list every other");
    fails(Which::AllPeers, Fault::Silent, "expected every node to list every other");
}

#[test]
fn peers_needs_a_stranger_to_come_and_go() {
    holds(Which::Peers);
    fails(Which::Peers, Fault::IgnoresStrangers, "expected test-peer to be listed at once");
    fails(Which::Peers, Fault::KeepsStrangers, "expected test-peer to be off every list");
}

#[test]
fn a_stranger_that_stays_is_removed_after_the_check_that_fails() {
    let fake = Fake::start(Fault::KeepsStrangers);
    (Which::Peers.check().unwrap().look)(&fake).unwrap_err();
    assert_eq!(fake.strangers(), 0);
}

#[test]
fn discovery_needs_a_newcomer_that_answers_is_listed_and_has_the_count() {
    holds(Which::Discovery);
    fails(Which::Discovery, Fault::NewcomerIsSilent, "to answer within 0.5 s");
    fails(Which::Discovery, Fault::NewcomerIsUnknown, "expected every node to list every other");
    fails(Which::Discovery, Fault::NewcomerIsEmpty, "to have the count 7 without a new increment");
    fails(Which::Discovery, Fault::KeepsStopped, ":8088 to be off every list");
}

#[test]
fn remove_existing_peer_needs_a_removed_node_to_stay_away() {
    fails(Which::RemoveExistingPeer, Fault::IgnoresRemovals, "10.0.0.3:8088 to be off every list");
    fails(
        Which::RemoveExistingPeer,
        Fault::TellsRemoved,
        "expected node3 to stay off the lists and at 7",
    );
    fails(
        Which::RemoveExistingPeer,
        Fault::TakesRemovedBack,
        "expected node3 to stay off the lists",
    );
}

#[test]
fn remove_existing_peer_needs_a_registered_node_to_come_back() {
    holds(Which::RemoveExistingPeer);
    fails(
        Which::RemoveExistingPeer,
        Fault::IgnoresRegistrations,
        "10.0.0.3:8088 to be listed again",
    );
}

#[test]
fn a_node_that_was_removed_is_a_member_again_after_a_check_that_fails() {
    let fake = Fake::start(Fault::TellsRemoved);
    (Which::RemoveExistingPeer.check().unwrap().look)(&fake).unwrap_err();
    assert_eq!(fake.removed(), 0);
}

#[test]
fn all_checks_in_turn_hold_or_name_those_that_do_not() {
    full::run(&Fake::start(Fault::None)).unwrap();
    let text = full::run(&Fake::start(Fault::Lowers)).unwrap_err().to_string();
    assert_eq!(text, "  FAILED: of 8 checks, 1: sync");
}

#[test]
fn a_cluster_that_is_not_as_it_was_fails_all_checks_in_turn() {
    let text = full::run(&Fake::start(Fault::IgnoresRegistrations)).unwrap_err().to_string();
    assert_eq!(text, "  FAILED: expected every node to list every other within 0.5 s");
}
