//! Settlements of real processes: nodes that die at any step of one, and what years of starts leave.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::support::chaos;
use crate::support::cluster::{MEETING_TIME_MAX, Meeting, wait_until_met};
use crate::support::data::DataDirectory;
use crate::support::node::{Node, PROGRAM, free_address};
use crate::support::resp::Client;
use crate::support::strace::Strace;
use crate::support::wait::{say_loudly, wait_until};

const NODES: usize = 3;

/// How long a settlement may take on a machine that runs other tests too: a proposal that waits for a node
/// that has died is refused by the others after two minutes.
const SETTLING_TIME_MAX: Duration = Duration::from_secs(150);

/// How long nodes may take to show the same after a settlement.
const AGREEING_TIME_MAX: Duration = Duration::from_secs(30);

/// The calls that change what is in the journal.
const STEPS: &str = "pwrite64,fdatasync";

/// A settlement and the start before it take some thirty of them.
const STEPS_MAX: usize = 100;

/// In the short form the first steps, and then every so many.
const FIRST: usize = 2;
const STRIDE: usize = 11;

/// Three nodes, each with a directory that it finds again, and what clients know of the counts.
struct Cluster {
    meeting: Meeting,
    data: [DataDirectory; NODES],
    nodes: Vec<Node>,
    /// By counter: what was acknowledged, and what was sent.
    counts: BTreeMap<String, (u64, u64)>,
}

impl Cluster {
    fn start() -> Cluster {
        let mut cluster = Cluster {
            meeting: Meeting::by_broadcast(),
            data: [(); NODES].map(|()| DataDirectory::empty()),
            nodes: Vec::new(),
            counts: BTreeMap::new(),
        };
        for place in 0..NODES {
            let node = cluster.begin(&[PROGRAM], place).answering();
            cluster.nodes.push(node);
        }
        cluster.meet();
        cluster
    }

    /// Starts the node of a place, by way of another program or by none, and does not wait.
    fn begin(&self, program: &[&str], place: usize) -> Node {
        let data = self.data[place].flags();
        let flags = [&["--redis", "127.0.0.1:0"][..], &data].concat();
        let here = free_address(std::net::Ipv4Addr::LOCALHOST);
        Node::begin(program, here, &self.meeting.flags(&flags))
    }

    fn meet(&self) {
        wait_until_met(&self.nodes.iter().collect::<Vec<_>>(), MEETING_TIME_MAX);
    }

    /// Ends a node as a crash does, and starts it again.
    fn restart(&mut self, place: usize) {
        self.nodes[place].kill();
        self.nodes[place] = self.begin(&[PROGRAM], place).answering();
        self.meet();
    }

    /// Adds one at a node, which may be dying.
    fn add(&mut self, place: usize, counter: &str) {
        let answer = self.nodes[place].ask("POST", &format!("/counters/{counter}/increment"), "");
        let taken = answer.is_ok_and(|answer| answer.status == 200);
        let (acknowledged, sent) = self.counts.entry(counter.to_owned()).or_default();
        *acknowledged += u64::from(taken);
        *sent += 1;
    }

    /// Asks for a settlement and waits until each counter that exists is one number everywhere, or one of
    /// the nodes has ended; tells whether it has come to pass.
    fn settle(&mut self) -> bool {
        wait_until(
            "the cluster has settled",
            SETTLING_TIME_MAX,
            || {
                let all: Vec<Seen> = self.nodes.iter_mut().map(Seen::of).collect();
                // What a counter that has expired was is folded once it was taken away.
                if all[0].is_idle && !all.iter().all(|seen| seen.is_settled) {
                    let _ = self.nodes[0].ask("POST", "/settle", "");
                }
                all
            },
            |all| all.iter().any(|seen| seen.has_ended) || all.iter().all(|seen| seen.is_settled),
        )
        .iter()
        .all(|seen| !seen.has_ended)
    }

    /// Every counter is the same on every node, and what clients may expect.
    #[track_caller]
    fn is_exact(&self, story: &str) {
        for (counter, (acknowledged, sent)) in &self.counts {
            let values = wait_until(
                &format!("{story}: the nodes agree about {counter}"),
                AGREEING_TIME_MAX,
                || self.nodes.iter().map(|node| node.value(counter)).collect::<Vec<_>>(),
                |values| values.iter().all(|value| *value == values[0]),
            );
            let expected = *acknowledged..=*sent;
            assert!(
                expected.contains(&values[0]),
                "{story}: {counter} is {values:?}, not {expected:?}"
            );
        }
    }
}

/// How far a node has come with settling; all of it is said where that takes too long.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "what it says of itself is only shown")]
struct Seen {
    has_ended: bool,
    is_idle: bool,
    /// Whether each counter is one number.
    is_settled: bool,
    settlement: String,
}

impl Seen {
    fn of(node: &mut Node) -> Seen {
        if node.has_ended() {
            return Seen { has_ended: true, ..Seen::default() };
        }
        let Ok(answer) = node.ask("GET", "/status", "") else { return Seen::default() };
        let status = answer.json();
        let settlement = &status["settlement"];
        let is_idle = settlement["phase"] == "idle";
        let is_settled = is_idle && settlement["slots"] == status["counters"];
        Seen { has_ended: false, is_idle, is_settled, settlement: settlement.to_string() }
    }
}

#[test]
fn a_kill_at_any_step_of_a_settlement_loses_and_doubles_nothing() {
    if !Strace::is_allowed() {
        return;
    }
    let mut cluster = Cluster::start();
    let mut kills = 0;
    let is_tried = |n: &usize| chaos::is_long() || *n <= FIRST || n.is_multiple_of(STRIDE);
    for nth in (1..STEPS_MAX).filter(is_tried) {
        // Something to fold: of a start that is over, of one that goes on, and what was deleted.
        for (place, counter) in [(0, "a"), (1, "a"), (1, "b"), (2, "b"), (2, "gone")] {
            cluster.add(place, counter);
        }
        assert_eq!(cluster.nodes[0].request("DELETE", "/counters/gone", "").status, 200);
        cluster.counts.remove("gone");
        // One of the smallest and the largest NodeId proposes, and each grants.
        let victim = nth % NODES;
        cluster.nodes[victim].kill();
        let last = cluster.data[victim].last(".segment");
        let number: u64 = last.trim_end_matches(".segment").parse().expect("segments have numbers");
        let path = cluster.data[victim].file(&format!("{:08}.segment", number + 1));
        let strace = Strace::of(STEPS, path.to_str().expect("text"), "signal=KILL", nth);
        cluster.nodes[victim] = cluster.begin(&strace.around(PROGRAM), victim);
        let is_whole = cluster.nodes[victim].answers_or_ended() && {
            cluster.add(victim, "c");
            cluster.settle()
        };
        let story = format!("killed at step {nth}");
        cluster.restart(victim);
        assert!(cluster.settle(), "{story}: it ended by itself");
        cluster.is_exact(&story);
        let has_struck = strace.struck_to_the_end();
        kills += usize::from(has_struck);
        if is_whole && !has_struck {
            // There is no such step.
            assert!(kills > FIRST, "only {kills} kills");
            break;
        }
    }
    for place in 0..NODES {
        cluster.restart(place);
    }
    cluster.is_exact("after all starts");
    say_loudly(&format!("{kills} kills"));
}

/// How many starts, and how many names come and go.
fn years() -> (usize, usize) {
    if chaos::is_long() { (300, 1_000_000) } else { (9, 9_000) }
}

/// Counters that stay.
fn lasting() -> usize {
    if chaos::is_long() { 100_000 } else { 1_000 }
}

/// Commands in one pipeline.
const PIPELINE: usize = 1_000;

/// Has a node do these commands, and waits until its peers have synced what they did.
#[track_caller]
fn does(node: &Node, commands: impl Iterator<Item = String>) {
    let mut client = Client::open(node.redis());
    let commands: Vec<String> = commands.collect();
    for commands in commands.chunks(PIPELINE) {
        let mut bytes = String::new();
        for command in commands {
            let _ = write!(bytes, "{command}\r\n");
        }
        client.send(bytes.as_bytes());
        for command in commands {
            let reply = client.reply();
            assert!(reply.starts_with(':'), "{command}: {reply}");
        }
    }
    assert_eq!(client.ask(&["WAIT", "2", "30000"]), r":2\r\n");
}

/// What a node takes of the machine when it has just started, in bytes: of memory, and of the disk.
#[track_caller]
fn taken(cluster: &mut Cluster) -> (u64, u64) {
    cluster.restart(0);
    let files = fs::read_dir(cluster.data[0].path()).expect("it is there");
    let blocks =
        files.map(|file| file.and_then(|file| file.metadata()).map_or(0, |file| file.blocks()));
    (cluster.nodes[0].memory_bytes(), 512 * blocks.sum::<u64>())
}

#[test]
fn years_of_kill_and_restart_leave_what_a_new_cluster_would_have() {
    let (starts, names) = years();
    let mut old = Cluster::start();
    let mut counts = vec![0_u64; lasting()];
    for start in 0..starts {
        let (place, other) = (start % NODES, (start + 1) % NODES);
        let counted: Vec<usize> = (0..lasting()).filter(|n| (n + start) % NODES == 0).collect();
        counted.iter().for_each(|n| counts[*n] += 1);
        does(&old.nodes[place], counted.iter().map(|n| format!("INCR lasting:{n:06}")));
        let passing = names * start / starts..names * (start + 1) / starts;
        does(&old.nodes[place], passing.clone().map(|n| format!("INCR passing:{n:06}")));
        // Some expire, in the long form: they are taken away a minute later. The others are deleted.
        let expires = |n: &usize| chaos::is_long() && n.is_multiple_of(2);
        let expiring = passing.clone().filter(expires);
        does(&old.nodes[place], expiring.map(|n| format!("EXPIRE passing:{n:06} 1")));
        let deleted = passing.filter(|n| !expires(n));
        does(&old.nodes[other], deleted.map(|n| format!("DEL passing:{n:06}")));
        old.restart(place);
    }
    assert!(old.settle(), "a node has ended by itself");
    let mut young = Cluster::start();
    let given = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    does(&young.nodes[0], given.map(|(n, count)| format!("INCRBY lasting:{n:06} {count}")));

    for (old, young) in old.nodes.iter().zip(&young.nodes) {
        for (n, count) in counts.iter().enumerate().step_by(counts.len() / 100) {
            let name = format!("lasting:{n:06}");
            assert_eq!((old.value(&name), young.value(&name)), (*count, *count), "{name}");
        }
        let (old, young) = (old.get("/status").json(), young.get("/status").json());
        assert_eq!(old["counters"], young["counters"]);
        assert_eq!(old["settlement"]["slots"], young["settlement"]["slots"]);
    }
    let (old, young) = (taken(&mut old), taken(&mut young));
    say_loudly(&format!(
        "{starts} starts, {names} names: (memory, disk) {old:?}, of a new cluster {young:?}"
    ));
    // Beside a small table the program itself is most of it.
    if chaos::is_long() {
        let is_like = |old: u64, young: u64| old * 10 <= young * 11;
        assert!(is_like(old.0, young.0) && is_like(old.1, young.1), "{old:?}, {young:?}");
    }
}
