//! Rule `confirm-after-sync`: clients that wait until peers have synced what was counted.

use quipu_core::query::{Await, Confirmed};

use crate::cluster::{A, C, Cluster, add, ms, secs};

/// As many as wait at one time; what comes beyond is answered with the count of that moment.
const AWAITS_MAX: usize = 1024;

/// `1,024 clients wait for a peer whose disk hangs; one more comes.` All 1,025 were answered at once,
/// with a count that was not what they had asked for.
#[test]
fn a_client_too_many_is_answered_at_once_and_those_that_wait_go_on_waiting() {
    let mut cluster = Cluster::of(3);
    cluster.hold_syncs(C);
    let written = cluster.request(A, vec![add("x", 1)]);
    cluster.run_until("the reply", secs(1), |c| c.reply(written).is_some());
    let version = cluster.reply(written).expect("it was awaited").version;
    cluster.run(ms(20));
    let waiting: Vec<_> =
        (0..AWAITS_MAX).map(|_| cluster.await_peers(A, version, 2, Some(secs(2)))).collect();
    let answered = |c: &Cluster| waiting.iter().filter(|token| c.is_answered(**token)).count();
    let beyond = [(); 3].map(|()| cluster.await_peers(A, version, 2, Some(secs(2))));
    for token in beyond {
        let at_once = Some(Confirmed::TooManyWait(1));
        assert_eq!(cluster.answer::<Await>(token), at_once, "as many as have it now");
    }
    cluster.run(ms(500));
    assert_eq!(answered(&cluster), 0);
    cluster.release_syncs(C);
    cluster.run(ms(20));
    for token in &waiting {
        assert_eq!(cluster.answer::<Await>(*token), Some(Confirmed::Waited(2)));
    }
    // Their places are free again.
    cluster.hold_syncs(C);
    let next = cluster.request(A, vec![add("x", 1)]);
    cluster.run_until("the reply", secs(1), |c| c.reply(next).is_some());
    let version = cluster.reply(next).expect("it was awaited").version;
    let waits = cluster.await_peers(A, version, 2, Some(secs(2)));
    cluster.run(ms(20));
    assert_eq!(cluster.answer::<Await>(waits), None);
}
