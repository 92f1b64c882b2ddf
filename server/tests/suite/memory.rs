//! More names than there is memory for: they are refused, and nothing else happens.

use std::fmt::Write;
use std::time::Duration;

use crate::support::cgroup::SmallMemory;
use crate::support::cluster::{Meeting, wait_until_met};
use crate::support::data::DataDirectory;
use crate::support::node::{Node, PROGRAM};
use crate::support::program::complaint;
use crate::support::resp::Client;
use crate::support::wait::{say_loudly, wait_until};
use serde_json::json;

/// Too many names for [`SMALL`], by far.
const NAMES: usize = 201_000;

/// What a container may have that was made for a small program.
const SMALL: u64 = 40 << 20;

/// What does not hold the counts of [`NAMES`].
const TINY: u64 = 24 << 20;

/// How long it may take until a peer has what fits.
const FILLING_TIME_MAX: Duration = Duration::from_secs(60);

/// Starts that count on all names until [`SMALL`] has no room for one slot more (measured: five).
const STARTS_TO_FILL: usize = 6;

/// Names in one pipeline.
const PIPELINE: usize = 1000;

/// What came of adding one to each of [`NAMES`] names.
#[derive(Debug, Default)]
struct Added {
    taken: Vec<String>,
    refused: usize,
}

/// Counts each name once, many in one pipeline.
#[track_caller]
fn add_all(node: &Node) -> Added {
    let mut client = Client::open(node.redis());
    let mut added = Added::default();
    let names: Vec<String> = (0..NAMES).map(|n| format!("a-counter-of-some-length:{n}")).collect();
    for names in names.chunks(PIPELINE) {
        let mut commands = String::new();
        for name in names {
            let _ = write!(commands, "INCR {name}\r\n");
        }
        client.send(commands.as_bytes());
        for name in names {
            match client.reply().as_str() {
                value if value.starts_with(':') => added.taken.push(name.clone()),
                r"-OOM command not allowed when used memory > \'maxmemory\'.\r\n" => {
                    added.refused += 1;
                }
                other => panic!("{name}: {other}"),
            }
        }
    }
    added
}

/// Known names count on, new ones are refused at every door, and the node says that it is full.
#[track_caller]
fn is_full_and_counts_on(node: &Node, known: &str) {
    let answer = node.post(&format!("/counters/{known}/increment"), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = node.post("/counters/new-here/increment", "");
    assert_eq!((answer.status, &answer.json()["status"]), (507, &json!(507)), "{answer:?}");
    assert_eq!(answer.json()["type"], "urn:quipu:problem:out-of-memory");
    let batch = json!({"operations": [
        {"op": "increment", "name": "new-here"}, {"op": "increment", "name": known},
    ]});
    let answer = node.post("/batch", &batch.to_string());
    assert!(answer.body.contains("out-of-memory"), "{answer:?}");
    let health = node.get("/health").json();
    assert_eq!(health["status"], "ok");
    let full = &health["full"];
    let (used, max) = (full["used_bytes"].as_u64(), full["max_bytes"].as_u64());
    assert!(used >= max.map(|max| max / 100 * 97) && max > Some(1 << 20), "{health}");
    assert!(full["percent"].as_u64() >= Some(97), "{health}");
    assert!(node.get("/metrics").body.contains("\nquipu_memory_full 1\n"));
}

#[test]
fn more_names_than_fit_are_refused_known_ones_count_on_and_restarts_work() {
    let small = match SmallMemory::of_bytes(SMALL) {
        Ok(small) => small,
        Err(why) => return say_loudly(&format!("SKIPPED, nothing was tested: {why}")),
    };
    let data = DataDirectory::empty();
    let flags = [&data.flags()[..], &["--redis", "127.0.0.1:0"]].concat();
    let mut node = Node::begin_free(&small.enter(PROGRAM), &flags).answering();
    let added = add_all(&node);
    assert!(added.taken.len() > 20_000, "only {} of them fit", added.taken.len());
    assert!(added.refused > 20_000, "only {} were refused", added.refused);
    let (first, last) = (&added.taken[0], added.taken.last().expect("some"));
    is_full_and_counts_on(&node, first);
    // A crash, a stop, and a crash again.
    for start in 0..3 {
        if start == 1 {
            assert!(node.terminate().success(), "{}", node.log());
        } else {
            node.kill();
        }
        node = Node::begin_free(&small.enter(PROGRAM), &flags).answering();
        assert_eq!(node.value(first), 3 + start, "{}", node.log());
        assert_eq!(node.value(last), 1);
        assert_eq!(node.post(&format!("/counters/{first}/increment"), "").status, 200);
    }
    // A start more counts on all of them; of those that follow each as many as it can, and starts.
    for start in 0..4 {
        node.kill();
        node = Node::begin_free(&small.enter(PROGRAM), &flags).answering();
        let again = add_all(&node);
        assert!(
            start > 0 || again.taken.len() >= added.taken.len(),
            "{start}: {}",
            again.taken.len()
        );
        assert!(again.refused > 20_000, "{start}: {}", again.refused);
        let listed = node.get("/counters?limit=1000").json();
        assert_eq!(listed["counters"].as_array().map(Vec::len), Some(1000));
        assert!(!node.has_ended(), "{}", node.log());
    }
}

/// What a start frees while it reads, the allocator keeps for a second. A node whose allocator keeps
/// nothing takes as much as any can, as one does that has run for longer than it was read.
#[test]
fn what_a_full_node_wrote_is_read_under_the_same_bound_whatever_the_allocator_keeps() {
    let small = match SmallMemory::of_bytes(SMALL) {
        Ok(small) => small,
        Err(why) => return say_loudly(&format!("SKIPPED, nothing was tested: {why}")),
    };
    let data = DataDirectory::empty();
    let flags = [&data.flags()[..], &["--redis", "127.0.0.1:0"]].concat();
    let keeps_nothing = [&small.enter("env")[..], &["MIMALLOC_PURGE_DELAY=0", PROGRAM]].concat();
    // Each start leaves a slot on the names that it counts on, until there is no room for more.
    for _ in 0..STARTS_TO_FILL {
        let mut node = Node::begin_free(&keeps_nothing, &flags).answering();
        add_all(&node);
        node.kill();
    }
    for _ in 0..5 {
        let mut node = Node::begin_free(&small.enter(PROGRAM), &flags).answering();
        assert!(node.value("a-counter-of-some-length:0") >= 1, "{}", node.log());
        node.kill();
    }
}

#[test]
fn names_written_to_one_node_do_not_kill_its_peer() {
    let small = match SmallMemory::of_bytes(SMALL) {
        Ok(small) => small,
        Err(why) => return say_loudly(&format!("SKIPPED, nothing was tested: {why}")),
    };
    let meeting = Meeting::by_hand();
    let large = meeting.start(&["--redis", "127.0.0.1:0"]);
    let seed = large.id();
    let data = DataDirectory::empty();
    let flags = [&data.flags()[..], &["--join", &seed]].concat();
    let mut peer = Node::begin_free(&small.enter(PROGRAM), &meeting.flags(&flags)).answering();
    wait_until_met(&[&large, &peer], FILLING_TIME_MAX);
    assert_eq!(large.post("/increment", "").status, 200);
    wait_until("the peer has it", FILLING_TIME_MAX, || peer.count(), |count| *count == 1);
    assert_eq!(add_all(&large).taken.len(), NAMES);

    let full = |peer: &Node| peer.get("/health").json()["full"].is_object();
    wait_until("the peer is full", FILLING_TIME_MAX, || full(&peer), |is_full| *is_full);
    is_full_and_counts_on(&peer, "default");
    assert_eq!(large.post("/increment", "").status, 200);
    wait_until("both count on", FILLING_TIME_MAX, || peer.count(), |count| *count >= 3);
    assert!(!peer.has_ended(), "{}", peer.log());
    // It comes back, and is given all of it once more.
    peer.kill();
    let mut peer = Node::begin_free(&small.enter(PROGRAM), &meeting.flags(&flags)).answering();
    assert_eq!(large.post("/increment", "").status, 200);
    wait_until("it counts on", FILLING_TIME_MAX, || peer.count(), |count| *count >= 4);
    wait_until("the peer is full", FILLING_TIME_MAX, || full(&peer), |is_full| *is_full);
    assert!(peer.terminate().success(), "{}", peer.log());
}

/// Starts of which one at least says what it needs.
const STARTS_MAX: usize = 5;

#[test]
fn a_start_that_would_not_fit_says_what_it_needs() {
    let small = match SmallMemory::of_bytes(TINY) {
        Ok(small) => small,
        Err(why) => return say_loudly(&format!("SKIPPED, nothing was tested: {why}")),
    };
    let data = DataDirectory::empty();
    let flags = [&data.flags()[..], &["--redis", "127.0.0.1:0"]].concat();
    let mut node = Node::start(&flags);
    assert_eq!(add_all(&node).taken.len(), NAMES);
    assert!(node.terminate().success());

    // So little memory is that the pages of the program itself count, where they are charged to this
    // cgroup: then the system may be quicker than the node. They stay for the next one.
    let said = (0..STARTS_MAX).find_map(|_| {
        let mut node = Node::begin_free(&small.enter(PROGRAM), &flags);
        assert!(!node.answers_or_ended(), "it started");
        let code = node.wait_for_end().code();
        assert!(matches!(code, None | Some(1)), "{code:?}: {}", node.log());
        code.map(|_| complaint(&node.log()))
    });
    let said = said.expect("a start that the system let say what it needs");
    assert_eq!(said.lines().count(), 1, "{said}");
    for words in ["not enough memory: about ", "MiB are needed", "the cgroup has 24.0 MiB"] {
        assert!(said.contains(words), "expected {words:?} in {said:?}");
    }
    // Nothing was changed.
    assert_eq!(Node::start(&flags).value("a-counter-of-some-length:200999"), 1);
}

#[test]
fn a_bound_that_is_given_holds_and_0_is_none() {
    let node = Node::start(&["--max-memory", "1", "--redis", "127.0.0.1:0"]);
    assert_eq!(node.post("/increment", "").status, 507);
    let mut client = Client::open(node.redis());
    let refused = r"-OOM command not allowed when used memory > \'maxmemory\'.\r\n";
    assert_eq!(client.ask(&["INCR", "x"]), refused);
    assert_eq!(client.ask(&["GET", "x"]), r"$-1\r\n");
    assert_eq!(
        client.ask(&["CONFIG", "GET", "maxmemory"]),
        r"*2\r\n$9\r\nmaxmemory\r\n$1\r\n1\r\n"
    );

    let node = Node::start(&["--max-memory", "0"]);
    assert_eq!(node.post("/increment", "").status, 200);
    let health = node.get("/health").body;
    assert_eq!(health, format!("{{\"status\":\"ok\",\"node_id\":\"{}\"}}", node.id()));
}
