//! Rules `one-node-one-process` and `smaller-node-dials`: who dials whom, which of two links stays,
//! what ends one, whose a NodeId is.

use quipu_core::event::{Event, LinkEnd};
use quipu_core::identity::{Address, Identity, NodeId, OriginId};
use quipu_core::input::LinkId;
use quipu_core::name::CounterName;
use quipu_core::node::Config;
use quipu_core::operation::Op;
use quipu_core::status::PeerState;
use quipu_core::time::Time;
use quipu_core::wire::auth::PROOF_BYTES;
use quipu_core::wire::frame::{self, Goodbye, Hello, Message};
use quipu_core::wire::versions::PROTOCOL_VERSIONS;

use crate::cluster::{A, B, C, Cluster, add, config, ms, next_life, secs};
use crate::network::Place;

/// Who opened connections so far, by who said hello first: the dialer does.
fn dialers(cluster: &Cluster, one: Place, other: Place) -> Vec<Place> {
    let mut seen = Vec::new();
    let mut hellos: Vec<(Time, Place)> = [(one, other), (other, one)]
        .into_iter()
        .flat_map(|(from, to)| {
            cluster
                .frames(Time::ZERO, from, to)
                .filter(|sent| matches!(sent.message(), Message::Hello(_)))
                .map(move |sent| (sent.at, from))
        })
        .collect();
    hellos.sort_unstable();
    for pair in hellos.chunks(2) {
        seen.push(pair[0].1);
    }
    seen
}

fn link_down(reason: LinkEnd) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::LinkDown { reason: found, .. } if *found == reason)
}

/// Rule `smaller-node-dials`.
#[test]
fn the_smaller_node_id_dials_and_one_link_stands() {
    for (first, second) in [(A, B), (B, A)] {
        let mut cluster = Cluster::new();
        let config_of = |place| Config { node: NodeId(place as u64 + 1), ..config(place) };
        // Started in either order, so that either hears of the other first.
        let (node_a, node_b) = (config_of(first), config_of(second));
        cluster.start(Config { node: node_a.node, ..config(A) });
        cluster.start(Config { node: node_b.node, ..config(B) });
        cluster.run(secs(5));
        let smaller = if node_a.node < node_b.node { A } else { B };
        assert_eq!(dialers(&cluster, A, B), [smaller]);
        assert_eq!(cluster.connections(A, B), 1);
        assert!(cluster.are_linked(A, B));
    }
}

/// Rule `smaller-node-dials`.
#[test]
fn the_larger_dials_when_the_smaller_has_not_for_two_seconds() {
    let mut cluster = Cluster::new();
    cluster.forbid_dial(A, B);
    cluster.start(config(A));
    cluster.start(config(B));
    cluster.run_until("both know each other", secs(1), |c| c.lists(A, B) && c.lists(B, A));
    let took = cluster.run_until("they are linked", secs(4), |c| c.are_linked(A, B));
    assert!(took >= ms(1900) && took <= ms(2200), "{took:?}");
    assert_eq!(dialers(&cluster, A, B), [B]);
}

/// Rule `smaller-node-dials`.
#[test]
fn dials_that_fail_are_repeated_and_no_more_than_once_a_second() {
    let mut cluster = Cluster::new();
    cluster.forbid_dial(A, B);
    cluster.forbid_dial(B, A);
    cluster.start(config(A));
    cluster.start(config(B));
    cluster.run(secs(30));
    cluster.allow_dial(A, B);
    let took = cluster.run_until("they are linked", secs(3), |c| c.are_linked(A, B));
    assert!(
        took <= ms(2200),
        "a dial takes a second to fail, and is followed by another: {took:?}"
    );
}

/// Rule `smaller-node-dials`.
#[test]
fn a_silent_link_is_closed_after_three_seconds_and_dialed_again() {
    let mut cluster = Cluster::of(2);
    cluster.hold_frames(A, B);
    cluster.hold_frames(B, A);
    let began = cluster.now();
    cluster.run_until("B gives it up", secs(4), |c| c.told(began, B, link_down(LinkEnd::Silent)));
    assert!(cluster.now().since(began) >= ms(2000));
    assert!(cluster.lists(A, B), "datagrams still pass, so nobody is down");
    cluster.request(A, vec![add("x", 1)]);
    cluster.run(secs(5));
    cluster.release_frames(A, B);
    cluster.release_frames(B, A);
    cluster.run_until("they are linked again", secs(2), |c| c.are_linked(A, B));
    cluster.run_until("B has it", secs(1), |c| c.value(B, "x") == 1);
    cluster.run(secs(5));
    assert_eq!(cluster.connections(A, B), 1, "and of the old connections none is left");
}

/// Rule `smaller-node-dials`.
#[test]
fn a_link_that_carries_nothing_else_is_kept_by_signs_of_life() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    cluster.hold_syncs(A);
    cluster.hold_syncs(B);
    cluster.run(secs(20));
    let ended = |event: &Event| matches!(event, Event::LinkDown { .. });
    assert!(!cluster.told(began, A, ended) && !cluster.told(began, B, ended));
}

/// Rule `smaller-node-dials`.
#[test]
fn of_two_links_the_one_that_the_smaller_dialed_stays_on_both_sides() {
    let mut cluster = Cluster::new();
    cluster.forbid_dial(A, B);
    cluster.start(config(A));
    cluster.start(config(B));
    cluster.run_until("the larger has dialed", secs(5), |c| c.are_linked(A, B));
    // B's link breaks on A's side only: A dials while B still holds its own link for sound.
    cluster.allow_dial(A, B);
    cluster.lose_link(A, B);
    cluster.run(secs(5));
    assert_eq!(cluster.connections(A, B), 1);
    assert!(cluster.are_linked(A, B));
    assert_eq!(dialers(&cluster, A, B), [B, A]);
    cluster.add(A, "x", 1);
    cluster.add(B, "x", 1);
    cluster.run(ms(10));
    assert!(cluster.agree());
    assert_eq!(cluster.value(A, "x"), 2);
}

/// Rule `smaller-node-dials`.
#[test]
fn a_link_outlives_the_suspicion_of_its_peer() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    // Datagrams get lost, frames pass: SWIM declares down what the link knows to be alive.
    cluster.lose_datagrams(usize::MAX);
    cluster.run_until("B is down for A", secs(10), |c| !c.lists(A, B));
    cluster.add(A, "x", 1);
    cluster.run(ms(1));
    assert_eq!(cluster.value(B, "x"), 1, "the link still carries");
    assert!(!cluster.told(began, A, |event| matches!(event, Event::LinkDown { .. })));
    cluster.lose_datagrams(0);
    cluster.run_until("B is back", secs(5), |c| c.lists(A, B) && c.lists(B, A));
}

/// Rule `one-node-one-process`.
#[test]
fn a_quick_restart_replaces_a_half_open_link() {
    let mut cluster = Cluster::of(3);
    cluster.add(C, "x", 5);
    cluster.run(ms(10));
    cluster.vanish(C);
    cluster.run(ms(200));
    assert!(cluster.link(A, C).is_some(), "A's connection still seems to stand");
    let config = next_life(cluster.config_of(C));
    let old = cluster.config_of(C).node;
    cluster.restart(C, config);
    let took = cluster.run_until("C is linked again", secs(5), |c| {
        c.are_linked(A, C) && c.are_linked(B, C) && c.value(C, "x") == 5
    });
    assert!(took < secs(4), "{took:?}");
    assert_eq!(cluster.id_of(C), old, "it keeps its id");
    cluster.run(secs(5));
    cluster.add(C, "x", 1);
    cluster.run(ms(10));
    assert_eq!(cluster.value(A, "x"), 6);
}

/// Rule `one-node-one-process`.
#[test]
fn a_restarted_node_that_dials_need_not_wait_for_the_old_links_silence() {
    let mut cluster = Cluster::of(2);
    cluster.vanish(A);
    cluster.run(ms(100));
    let config = next_life(cluster.config_of(A));
    cluster.restart(A, config);
    let began = cluster.now();
    let took = cluster.run_until("A is linked again", secs(3), |c| c.are_linked(A, B));
    assert!(took >= secs(1) && took < ms(1500), "probed for a second: {took:?}");
    assert!(!cluster.told(began, B, link_down(LinkEnd::Silent)));
}

/// Rule `one-node-one-process`.
///
/// `A says something and is killed; it starts again and dials B; what it said is sent again by its
/// kernel, and comes while B probes the old link.` B took that for a sign of life, and A gave up its id.
#[test]
fn a_late_word_of_a_former_life_is_no_answer_to_the_probe() {
    let mut cluster = Cluster::of(2);
    let (old, id) = (cluster.name_of_link(A, B), cluster.id_of(A));
    cluster.vanish(A);
    cluster.run(ms(100));
    let config = next_life(cluster.config_of(A));
    cluster.restart(A, config);
    let began = cluster.now();
    cluster.run_until("B holds the new link", secs(1), |c| c.connections(A, B) > 0);
    cluster.run(ms(300));
    assert!(!cluster.told(began, B, |event| matches!(event, Event::LinkUp { .. })), "it probes");
    cluster.arrive_late(old, &Message::DigestHash(7));
    cluster.run_until("A is linked again", secs(3), |c| c.are_linked(A, B));
    assert_eq!(cluster.id_of(A), id);
}

/// Rule `one-node-one-process`.
#[test]
fn a_copy_of_a_running_node_is_told_so_and_takes_a_fresh_id() {
    let mut cluster = Cluster::of(3);
    cluster.add(B, "x", 5);
    cluster.run(ms(10));
    let began = cluster.now();
    // B's data directory, copied to another machine and started there.
    let address = Address::parse("10.0.0.4:8088", 1).unwrap();
    let copy = Config { address, chance: [44; 32], ..next_life(cluster.config_of(B)) };
    let copy = cluster.start(copy);
    cluster.run_until("one of the two has a fresh id", secs(15), |c| c.id_of(copy) != c.id_of(B));
    cluster.run_until("all four are linked", secs(10), Cluster::all_linked);
    cluster.run(secs(10));
    assert!(cluster.all_linked(), "and stay so");
    let taken = |event: &Event| matches!(event, Event::NodeIdTaken { .. });
    assert!(cluster.told(began, copy, taken) && !cluster.told(began, B, taken));
    cluster.add(B, "x", 1);
    cluster.add(copy, "x", 10);
    cluster.run(ms(10));
    assert!(cluster.agree());
    assert_eq!(cluster.value(A, "x"), 16);
}

/// Rule `one-node-one-process`.
///
/// A copies' boot is a wall clock's, far beyond that of the node that it was copied from. A meets
/// it; it learns that its id is in use and takes another; A now holds a newer incarnation of B's id for
/// down, and answers all that B says with "you are down". B comes back with its boot plus one,
/// which is still not later.
#[test]
fn a_node_returns_though_a_much_later_copy_of_it_had_its_id_for_a_moment() {
    let mut cluster = Cluster::of(2);
    let life = next_life(cluster.config_of(B));
    let address = Address::parse("10.0.0.4:8088", 1).unwrap();
    let seeds = vec![Address::parse(&cluster.address_of(A), 1).unwrap()];
    let boot = life.boot + 60_000;
    let copy = Config { address, boot, seeds, discovery: false, chance: [44; 32], ..life };
    let copy = cluster.start(copy);
    cluster.run_until("one of the two has a fresh id", secs(15), |c| c.id_of(copy) != c.id_of(B));
    // It has come back in vain for three seconds, and waits up to five between two tries.
    cluster.run_until("B is listed again", secs(6), |c| c.lists(A, B) && c.lists(A, copy));
    cluster.run_until("all three are linked", secs(10), Cluster::all_linked);
    cluster.run(secs(10));
    assert!(cluster.all_linked() && cluster.lists(A, B) && cluster.lists(A, copy), "and stay so");
}

/// Rule `one-node-one-process`.
///
/// B has no link at the moment. Its copy, whose boot is later, meets A and is linked; B's dials
/// are now those of an earlier life of a live member, which A refused as from nobody it knows.
#[test]
fn a_node_that_dials_only_after_its_copy_was_linked_is_told_so() {
    let mut cluster = Cluster::of(2);
    cluster.add(B, "x", 5);
    cluster.run(ms(10));
    for (one, other) in [(A, B), (B, A)] {
        cluster.forbid_dial(one, other);
    }
    cluster.break_links(A, B);
    let life = next_life(cluster.config_of(B));
    let address = Address::parse("10.0.0.4:8088", 1).unwrap();
    let seeds = vec![Address::parse(&cluster.address_of(A), 1).unwrap()];
    let boot = life.boot + 60_000;
    let copy = Config { address, boot, seeds, discovery: false, chance: [44; 32], ..life };
    let copy = cluster.start(copy);
    cluster.run_until("the copy is linked", secs(5), |c| c.are_linked(A, copy));
    for (one, other) in [(A, B), (B, A)] {
        cluster.allow_dial(one, other);
    }
    cluster.run_until("one of the two has a fresh id", secs(5), |c| c.id_of(copy) != c.id_of(B));
    cluster.run_until("all three are linked", secs(10), Cluster::all_linked);
    cluster.add(B, "x", 1);
    cluster.add(copy, "x", 10);
    cluster.run(secs(10));
    assert!(cluster.all_linked() && cluster.lists(A, B) && cluster.lists(A, copy), "and stay so");
    assert!(cluster.agree());
    assert_eq!(cluster.value(A, "x"), 16);
}

/// The data directory of a node, copied to a fourth machine and started there.
fn copy_of(config: &Config) -> Config {
    let address = Address::parse("10.0.0.4:8088", 1).unwrap();
    Config { address, chance: [44; 32], ..next_life(config) }
}

/// Rule `one-node-one-process`.
///
/// `A starts alone; its disk is copied to D; D starts: each hears calls of its own NodeId, and no
/// third is there to refuse one of them.` They ignored each other for ever.
#[test]
fn a_copy_that_meets_nobody_but_its_original_takes_a_fresh_id() {
    let mut cluster = Cluster::of(1);
    cluster.add(A, "x", 5);
    cluster.run(ms(10));
    let began = cluster.now();
    let copy = cluster.start(copy_of(cluster.config_of(A)));
    cluster.run_until("the two are linked", secs(10), Cluster::all_linked);
    let taken = |event: &Event| matches!(event, Event::NodeIdTaken { .. });
    assert!(cluster.told(began, copy, taken) && !cluster.told(began, A, taken));
    cluster.run(secs(10));
    assert!(cluster.all_linked() && cluster.agree());
    assert_eq!(cluster.value(copy, "x"), 5);
}

/// Rule `one-node-one-process`.
///
/// `B is cut off; a copy of its disk starts on D, later than B; D dies; the cut is mended.` A and C
/// held the id for down, in a start that comes after B's: nothing that B said was taken, and nobody
/// told it which start to outrank.
#[test]
fn the_original_comes_back_after_a_copy_that_is_gone() {
    let mut cluster = Cluster::of(3);
    cluster.cut(A, B);
    cluster.cut(B, C);
    let down = Some(PeerState::Down);
    cluster.run_until("B is down", secs(15), |c| c.state(A, B) == down && c.state(C, B) == down);
    let copy = copy_of(cluster.config_of(B));
    let copy = cluster.start(Config { boot: copy.boot + 1_000, ..copy });
    cluster.cut(B, copy);
    cluster.run_until("A and C know the copy", secs(10), |c| {
        c.are_linked(A, copy) && c.are_linked(copy, C)
    });
    cluster.crash(copy);
    cluster.run_until("the copy is down", secs(15), |c| {
        c.listed(A).len() == 1 && c.listed(C).len() == 1
    });
    cluster.mend(A, B);
    cluster.mend(B, C);
    cluster.run_until("B is back", secs(10), Cluster::all_linked);
    cluster.run(secs(5));
    assert!(cluster.all_linked(), "and stays");
}

/// Rule `one-node-one-process`.
///
/// `D's address is removed and registered again; a copy of B's disk starts there: its epoch is that
/// registration's.` No start of B's comes after it, so B returned, was refused and returned, without
/// pause and for ever.
#[test]
fn a_node_whose_copy_has_a_later_epoch_takes_a_fresh_id() {
    const D: Place = 3;
    let mut cluster = Cluster::of(4);
    let there = cluster.address_of(D);
    cluster.remove(A, &there);
    cluster.run_until("D is removed", secs(5), |c| !c.lists(A, D) && !c.lists(B, D));
    cluster.register(A, &there);
    cluster.run_until("D is back", secs(10), Cluster::all_linked);
    cluster.crash(D);
    for other in [A, C, D] {
        cluster.cut(B, other);
    }
    let copy = copy_of(cluster.config_of(B));
    cluster.restart(D, copy);
    cluster.run_until("the copy is linked", secs(20), |c| c.are_linked(A, D) && c.are_linked(C, D));
    cluster
        .run_until("it has the epoch", secs(5), |c| c.node(D).status(c.now()).identity.epoch > 0);
    for other in [A, C, D] {
        cluster.mend(B, other);
    }
    cluster.run_until("one of the two has a fresh id", secs(15), |c| c.id_of(D) != c.id_of(B));
    cluster.run_until("all are linked", secs(15), Cluster::all_linked);
    let calm = cluster.now();
    cluster.run(secs(10));
    assert!(cluster.all_linked(), "and stay so");
    let datagrams: usize =
        [A, B, C, D].map(|place| cluster.datagrams_since(calm, place)).iter().sum();
    assert!(datagrams < 4_000, "they flood each other: {datagrams} datagrams in ten seconds");
}

/// Rule `one-node-one-process`.
///
/// `A copy meets B, which tells it that its id is in use, and knows its life under it for down; B is
/// started anew and knows nothing of it.` The copy itself still does, and refused its original for
/// ever, without a word about which start to outrank.
#[test]
fn a_copy_that_alone_knows_its_former_life_lets_its_original_in() {
    let mut cluster = Cluster::of(2);
    let seeds = vec![Address::parse(&cluster.address_of(B), 1).unwrap()];
    let copy = copy_of(cluster.config_of(A));
    let boot = copy.boot + 60_000;
    let copy = cluster.start(Config { boot, seeds, discovery: false, ..copy });
    cluster.cut(A, copy);
    cluster.run_until("it has a fresh id", secs(15), |c| c.id_of(copy) != c.id_of(A));
    cluster.cut(A, B);
    cluster.run_until("B and the copy are linked", secs(10), |c| c.are_linked(B, copy));
    cluster.run(secs(2));
    cluster.crash(B);
    let config = next_life(cluster.config_of(B));
    cluster.restart(B, config);
    cluster.run_until("they are again", secs(10), |c| c.are_linked(B, copy));
    cluster.mend(A, B);
    cluster.mend(A, copy);
    cluster.run_until("all three are linked", secs(20), Cluster::all_linked);
    assert!(cluster.lists(copy, A) && cluster.lists(A, copy));
}

/// Rule `smaller-node-dials`.
///
/// `A restarts and dials B, which holds the link while it asks the old one for a sign of life; A dials
/// once more; the old link is silent, and B lets both in at the same moment.` The first of the two was
/// replaced before it was noted, and noted afterwards: B waited for that link's first digest for
/// ever, and refused every raise.
#[test]
fn of_two_links_that_are_let_in_at_once_one_is_left() {
    let mut cluster = Cluster::of(2);
    cluster.vanish(A);
    let known = cluster.node(B).status(cluster.now()).peers.remove(0);
    let address = Address::parse(&known.address, 1).unwrap();
    let node = known.node.unwrap();
    let again = Identity { node, address, epoch: 0, boot: 2, origin: OriginId(4711) };
    let dials = [(); 2].map(|()| {
        let dial = cluster.call_as_stranger(B);
        cluster.say(dial, frame::encode(&Message::Hello(hello(again.clone()))));
        cluster.run(ms(10));
        cluster.say(dial, frame::encode(&Message::Proof([0; PROOF_BYTES])));
        dial
    });
    cluster.run_until("one is left", secs(2), |c| c.heard(dials[0]).is_closed);
    assert!(!cluster.heard(dials[1]).is_closed);
    let digest = Message::Digest { recent: Vec::new(), rest: 0 };
    let hashes = Message::SettlementHashes { rest: 0, held: Vec::new() };
    for message in [hashes, Message::SettlementTold, digest] {
        cluster.say(dials[1], frame::encode(&message));
        cluster.run(ms(10));
    }
    let raise = Op::Raise { name: CounterName::DEFAULT, to: 7 };
    let raise = cluster.request(B, vec![raise]);
    cluster.run(ms(10));
    assert!(cluster.reply(raise).is_some(), "it waits for a link that is gone");
}

// --- what a stranger can say ---------------------------------------------------------------------

/// A hello that nobody could object to, but that nobody knows its sender.
fn hello(identity: Identity) -> Hello<'static> {
    Hello {
        versions: PROTOCOL_VERSIONS,
        cluster: "traces",
        identity,
        nonce: [7; 16],
        has_secret: false,
    }
}

fn unknown() -> Identity {
    Identity {
        node: NodeId(4711),
        address: Address::parse("10.0.0.99:8088", 1).unwrap(),
        epoch: 0,
        boot: 1,
        origin: OriginId(4711),
    }
}

/// Why the stranger was sent away, if it was.
fn goodbye(cluster: &Cluster, stranger: LinkId) -> Option<Goodbye> {
    let heard = cluster.heard(stranger);
    let goodbye = heard.frames.iter().find_map(|frame| match frame::decode(frame) {
        Ok(Message::Goodbye(goodbye)) => Some(goodbye),
        _ => None,
    });
    goodbye.filter(|_| heard.is_closed)
}

/// Says a hello, and tells why it was refused.
fn refusal_of(hello: Hello<'_>) -> Option<Goodbye> {
    let mut cluster = Cluster::of(2);
    let stranger = cluster.call_as_stranger(A);
    cluster.say(stranger, frame::encode(&Message::Hello(hello)));
    cluster.run(ms(1));
    if goodbye(&cluster, stranger).is_none() {
        cluster.say(stranger, frame::encode(&Message::Proof([0; PROOF_BYTES])));
        cluster.run(ms(1));
    }
    goodbye(&cluster, stranger)
}

#[test]
fn a_hello_is_refused_with_the_reason() {
    let me = Identity { origin: OriginId(100), node: NodeId(1), ..unknown() };
    let (lowest, highest) = PROTOCOL_VERSIONS;
    for (hello, reason) in [
        (Hello { cluster: "another", ..hello(unknown()) }, Goodbye::OtherCluster),
        (Hello { has_secret: true, ..hello(unknown()) }, Goodbye::WrongSecret),
        (Hello { versions: (90, 99), ..hello(unknown()) }, Goodbye::Versions(lowest, highest)),
        (hello(me), Goodbye::Itself),
        (hello(unknown()), Goodbye::NotAMember),
    ] {
        assert_eq!(refusal_of(hello), Some(reason));
    }
}

#[test]
fn a_hello_that_speaks_older_and_newer_versions_too_is_not_refused_for_them() {
    let hello = Hello { versions: (0, 99), ..hello(unknown()) };
    assert_eq!(refusal_of(hello), Some(Goodbye::NotAMember), "but for another reason");
}

#[test]
fn whoever_speaks_out_of_turn_is_cut_off_and_nothing_changes() {
    let push = Message::Push { after: 0, batches: 1, age_us: 0, changes: Vec::new() };
    for message in [push, Message::Welcome, Message::Proof([0; PROOF_BYTES]), Message::Ping] {
        let mut cluster = Cluster::of(2);
        let listed = cluster.listed(A);
        let stranger = cluster.call_as_stranger(A);
        cluster.say(stranger, frame::encode(&message));
        cluster.run(ms(1));
        assert!(cluster.heard(stranger).is_closed, "{message:?}");
        assert!(cluster.heard(stranger).frames.is_empty(), "{message:?} is answered");
        assert_eq!(cluster.listed(A), listed);
        assert!(cluster.node(A).counters().is_empty());
    }
}

#[test]
fn a_stranger_that_says_nothing_is_cut_off_and_only_so_many_are_let_in_at_a_time() {
    let mut cluster = Cluster::of(2);
    let strangers: Vec<LinkId> = (0..1000).map(|_| cluster.call_as_stranger(A)).collect();
    cluster.run(ms(10));
    let open = strangers.iter().filter(|link| !cluster.heard(**link).is_closed).count();
    assert!(open <= 128, "{open} are waited for");
    cluster.run(secs(4));
    assert!(strangers.iter().all(|link| cluster.heard(*link).is_closed));
    assert!(cluster.are_linked(A, B));
}

#[test]
fn a_word_of_removal_or_of_a_taken_id_counts_only_from_who_has_proved_itself() {
    for goodbye in [Goodbye::NodeIdInUse(NodeId(1)), Goodbye::Leaving, Goodbye::Removed(Vec::new())]
    {
        let mut cluster = Cluster::of(2);
        let stranger = cluster.call_as_stranger(A);
        let known = cluster.node(B).status(cluster.now()).identity;
        cluster.say(stranger, frame::encode(&Message::Hello(hello(known))));
        cluster.say(stranger, frame::encode(&Message::Goodbye(goodbye)));
        cluster.run(secs(1));
        assert_eq!(cluster.id_of(A), NodeId(1));
        assert!(cluster.are_linked(A, B) && cluster.lists(A, B));
    }
}
