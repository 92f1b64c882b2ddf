//! Rule `ask-before-announcing`: nodes that know each other by `--join` alone.

use std::time::Duration;

use quipu_core::identity::Address;
use quipu_core::node::Config;

use crate::cluster::{A, B, C, Cluster, D, config, ms, secs};
use crate::network::Place;

const ISLANDS: [[Place; 2]; 2] = [[A, B], [C, D]];

fn seeds(of: impl IntoIterator<Item = String>) -> Vec<Address> {
    of.into_iter().map(|text| Address::parse(&text, 1).unwrap()).collect()
}

fn between_the_islands(mut each: impl FnMut(Place, Place)) {
    for one in ISLANDS[0] {
        for other in ISLANDS[1] {
            each(one, other);
        }
    }
}

/// Two islands of two nodes, which have never met; mended after a while. How long they then take.
fn meet_after(wait: Duration, seeds: &[Address]) -> Duration {
    let mut cluster = Cluster::new();
    for place in [A, B, C, D] {
        cluster.start(Config { discovery: false, seeds: seeds.to_vec(), ..config(place) });
        cluster.give_name(&format!("node-{place}"), place);
        between_the_islands(|one, other| cluster.cut(one, other));
    }
    cluster.run(wait);
    assert!(ISLANDS.iter().all(|[one, other]| cluster.are_linked(*one, *other)));
    between_the_islands(|one, other| cluster.mend(one, other));
    cluster.run_until("all are linked", secs(60), Cluster::all_linked)
}

/// A seed was asked every 15 seconds as soon as anyone at all was a member.
#[test]
fn islands_that_know_each_other_by_seeds_alone_meet_within_two_seconds() {
    let addresses = seeds((1..5).map(|n| format!("10.0.0.{n}:8088")));
    let names = seeds((0..4).map(|n| format!("node-{n}:8088")));
    for wait in [17_000, 21_000, 25_300, 29_700] {
        for seeds in [&addresses, &names] {
            let took = meet_after(ms(wait), seeds);
            assert!(took < ms(2_300), "mended {wait} ms after the start: {took:?}");
        }
    }
}

/// A seed whose node has gone down is asked as often, whoever else is there.
#[test]
fn a_seed_is_asked_again_within_a_second_once_its_node_is_down() {
    let mut cluster = Cluster::new();
    let all = seeds((1..4).map(|n| format!("10.0.0.{n}:8088")));
    for place in [A, B, C] {
        cluster.start(Config { discovery: false, seeds: all.clone(), ..config(place) });
    }
    cluster.run_until("all are linked", secs(3), Cluster::all_linked);
    cluster.run(secs(20));
    cluster.vanish(C);
    cluster.run_until("C is down", secs(6), |c| !c.lists(A, C) && !c.lists(B, C));
    // An empty disk: nobody knows its id, and it asks for nobody.
    let heir = Config { discovery: false, ..config(33) };
    let address = cluster.config_of(C).address.clone();
    cluster.restart(C, Config { address, ..heir });
    cluster.run_until("all are linked", secs(4), Cluster::all_linked);
}

/// Asks that a node sends, a second.
fn asks_a_second(cluster: &mut Cluster, place: Place) -> usize {
    let (began, before) = (cluster.now(), cluster.node(place).totals().beacons_sent);
    cluster.run(secs(30));
    let asks = cluster.node(place).totals().beacons_sent - before;
    asks as usize / cluster.now().since(began).as_secs() as usize
}

#[test]
fn seeds_that_are_up_are_asked_rarely_and_many_that_are_not_each_in_their_turn() {
    let mut cluster = Cluster::new();
    let up = seeds((1..4).map(|n| format!("10.0.0.{n}:8088")));
    for place in [A, B, C] {
        cluster.start(Config { discovery: false, seeds: up.clone(), ..config(place) });
    }
    cluster.run_until("all are linked", secs(3), Cluster::all_linked);
    cluster.run(secs(20));
    assert_eq!(asks_a_second(&mut cluster, A), 0);
    let gone = seeds((0..200).map(|n| format!("10.9.0.{n}:8088")));
    let many = up.into_iter().chain(gone).collect();
    let d = cluster.start(Config { discovery: false, seeds: many, ..config(D) });
    cluster.run_until("D is linked too", secs(3), Cluster::all_linked);
    cluster.run(secs(20));
    let asks = asks_a_second(&mut cluster, d);
    assert!((10..=17).contains(&asks), "{asks} asks a second");
}
