//! A node that has lived for ten years beside a young one that shows the same counts: what its links
//! carry is in proportion to what it holds when another joins, and to what changes from then on.

use quipu_core::counters::Counters;
use quipu_core::delta::{Change, Delta};
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::peers::registry::Registry;
use quipu_core::slot::{Numbers, Slot};
use quipu_core::storage::state::Recovered;
use quipu_core::time::Time;

use crate::cluster::{A, B, C, Cluster, config, secs};
use crate::network::Place;

/// Starts of nodes in ten years, each of which has counted on one counter.
const STARTS: u64 = 8_000;
/// Other counters, of three slots each.
const COUNTERS: u64 = 2_000;
const REMOVALS: u64 = 500;

/// Rows of a digest that a node tells one by one in a second.
const RECENT_ROWS_MAX: u64 = 1_024;

/// A record of a removed node, and one of its address, take some 22 and 31 bytes.
const RECORD_BYTES: u64 = 40;

fn origin(n: u64) -> OriginId {
    OriginId((n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A table of so many origins, the same in its values whatever their number.
fn kept(place: Place, origins: u64, removals: u64) -> Recovered {
    let names: Vec<String> = (0..COUNTERS).map(|n| format!("counter-{n}")).collect();
    let mut counters = Counters::new(config(place).origin, 0);
    let change =
        |name, plus| Change::slot(name, Slot::from(Numbers { plus, ..Numbers::default() }));
    let mut counted: Vec<Vec<&str>> = vec![Vec::new(); origins as usize];
    for (at, name) in (0..).zip(&names) {
        (0..3).for_each(|slot| counted[((at * 4099 + slot) % origins) as usize].push(name));
    }
    for (n, names) in (0..).zip(&counted) {
        let mut changes = vec![change("x", STARTS / origins + u64::from(n < STARTS % origins))];
        changes.extend(names.iter().map(|name| change(name, 1)));
        counters.merge(&Delta { origin: origin(n), after: 0, upto: 9, changes }).unwrap();
    }
    let mut registry = Registry::default();
    for n in 0..removals {
        let address = Address::parse(&format!("10.1.{}.{}:1", n / 256, n % 256), 1).unwrap();
        for key in [Key::Node(NodeId(1_000_000 + n)), Key::Address(address)] {
            registry.merge(&MembershipRecord { key, removed: 1, registered: 0 });
        }
    }
    Recovered::holding(counters).with_registry(registry)
}

/// Two nodes that have kept all of it, or a table of three origins with the same values.
fn two(origins: u64, removals: u64) -> Cluster {
    let mut cluster = Cluster::new();
    for place in [A, B] {
        cluster.start_on(config(place), kept(place, origins, removals));
    }
    cluster
}

/// Bytes of all frames from one to the other since a time.
fn bytes(cluster: &Cluster, since: Time, from: Place, to: Place) -> usize {
    cluster.frames(since, from, to).map(|sent| sent.bytes.len()).sum()
}

/// Rule `exchange-every-second`.
///
/// `A node of an old cluster starts again.` In its first two seconds it told each peer a thousand of
/// the rows that it had found on its disk, as if they had just changed.
#[test]
fn a_link_between_old_nodes_carries_what_one_between_young_ones_does() {
    let carried = |origins, removals| {
        let mut cluster = two(origins, removals);
        let began = cluster.now();
        cluster.run_until("they are linked", secs(3), Cluster::all_linked);
        cluster.run(secs(5));
        let met = cluster.now();
        cluster.run(secs(60));
        assert_eq!(cluster.node(A).totals().catch_ups_asked, 0);
        let both = |since| bytes(&cluster, since, A, B) + bytes(&cluster, since, B, A);
        (both(began) - both(met), both(met))
    };
    let (old, young) = (carried(STARTS, REMOVALS), carried(3, 0));
    // The hashes of 256 parts of the records, each way.
    assert!(old.0 < young.0 + 2 * 256 * 10 + 100, "in their first seconds: {old:?}, {young:?}");
    // Whose second begins when is another matter.
    assert!(old.1 < young.1 + 100, "in a minute of rest: {old:?}, {young:?}");
}

/// Rule `the-one-who-lacks-asks`.
#[test]
fn who_joins_an_old_cluster_hears_each_slot_and_record_once_and_little_beside_it() {
    let mut cluster = two(STARTS, REMOVALS);
    cluster.run_until("they are linked", secs(3), Cluster::all_linked);
    cluster.run(secs(3));
    let began = cluster.now();
    cluster.start(config(C));
    let slots = STARTS + 3 * COUNTERS;
    let records = 2 * REMOVALS;
    let took = cluster.run_until("C has all", secs(10), |c| {
        let held = c.node(C).totals().catch_up_slots_received;
        held >= slots && c.node(C).registry().records().count() as u64 == records
    });
    cluster.run(secs(3));
    assert!(cluster.agree());
    assert_eq!(cluster.value(C, "x"), i128::from(STARTS));
    let totals = cluster.node(C).totals();
    assert_eq!(totals.catch_up_slots_received, slots, "each slot once");
    // One question for 4,096 origins, of which each is asked for once.
    assert!(totals.catch_ups_asked <= STARTS / 4096 + 3, "{} questions", totals.catch_ups_asked);
    let heard = bytes(&cluster, began, A, C) + bytes(&cluster, began, B, C);
    let said = bytes(&cluster, began, C, A) + bytes(&cluster, began, C, B);
    // A row of the digest and a claim for each origin, a delta for each slot.
    let most = STARTS * (24 + 20) + slots * 36 + records * RECORD_BYTES + 40_000;
    assert!(heard as u64 <= most, "{heard} bytes for {slots} slots, at most {most}, in {took:?}");
    // A question for each origin, and what has changed lately to both, for some seconds.
    let most = STARTS * 14 + 2 * 3 * RECENT_ROWS_MAX * 24;
    assert!(said as u64 <= most, "{said} bytes said by C, at most {most}");
}
