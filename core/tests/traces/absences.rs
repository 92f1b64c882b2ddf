//! Members that are away: who removes them, who does not, and how they come back.

use std::time::Duration;

use quipu_core::event::Event;
use quipu_core::identity::NodeId;
use quipu_core::node::{Config, IN_MEMORY_REMOVED_AFTER, RemovesAfter};
use quipu_core::query::Settle;
use quipu_core::status::{AbsentPhase, AbsentStatus, PeerState, SettlementPhase};

use crate::cluster::{A, B, C, Cluster, D, config, next_life, secs};
use crate::network::Place;

/// Shorter than what operators may ask for: traces are to be short, and nothing depends on it.
const AWAY: Duration = Duration::from_secs(60);

const E: Place = 4;

/// What a removal takes beyond the time itself: that the end of a member is seen, and two calls.
const DECIDED: Duration = Duration::from_secs(45);

fn on_disk(place: Place) -> Config {
    let removes_after = RemovesAfter { on_disk: Some(AWAY), ..RemovesAfter::default() };
    Config { removes_after, ..config(place) }
}

fn in_memory(place: Place) -> Config {
    Config { is_kept: false, ..config(place) }
}

/// A cluster in which each has counted one, and all have met.
fn cluster(nodes: usize, config: impl Fn(Place) -> Config) -> Cluster {
    let mut cluster = Cluster::new();
    for place in 0..nodes {
        cluster.start(config(place));
    }
    cluster.run_until("all are linked", secs(10), Cluster::all_linked);
    for place in 0..nodes {
        cluster.add(place, "x", 1);
    }
    cluster.run(secs(3));
    cluster
}

fn is_removed(cluster: &Cluster, at: Place, node: NodeId) -> bool {
    cluster
        .node(at)
        .registry()
        .records()
        .any(|record| record.key == quipu_core::membership::Key::Node(node) && record.is_removed())
}

fn has_removed(at: Place, of: Place) -> impl Fn(&Cluster) -> bool {
    move |cluster| is_removed(cluster, at, cluster.id_of(of))
}

fn absent(cluster: &Cluster, at: Place) -> Vec<AbsentStatus> {
    cluster.node(at).status(cluster.now()).absent
}

fn phase(cluster: &Cluster, at: Place) -> AbsentPhase {
    let absent = absent(cluster, at);
    assert_eq!(absent.len(), 1, "{absent:?}");
    absent[0].phase
}

fn split(cluster: &mut Cluster, one: &[Place], other: &[Place]) {
    for (one, other) in one.iter().flat_map(|one| other.iter().map(move |other| (*one, *other))) {
        cluster.cut(one, other);
        cluster.break_links(one, other);
    }
}

fn heal(cluster: &mut Cluster, one: &[Place], other: &[Place]) {
    for (one, other) in one.iter().flat_map(|one| other.iter().map(move |other| (*one, *other))) {
        cluster.mend(one, other);
    }
}

fn settles(cluster: &mut Cluster, asked: Place) {
    let before = cluster.node(asked).status(cluster.now()).settlement.settled;
    cluster.query(asked, Settle);
    cluster.run_until("it settles", secs(60), |cluster| {
        let status = cluster.node(asked).status(cluster.now()).settlement;
        status.settled > before && status.phase == SettlementPhase::Idle
    });
}

/// Rule `away-by-ones-own-clock`.
#[test]
fn a_node_in_memory_that_is_away_for_ten_minutes_is_removed_and_settlements_go_on() {
    let mut cluster = cluster(3, in_memory);
    cluster.crash(C);
    cluster.run(IN_MEMORY_REMOVED_AFTER - secs(5));
    assert!(!has_removed(A, C)(&cluster));
    assert_eq!(phase(&cluster, B), AbsentPhase::Watched);
    cluster.query(A, Settle);
    cluster.run(secs(2));
    let waits = cluster.node(A).status(cluster.now()).settlement;
    assert_eq!(waits.phase, SettlementPhase::Waiting, "{waits:?}");
    let began = cluster.now();
    cluster.run_until("A has removed C", DECIDED, has_removed(A, C));
    cluster.run_until("B has removed C", secs(1), has_removed(B, C));
    assert!(cluster.told(began, A, |event| matches!(event, Event::AbsentRemoved { .. })));
    cluster.run_until("what was asked for is settled", secs(60), |cluster| {
        let status = cluster.node(A).status(cluster.now()).settlement;
        status.settled > 0 && status.phase == SettlementPhase::Idle
    });
    assert_eq!((cluster.value(A, "x"), cluster.value(B, "x")), (3, 3));
    assert!(absent(&cluster, A).is_empty());
}

/// Rule `away-by-ones-own-clock`.
#[test]
fn a_node_with_a_disk_is_removed_where_that_was_asked_for_and_else_kept() {
    let mut asked = cluster(3, on_disk);
    asked.crash(C);
    asked.run_until("A has removed C", AWAY + DECIDED, has_removed(A, C));
    let mut kept = cluster(3, config);
    kept.crash(C);
    kept.run(2 * IN_MEMORY_REMOVED_AFTER);
    assert!(!has_removed(A, C)(&kept));
    assert_eq!(phase(&kept, A), AbsentPhase::Kept);
    // One that was not told to remove anyone does not agree either.
    let mut one_of_three = cluster(3, |place| if place == A { on_disk(A) } else { config(place) });
    one_of_three.crash(C);
    one_of_three.run(2 * AWAY + DECIDED);
    assert!(!has_removed(A, C)(&one_of_three));
    assert_eq!(phase(&one_of_three, A), AbsentPhase::Deciding);
}

/// Rule `majority-of-all-members`.
#[test]
fn one_of_two_and_two_of_four_remove_no_member() {
    let mut two = cluster(2, on_disk);
    two.crash(B);
    two.run(2 * AWAY + DECIDED);
    assert_eq!(phase(&two, A), AbsentPhase::NoMajority);
    let status = &absent(&two, A)[0];
    assert_eq!((status.agreed, status.of), (1, 2));
    let mut four = cluster(4, on_disk);
    split(&mut four, &[A, B], &[C, D]);
    four.run(2 * AWAY + DECIDED);
    for (at, of) in [(A, C), (A, D), (C, A), (C, B)] {
        assert!(!has_removed(at, of)(&four));
    }
    heal(&mut four, &[A, B], &[C, D]);
    four.run_until("all are linked", secs(15), Cluster::all_linked);
    settles(&mut four, D);
}

/// Rule `met-again-is-back`.
#[test]
fn the_majority_of_a_split_removes_the_others_and_takes_them_back_when_they_meet() {
    let mut cluster = cluster(5, on_disk);
    split(&mut cluster, &[A, B, C], &[D, E]);
    cluster.add(A, "x", 10);
    cluster.add(D, "x", 100);
    cluster.run_until("D and E are removed", AWAY + 2 * DECIDED, |cluster| {
        [A, B, C].iter().all(|at| has_removed(*at, D)(cluster) && has_removed(*at, E)(cluster))
    });
    assert!(!has_removed(D, A)(&cluster) && !has_removed(E, A)(&cluster));
    settles(&mut cluster, B);
    let began = cluster.now();
    heal(&mut cluster, &[A, B, C], &[D, E]);
    cluster.run_until("all are linked and count alike", secs(30), |cluster| {
        cluster.all_linked() && cluster.agree()
    });
    assert!(cluster.now().since(began) < secs(20));
    assert_eq!(cluster.value(E, "x"), 115);
    for at in [A, B, C, D, E] {
        assert!([A, B, C, D, E].iter().all(|of| !has_removed(at, *of)(&cluster)));
    }
    settles(&mut cluster, E);
    assert!(cluster.agree());
}

/// Rule `majority-of-all-members`: `three of five are gone for good`, and nothing can be done but by an
/// operator, who removes one.
#[test]
fn two_of_five_remove_no_member_until_an_operator_has_removed_one() {
    let mut cluster = cluster(5, on_disk);
    for place in [C, D, E] {
        cluster.crash(place);
    }
    cluster.run(AWAY + DECIDED);
    assert!([C, D, E].iter().all(|of| !has_removed(A, *of)(&cluster)));
    let away = absent(&cluster, A);
    assert!(away.iter().all(|status| (status.agreed, status.of) == (2, 5)), "{away:?}");
    let (third, fourth) = (cluster.address_of(C), cluster.address_of(D));
    cluster.remove(A, &third);
    cluster.run(DECIDED);
    assert!(!has_removed(A, D)(&cluster), "two of four");
    cluster.remove(B, &fourth);
    cluster
        .run_until("A and B remove E", DECIDED, |c| has_removed(A, E)(c) && has_removed(B, E)(c));
}

/// Rule `common-list`: `one of three pods is replaced`, and the one that comes instead is known to all
/// but the one that is gone.
#[test]
fn a_pod_that_was_replaced_is_removed_with_the_help_of_the_one_that_came_instead() {
    let mut cluster = cluster(3, in_memory);
    cluster.crash(C);
    cluster.start(in_memory(D));
    cluster.run_until("D is linked", secs(10), |c| c.are_linked(A, D) && c.are_linked(B, D));
    cluster.run_until("C is removed", IN_MEMORY_REMOVED_AFTER + DECIDED, |cluster| {
        [A, B, D].iter().all(|at| has_removed(*at, C)(cluster))
    });
    settles(&mut cluster, D);
    // The three that are left have met: of them, too, one may go.
    cluster.crash(A);
    cluster.run_until("A is removed", IN_MEMORY_REMOVED_AFTER + DECIDED, |cluster| {
        [B, D].iter().all(|at| has_removed(*at, A)(cluster))
    });
}

/// Rule `met-again-is-back`: an operator's word outlasts it.
#[test]
fn who_was_away_and_is_removed_by_an_operator_stays_away() {
    let mut cluster = cluster(3, on_disk);
    cluster.crash(C);
    cluster.run_until("C is removed", AWAY + DECIDED, |c| {
        has_removed(A, C)(c) && has_removed(B, C)(c)
    });
    let third = cluster.address_of(C);
    cluster.remove(A, &third);
    cluster.run(secs(2));
    let life = next_life(cluster.config_of(C));
    cluster.restart(C, life);
    cluster.run(secs(30));
    assert_eq!(cluster.state(A, C), Some(PeerState::Removed));
    assert_eq!(cluster.state(B, C), Some(PeerState::Removed));
    cluster.register(B, &third);
    cluster.run_until("C is back", secs(10), Cluster::all_linked);
}

/// Rule `met-again-is-back`: `C starts again and calls no node, in a cluster that has removed it.` The
/// others look for it.
#[test]
fn who_starts_again_after_it_was_removed_for_absence_is_taken_back() {
    let mut cluster = cluster(3, on_disk);
    cluster.crash(C);
    cluster.run_until("C is removed", AWAY + DECIDED, |c| {
        has_removed(A, C)(c) && has_removed(B, C)(c)
    });
    let began = cluster.now();
    let life = Config { discovery: false, ..next_life(cluster.config_of(C)) };
    cluster.restart(C, life);
    cluster.run_until("C is back", secs(20), Cluster::all_linked);
    let back = |event: &Event| matches!(event, Event::AbsentBack { .. });
    assert!(cluster.told(began, A, back) || cluster.told(began, B, back));
    cluster.run(secs(5));
    settles(&mut cluster, C);
}

/// Rule `away-by-ones-own-clock`: `A stands still for longer than a member may be away, which it saw go.`
#[test]
fn a_node_that_stood_still_has_seen_no_absence_meanwhile() {
    let mut cluster = cluster(3, on_disk);
    cluster.crash(C);
    cluster.run(secs(10));
    cluster.pause(A);
    cluster.run(2 * AWAY);
    cluster.resume(A);
    cluster.run(secs(5));
    let seen = absent(&cluster, A);
    let seen = seen.iter().find(|status| status.node == cluster.id_of(C)).expect("C is away");
    assert!(seen.away < secs(20), "{seen:?}");
    assert!(!has_removed(A, C)(&cluster));
    cluster.run_until("C is removed", AWAY + DECIDED, has_removed(A, C));
}

/// Rule `common-list`: a peer of the release before says nothing of whom it knows.
#[test]
fn nothing_is_removed_for_absence_while_a_member_is_of_the_release_before() {
    let mut cluster = Cluster::new();
    for place in [A, B, C, D] {
        cluster.start(on_disk(place));
        if place == B {
            cluster.speak_up_to(B, 6);
        }
    }
    cluster.run_until("all are linked", secs(10), Cluster::all_linked);
    cluster.run(secs(3));
    cluster.crash(D);
    cluster.run(AWAY + DECIDED);
    assert!(!has_removed(A, D)(&cluster));
    assert_eq!(phase(&cluster, A), AbsentPhase::NoCommonList);
}
