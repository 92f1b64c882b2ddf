//! Rule `removed-stays-removed`: the records of who was removed and who was registered again. How
//! many there may be, how they get round, and whose word is the last.

use quipu_core::event::Event;
use quipu_core::identity::{Address, Identity, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord, PeersRefusal};
use quipu_core::peers::registry::REMOVALS_MAX;
use quipu_core::status::PeerState;
use quipu_core::time::Time;
use quipu_core::wire::auth::PROOF_BYTES;
use quipu_core::wire::frame::{self, Hello, Message};

use crate::cluster::{A, B, C, Cluster, D, Sent, config, ms, next_life, secs};
use crate::network::{End, Place};

const ADDRESS_C: &str = "10.0.0.3:8088";

/// Records of nodes that were removed long ago, and of their addresses.
fn removals(nodes: std::ops::Range<usize>) -> Vec<MembershipRecord> {
    let record = |key| MembershipRecord { key, removed: 1, registered: 0 };
    nodes
        .flat_map(|n| {
            let address = format!("10.{}.{}.{}:8088", 1 + n / 65_536, n / 256 % 256, n % 256);
            let address = Address::parse(&address, 1).unwrap();
            [record(Key::Node(NodeId(1_000_000 + n as u64))), record(Key::Address(address))]
        })
        .collect()
}

/// B tells A of all of them.
fn tell(cluster: &mut Cluster, records: &[MembershipRecord]) {
    for some in records.chunks(512) {
        cluster.inject(B, A, &Message::Membership(some.to_vec()));
    }
    cluster.run(ms(1));
}

/// Records that one node has told another since a time.
fn told(cluster: &Cluster, since: Time, from: Place, to: Place) -> usize {
    let frames = cluster.frames(since, from, to).map(|sent| match sent.message() {
        Message::Membership(records) => records.len(),
        _ => 0,
    });
    frames.sum()
}

/// `2,048 nodes have been removed; an operator removes one more.` The answer was that it was done; the
/// record was dropped, and the node stayed.
#[test]
fn four_thousand_removals_and_one_more_and_one_who_joins_knows_them_all() {
    let mut cluster = Cluster::of(3);
    tell(&mut cluster, &removals(0..4_000));
    cluster.remove(A, ADDRESS_C);
    cluster.run_until("C is out", secs(1), |c| !c.lists(A, C) && !c.lists(B, C));
    cluster.run(secs(30));
    let began = cluster.now();
    assert!(cluster.link(A, C).is_none() && cluster.link(B, C).is_none());
    let joiner = cluster.start(config(D));
    cluster
        .run_until("it is linked", secs(5), |c| c.are_linked(A, joiner) && c.are_linked(B, joiner));
    cluster.run(secs(2));
    let heard = told(&cluster, began, A, joiner) + told(&cluster, began, B, joiner);
    assert_eq!(heard, 8_002, "each record once, though both have all of them");
    cluster.crash(A);
    cluster.crash(B);
    let fresh = next_life(cluster.config_of(C));
    cluster.crash(C);
    cluster.restart(C, fresh);
    cluster.run(secs(10));
    assert_eq!(cluster.state(joiner, C), None, "whom it has heard of it does not meet");
    assert!(cluster.link(joiner, C).is_none());
}

#[test]
fn sixteen_thousand_removals_fit_and_one_beyond_the_bound_is_refused_and_changes_nothing() {
    let mut cluster = Cluster::of(3);
    tell(&mut cluster, &removals(0..16_000));
    cluster.remove(A, ADDRESS_C);
    cluster.run_until("C is out", secs(1), |c| !c.lists(A, C) && !c.lists(B, C));
    cluster.register(A, ADDRESS_C);
    cluster.run_until("C is back", secs(10), Cluster::all_linked);
    // C's own record is one of them.
    tell(&mut cluster, &removals(16_000..REMOVALS_MAX - 1));
    let address_b = cluster.address_of(B);
    let refused = cluster.try_remove(A, &address_b);
    assert_eq!(refused, Err(PeersRefusal::TooManyRemovals(REMOVALS_MAX)));
    let began = cluster.now();
    cluster.run(secs(5));
    assert!(cluster.all_linked() && cluster.lists(A, B));
    let removed = |event: &Event| matches!(event, Event::PeerRemoved(_));
    assert!([A, B, C].iter().all(|place| !cluster.told(began, *place, removed)));
    // Who has a record already takes no more room.
    cluster.remove(A, ADDRESS_C);
    cluster.run_until("C is out again", secs(2), |c| !c.lists(A, C) && !c.lists(B, C));
}

#[test]
fn what_is_told_in_bulk_gets_round_and_is_told_to_each_once() {
    let mut cluster = Cluster::of(4);
    let began = cluster.now();
    tell(&mut cluster, &removals(0..1_000));
    cluster.run(secs(5));
    for to in [B, C, D] {
        let heard: usize = [A, B, C, D].map(|from| told(&cluster, began, from, to)).iter().sum();
        assert!((2_000..2_300).contains(&heard), "{heard} records to node {to}");
    }
    cluster.run(secs(5));
    let calm = cluster.now();
    cluster.break_links(C, D);
    cluster.run_until("they are linked again", secs(3), |c| c.are_linked(C, D));
    cluster.run(secs(3));
    assert_eq!(told(&cluster, calm, C, D) + told(&cluster, calm, D, C), 0, "both know all");
}

/// `D has heard of C by gossip, and not yet of the records that say how often it was registered; an
/// operator removes C on D.` The removal's epoch was that of one who was never registered, and lost.
#[test]
fn a_removal_counts_though_the_node_that_was_asked_has_not_heard_of_the_registration() {
    let mut cluster = Cluster::of(3);
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(2));
    cluster.register(A, ADDRESS_C);
    cluster.run_until("C is back", secs(8), Cluster::all_linked);
    let d = cluster.start(config(D));
    for other in [A, B, C] {
        cluster.hold_frames(other, d);
        cluster.hold_frames(d, other);
    }
    cluster.run_until("D lists C", secs(5), |c| c.lists(d, C));
    cluster.remove(d, ADDRESS_C);
    for other in [A, B, C] {
        cluster.release_frames(other, d);
        cluster.release_frames(d, other);
    }
    cluster.run_until("C is out", secs(5), |c| [A, B, d].iter().all(|at| !c.lists(*at, C)));
    cluster.run(secs(20));
    assert!([A, B, d].iter().all(|at| !cluster.lists(*at, C) && cluster.link(*at, C).is_none()));
    assert_eq!(cluster.state(A, C), Some(PeerState::Removed));
}

/// `A removes C; B is cut off; A registers and removes C again; B, which knows of the first removal
/// only, registers C.` That is the last word, and was outlasted by the removal before it.
#[test]
fn a_registration_counts_though_the_node_that_was_asked_has_not_heard_of_the_last_removal() {
    let mut cluster = Cluster::of(3);
    cluster.remove(A, ADDRESS_C);
    cluster.run(secs(2));
    cluster.cut(A, B);
    cluster.cut(B, C);
    for _ in 0..3 {
        cluster.register(A, ADDRESS_C);
        cluster.run_until("C is back", secs(8), |c| c.are_linked(A, C));
        cluster.remove(A, ADDRESS_C);
        cluster.run(secs(2));
    }
    cluster.register(B, ADDRESS_C);
    cluster.run(secs(1));
    cluster.mend(A, B);
    cluster.mend(B, C);
    cluster.run_until("C is back", secs(15), Cluster::all_linked);
    cluster.run(secs(10));
    assert!(cluster.all_linked() && cluster.lists(A, C));
}

/// A node of the release before dials: it is told everything at once, as that release expects, and in
/// no words that it does not know.
#[test]
fn a_node_of_the_release_before_is_told_all_records_when_its_link_stands() {
    let mut cluster = Cluster::of(2);
    tell(&mut cluster, &removals(0..600));
    cluster.run(secs(2));
    cluster.vanish(A);
    let known = cluster.node(B).status(cluster.now()).peers.remove(0);
    let address = Address::parse(&known.address, 1).unwrap();
    let node = known.node.unwrap();
    let before = Identity { node, address, epoch: 0, boot: 2, origin: OriginId(4711) };
    let began = cluster.now();
    let stranger = cluster.call_as_stranger(B);
    let hello = Hello {
        versions: (1, 1),
        cluster: "traces",
        identity: before,
        nonce: [7; 16],
        has_secret: false,
    };
    cluster.say(stranger, frame::encode(&Message::Hello(hello)));
    cluster.run(ms(10));
    cluster.say(stranger, frame::encode(&Message::Proof([0; PROOF_BYTES])));
    cluster.run(secs(2));
    let mut records = 0;
    let to_it = |sent: &&Sent| sent.at >= began && sent.to == Some(End::Stranger);
    for sent in cluster.sent.iter().filter(to_it) {
        match sent.message() {
            Message::Membership(some) => records += some.len(),
            Message::MembershipHashes(_) | Message::MembershipAsk(_) | Message::MembershipTold => {
                panic!("it does not know this")
            }
            _ => {}
        }
    }
    assert_eq!(records, 1_200);
}

/// `More addresses are registered than are asked at one time.` The one beyond them was said to be
/// taken in, and never asked.
#[test]
fn an_address_too_many_that_is_registered_is_refused_and_the_others_are_asked() {
    let mut cluster = Cluster::of(2);
    let silent = |n: usize| format!("10.9.{}.{}:8088", n / 200, n % 200);
    for n in 0..256 {
        cluster.register(A, &silent(n));
    }
    cluster.register(A, &silent(7));
    assert_eq!(cluster.try_register(A, &silent(256)), Err(PeersRefusal::TooManyAsked(256)));
    assert!(!cluster.listed(A).contains(&silent(256)));
    cluster.register(A, &cluster.address_of(B));
    cluster.run(secs(6));
    cluster.register(A, &silent(256));
    assert!(cluster.listed(A).contains(&silent(256)));
}

/// `Names under which operators know nodes were kept for ever, up to 256 of them; a node that was
/// registered under one more could not be removed under it, and the answer was that it was done.`
#[test]
fn a_node_is_removed_by_the_name_under_which_it_was_registered_last() {
    let mut cluster = Cluster::of(2);
    for n in 0..2_000 {
        let name = format!("name-{n}");
        cluster.give_name(&name, B);
        cluster.register(A, &name);
    }
    cluster.forget_name("name-1999");
    cluster.remove(A, "name-1999");
    assert!(!cluster.lists(A, B));
    assert_eq!(cluster.state(A, B), Some(PeerState::Removed));
}
