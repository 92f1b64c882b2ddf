//! A cluster with a secret keeps to itself, though strangers hear its calls and it hears theirs.

use crate::support::cluster::{
    AGREEING_TIME_MAX, MEETING_TIME_MAX, Meeting, named, wait_until_counted, wait_until_met,
};
use crate::support::node::Node;
use crate::support::secret::SecretFile;
use crate::support::wait::wait_until;

/// What must be so of a cluster of two and a stranger that calls on the same port.
#[track_caller]
fn stays_out(members: &[Node], stranger: &Node) {
    for node in members {
        node.post("/increment", "");
    }
    for _ in 0..5 {
        stranger.post("/increment", "");
    }
    // By hand it is not let in either.
    assert_eq!(members[0].post("/register", &named(&stranger.id())).status, 200);
    assert_eq!(stranger.post("/register", &named(&members[1].id())).status, 200);
    wait_until(
        "what was registered in vain is forgotten",
        MEETING_TIME_MAX,
        || (members[0].peers(), stranger.peers()),
        |(members, stranger)| members.len() == 1 && stranger.is_empty(),
    );
    for node in members {
        let expected = "it does not have this cluster's secret (--secret-file)";
        wait_until(
            "the stranger is logged, with the reason",
            MEETING_TIME_MAX,
            || node.log(),
            |log| log.lines().any(|line| line.contains(expected) && line.contains(&stranger.id())),
        );
    }
    let members: Vec<_> = members.iter().collect();
    wait_until_met(&members, AGREEING_TIME_MAX);
    wait_until_counted(&members, 2, AGREEING_TIME_MAX);
    assert_eq!((stranger.count(), stranger.peers().len()), (5, 0));
}

#[test]
fn nodes_with_one_secret_meet_and_one_with_another_stays_out() {
    let meeting = Meeting::by_broadcast();
    let ours = SecretFile::of("the secret of this cluster");
    let theirs = SecretFile::of("the secret of another cluster");
    let members = meeting.start_together(2, &ours.flags());
    stays_out(&members, &meeting.start(&theirs.flags()));
}

#[test]
fn nodes_with_a_secret_meet_and_one_without_stays_out() {
    let meeting = Meeting::by_broadcast();
    let ours = SecretFile::of("a secret that one of them does not have");
    let members = meeting.start_together(2, &ours.flags());
    stays_out(&members, &meeting.start(&[]));
}
