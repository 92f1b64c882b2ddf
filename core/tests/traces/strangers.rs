//! What anyone can say where there is no secret, and a member that has gone wrong where there is one:
//! it costs bounded memory, bounded traffic, and nothing that an operator cannot mend.

use std::time::Duration;

use bytes::Bytes;
use foca::{Header, Member};
use quipu_core::event::Event;
use quipu_core::identity::{Address, BOOT_MAX, EPOCH_MAX, Identity, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::status::PeerState;
use quipu_core::wire::datagram::{Beacon, BeaconKind, Datagram, Envelope};
use quipu_core::wire::frame::{self, Hello, Message};

use crate::cluster::{A, B, C, Cluster, ms, secs};
use crate::network::Place;

fn identity_of(cluster: &Cluster, place: Place) -> Identity {
    cluster.node(place).status(cluster.now()).identity
}

fn invented(n: u64) -> Identity {
    let address = format!("10.{}.{}.{}:8088", 7 + n / 65_536, n / 256 % 256, n % 256);
    Identity {
        node: NodeId(1_000_000 + n),
        address: Address::parse(&address, 1).unwrap(),
        epoch: 0,
        boot: 5,
        origin: OriginId(2_000_000 + n),
    }
}

fn sealed(datagram: &Datagram<'_>) -> Bytes {
    Envelope::new("traces", None).seal(datagram)
}

/// A message of the membership protocol.
fn swim(
    from: &Identity,
    to: &Identity,
    message: foca::Message<Identity>,
    updates: &[Member<Identity>],
) -> Bytes {
    let is_announce = message == foca::Message::Announce;
    let header = Header { src: from.clone(), src_incarnation: 0, dst: to.clone(), message };
    let mut packet = postcard::to_stdvec(&header).unwrap();
    if !is_announce {
        packet.extend(u16::try_from(updates.len()).unwrap().to_be_bytes());
        for update in updates {
            packet.extend(postcard::to_stdvec(update).unwrap());
        }
    }
    sealed(&Datagram::Swim(&packet))
}

fn gossip(from: &Identity, to: &Identity, updates: &[Member<Identity>]) -> Bytes {
    swim(from, to, foca::Message::Gossip, updates)
}

fn hear(cluster: &mut Cluster, at: Place, from: &str, bytes: Bytes) {
    cluster.inject_datagram(from.parse().unwrap(), at, bytes);
    cluster.run(ms(1));
}

const ADDRESS_C: &str = "10.0.0.3:8088";

/// Identities that no later one could follow: nobody could remove them, or come back under their id.
fn nobodys() -> [Identity; 3] {
    [
        Identity { epoch: u64::MAX, ..invented(1) },
        Identity { epoch: EPOCH_MAX + 1, ..invented(1) },
        Identity { boot: u64::MAX, ..invented(1) },
    ]
}

#[test]
fn an_identity_with_a_number_that_nobody_can_follow_is_not_let_in_by_any_door() {
    for nobodys in nobodys() {
        let mut cluster = Cluster::of(3);
        let (a, c) = (identity_of(&cluster, A), identity_of(&cluster, C));
        let began = cluster.now();
        let from = nobodys.address.to_string();
        let beacon = |kind| Beacon { identity: nobodys.clone(), sequence: 9, kind };
        for kind in [BeaconKind::Call, BeaconKind::Ask, BeaconKind::Answer(3)] {
            hear(&mut cluster, A, &from, sealed(&Datagram::Beacon(beacon(kind))));
        }
        hear(&mut cluster, A, &from, swim(&nobodys, &a, foca::Message::Announce, &[]));
        hear(&mut cluster, A, &from, gossip(&nobodys, &a, &[]));
        let updates = [Member::alive(nobodys.clone()), Member::alive(invented(2))];
        hear(&mut cluster, A, ADDRESS_C, gossip(&c, &a, &updates));
        let stranger = cluster.call_as_stranger(A);
        let hello = Message::Hello(Hello {
            versions: (1, 1),
            cluster: "traces",
            identity: nobodys.clone(),
            nonce: [3; 16],
            has_secret: false,
        });
        cluster.say(stranger, frame::encode(&hello));
        cluster.run(ms(1));
        assert!(cluster.heard(stranger).is_closed && cluster.heard(stranger).frames.is_empty());
        let of_it = |event: &Event| event.to_string().contains(&from);
        assert!(!cluster.told(began, A, of_it), "{nobodys:?}");
        assert!(cluster.listed(A).contains(&invented(2).address.to_string()), "the rest is heard");
    }
}

#[test]
fn whoever_has_the_largest_epoch_can_be_removed() {
    let mut cluster = Cluster::of(3);
    let (a, c) = (identity_of(&cluster, A), identity_of(&cluster, C));
    let largest = Identity { epoch: EPOCH_MAX, boot: BOOT_MAX, ..invented(1) };
    let update = [Member::alive(largest.clone())];
    hear(&mut cluster, A, ADDRESS_C, gossip(&c, &a, &update));
    let address = largest.address.to_string();
    assert!(cluster.listed(A).contains(&address));
    cluster.remove(A, &address);
    assert!(!cluster.listed(A).contains(&address));
    hear(&mut cluster, A, &address, gossip(&largest, &a, &[]));
    hear(&mut cluster, A, ADDRESS_C, gossip(&c, &a, &update));
    cluster.run(secs(1));
    assert!([A, B, C].iter().all(|place| !cluster.listed(*place).contains(&address)));
}

/// `A member is told of a life of its own id that began at the end of all time.` It took a boot after
/// that, which stayed the same for ever after: it could never outrank what others held of it again.
#[test]
fn a_node_whose_boots_are_used_up_takes_a_fresh_id() {
    let mut cluster = Cluster::of(3);
    let (a, c) = (identity_of(&cluster, A), identity_of(&cluster, C));
    let last = Identity { boot: BOOT_MAX, origin: OriginId(77), ..a.clone() };
    let began = cluster.now();
    hear(&mut cluster, A, ADDRESS_C, gossip(&c, &a, &[Member::down(last)]));
    let taken = |event: &Event| matches!(event, Event::NodeIdTaken { .. });
    cluster.run_until("A has a fresh id", secs(1), |c| c.told(began, A, taken));
    cluster.run_until("all are linked", secs(5), Cluster::all_linked);
    let boot = identity_of(&cluster, A).boot;
    assert!(boot < BOOT_MAX, "{boot}");
    cluster.run(secs(10));
    assert!(cluster.all_linked() && cluster.lists(B, A) && cluster.lists(C, A), "and stay so");
}

/// `One forged record after another, each of the largest epochs that there can be.`
#[test]
fn a_record_of_epochs_that_are_nobodys_says_nothing() {
    let mut cluster = Cluster::of(3);
    let c = identity_of(&cluster, C);
    for (removed, registered) in [(u64::MAX, 0), (0, u64::MAX), (1 << 63, 1)] {
        for key in [Key::Node(c.node), Key::Address(c.address.clone())] {
            let record = MembershipRecord { key, removed, registered };
            let bytes = sealed(&Datagram::Membership(vec![record.clone()]));
            hear(&mut cluster, A, ADDRESS_C, bytes);
            cluster.inject(B, A, &Message::Membership(vec![record]));
        }
    }
    cluster.run(secs(2));
    assert!(cluster.all_linked() && cluster.lists(A, C));
    assert_eq!(cluster.node(A).totals().records_refused, 12);
    cluster.remove(A, ADDRESS_C);
    cluster.run_until("C is out", secs(2), |c| !c.lists(A, C) && !c.lists(B, C));
    cluster.register(B, ADDRESS_C);
    cluster.run_until("C is back", secs(8), Cluster::all_linked);
}

/// `Somebody names members that are not there, thousands of them.`
#[test]
fn members_that_are_up_are_bounded_and_there_is_room_again_once_they_are_down() {
    let mut cluster = Cluster::of(3);
    let (a, c) = (identity_of(&cluster, A), identity_of(&cluster, C));
    let all: Vec<Member<Identity>> = (0..6_000).map(|n| Member::alive(invented(n))).collect();
    for some in all.chunks(25) {
        hear(&mut cluster, A, ADDRESS_C, gossip(&c, &a, some));
    }
    let known = cluster.node(A).status(cluster.now()).peers.len();
    assert!((1_000..1_400).contains(&known), "{known}");
    assert!(cluster.are_linked(A, B) && cluster.are_linked(A, C), "its peers are");
    assert!(cluster.node(A).totals().members_refused > 0);
    let told = cluster.count_told(cluster.now(), A, |_| true);
    assert!(told < 10, "{told}");
}

/// `A stranger announces itself under thousands of names, whose addresses are a victim's.` Each was
/// answered with all that fits a datagram.
#[test]
fn what_strangers_announce_is_answered_at_a_rate() {
    let mut cluster = Cluster::of(3);
    let (a, victim) = (identity_of(&cluster, A), "10.9.9.9:8088");
    let address = Address::parse(victim, 1).unwrap();
    let before = cluster.node(A).totals().swim_sent;
    for n in 0..5_000 {
        let sender = Identity { address: address.clone(), ..invented(n) };
        let message = match n % 3 {
            0 => foca::Message::Announce,
            1 => foca::Message::Ping(7),
            _ => foca::Message::PingReq { target: invented(n + 9_000), probe_number: 3 },
        };
        let bytes = swim(&sender, &a, message, &[]);
        cluster.inject_datagram(victim.parse().unwrap(), A, bytes);
        cluster.run(Duration::from_micros(200));
    }
    let answers = cluster.node(A).totals().swim_sent - before;
    assert!(answers < 600, "{answers} datagrams to 5,000 in a second");
    assert!(cluster.are_linked(A, B) && cluster.lists(A, B));
}

/// `A stranger names ever newer incarnations of A's own id.` To each A answered with a life after it, which it
/// announced to everybody.
#[test]
fn ever_newer_incarnations_of_ones_own_id_are_answered_with_a_few() {
    let mut cluster = Cluster::of(3);
    let c = identity_of(&cluster, C);
    let began = cluster.now();
    for n in 0..1_000 {
        let a = identity_of(&cluster, A);
        let later = Identity { boot: a.boot + 10 + n, origin: OriginId(77), ..a.clone() };
        cluster.inject_datagram(
            ADDRESS_C.parse().unwrap(),
            A,
            gossip(&c, &a, &[Member::alive(later)]),
        );
        cluster.run(ms(10));
    }
    let datagrams = cluster.datagrams_since(began, A);
    assert!(datagrams < 1_000, "{datagrams} datagrams of A in ten seconds");
    cluster.run_until("all are there", secs(15), |c| {
        c.all_linked() && c.lists(B, A) && c.lists(C, A) && c.lists(A, B) && c.lists(A, C)
    });
}

/// A call is half a kilobyte, so that no answer to it is larger. One that was not filled up was
/// answered all the same.
#[test]
fn a_call_that_is_smaller_than_its_answer_may_be_is_not_answered() {
    let mut cluster = Cluster::of(2);
    for kind in [BeaconKind::Call, BeaconKind::Ask] {
        let identity = invented(1);
        let from = identity.address.to_string();
        let bytes = sealed(&Datagram::Beacon(Beacon { identity, sequence: 7, kind }));
        let (began, malformed) = (cluster.now(), cluster.node(A).totals().datagrams_malformed);
        let short = bytes.slice(..bytes.len() / 2);
        hear(&mut cluster, A, &from, short);
        assert_eq!(cluster.node(A).totals().datagrams_malformed, malformed + 1);
        assert!(!cluster.told(began, A, |event| matches!(event, Event::PeerJoining(_))));
    }
    assert_eq!(cluster.state(A, B), Some(PeerState::Alive));
}
