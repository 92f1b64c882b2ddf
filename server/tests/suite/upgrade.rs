//! The release before and this one: they count together, and a cluster goes from one to the other
//! and back, node by node, while clients count.
//!
//! The program of the release before is built from the repository's history, so these are skipped
//! unless `make test-upgrade` asks for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::support::chaos::Chance;
use crate::support::cluster::{
    AGREEING_TIME_MAX, MEETING_TIME_MAX, Meeting, named, wait_until_counted, wait_until_met,
    wait_until_unlisted,
};
use crate::support::data::DataDirectory;
use crate::support::node::{Node, PROGRAM, free_address};
use crate::support::release;
use crate::support::wait::{say_loudly, wait_until};
use crate::support::writers::{Door, Writers, Written};

/// Clients at each of a node's two doors.
const CLIENTS_A_DOOR: usize = 2;

/// Increments between one step of an upgrade and the next.
const COUNTED_BETWEEN: u64 = 300;

/// How long that many may take.
const COUNTING_TIME_MAX: Duration = Duration::from_secs(30);

/// A node of some release, with its data and both its addresses.
struct Member {
    http: SocketAddr,
    redis: SocketAddr,
    data: DataDirectory,
    joins: Vec<SocketAddr>,
    node: Node,
}

fn begin(
    program: &str,
    (http, redis): (SocketAddr, SocketAddr),
    data: &DataDirectory,
    joins: &[SocketAddr],
    meeting: &Meeting,
) -> Node {
    let redis = redis.to_string();
    let joins: Vec<String> = joins.iter().map(SocketAddr::to_string).collect();
    let mut flags = vec!["--redis", redis.as_str()];
    flags.extend(data.flags());
    joins.iter().for_each(|known| flags.extend(["--join", known.as_str()]));
    Node::begin(&[program], http, &meeting.flags(&flags)).answering()
}

impl Member {
    fn start(program: &str, number: u8, others: &[Member], meeting: &Meeting) -> Member {
        let address = || free_address(Ipv4Addr::new(127, 0, 2, number));
        let (http, redis) = (address(), address());
        let data = DataDirectory::empty();
        let joins: Vec<SocketAddr> = others.iter().map(|other| other.http).collect();
        let node = begin(program, (http, redis), &data, &joins, meeting);
        Member { http, redis, data, joins, node }
    }

    /// As an operator upgrades it: stopped, and started with another program.
    fn become_a(&mut self, program: &str, meeting: &Meeting) {
        let ended = self.node.terminate();
        assert!(ended.success(), "a node that is asked to end: {ended}");
        self.node = begin(program, (self.http, self.redis), &self.data, &self.joins, meeting);
    }
}

fn start_together(programs: &[&str], meeting: &Meeting) -> Vec<Member> {
    let mut members = Vec::new();
    for (number, program) in (1..).zip(programs) {
        members.push(Member::start(program, number, &members, meeting));
    }
    wait_until_met(&nodes(&members), MEETING_TIME_MAX);
    members
}

fn nodes(members: &[Member]) -> Vec<&Node> {
    members.iter().map(|member| &member.node).collect()
}

/// Clients of both kinds on every node.
fn load(members: &[Member], chance: &Chance) -> Writers {
    let doors = |member: &Member| [Door::Http(member.http), Door::Redis(member.redis)];
    let doors: Vec<Door> = members.iter().flat_map(doors).collect();
    Writers::at_each(&doors, CLIENTS_A_DOOR, chance)
}

/// Waits until clients have counted on.
fn let_count(writers: &Writers, chance: &Chance) {
    let from = writers.acknowledged();
    wait_until(
        &format!("clients count on (seed {})", chance.seed),
        COUNTING_TIME_MAX,
        || writers.acknowledged(),
        |now| *now >= from + COUNTED_BETWEEN,
    );
}

/// Replaces the program of every node in turn, as docs/operations.md says: the next one when the
/// last one is met by all and behind none.
fn roll(
    members: &mut [Member],
    program: &str,
    writers: &Writers,
    chance: &Chance,
    meeting: &Meeting,
) {
    for at in 0..members.len() {
        let_count(writers, chance);
        members[at].become_a(program, meeting);
        wait_until_met(&nodes(members), MEETING_TIME_MAX);
    }
    let_count(writers, chance);
}

/// Waits until every node shows the same, and all that was acknowledged; fails if any client's
/// counter shows less than was acknowledged, or more than was sent.
#[track_caller]
fn must_be_exact(what: &str, members: &[Member], written: &[Written], chance: &Chance) {
    let began = Instant::now();
    let seen = wait_until(
        &format!("all nodes show all that was acknowledged (seed {})", chance.seed),
        AGREEING_TIME_MAX,
        || {
            let values = |node: &Node| -> Vec<u64> {
                written.iter().map(|written| node.value(&written.counter)).collect()
            };
            members.iter().map(|member| values(&member.node)).collect::<Vec<_>>()
        },
        |seen| {
            let is_whole =
                |values: &Vec<u64>| values.iter().zip(written).all(|(v, w)| *v >= w.acknowledged);
            seen.iter().all(|values| *values == seen[0] && is_whole(values))
        },
    );
    let agreed_after = began.elapsed();
    let (mut lost, mut doubled) = (0, 0);
    for (written, value) in written.iter().zip(&seen[0]) {
        lost += written.acknowledged.saturating_sub(*value);
        doubled += value.saturating_sub(written.acknowledged + written.unanswered);
    }
    let sum = |number: fn(&Written) -> u64| written.iter().map(number).sum::<u64>();
    let (acknowledged, unanswered) = (sum(|w| w.acknowledged), sum(|w| w.unanswered));
    say_loudly(&format!(
        "{what}, seed {}: {acknowledged} acknowledged, {unanswered} unanswered, {} counted; lost {lost}, \
         doubled {doubled}; equal after {agreed_after:.1?}",
        chance.seed,
        seen[0].iter().sum::<u64>(),
    ));
    assert_eq!((lost, doubled), (0, 0), "seed {}: {:?} of {written:?}", chance.seed, seen[0]);
    assert!(written.iter().all(|client| client.acknowledged > 0), "everybody counted: {written:?}");
}

fn ask(node: &Node, path: &str, body: &str) {
    let answer = node.post(path, body);
    assert!((200..300).contains(&answer.status), "{path} {body}: {answer:?}");
}

#[test]
fn a_node_of_the_release_before_and_a_new_one_count_raise_and_remove_together() {
    let Some(old) = release::before() else { return };
    // Whoever joins greets: both ways.
    for programs in [[&old, PROGRAM], [PROGRAM, &old]] {
        let meeting = Meeting::by_hand();
        let mut members = start_together(&programs, &meeting);
        let (mut count, each) = (0, 20);
        for _ in 0..each {
            for (member, by) in members.iter().zip([1, 1]) {
                ask(&member.node, "/increment", "");
                count += by;
            }
        }
        wait_until_counted(&nodes(&members), count, AGREEING_TIME_MAX);
        for member in &members {
            count += 100;
            ask(&member.node, "/sync", &format!(r#"{{"count":{count}}}"#));
            wait_until_counted(&nodes(&members), count, AGREEING_TIME_MAX);
            // A lower one changes nothing.
            ask(&member.node, "/sync", r#"{"count":1}"#);
            ask(&member.node, "/increment", "");
            count += 1;
            wait_until_counted(&nodes(&members), count, AGREEING_TIME_MAX);
        }
        let third = Member::start(PROGRAM, 3, &members, &meeting);
        members.push(third);
        wait_until_met(&nodes(&members), MEETING_TIME_MAX);
        wait_until_counted(&nodes(&members), count, AGREEING_TIME_MAX);
        let id = members[2].node.id();
        for (remover, registrar) in [(0, 1), (1, 0)] {
            ask(&members[remover].node, "/remove-peer", &named(&id));
            let both = [&members[0].node, &members[1].node];
            wait_until_unlisted(&both, &id, AGREEING_TIME_MAX);
            ask(&members[2].node, "/increment", "");
            ask(&members[registrar].node, "/register", &named(&id));
            count += 1;
            wait_until_met(&nodes(&members), MEETING_TIME_MAX);
            wait_until_counted(&nodes(&members), count, AGREEING_TIME_MAX);
        }
    }
}

#[test]
fn a_cluster_under_load_is_rolled_to_the_new_release_and_back_and_counts_exactly() {
    let Some(old) = release::before() else { return };
    let (chance, meeting) = (Chance::fresh(), Meeting::by_hand());
    let mut members = start_together(&[&old, &old, &old], &meeting);

    let writers = load(&members, &chance);
    roll(&mut members, PROGRAM, &writers, &chance, &meeting);
    let there = writers.stop();
    must_be_exact("to the new release", &members, &there, &chance);

    let before: Vec<u64> =
        there.iter().map(|client| members[0].node.value(&client.counter)).collect();
    let writers = load(&members, &chance);
    roll(&mut members, &old, &writers, &chance, &meeting);
    let mut back = writers.stop();
    // The clients are the same by name: what was counted before is theirs as well.
    for (client, before) in back.iter_mut().zip(before) {
        client.acknowledged += before;
    }
    must_be_exact("and back", &members, &back, &chance);
}

/// Not a journal alone, as a roll back within minutes finds it.
#[test]
fn the_release_before_starts_on_a_snapshot_of_this_one() {
    let Some(old) = release::before() else { return };
    let data = DataDirectory::before_a_snapshot(7);
    let mut node = Node::start(&data.flags());
    ask(&node, "/increment", "");
    let has_snapshot = || node.get("/metrics").body.contains("\nquipu_snapshots_total 1");
    wait_until("a snapshot is written", AGREEING_TIME_MAX, has_snapshot, |is_there| *is_there);
    ask(&node, "/increment", "");
    assert!(node.terminate().success());
    let node = Node::begin_free(&[&old], &data.flags()).answering();
    assert_eq!(node.count(), 9);
    ask(&node, "/increment", "");
    assert_eq!(node.count(), 10);
}
