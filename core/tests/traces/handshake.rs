//! What is believed before the proof, and after it: goodbyes, recordings, versions, ids.

use bytes::Bytes;
use quipu_core::event::Event;
use quipu_core::identity::{Address, Identity, NodeId, OriginId};
use quipu_core::input::LinkId;
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::node::Config;
use quipu_core::time::Time;
use quipu_core::wire::auth::{PROOF_BYTES, Secret};
use quipu_core::wire::frame::{self, Goodbye, Hello, Message};
use quipu_core::wire::versions::PROTOCOL_VERSIONS;

use crate::cluster::{A, B, Cluster, config, ms, raise, secs};
use crate::network::Place;

const ADDRESS_B: &str = "10.0.0.2:8088";

fn identity_of(cluster: &Cluster, place: Place) -> Identity {
    cluster.node(place).status(cluster.now()).identity
}

fn hello(identity: Identity) -> Hello<'static> {
    Hello {
        versions: PROTOCOL_VERSIONS,
        cluster: "traces",
        identity,
        nonce: [7; 16],
        has_secret: false,
    }
}

/// With what a stranger was sent away last.
fn goodbye(cluster: &Cluster, stranger: LinkId) -> Option<Goodbye> {
    let heard = cluster.heard(stranger);
    match frame::decode(heard.frames.last()?) {
        Ok(Message::Goodbye(goodbye)) if heard.is_closed => Some(goodbye),
        _ => None,
    }
}

/// A stranger says who it is and proves it as anyone can where there is no secret.
fn answer_to(cluster: &mut Cluster, hello: Hello<'_>) -> Option<Goodbye> {
    let stranger = cluster.call_as_stranger(A);
    cluster.say(stranger, frame::encode(&Message::Hello(hello)));
    cluster.run(ms(1));
    if goodbye(cluster, stranger).is_none() {
        cluster.say(stranger, frame::encode(&Message::Proof([0; PROOF_BYTES])));
        cluster.run(ms(1));
    }
    goodbye(cluster, stranger)
}

/// `A stranger says that it is B, and that B leaves, or that A was removed.`
#[test]
fn a_goodbye_before_the_proof_changes_nothing_for_a_moment() {
    let mut cluster = Cluster::of(2);
    let (a, b) = (identity_of(&cluster, A), identity_of(&cluster, B));
    let keys = [Key::Node(a.node), Key::Address(a.address)];
    let removal = keys.map(|key| MembershipRecord { key, removed: 7, registered: 0 });
    for goodbye in [Goodbye::Leaving, Goodbye::Removed(removal.to_vec())] {
        let began = cluster.now();
        let stranger = cluster.call_as_stranger(A);
        cluster.say(stranger, frame::encode(&Message::Hello(hello(b.clone()))));
        cluster.say(stranger, frame::encode(&Message::Goodbye(goodbye.clone())));
        cluster.run(ms(1));
        assert!(cluster.heard(stranger).is_closed);
        cluster.run(secs(3));
        assert!(
            !cluster.told(began, A, |event| matches!(event, Event::PeerDown(_))),
            "{goodbye:?}"
        );
        assert!(!cluster.node(A).status(cluster.now()).removed, "{goodbye:?}");
    }
}

#[test]
fn a_goodbye_over_a_link_is_believed_where_no_datagram_tells_of_it() {
    let mut cluster = Cluster::of(2);
    cluster.lose_datagrams(usize::MAX);
    cluster.leave(B);
    cluster.run(ms(10));
    assert!(!cluster.lists(A, B));

    let mut cluster = Cluster::of(2);
    cluster.lose_datagrams(usize::MAX);
    cluster.remove(A, ADDRESS_B);
    cluster.run(ms(10));
    assert!(cluster.node(B).status(cluster.now()).removed, "it was told the records");
}

#[test]
fn a_hello_is_refused_for_what_is_wrong_with_it_and_for_nothing_else() {
    let (_, highest) = PROTOCOL_VERSIONS;
    let mut cluster = Cluster::of(2);
    let me = identity_of(&cluster, A);
    let address = Address::parse("10.0.0.99:8088", 1).unwrap();
    let unknown =
        Identity { node: NodeId(4711), address, epoch: 0, boot: 1, origin: OriginId(4711) };
    let of_next_release = Hello { versions: (highest, 99), ..hello(unknown.clone()) };
    assert_eq!(answer_to(&mut cluster, of_next_release), Some(Goodbye::NotAMember));
    let too_late = Hello { versions: (highest + 1, 99), ..hello(unknown.clone()) };
    let (lowest, highest) = PROTOCOL_VERSIONS;
    assert_eq!(answer_to(&mut cluster, too_late), Some(Goodbye::Versions(lowest, highest)));
    // Another process under this node's id, or what says to be this process under another.
    let other_life = Identity { node: me.node, ..unknown.clone() };
    assert_eq!(answer_to(&mut cluster, hello(other_life)), Some(Goodbye::NotAMember));
    let other_id = Identity { origin: me.origin, ..unknown };
    assert_eq!(answer_to(&mut cluster, hello(other_id)), Some(Goodbye::NotAMember));
    assert_eq!(answer_to(&mut cluster, hello(me)), Some(Goodbye::Itself));
    let totals = cluster.node(A).totals();
    assert_eq!((totals.hellos_refused, totals.links_established), (5, 1));
}

#[test]
fn what_strangers_do_to_a_node_is_counted() {
    let mut cluster = Cluster::of(1);
    for _ in 0..2 {
        let stranger = cluster.call_as_stranger(A);
        cluster.say(stranger, frame::encode(&Message::Welcome));
        cluster.run(ms(1));
    }
    assert_eq!(cluster.node(A).totals().bad_frames, 2);
    (0..130).for_each(|_| {
        cluster.call_as_stranger(A);
    });
    assert_eq!(cluster.node(A).totals().hellos_refused, 2, "128 may be in their handshake");
}

/// B began a second time, and is up.
fn with_a_later_b() -> (Cluster, Identity) {
    let mut cluster = Cluster::new();
    cluster.start(config(A));
    cluster.start(Config { boot: 5, ..config(B) });
    cluster.forbid_dial(A, B);
    cluster.forbid_dial(B, A);
    cluster.run_until("A lists B", secs(3), |c| c.lists(A, B));
    let former = Identity { boot: 4, origin: OriginId(7), ..identity_of(&cluster, B) };
    (cluster, former)
}

#[test]
fn a_former_life_of_a_member_is_not_let_in() {
    let (mut cluster, former) = with_a_later_b();
    assert_eq!(answer_to(&mut cluster, hello(former)), Some(Goodbye::NotAMember));
}

/// Rule `one-node-one-process`.
#[test]
fn a_former_life_is_not_let_in_either_where_the_later_one_is_silent() {
    let (mut cluster, former) = with_a_later_b();
    cluster.allow_dial(A, B);
    cluster.run_until("they are linked", secs(5), |c| c.are_linked(A, B));
    cluster.hold_frames(B, A);
    let held = cluster.call_as_stranger(A);
    cluster.say(held, frame::encode(&Message::Hello(hello(former))));
    cluster.say(held, frame::encode(&Message::Proof([0; PROOF_BYTES])));
    cluster.run(ms(500));
    assert!(!cluster.heard(held).is_closed, "it waits while B is asked for a sign of life");
    cluster.run(ms(600));
    assert_eq!(goodbye(&cluster, held), Some(Goodbye::NotAMember));
}

#[test]
fn a_node_that_takes_a_fresh_id_ends_all_links_that_it_had_under_the_old_one() {
    let mut cluster = Cluster::of(3);
    let id = cluster.id_of(A);
    let began = cluster.now();
    cluster.inject(B, A, &Message::Goodbye(Goodbye::NodeIdInUse(id)));
    cluster.run(ms(1));
    assert_ne!(cluster.id_of(A), id);
    let ended = |event: &Event| matches!(event, Event::LinkDown { .. });
    assert_eq!(cluster.count_told(began, A, ended), 2);
    cluster.run_until("all are linked", secs(5), Cluster::all_linked);
}

/// Rule `smaller-node-dials`.
#[test]
fn what_is_pushed_goes_on_the_link_that_is_left_of_two_and_on_no_other() {
    let mut cluster = Cluster::new();
    cluster.forbid_dial(A, B);
    cluster.start(config(A));
    cluster.start(config(B));
    cluster.run_until("the larger has dialed", secs(5), |c| c.are_linked(A, B));
    cluster.allow_dial(A, B);
    cluster.lose_link(A, B);
    cluster.run(secs(2));
    assert!(cluster.are_linked(A, B));
    let began = cluster.now();
    cluster.add(B, "x", 1);
    cluster.run(ms(1));
    let is_push = |message: &Message<'_>| matches!(message, Message::Push { .. });
    let push = cluster.frames(began, B, A).find(|sent| is_push(&sent.message())).unwrap();
    assert_eq!(push.shared_by, 1);
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_link_that_was_just_lost_holds_up_raises() {
    let mut cluster = Cluster::of(3);
    cluster.run(secs(10));
    cluster.forbid_dial(A, B);
    cluster.forbid_dial(B, A);
    cluster.break_links(A, B);
    let raised = cluster.request(A, vec![raise("x", 5)]);
    cluster.run(ms(500));
    assert!(cluster.reply(raised).is_none(), "B may know more");
    cluster.run(secs(5));
    assert_eq!(cluster.ask(A, vec![raise("y", 5)])[0].map(|value| value.0), Ok(5), "C vouches");
}

/// The last frame of one kind that left one node for the other.
fn last_sent(
    cluster: &Cluster,
    from: Place,
    to: Place,
    is_it: fn(&Message<'_>) -> bool,
) -> Option<Bytes> {
    let sent = cluster.frames(Time::ZERO, from, to).filter(|sent| is_it(&sent.message())).last();
    sent.map(|sent| sent.bytes.clone())
}

/// `A stranger has recorded how B proved itself, and plays it to A.` Each proof holds for the nonces
/// of one connection.
#[test]
fn a_recorded_proof_proves_nothing_on_another_connection() {
    let secret = || Some(Secret::new(b"the knots are tied at noon").unwrap());
    let mut cluster = Cluster::new();
    // B dials.
    cluster.forbid_dial(A, B);
    for place in [A, B] {
        cluster.start(Config { secret: secret(), ..config(place) });
    }
    cluster.run_until("they are linked", secs(5), Cluster::all_linked);
    let recorded = [
        last_sent(&cluster, B, A, |message| matches!(message, Message::Hello(_))),
        last_sent(&cluster, B, A, |message| matches!(message, Message::Proof(_))),
    ];
    let began = cluster.now();
    let stranger = cluster.call_as_stranger(A);
    for frame in recorded {
        cluster.say(stranger, frame.expect("B has dialed"));
    }
    cluster.run(ms(10));
    assert_eq!(goodbye(&cluster, stranger), Some(Goodbye::WrongSecret));
    assert!(!cluster.told(began, A, |event| matches!(event, Event::LinkUp { .. })));
    assert!(cluster.are_linked(A, B));
}

/// Rule `smaller-node-dials`.
#[test]
fn beside_a_link_that_the_smaller_dialed_the_larger_is_refused_another() {
    let mut cluster = Cluster::of(2);
    cluster.forbid_dial(A, B);
    let began = cluster.now();
    // A still holds its link for sound.
    cluster.lose_link(B, A);
    let is_refused = |c: &Cluster| {
        let mut sent = c.frames(began, A, B);
        sent.any(|sent| sent.message() == Message::Goodbye(Goodbye::Duplicate))
    };
    cluster.run_until("B is refused", ms(2900), is_refused);
    cluster.run(ms(10));
    assert!(!cluster.told(began, B, |event| matches!(event, Event::LinkUp { .. })));
    assert!(!cluster.told(began, A, |event| matches!(event, Event::LinkDown { .. })));
    cluster.run_until("they are linked again", secs(5), |c| c.are_linked(A, B));
    assert_eq!(cluster.connections(A, B), 1);
}
