//! Members that are too many, and that are remembered.

use super::*;
use crate::peers::members::MEMBERS_MAX;

fn known_to_swim(zero: &Zero) -> usize {
    zero.peers.group.known_to_swim()
}

fn met(zero: &Zero, identity: &Identity) -> bool {
    zero.peers.met().any(|met| met.node == identity.node)
}

#[test]
fn members_that_were_never_up_here_are_forgotten_before_those_that_were() {
    let mut zero = Zero::new();
    let member = identity(1);
    let gone: Vec<Identity> = (2..12).map(identity).collect();
    let up: Vec<_> = gone.iter().cloned().map(Member::alive).collect();
    zero.hears(&member, Message::Gossip, &up).unwrap();
    let down: Vec<_> = gone.iter().cloned().map(Member::down).collect();
    zero.hears(&member, Message::Gossip, &down).unwrap();
    let never: Vec<_> = (100..3_000).map(|n| Member::down(identity(n))).collect();
    for some in never.chunks(25) {
        zero.hears(&member, Message::Gossip, some).unwrap();
    }
    assert!(known_to_swim(&zero) <= 1 + DOWN_MAX, "{}", known_to_swim(&zero));
    assert!(gone.iter().all(|gone| met(&zero, gone)));
}

#[test]
fn members_that_come_and_go_are_remembered_in_bounds() {
    let mut zero = Zero::new();
    let member = identity(1);
    let invented: Vec<Identity> = (100..5_000).map(identity).collect();
    for (second, some) in invented.chunks(25).enumerate() {
        zero.driver.now = Time::from_micros(1_000_000 * second as u64);
        for state in [Member::alive, Member::down] {
            let updates: Vec<_> = some.iter().cloned().map(state).collect();
            zero.hears(&member, Message::Gossip, &updates).unwrap();
        }
    }
    assert!(known_to_swim(&zero) <= 1 + DOWN_MAX, "{}", known_to_swim(&zero));
    assert_eq!(zero.peers.met().count(), 1 + DOWN_MAX);
    let latest = invented.iter().rev().take(DOWN_MAX);
    assert!(latest.clone().all(|latest| met(&zero, latest)));
}

#[test]
fn a_member_too_many_is_refused_and_those_that_are_there_go_on() {
    let mut zero = Zero::new();
    let member = identity(1);
    let invented: Vec<_> = (100..1_400).map(|n| Member::alive(identity(n))).collect();
    for some in invented.chunks(10) {
        zero.hears(&member, Message::Gossip, some).unwrap();
    }
    let up = zero.peers.up().count();
    assert!((MEMBERS_MAX..MEMBERS_MAX + 10).contains(&up), "{up}");
    let refused = zero.totals().members_refused;
    assert!(refused > 0);
    let late = zero.hears(&identity(3_000), Message::Announce, &[]);
    assert!(matches!(late, Err(SwimError::Full)));
    assert_eq!(zero.totals().members_refused, refused + 1);
    let back = Identity { boot: BOOT + 9, origin: OriginId(99), ..member.clone() };
    zero.hears(&back, Message::Announce, &[]).unwrap();
    assert_eq!(zero.peers.up_member(member.node), Some(&back), "a restart is no new member");
}

#[test]
fn a_packet_that_foca_does_not_take_is_refused_and_no_fault() {
    let mut zero = Zero::new();
    let ourselves = Identity { address: identity(5).address, ..identity(0) };
    let refused = zero.hears(&ourselves, Message::Gossip, &[]);
    assert!(matches!(refused, Err(SwimError::Refused)));
    assert_eq!(zero.totals().swim_faults, 0, "the sender's, and no fault");
}
#[test]
fn there_is_room_for_so_many_members_and_for_none_beside_them() {
    let mut zero = Zero::new();
    (2..=MEMBERS_MAX as u64).for_each(|n| {
        zero.hears_of(&[identity(n)]);
    });
    assert_eq!(zero.peers.up().count(), MEMBERS_MAX);
    assert_eq!(zero.totals().members_refused, 0);
    let late = zero.hears(&identity(5_000), Message::Announce, &[]);
    assert_eq!(late.err(), Some(SwimError::Full));
}
