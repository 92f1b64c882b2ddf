//! Rule `removed-stays-removed`: removed stays removed, until someone registers it again.

use bytes::Bytes;
use quipu_core::event::Event;
use quipu_core::identity::{Address, NodeId};
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::node::Config;
use quipu_core::status::PeerState;
use quipu_core::time::Time;
use quipu_core::wire::auth::PROOF_BYTES;
use quipu_core::wire::datagram::{Datagram, Envelope};
use quipu_core::wire::frame::{self, Goodbye, Hello, Message};
use quipu_core::wire::versions::PROTOCOL_VERSIONS;

use crate::cluster::{A, B, C, Cluster, config, ms, next_life, secs};
use crate::network::Place;

const ADDRESS_C: &str = "10.0.0.3:8088";

/// Three nodes, of which A has removed C.
fn without_c() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.add(C, "x", 1);
    cluster.run(secs(1));
    cluster.remove(A, ADDRESS_C);
    cluster
}

fn is_out(cluster: &Cluster) -> bool {
    !cluster.lists(A, C)
        && !cluster.lists(B, C)
        && cluster.listed(C).is_empty()
        && cluster.link(A, C).is_none()
        && cluster.link(B, C).is_none()
}

/// Lets half a minute pass, in which C must not come back for an instant.
fn assert_stays_out(cluster: &mut Cluster) {
    let began = cluster.now();
    cluster.run(secs(30));
    assert!(is_out(cluster));
    let comes_up = |event: &Event| match event {
        Event::PeerUp(identity) => identity.address.as_str() == ADDRESS_C,
        Event::LinkUp { address, .. } => address.as_str() == ADDRESS_C,
        _ => false,
    };
    assert!(!cluster.told(began, A, comes_up) && !cluster.told(began, B, comes_up));
}

#[test]
fn a_removed_node_leaves_all_lists_at_once_is_told_so_and_stays_out() {
    let mut cluster = without_c();
    let began = cluster.now();
    assert!(!cluster.lists(A, C), "on the node that was asked, at once");
    cluster.run_until("C is out", secs(1), is_out);
    assert_eq!(cluster.state(A, C), Some(PeerState::Removed));
    assert!(cluster.node(C).status(cluster.now()).removed);
    assert!(cluster.told(began, C, |event| matches!(event, Event::RemovedOurselves(_))));
    assert_stays_out(&mut cluster);
}

#[test]
fn a_removed_node_serves_its_own_clients_and_is_counted_when_it_is_back() {
    let mut cluster = without_c();
    cluster.run_until("C is out", secs(1), is_out);
    assert_eq!(cluster.add(A, "x", 10), 11);
    assert_eq!(cluster.add(C, "x", 100), 101);
    cluster.run(secs(5));
    assert_eq!((cluster.value(B, "x"), cluster.value(C, "x")), (11, 101));
    cluster.register(B, ADDRESS_C);
    cluster.run_until("all count together", secs(5), |c| c.all_linked() && c.agree());
    assert_eq!(cluster.value(A, "x"), 111);
    assert!(cluster.lists(A, C) && cluster.lists(B, C) && cluster.lists(C, A));
}

#[test]
fn a_restart_does_not_lift_a_removal() {
    let mut cluster = without_c();
    cluster.run(secs(1));
    cluster.crash(C);
    let config = next_life(cluster.config_of(C));
    cluster.restart(C, config);
    cluster.run(secs(1));
    assert_stays_out(&mut cluster);
}

#[test]
fn an_empty_disk_does_not_lift_a_removal() {
    let mut cluster = without_c();
    cluster.run(secs(1));
    cluster.crash(C);
    let config = Config { node: NodeId(333), ..next_life(cluster.config_of(C)) };
    cluster.restart(C, config);
    cluster.run(secs(1));
    assert_stays_out(&mut cluster);
}

#[test]
fn a_new_address_does_not_lift_a_removal() {
    let mut cluster = without_c();
    cluster.run(secs(1));
    cluster.crash(C);
    let address = Address::parse("10.0.0.33:8088", 1).unwrap();
    let config = Config { address, ..next_life(cluster.config_of(C)) };
    cluster.restart(C, config);
    cluster.run(secs(30));
    assert_eq!(cluster.listed(A), ["10.0.0.2:8088"]);
    assert!(cluster.link(B, C).is_none());
    // Registered where it is now, it is back.
    cluster.register(A, "10.0.0.33:8088");
    cluster.run_until("all are linked", secs(5), Cluster::all_linked);
}

#[test]
fn a_removal_reaches_a_member_that_was_away_when_it_was_made() {
    let mut cluster = Cluster::of(3);
    cluster.pause(B);
    cluster.run_until("B is down", secs(6), |c| !c.lists(A, B));
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(10));
    cluster.resume(B);
    cluster.run_until("C is out everywhere", secs(10), |c| is_out(c) && c.are_linked(A, B));
    assert_stays_out(&mut cluster);
}

#[test]
fn a_removed_node_that_was_away_learns_of_it_when_it_calls() {
    let mut cluster = Cluster::of(3);
    cluster.pause(C);
    cluster.run_until("C is down", secs(6), |c| !c.lists(A, C) && !c.lists(B, C));
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(10));
    cluster.resume(C);
    let knows = |c: &Cluster| c.node(C).status(c.now()).removed;
    cluster.run_until("C knows", secs(10), knows);
    assert_stays_out(&mut cluster);
}

#[test]
fn registering_lifts_a_removal_while_the_node_is_away_and_it_comes_back_by_itself() {
    let mut cluster = without_c();
    cluster.run(secs(1));
    cluster.crash(C);
    cluster.run(secs(10));
    cluster.register(A, ADDRESS_C);
    cluster.run(secs(20));
    let config = next_life(cluster.config_of(C));
    cluster.restart(C, config);
    cluster.run_until("all are linked", secs(5), Cluster::all_linked);
    cluster.run_until("and agree", secs(2), Cluster::agree);
}

#[test]
fn a_node_that_missed_the_notice_of_its_registration_is_told_again() {
    let mut cluster = without_c();
    cluster.run(secs(1));
    cluster.cut_one_way(A, C);
    cluster.cut_one_way(B, C);
    cluster.register(A, ADDRESS_C);
    cluster.run(secs(10));
    assert!(cluster.node(C).status(cluster.now()).removed, "it could not hear of it");
    cluster.mend(A, C);
    cluster.mend(B, C);
    cluster.run_until("all are linked", secs(8), Cluster::all_linked);
}

#[test]
fn a_cluster_that_forgot_a_removal_hears_of_it_from_the_removed_node_and_can_lift_it() {
    let mut cluster = without_c();
    cluster.run(secs(1));
    for place in [A, B] {
        cluster.crash(place);
    }
    for place in [A, B] {
        let config = next_life(cluster.config_of(place));
        cluster.restart(place, config);
    }
    cluster.run(secs(3));
    assert_stays_out(&mut cluster);
    cluster.register(A, ADDRESS_C);
    cluster.run_until("all are linked", secs(5), Cluster::all_linked);
}

#[test]
fn a_removal_is_told_to_whoever_links_up_later() {
    let mut cluster = without_c();
    cluster.run_until("C is out", secs(1), is_out);
    cluster.crash(C);
    cluster.crash(B);
    cluster.run(secs(10));
    // B starts over and has forgotten everything; A tells it, and goes.
    let fresh = next_life(cluster.config_of(B));
    cluster.restart(B, fresh);
    cluster.run_until("B has heard of it", secs(3), |c| c.are_linked(A, B));
    cluster.run(ms(10));
    cluster.vanish(A);
    let fresh = next_life(cluster.config_of(C));
    cluster.restart(C, fresh);
    let began = cluster.now();
    cluster.run(secs(20));
    assert!(!cluster.lists(B, C) && cluster.link(B, C).is_none());
    assert!(!cluster.told(began, B, |event| matches!(event, Event::PeerUp(_))));
}

#[test]
fn gossip_of_a_member_that_has_not_heard_of_a_removal_does_not_lift_it() {
    let mut cluster = Cluster::of(3);
    cluster.cut(A, B);
    cluster.cut(A, C);
    cluster.run_until("A is alone", secs(10), |c| c.listed(A).is_empty());
    cluster.remove(A, ADDRESS_C);
    let began = cluster.now();
    cluster.mend(A, B);
    cluster.run_until("B hears of the removal", secs(10), |c| !c.lists(B, C));
    cluster.mend(A, C);
    cluster.run(secs(10));
    assert!(is_out(&cluster) && cluster.are_linked(A, B), "B's link to C has ended, too");
    let c_is_up = |event: &Event| matches!(event, Event::PeerUp(identity) if identity.address.as_str() == ADDRESS_C);
    assert!(!cluster.told(began, A, c_is_up), "not for an instant");
}

#[test]
fn a_removed_nodes_hello_is_refused_with_the_records_that_say_so() {
    let mut cluster = without_c();
    cluster.run_until("C is out", secs(1), is_out);
    let identity = cluster.node(C).status(cluster.now()).identity;
    let stranger = cluster.call_as_stranger(A);
    let hello = Message::Hello(Hello {
        versions: PROTOCOL_VERSIONS,
        cluster: "traces",
        identity: identity.clone(),
        nonce: [3; 16],
        has_secret: false,
    });
    cluster.say(stranger, frame::encode(&hello));
    cluster.say(stranger, frame::encode(&Message::Proof([0; PROOF_BYTES])));
    cluster.run(ms(1));
    let heard = cluster.heard(stranger);
    assert!(heard.is_closed);
    let last = frame::decode(heard.frames.last().unwrap()).unwrap();
    let Message::Goodbye(Goodbye::Removed(memberships)) = last else { panic!("{last:?}") };
    let of = |key: &Key| memberships.iter().any(|s| s.key == *key && s.is_removed());
    assert!(of(&Key::Node(identity.node)) && of(&Key::Address(identity.address)));
}

#[test]
fn removing_and_registering_again_and_again_ends_as_the_last_word_says() {
    let mut cluster = Cluster::of(3);
    for turn in 0..5 {
        cluster.remove(A, ADDRESS_C);
        cluster.run_until("C is out", secs(2), is_out);
        cluster.register(if turn % 2 == 0 { A } else { B }, ADDRESS_C);
        cluster.run_until("C is back", secs(5), |c| {
            c.all_linked() && c.lists(A, C) && c.lists(B, C) && c.lists(C, B)
        });
    }
    cluster.remove(B, ADDRESS_C);
    cluster.run_until("C is out", secs(2), is_out);
    assert_stays_out(&mut cluster);
}

#[test]
fn a_removed_node_and_its_cluster_do_not_flood_each_other() {
    let mut cluster = without_c();
    cluster.run(secs(2));
    let began = cluster.now();
    cluster.run(secs(20));
    for place in [A, B, C] {
        let datagrams = cluster.datagrams_since(began, place);
        assert!(datagrams < 600, "{datagrams} datagrams of node {place} in twenty seconds");
    }
}

#[test]
fn removing_an_unknown_peer_or_oneself_changes_nothing() {
    let mut cluster = Cluster::of(3);
    cluster.remove(A, "10.9.9.9:8088");
    cluster.remove(A, "10.0.0.1:8088");
    cluster.run(secs(5));
    assert!(cluster.all_linked());
    let joiner = cluster.start(config(3));
    cluster.run_until("a joiner is let in", secs(3), |c| c.are_linked(A, joiner));
}

/// `A restarts; B and C hold its link at the door while they ask the old one for a sign of life; B
/// removes A.` Both let it in when the old link had been silent for long enough, and it stayed.
#[test]
fn a_link_that_is_held_at_the_door_is_not_let_in_once_its_peer_is_removed() {
    let mut cluster = Cluster::of(3);
    cluster.vanish(A);
    cluster.run(ms(100));
    let life = next_life(cluster.config_of(A));
    cluster.restart(A, life);
    cluster.run(ms(500));
    let began = cluster.now();
    cluster.remove(B, "10.0.0.1:8088");
    cluster.run(secs(5));
    cluster.add(A, "x", 7);
    cluster.run(secs(30));
    for place in [B, C] {
        let is_up = |event: &Event| matches!(event, Event::LinkUp { .. });
        assert!(!cluster.told(began, place, is_up) && cluster.connections(place, A) == 0);
        assert_eq!(cluster.value(place, "x"), 0);
    }
}

/// Two nodes of which A has dialed B, and B's welcome is on its way.
fn before_the_welcome() -> Cluster {
    let mut cluster = Cluster::new();
    for place in [A, B] {
        cluster.start(config(place));
    }
    let is_proved = |c: &Cluster| {
        c.frames(Time::ZERO, A, B).any(|sent| matches!(sent.message(), Message::Proof(_)))
    };
    cluster.run_until("A has proved itself", secs(3), is_proved);
    cluster.hold_frames(B, A);
    cluster.run(ms(1));
    assert!(cluster.link(A, B).is_none() && cluster.link(B, A).is_some());
    cluster
}

#[test]
fn a_link_that_waits_for_its_welcome_does_not_stand_once_its_peer_is_removed() {
    let mut cluster = before_the_welcome();
    let began = cluster.now();
    // B cannot be told.
    cluster.lose_datagrams(usize::MAX);
    cluster.remove(A, "10.0.0.2:8088");
    cluster.release_frames(B, A);
    cluster.run(secs(10));
    assert!(!cluster.told(began, A, |event| matches!(event, Event::LinkUp { .. })));
    assert_eq!(cluster.connections(A, B), 0);
}

#[test]
fn a_link_that_waits_for_its_welcome_does_not_stand_once_its_dialer_knows_of_its_own_removal() {
    let mut cluster = before_the_welcome();
    let began = cluster.now();
    cluster.inject_datagram("10.0.0.2:8088".parse().unwrap(), A, removal_of(&cluster, A));
    cluster.run(ms(1));
    cluster.release_frames(B, A);
    cluster.run(secs(10));
    assert!(!cluster.told(began, A, |event| matches!(event, Event::LinkUp { .. })));
    assert_eq!(cluster.connections(A, B), 0);
}

/// What the others tell a removed node.
fn removal_of(cluster: &Cluster, place: Place) -> Bytes {
    let identity = cluster.node(place).status(cluster.now()).identity;
    let keys = [Key::Node(identity.node), Key::Address(identity.address)];
    let memberships = keys.map(|key| MembershipRecord { key, removed: 7, registered: 0 });
    Envelope::new("traces", None).seal(&Datagram::Membership(memberships.to_vec()))
}

/// `C hears of its removal, and B does not for long.` C kept its link to B, and counted with it.
#[test]
fn a_node_that_learns_of_its_own_removal_ends_its_links_itself() {
    let mut cluster = Cluster::of(3);
    for other in [A, B] {
        cluster.hold_frames(other, C);
    }
    cluster.inject_datagram("10.0.0.1:8088".parse().unwrap(), C, removal_of(&cluster, C));
    let began = cluster.now();
    cluster.run(ms(1));
    let ended = cluster.count_told(began, C, |event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(ended, 2);
    cluster.add(C, "x", 5);
    for other in [A, B] {
        cluster.release_frames(other, C);
    }
    assert_stays_out(&mut cluster);
    assert_eq!((cluster.value(A, "x"), cluster.value(B, "x")), (0, 0));
}

/// `Somebody who says to be C has begun a link, and C is removed.` It need not prove itself first.
#[test]
fn a_link_whose_other_side_has_not_proved_itself_ends_with_the_removal_of_whom_it_says_to_be() {
    let mut cluster = Cluster::of(3);
    let identity = cluster.node(C).status(cluster.now()).identity;
    let stranger = cluster.call_as_stranger(A);
    let hello = Message::Hello(Hello {
        versions: PROTOCOL_VERSIONS,
        cluster: "traces",
        identity,
        nonce: [3; 16],
        has_secret: false,
    });
    cluster.say(stranger, frame::encode(&hello));
    cluster.run(ms(1));
    assert!(!cluster.heard(stranger).is_closed);
    cluster.remove(A, ADDRESS_C);
    cluster.run(ms(1));
    let heard = cluster.heard(stranger);
    assert!(heard.is_closed);
    let last = frame::decode(heard.frames.last().unwrap()).unwrap();
    assert_eq!(last, Message::Goodbye(Goodbye::NotAMember), "records are told to members only");
}
