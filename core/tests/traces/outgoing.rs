//! Rule `publish-after-sync`: nothing leaves before it is synced.
//!
//! `watch` looks at every frame of every test; here stand the stories, with disks that are held.

use quipu_core::operation::{Refusal, Value};
use quipu_core::wire::frame::Message;

use crate::cluster::{A, B, C, Cluster, LATENCY, add, config, get, ms, secs};

#[test]
fn a_reply_waits_for_the_sync_of_its_increment_and_so_does_a_read_after_it() {
    let mut cluster = Cluster::of(1);
    cluster.hold_syncs(A);
    let increment = cluster.request(A, vec![add("x", 1)]);
    let read = cluster.request(A, vec![get("x")]);
    cluster.run(secs(1));
    assert!(cluster.reply(increment).is_none() && cluster.reply(read).is_none());
    cluster.release_syncs(A);
    assert_eq!(cluster.reply(increment).unwrap().results, [Ok(Value(1))]);
    assert_eq!(cluster.reply(read).unwrap().results, [Ok(Value(1))]);
}

#[test]
fn a_read_of_another_counter_waits_too_since_batches_leave_in_order() {
    let mut cluster = Cluster::of(1);
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 1)]);
    let read = cluster.request(A, vec![get("y")]);
    cluster.run(ms(10));
    assert!(cluster.reply(read).is_none());
    cluster.release_syncs(A);
    assert_eq!(cluster.reply(read).unwrap().results, [Ok(Value(0))]);
}

#[test]
fn no_peer_hears_of_an_increment_whose_sync_is_outstanding() {
    let mut cluster = Cluster::of(2);
    let began = cluster.now();
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 1)]);
    cluster.run(secs(2));
    assert_eq!(cluster.value(B, "x"), 0);
    for sent in cluster.frames(began, A, B) {
        let says = sent.message();
        assert!(matches!(says, Message::Ping | Message::TimedPong(_)), "{says:?}");
    }
    assert!(cluster.are_linked(A, B), "a slow disk does not look like death");
    cluster.release_syncs(A);
    cluster.run_until("B has it", 2 * LATENCY, |c| c.value(B, "x") == 1);
}

#[test]
fn a_push_holds_synced_batches_only_while_the_next_one_is_on_its_way_to_the_disk() {
    let mut cluster = Cluster::of(2);
    cluster.add(A, "x", 1);
    cluster.run(ms(5));
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 10)]);
    cluster.run(ms(5));
    cluster.crash(A);
    cluster.run(secs(1));
    assert_eq!(cluster.value(B, "x"), 1, "the crash takes back what nobody has seen");
}

#[test]
fn a_new_link_is_told_of_nothing_that_is_not_synced() {
    let mut cluster = Cluster::of(1);
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 1)]);
    let began = cluster.now();
    cluster.start(config(B));
    cluster.run_until("they are linked", secs(2), |c| c.are_linked(A, B));
    cluster.run(secs(2));
    let tells = |message| {
        matches!(
            message,
            Message::Digest { .. }
                | Message::DigestAsk
                | Message::DigestHashes { .. }
                | Message::DigestPart { .. }
                | Message::PullChunk { .. }
                | Message::Push { .. }
        )
    };
    assert!(!cluster.frames(began, A, B).any(|sent| tells(sent.message())));
    cluster.release_syncs(A);
    cluster.run_until("B has it", secs(2), |c| c.value(B, "x") == 1);
}

#[test]
fn a_catch_up_waits_for_the_sync_of_what_it_was_read_from() {
    let mut cluster = Cluster::of(1);
    cluster.add(A, "x", 1);
    cluster.start(config(B));
    cluster.run_until("B has asked", secs(2), |c| c.node(B).totals().catch_ups_asked == 1);
    cluster.hold_syncs(A);
    cluster.request(A, vec![add("x", 10)]);
    cluster.run(ms(100));
    assert_eq!(cluster.value(B, "x"), 0, "the scan reads 11, which is not synced");
    cluster.release_syncs(A);
    cluster.run_until("B has it", secs(1), |c| c.value(B, "x") == 11);
}

#[test]
fn what_a_peer_has_merged_is_shown_to_its_readers_and_confirmed_when_it_is_synced_there() {
    let mut cluster = Cluster::of(3);
    cluster.add(A, "x", 1);
    cluster.run(ms(10));
    cluster.hold_syncs(B);
    cluster.hold_frames(A, C);
    cluster.add(A, "x", 1);
    cluster.run(ms(10));
    assert_eq!(cluster.value(B, "x"), 2, "merged");
    let read = cluster.request(B, vec![get("x")]);
    cluster.run(secs(2));
    assert!(cluster.reply(read).is_none());
    assert_eq!(cluster.link(A, B).unwrap().lag_versions, 1, "not confirmed");
    assert!(cluster.link(A, B).unwrap().lag >= secs(2));
    assert_eq!(cluster.value(C, "x"), 1, "nor relayed");
    cluster.release_syncs(B);
    assert_eq!(cluster.reply(read).unwrap().results, [Ok(Value(2))]);
    cluster.run(ms(1));
    assert_eq!(cluster.link(A, B).unwrap().lag_versions, 0);
}

#[test]
fn a_refusal_leaves_everything_as_it_was_and_says_so_in_its_turn() {
    let mut cluster = Cluster::of(1);
    cluster.add(A, "x", i64::MAX);
    let results = cluster.ask(A, vec![add("x", 1), add("y", 1), get("x")]);
    let expected = [
        Err(Refusal::Overflow { found: Value(i64::MAX.into()) }),
        Ok(Value(1)),
        Ok(Value(i64::MAX.into())),
    ];
    assert_eq!(results, expected);
}
