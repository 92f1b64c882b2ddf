//! Later lives, of this node and of others, and what is reported of them.

use foca::State;

use super::*;
use crate::identity::BOOT_MAX;

/// Node 0 hears that it lived later, in this epoch and boot, and elsewhere.
fn hears_of_a_newer_incarnation(zero: &mut Zero, epoch: u64, boot: u64) -> Vec<Change> {
    let later = Identity { epoch, boot, origin: OriginId(99), ..identity(0) };
    zero.hears(&identity(1), Message::Gossip, &[Member::down(later)]).unwrap();
    let mut changes = zero.peers.take_changes();
    changes.retain(|change| *change == Change::NewerIncarnation);
    changes
}

#[test]
fn a_newer_incarnation_is_outlived_where_that_can_be_and_the_id_given_up_where_not() {
    let newer = [Change::NewerIncarnation];
    for (epoch, boot, expected, changes) in [
        (0, BOOT + 5, BOOT + 6, &[][..]),
        (0, BOOT_MAX - 1, BOOT_MAX, &[]),
        (0, BOOT_MAX, BOOT, &newer),
        (1, BOOT - 5, BOOT, &newer),
    ] {
        let mut zero = Zero::new();
        assert_eq!(hears_of_a_newer_incarnation(&mut zero, epoch, boot), changes, "{epoch} {boot}");
        assert_eq!(zero.peers.me().boot, expected);
    }
    // A removed node keeps its id and comes back under no other boot.
    for (epoch, boot) in [(0, BOOT + 5), (1, BOOT)] {
        let mut zero = Zero::new();
        zero.merges(&[removal(Key::Node(NodeId(0)))]);
        assert_eq!(hears_of_a_newer_incarnation(&mut zero, epoch, boot), []);
        assert_eq!(zero.peers.me().boot, BOOT);
    }
}

#[test]
fn a_node_that_comes_back_announces_it_to_members_that_may_be_there() {
    let at_our_address = Identity { address: address(0), ..identity(4) };
    let mut zero = Zero::having_met(&[identity(2), identity(3), at_our_address]);
    zero.merges(&[removal(Key::Node(NodeId(3)))]);
    let ours = MembershipRecord { key: Key::Node(NodeId(0)), removed: 3, registered: 5 };
    let before = zero.totals().swim_sent;
    let (_, effects) = zero.does(|peers, turn| peers.merge_memberships(&[ours], turn));
    assert_eq!(zero.peers.me().epoch, 5);
    assert_eq!(sent(&effects), [(Destination::Address(address(2)), false)]);
    assert_eq!(zero.totals().swim_sent - before, 1);
}

#[test]
fn a_node_is_listed_once_whether_it_was_met_or_only_heard_of() {
    let mut zero = Zero::having_met(&[identity(2)]);
    zero.rumour(identity(2));
    zero.rumour(identity(3));
    assert_eq!(zero.states(), [(2, PeerState::Down), (3, PeerState::Joining)]);
}

#[test]
fn a_caller_that_goes_by_a_name_is_answered_where_the_port_is_its_own() {
    use crate::wire::datagram::{Beacon, BeaconKind};
    let named = Address::parse("peers.example:8088", 1).unwrap();
    let beacon = |n| Beacon {
        identity: Identity { address: named.clone(), ..identity(n) },
        sequence: 1,
        kind: BeaconKind::Ask,
    };
    let mut discovery = discovery::Discovery::new(true, ChaCha8Rng::seed_from_u64(1), Time::ZERO);
    let mut is_answered = |n: u64, from: &str| {
        let heard = discovery.hear(Time::ZERO, from.parse().unwrap(), &beacon(n), &identity(0));
        matches!(heard, discovery::Heard::Rumour { answer: Some(_) })
    };
    assert!(is_answered(2, "10.0.0.7:8088") && !is_answered(3, "10.0.0.7:4000"));
}

/// What is reported of members, in words.
fn reported(effects: Vec<Effect>) -> Vec<String> {
    let of = |event| match event {
        Event::PeerUp(identity) => Some(format!("up {}", identity.node.0)),
        Event::PeerDown(identity) => Some(format!("down {}", identity.node.0)),
        Event::PeerSuspect(identity) => Some(format!("suspect {}", identity.node.0)),
        Event::PeerTrusted(identity) => Some(format!("trusted {}", identity.node.0)),
        _ => None,
    };
    events(effects).into_iter().filter_map(of).collect()
}

#[test]
fn a_member_that_is_suspect_is_reported_once_and_so_is_its_end() {
    let mut zero = Zero::new();
    assert_eq!(reported(zero.hears_of(&[identity(2), identity(3)])), ["up 1", "up 2", "up 3"]);
    let mut hears = |incarnation, state| {
        let update = [Member::new(identity(2), incarnation, state)];
        reported(zero.hears(&identity(1), Message::Gossip, &update).unwrap())
    };
    assert_eq!(hears(0, State::Suspect), ["suspect 2"]);
    assert!(hears(0, State::Suspect).is_empty(), "it was reported");
    assert_eq!(hears(1, State::Alive), ["trusted 2"]);
    assert!(hears(1, State::Alive).is_empty());
    assert_eq!(hears(1, State::Down), ["down 2"]);
}

#[test]
fn a_newer_incarnation_is_reported_where_it_answers_elsewhere() {
    let mut zero = Zero::new();
    zero.hears_of(&[identity(2)]);
    let later = Identity { boot: BOOT + 1, origin: OriginId(22), ..identity(2) };
    assert!(reported(zero.hears_of(std::slice::from_ref(&later))).is_empty(), "a quick restart");
    assert_eq!(zero.peers.up_member(NodeId(2)), Some(&later));
    let moved = Identity { boot: BOOT + 2, origin: OriginId(23), address: address(7), ..later };
    assert_eq!(reported(zero.hears_of(std::slice::from_ref(&moved))), ["down 2", "up 2"]);
    assert_eq!(zero.peers.up_member(NodeId(2)), Some(&moved));
}

#[test]
fn of_a_node_whose_place_another_has_taken_nothing_more_is_reported() {
    let mut zero = Zero::new();
    zero.hears_of(&[identity(2)]);
    let late = Identity { address: address(2), boot: BOOT - 1, ..identity(3) };
    assert!(
        reported(zero.hears_of(std::slice::from_ref(&late))).is_empty(),
        "2 began later and is there"
    );
    let down = |zero: &mut Zero, of: Identity| {
        reported(zero.hears(&identity(1), Message::Gossip, &[Member::down(of)]).unwrap())
    };
    assert!(down(&mut zero, late).is_empty());
    assert_eq!(down(&mut zero, identity(2)), ["down 2"]);
}
