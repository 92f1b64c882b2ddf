//! What a node takes that has lived for ten years in a cluster, beside a young one that shows the
//! same counts.
//!
//! ```text
//! cargo run --release -p quipu-core --example age -- time old 100000
//! cargo run --release -p quipu-core --example age -- time young 100000
//! cargo run --release -p quipu-core --example age -- time old 100000 join
//! cargo run --release -p quipu-core --example age -- write old 100000 DIR…
//! ```
//!
//! `time` does each thing once, or one of them, on files in memory, and prints how much of a processor it took: a
//! machine that others share takes longer, and hardly more of a processor. `write` leaves data
//! directories, for as many nodes that start on them. `scripts/bench age` runs both, old and young in turn.
//!
//! Both have 20,000 counters of three slots each, and one that every start of every node has counted
//! on. In the old one it has a slot of each of so many origins, which its other slots are of too; in
//! the young one all slots are of three. The old one keeps the records of 4,000 removals besides.

#[path = "../src/storage/tests/memory.rs"]
mod memory;
#[path = "support/pair.rs"]
mod pair;

use std::path::Path;
use std::time::Duration;

use quipu_core::counters::Counters;
use quipu_core::delta::{Change, Delta};
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::node::Node;
use quipu_core::peers::registry::Registry;
use quipu_core::slot::{Numbers, Slot};
use quipu_core::storage;
use quipu_core::storage::files::Files;
use quipu_core::storage::journal::Journal;
use quipu_core::storage::repair::repair;
use quipu_core::storage::snapshot::SnapshotWriter;
use quipu_core::storage::state::Recovered;
use quipu_core::time::Time;

use memory::Memory;
use pair::Pair;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counters beside the one that everybody counts on.
const COUNTERS: usize = 20_000;
/// Slots of each of them: as many as a small cluster has nodes.
const SLOTS: usize = 3;
/// The counter that everybody counts on, and what each start of the old one added to it.
const BUSY: &str = "visits";
const ADDED: u64 = 10_000;
/// The last version of each origin.
const VERSION: u64 = 1_000_000;
/// Nodes that were removed, each with its address: one a day.
const REMOVALS: u64 = 4_000;
/// When the first of them was, in milliseconds since 1970.
const FIRST_REMOVAL_MS: u64 = 1_500_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// What a snapshot's step takes, as in the server.
const STEP_BYTES: usize = 256 << 10;
/// How long two nodes are looked at that have just met again, and that are at rest.
const MEETING: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(60);
const JOIN_MAX: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Old,
    Young,
}

/// What is timed, by its name.
type Thing = fn(&Memory);
const THINGS: [(&str, Thing); 4] =
    [("start", started), ("repair", repaired), ("join", joined), ("meet", met_again)];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (age, origins) = match words[..] {
        [_, "old", origins, ..] => (Age::Old, origins),
        [_, "young", origins, ..] => (Age::Young, origins),
        _ => return usage(),
    };
    let Ok(origins) = origins.parse() else { return usage() };
    match words[..] {
        ["time", _, _] => THINGS.iter().for_each(|(_, thing)| thing(&directory(age, origins, 1))),
        ["time", _, _, name] => match THINGS.iter().find(|(known, _)| *known == name) {
            Some((_, thing)) => thing(&directory(age, origins, 1)),
            None => usage(),
        },
        ["write", _, _, ref to @ ..] => {
            (1..).zip(to).for_each(|(node, to)| write(age, origins, node, Path::new(to)));
        }
        _ => usage(),
    }
}

fn usage() {
    let things: Vec<&str> = THINGS.iter().map(|(name, _)| *name).collect();
    let things = things.join("|");
    eprintln!("expected: time old|young ORIGINS [{things}], or: write old|young ORIGINS DIR…");
}

/// A number that tells nothing of `n` (the finaliser of SplitMix64).
fn scattered(n: usize) -> u64 {
    let mut n = (n as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn origin(n: usize) -> OriginId {
    OriginId(scattered(n))
}

/// The table, written on by a fresh origin. Its origins were heard of one after the other.
fn table(age: Age, starts: usize) -> Counters {
    let origins = if age == Age::Old { starts } else { SLOTS };
    let names: Vec<String> = (0..COUNTERS).map(|n| format!("counter:{n:012}")).collect();
    let mut counted: Vec<Vec<&str>> = vec![Vec::new(); origins];
    for (n, name) in names.iter().enumerate() {
        // Of starts that follow one another, as those of three nodes do.
        let first = (scattered(n) % origins as u64) as usize;
        (0..SLOTS).for_each(|slot| counted[(first + slot) % origins].push(name));
    }
    let mut counters = Counters::new(OriginId(scattered(usize::MAX - 1)), 42);
    let all = starts as u64 * ADDED;
    for (n, names) in counted.iter().enumerate() {
        let plus = all / origins as u64 + if n == 0 { all % origins as u64 } else { 0 };
        let busy = Change::slot(BUSY, Slot::from(Numbers { plus, ..Numbers::default() }));
        let others = names.iter().map(|name| {
            Change::slot(name, Slot::from(Numbers { plus: 1_000, ..Numbers::default() }))
        });
        let changes = std::iter::once(busy).chain(others).collect();
        let delta = Delta { origin: origin(n), after: 0, upto: VERSION, changes };
        counters.merge(&delta).expect("there is room");
    }
    counters
}

fn registry(age: Age) -> Registry {
    let mut registry = Registry::default();
    for n in 0..if age == Age::Old { REMOVALS } else { 0 } {
        let address = format!("172.20.{}.{}:8088", n / 250, n % 250 + 1);
        let address = Address::parse(&address, 8088).expect("host:port");
        let removed = FIRST_REMOVAL_MS + n * DAY_MS;
        for key in [Key::Node(NodeId(scattered(n as usize) | 1 << 63)), Key::Address(address)] {
            registry.merge(&MembershipRecord { key, removed, registered: 0 });
        }
    }
    registry
}

/// Starts on what is there, under a fresh origin.
fn open(files: &mut Memory, node: u64, start: usize) -> (Journal, Recovered) {
    let mut state = Recovered::new(OriginId(scattered(usize::MAX / 2 + start)), 42);
    let next = |found: &Recovered| found.next_start(NodeId(node), start as u64);
    let (journal, ..) = storage::open(files, &mut state, next).expect("it is sound");
    (journal, state)
}

fn snapshot(files: &mut Memory, journal: &mut Journal, node: &mut Node) {
    let number = journal.rotate(files).expect("memory does not fail");
    let mut writer = SnapshotWriter::begin(files, NodeId(1), number).expect("memory does not fail");
    let mut walk = node.begin_snapshot();
    while !walk.is_over() {
        let records = node.snapshot_step(&mut walk, STEP_BYTES);
        writer.append(files, records).expect("memory does not fail");
    }
    writer.publish(files).expect("it can be read");
}

fn recovered_node(state: Recovered) -> Node {
    Node::recovered(pair::config(0, state.counters().our_origin()), state, Time::ZERO)
}

/// A data directory as a node leaves it that has just made a snapshot.
fn directory(age: Age, starts: usize, node: u64) -> Memory {
    let mut files = Memory::default();
    let (mut journal, _) = open(&mut files, node, 0);
    let kept = Recovered::holding(table(age, starts)).with_registry(registry(age));
    snapshot(&mut files, &mut journal, &mut recovered_node(kept));
    files
}

fn write(age: Age, starts: usize, node: u64, to: &Path) {
    for (name, bytes) in directory(age, starts, node).0 {
        std::fs::write(to.join(name), bytes).expect("a directory that can be written");
    }
}

/// How long this thread has had a processor so far, in milliseconds.
fn processor_ms() -> f64 {
    // What it has run since it was scheduled last is added only when it is scheduled again.
    std::thread::yield_now();
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = spent.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.expect("Linux tells how long a thread has run") / 1e6
}

fn timed<T>(what: &str, body: impl FnOnce() -> T) -> T {
    let before = processor_ms();
    let done = body();
    println!("{what}: {:.3} ms", processor_ms() - before);
    done
}

/// A start, and a snapshot of what it has found.
fn started(files: &Memory) {
    let bytes: usize = files.0.values().map(Vec::len).sum();
    println!("directory: {bytes} bytes");
    let mut files = files.clone();
    let (mut journal, mut node) = timed("start", || {
        let (journal, state) = open(&mut files, 1, 1);
        (journal, recovered_node(state))
    });
    println!("slots: {} slots", node.counters().iter().count());
    timed("snapshot", || snapshot(&mut files, &mut journal, &mut node));
}

fn empty() -> Recovered {
    Recovered::new(OriginId(3), 42)
}

/// A directory is looked at; and repaired, with damage to either kind of file.
fn repaired(files: &Memory) {
    timed("check", || {
        let mut state = empty();
        storage::check(files, &mut state).expect("it is sound");
    });
    repair_of("repair of a journal", files, ".segment", |_| 20);
    repair_of("repair of a snapshot", files, ".snapshot", |length| length / 2);
}

/// Damages a byte of the last file that ends so, and has it repaired.
fn repair_of(what: &str, files: &Memory, ending: &str, byte: impl Fn(usize) -> usize) {
    let mut files = files.clone();
    let file = files.0.iter_mut().rfind(|(name, _)| name.ends_with(ending));
    let (_, bytes) = file.expect("a directory holds one of each kind");
    let at = byte(bytes.len());
    bytes[at] ^= 1;
    let done = timed(what, || repair(&mut files, empty).expect("it can be repaired"));
    assert!(done.is_some(), "it was damaged");
}

/// A node that has nothing links with one that has all.
fn joined(files: &Memory) {
    let (_, state) = open(&mut files.clone(), 1, 1);
    let mut pair = Pair::start([state, Recovered::new(OriginId(3), 42)]);
    let kept = pair.nodes[0].registry().records().count();
    let has_all = |pair: &Pair| pair.agree() && pair.nodes[1].registry().records().count() == kept;
    let began = pair.now;
    timed("join", || {
        assert!(pair.run_until(Duration::from_millis(250), JOIN_MAX, has_all), "it never has all");
    });
    println!("join, virtual time: {} ms", pair.now.since(began).as_millis());
    println!("join, link: {} bytes", pair.sent().iter().sum::<u64>());
    println!("join, journal: {} bytes", pair.journaled[1]);
}

/// Two nodes that have all, of which one is started again, or both: a link that begins, and one that
/// stands.
fn met_again(files: &Memory) {
    let found = [1, 2].map(|start| open(&mut files.clone(), 1, start).1);
    let mut pair = Pair::start(found);
    timed("after a restart", || pair.run(MEETING));
    println!("after a restart, link: {} bytes", pair.sent().iter().sum::<u64>());
    assert!(pair.agree(), "both have all");
    let before = pair.sent();
    timed("a minute of rest", || pair.run(REST));
    let sent: u64 = pair.sent().iter().sum::<u64>() - before.iter().sum::<u64>();
    println!("a minute of rest, link: {sent} bytes");
}
