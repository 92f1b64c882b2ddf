//! Rules `ask-before-announcing`, `newer-incarnation-wins` and `down-is-not-removed`: how nodes
//! find each other, lose each other and come back.

use bytes::Bytes;
use foca::{Header, Member};
use quipu_core::event::Event;
use quipu_core::identity::{Address, Identity, NodeId, OriginId};
use quipu_core::node::Config;
use quipu_core::status::PeerState;
use quipu_core::wire::datagram::{Beacon, BeaconKind, Datagram, Envelope};

use crate::cluster::{A, B, C, Cluster, add, config, ms, next_life, secs};
use crate::network::Place;

/// A node that neither calls nor answers calls.
fn quiet(place: Place) -> Config {
    Config { discovery: false, ..config(place) }
}

/// Rule `ask-before-announcing`.
#[test]
fn a_peer_registered_by_a_name_is_asked_who_it_is_and_both_know_each_other() {
    let mut cluster = Cluster::new();
    cluster.start(quiet(A));
    cluster.start(quiet(B));
    cluster.give_name("test-peer", B);
    cluster.run(secs(3));
    assert!(cluster.listed(A).is_empty(), "nobody has told them of each other");
    cluster.register(A, "test-peer");
    assert_eq!(cluster.listed(A), ["test-peer"], "listed at once, exactly as it was given");
    cluster.run_until("both know each other", secs(2), |c| c.lists(A, B) && c.lists(B, A));
    assert_eq!(cluster.listed(A), ["10.0.0.2:8088"], "and under its address when it has answered");
    cluster.run_until("they are linked", secs(1), |c| c.are_linked(A, B));
}

/// Rule `ask-before-announcing`.
#[test]
fn removing_by_a_name_removes_the_node_that_answered_to_it() {
    let mut cluster = Cluster::new();
    cluster.start(quiet(A));
    cluster.start(quiet(B));
    cluster.give_name("test-peer", B);
    cluster.register(A, "test-peer:8088");
    cluster.run_until("both know each other", secs(2), |c| c.lists(A, B) && c.lists(B, A));
    cluster.remove(A, "test-peer:8088");
    assert!(cluster.listed(A).is_empty());
    assert_eq!(cluster.state(A, B), Some(PeerState::Removed));
}

/// Rule `ask-before-announcing`.
#[test]
fn a_peer_that_never_answers_is_listed_for_five_seconds_and_forgotten() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    cluster.register(A, "test-peer");
    assert!(cluster.told(began, A, |event| matches!(event, Event::PeerJoining(_))));
    cluster.run(secs(4));
    assert!(cluster.listed(A).contains(&"test-peer".to_owned()));
    assert!(!cluster.listed(B).contains(&"test-peer".to_owned()), "it is a rumour to nobody else");
    cluster.run_until("it is forgotten", secs(2), |c| c.listed(A) == ["10.0.0.2:8088"]);
    assert!(cluster.told(began, A, |event| matches!(event, Event::PeerNeverAnswered(_))));
}

/// Rule `ask-before-announcing`.
#[test]
fn the_asks_of_a_registration_may_be_lost() {
    let mut cluster = Cluster::new();
    cluster.start(quiet(A));
    cluster.start(quiet(B));
    cluster.lose_datagrams(3);
    cluster.register(A, "10.0.0.2:8088");
    cluster.run_until("both know each other", secs(4), |c| c.lists(A, B) && c.lists(B, A));
}

#[test]
fn registering_oneself_or_a_known_peer_changes_nothing() {
    let mut cluster = Cluster::of(2);
    cluster.register(A, "10.0.0.1:8088");
    cluster.register(A, "10.0.0.2:8088");
    assert_eq!(cluster.listed(A), ["10.0.0.2:8088"]);
    cluster.run(secs(6));
    assert_eq!(cluster.listed(A), ["10.0.0.2:8088"]);
    assert!(cluster.are_linked(A, B));
}

#[test]
fn seeds_are_asked_until_somebody_is_there() {
    let mut cluster = Cluster::new();
    let seeds = vec![Address::parse("node-b:8088", 1).unwrap()];
    cluster.start(Config { seeds, ..quiet(A) });
    cluster.run(secs(20));
    let address = Address::parse("node-b:8088", 1).unwrap();
    cluster.start(Config { address, ..quiet(B) });
    cluster.run_until("both know each other", secs(1), |c| c.lists(A, B) && c.lists(B, A));
    cluster.run_until("they are linked", secs(1), |c| c.are_linked(A, B));
}

#[test]
fn a_broadcast_call_is_enough_and_a_joiner_has_the_count_within_a_second() {
    let mut cluster = Cluster::of(3);
    cluster.add(A, "x", 7);
    cluster.run(secs(60));
    let joiner = cluster.start(config(3));
    let took = cluster.run_until("it has the count", secs(2), |c| c.value(joiner, "x") == 7);
    assert!(took < secs(1), "{took:?}");
    cluster.run_until("all are linked", secs(1), Cluster::all_linked);
}

#[test]
fn a_beacon_alone_lists_nobody() {
    let mut cluster = Cluster::of(2);
    let address = Address::parse("10.0.0.99:8088", 1).unwrap();
    let identity =
        Identity { node: NodeId(99), address, epoch: 0, boot: 1, origin: OriginId(9900) };
    let beacon = Beacon { identity, sequence: 1, kind: BeaconKind::Call };
    let bytes = Envelope::new("traces", None).seal(&Datagram::Beacon(beacon));
    cluster.inject_datagram("10.0.0.99:8088".parse().unwrap(), A, bytes);
    for _ in 0..50 {
        cluster.run(ms(100));
        assert_eq!(cluster.listed(A), ["10.0.0.2:8088"]);
    }
}

/// Gossip as a member sends it: who lives, all in one packet.
fn gossip(from: &Identity, to: &Identity, alive: &[Identity]) -> Bytes {
    let header = Header {
        src: from.clone(),
        src_incarnation: 0,
        dst: to.clone(),
        message: foca::Message::Gossip,
    };
    let mut packet = postcard::to_stdvec(&header).unwrap();
    packet.extend(u16::try_from(alive.len()).unwrap().to_be_bytes());
    for identity in alive {
        packet.extend(postcard::to_stdvec(&Member::alive(identity.clone())).unwrap());
    }
    Envelope::new("traces", None).seal(&Datagram::Swim(&packet))
}

/// Rule `newer-incarnation-wins`.
///
/// `A hears that B lives at D's address: a copy of its disk. Then, in one packet, that D has an id of
/// its own now, and that B is where it always was.` A took B for one whose address another has taken,
/// after it had moved, and never listed it again.
#[test]
fn who_moves_while_another_takes_its_place_is_listed_where_it_is() {
    let mut cluster = Cluster::of(3);
    let identity = |c: &Cluster, place| c.node(place).status(c.now()).identity;
    let (a, b, c) = (identity(&cluster, A), identity(&cluster, B), identity(&cluster, C));
    let there = Address::parse("10.0.0.4:8088", 1).unwrap();
    let copy = Identity { address: there.clone(), boot: 100, origin: OriginId(201), ..b.clone() };
    let from = "10.0.0.3:8088".parse().unwrap();
    cluster.inject_datagram(from, A, gossip(&c, &a, std::slice::from_ref(&copy)));
    cluster.run(ms(1));
    assert_eq!(cluster.listed(A), ["10.0.0.3:8088", "10.0.0.4:8088"]);
    let fresh = Identity { node: NodeId(44), boot: 101, ..copy };
    let back = Identity { boot: 102, ..b };
    cluster.inject_datagram(from, A, gossip(&c, &a, &[fresh, back]));
    cluster.run(ms(1));
    assert_eq!(cluster.listed(A), ["10.0.0.2:8088", "10.0.0.3:8088", "10.0.0.4:8088"]);
}

/// Rule `newer-incarnation-wins`.
#[test]
fn lost_announcements_are_repeated() {
    for lost in [1, 2, 5, 10, 20] {
        let mut cluster = Cluster::of(2);
        cluster.lose_datagrams(lost);
        cluster.start(config(C));
        cluster.run_until("all are linked", secs(5), Cluster::all_linked);
    }
}

/// Rule `newer-incarnation-wins`.
#[test]
fn a_crash_is_seen_within_six_seconds_and_a_restart_is_back_within_two() {
    let mut cluster = Cluster::of(3);
    cluster.vanish(C);
    let gone = |c: &Cluster| !c.lists(A, C) && !c.lists(B, C);
    cluster.run_until("C is out of both lists", secs(6), gone);
    assert_eq!(cluster.state(A, C), Some(PeerState::Down), "remembered");
    let config = next_life(cluster.config_of(C));
    cluster.restart(C, config);
    cluster.run_until("C is back", secs(2), |c| c.lists(A, C) && c.lists(B, C) && c.lists(C, A));
    cluster.run_until("all are linked", secs(2), Cluster::all_linked);
}

/// Rule `newer-incarnation-wins`.
#[test]
fn a_quick_restart_is_back_within_two_seconds() {
    let mut cluster = Cluster::of(3);
    cluster.add(C, "x", 5);
    cluster.run(ms(10));
    cluster.crash(C);
    cluster.run(ms(300));
    let config = next_life(cluster.config_of(C));
    cluster.restart(C, config);
    cluster.run_until("C is linked again", secs(2), Cluster::all_linked);
    cluster.run_until("and has what it had counted", secs(1), |c| c.value(C, "x") == 5);
    cluster.add(C, "x", 1);
    cluster.run_until("which adds up", secs(1), |c| c.value(A, "x") == 6 && c.value(B, "x") == 6);
}

/// Rule `newer-incarnation-wins`.
#[test]
fn a_node_whose_clock_went_back_takes_a_higher_boot_when_it_is_told() {
    let mut cluster = Cluster::of(3);
    cluster.crash(C);
    cluster.run_until("C is down", secs(6), |c| !c.lists(A, C) && !c.lists(B, C));
    let config = Config { boot: 0, ..next_life(cluster.config_of(C)) };
    cluster.restart(C, config);
    cluster.run_until("C is back", secs(4), Cluster::all_linked);
    let boot = cluster.node(C).status(cluster.now()).identity.boot;
    assert!(boot > 1, "boot {boot}");
}

/// Rule `newer-incarnation-wins`.
#[test]
fn both_sides_of_a_partition_that_declared_each_other_down_find_back() {
    let mut cluster = Cluster::of(5);
    for one in 0..2 {
        for other in 2..5 {
            cluster.cut(one, other);
        }
    }
    cluster.run_until("both sides are apart", secs(10), |c| {
        (0..5).all(|place| c.listed(place).len() == if place < 2 { 1 } else { 2 })
    });
    cluster.request(A, vec![add("x", 1)]);
    cluster.request(C, vec![add("x", 10)]);
    cluster.run(secs(60));
    assert_eq!((cluster.value(B, "x"), cluster.value(C, "x")), (1, 10));
    for one in 0..2 {
        for other in 2..5 {
            cluster.mend(one, other);
        }
    }
    let took = cluster.run_until("all count together", secs(5), |c| {
        c.agree() && (0..5).all(|place| c.listed(place).len() == 4)
    });
    assert_eq!(cluster.value(B, "x"), 11, "after {took:?}");
    cluster.run_until("all are linked", secs(5), Cluster::all_linked);
}

/// Rule `newer-incarnation-wins`.
#[test]
fn a_partition_heals_without_beacons_and_without_a_flood() {
    let mut cluster = Cluster::new();
    cluster.start(quiet(A));
    cluster.start(quiet(B));
    cluster.register(A, "10.0.0.2:8088");
    cluster.run_until("they are linked", secs(2), |c| c.are_linked(A, B));
    cluster.cut(A, B);
    cluster.run_until("they are apart", secs(10), |c| {
        c.listed(A).is_empty() && c.listed(B).is_empty()
    });
    cluster.run(secs(60));
    cluster.mend(A, B);
    let began = cluster.now();
    cluster.run_until("they are linked again", secs(5), |c| c.are_linked(A, B));
    cluster.run(secs(2));
    for place in [A, B] {
        let datagrams = cluster.datagrams_since(began, place);
        assert!(datagrams < 200, "{datagrams} datagrams of node {place} to find back");
    }
}

/// Rule `newer-incarnation-wins`.
#[test]
fn a_node_cut_off_from_all_others_is_exact_within_five_seconds_of_its_return() {
    let mut cluster = Cluster::of(3);
    cluster.cut(C, A);
    cluster.cut(C, B);
    for _ in 0..200 {
        cluster.request(C, vec![add("x", 1)]);
        cluster.request(A, vec![add("x", 1)]);
        cluster.run(ms(100));
    }
    cluster.mend(C, A);
    cluster.mend(C, B);
    cluster.run_until("C counts with them", secs(5), Cluster::agree);
    assert_eq!(cluster.value(C, "x"), 400);
}

/// Rule `newer-incarnation-wins`.
#[test]
fn a_way_that_is_cut_in_one_direction_only_heals_as_well() {
    let mut cluster = Cluster::of(3);
    cluster.cut_one_way(C, A);
    cluster.cut_one_way(C, B);
    for _ in 0..200 {
        cluster.request(C, vec![add("x", 1)]);
        cluster.run(ms(100));
    }
    cluster.mend(C, A);
    cluster.mend(C, B);
    cluster.run_until("C counts with them", secs(5), |c| c.value(A, "x") == 200 && c.agree());
}

#[test]
fn two_nodes_that_cannot_reach_each_other_count_together_through_a_third() {
    let mut cluster = Cluster::of(3);
    cluster.cut(A, B);
    cluster.run(secs(10));
    cluster.add(A, "x", 3);
    cluster.run_until("B has it through C", secs(3), |c| c.value(B, "x") == 3);
    assert!(cluster.lists(A, B), "C vouches for it");
}

/// Rule `down-is-not-removed`.
#[test]
fn a_paused_node_leaves_the_lists_and_is_back_without_anyones_help() {
    let mut cluster = Cluster::of(3);
    cluster.pause(C);
    cluster.run_until("C is out of the lists", secs(6), |c| !c.lists(A, C) && !c.lists(B, C));
    cluster.add(A, "x", 1);
    cluster.run(secs(14));
    cluster.resume(C);
    cluster.add(C, "x", 10);
    cluster.run_until("C is back and exact", secs(5), |c| {
        c.lists(A, C) && c.lists(B, C) && c.lists(C, A) && c.agree()
    });
    assert_eq!(cluster.value(A, "x"), 11);
}

/// Rule `down-is-not-removed`.
#[test]
fn a_node_that_leaves_is_out_of_the_lists_at_once() {
    let mut cluster = Cluster::of(3);
    cluster.add(C, "x", 5);
    cluster.leave(C);
    cluster.crash(C);
    cluster.run_until("C is out of the lists", secs(1), |c| !c.lists(A, C) && !c.lists(B, C));
    assert_eq!((cluster.value(A, "x"), cluster.value(B, "x")), (5, 5));
    let config = next_life(cluster.config_of(C));
    cluster.restart(C, config);
    cluster.run_until("C is back", secs(2), Cluster::all_linked);
}

#[test]
fn a_node_with_a_new_id_at_an_old_address_takes_the_old_ones_place() {
    let mut cluster = Cluster::of(3);
    cluster.crash(C);
    let config = Config { node: NodeId(333), boot: 50, ..next_life(cluster.config_of(C)) };
    cluster.restart(C, config);
    cluster.run_until("all are linked", secs(3), Cluster::all_linked);
    cluster.run(secs(10));
    for place in [A, B] {
        let listed = cluster.listed(place);
        let times = listed.iter().filter(|address| **address == "10.0.0.3:8088").count();
        assert_eq!((times, listed.len()), (1, 2), "{listed:?}");
    }
}

#[test]
fn a_node_with_a_new_id_takes_an_old_ones_place_though_its_clock_was_set_back() {
    for away in [ms(200), secs(1), secs(10)] {
        let mut cluster = Cluster::new();
        for place in [A, B, C] {
            cluster.start(Config { boot: 1_000_000, ..config(place) });
        }
        cluster.run_until("all are linked", secs(5), Cluster::all_linked);
        cluster.vanish(C);
        cluster.run(away);
        let config = Config { node: NodeId(333), boot: 1, ..next_life(cluster.config_of(C)) };
        cluster.restart(C, config);
        cluster.run_until("all are linked", secs(5), Cluster::all_linked);
        cluster.run(secs(5));
        assert_eq!(cluster.listed(A), ["10.0.0.2:8088", "10.0.0.3:8088"], "{away:?}");
        assert_eq!(cluster.listed(C), ["10.0.0.1:8088", "10.0.0.2:8088"], "{away:?}");
    }
}

#[test]
fn a_node_that_has_moved_is_listed_where_it_is_now() {
    let mut cluster = Cluster::of(3);
    cluster.crash(C);
    let address = Address::parse("10.0.0.33:8088", 1).unwrap();
    let config = Config { address, ..next_life(cluster.config_of(C)) };
    cluster.restart(C, config);
    cluster.run_until("all are linked", secs(3), Cluster::all_linked);
    assert_eq!(cluster.listed(A), ["10.0.0.2:8088", "10.0.0.33:8088"]);
}

#[test]
fn a_calm_cluster_sends_some_tens_of_datagrams_a_second_and_node() {
    let mut cluster = Cluster::of(5);
    cluster.run(secs(10));
    let began = cluster.now();
    cluster.run(secs(10));
    for place in 0..5 {
        let datagrams = cluster.datagrams_since(began, place);
        assert!(datagrams < 300, "{datagrams} in ten seconds");
    }
}

#[test]
fn a_peer_that_fails_to_answer_is_told_of_as_suspect_before_it_is_down_or_trusted_again() {
    let mut cluster = Cluster::of(3);
    let began = cluster.now();
    let told = |cluster: &Cluster, since, what: fn(&Event) -> bool| cluster.told(since, A, what);
    let suspect: fn(&Event) -> bool = |event| matches!(event, Event::PeerSuspect(_));
    let trusted: fn(&Event) -> bool = |event| matches!(event, Event::PeerTrusted(_));
    let down: fn(&Event) -> bool = |event| matches!(event, Event::PeerDown(_));
    cluster.run(secs(5));
    assert!(!told(&cluster, began, suspect) && !told(&cluster, began, trusted));

    cluster.pause(C);
    cluster.run_until("C is suspect", secs(4), |c| c.state(A, C) == Some(PeerState::Suspect));
    assert!(told(&cluster, began, suspect));
    cluster.resume(C);
    cluster.run_until("C is trusted", secs(4), |c| c.state(A, C) == Some(PeerState::Alive));
    assert!(told(&cluster, began, trusted) && !told(&cluster, began, down));

    // What the other one suspects meanwhile has come round.
    cluster.run(secs(3));
    let began = cluster.now();
    cluster.crash(C);
    cluster.run_until("C is down", secs(8), |c| c.state(A, C) == Some(PeerState::Down));
    assert!(told(&cluster, began, suspect) && told(&cluster, began, down));
    assert!(!told(&cluster, began, trusted));
}

#[test]
fn a_caller_that_never_answers_is_told_of_as_joining_once() {
    let mut cluster = Cluster::of(1);
    let began = cluster.now();
    let caller = Identity {
        node: NodeId(77),
        address: Address::parse("10.0.0.77:8088", 1).unwrap(),
        epoch: 0,
        boot: 1,
        origin: OriginId(78),
    };
    let from = "10.0.0.77:8088".parse().unwrap();
    for sequence in 1..20 {
        let beacon = Beacon { identity: caller.clone(), sequence, kind: BeaconKind::Call };
        let envelope = Envelope::new(&cluster.config_of(A).cluster, None);
        cluster.inject_datagram(from, A, envelope.seal(&Datagram::Beacon(beacon)));
        cluster.run(secs(2));
    }
    let joining = cluster.count_told(began, A, |event| matches!(event, Event::PeerJoining(_)));
    assert_eq!(joining, 1);
}
