//! What the table of counters costs: bytes a counter, nanoseconds a step, and the worst stall.
//!
//! ```text
//! cargo run --release -p quipu-core --example table -- memory 1000000
//! cargo run --release -p quipu-core --example table -- merge 10000000
//! cargo run --release -p quipu-core --example table -- grow 10000000
//! cargo run --release -p quipu-core --example table -- add 1000000
//! cargo run --release -p quipu-core --example table -- increment 10000 1000000
//! cargo run --release -p quipu-core --example table -- slots 100000
//! cargo run --release -p quipu-core --example table -- recover 1000000
//! ```
//!
//! Names have 20 bytes and the allocator is the server's, so that memory is what a node needs.
//! Steps are timed by the clock on the wall: on a machine that others share, run it more than once
//! and believe the smaller numbers. `increment` is for `valgrind --tool=callgrind`, which counts
//! instructions: of two runs with different numbers of steps, what differs is the steps.

// An example stands outside of the wall around the protocol: it measures.
#![expect(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../src/storage/tests/memory.rs"]
mod memory;

use std::time::Instant;

use quipu_core::counters::Counters;
use quipu_core::delta::{Change, Delta};
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::input::Input;
use quipu_core::name::CounterName;
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::operation::{Op, Request};
use quipu_core::outbox::Effects;
use quipu_core::slot::{Numbers, Slot};
use quipu_core::storage;
use quipu_core::storage::files::Files;
use quipu_core::storage::snapshot::SnapshotWriter;
use quipu_core::storage::state::Recovered;
use quipu_core::time::Time;

use memory::Memory;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entries of one delta: about as many as fill a frame.
const ENTRIES: usize = 20_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.get(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    match args.first().map(String::as_str) {
        Some("memory") => memory(count),
        Some("merge") => merge(count),
        Some("grow") => grow(count),
        Some("add") => add(count),
        Some("increment") => {
            increment(count, args.get(2).and_then(|steps| steps.parse().ok()).unwrap_or(1_000_000));
        }
        Some("slots") => slots(count),
        Some("recover") => recover(count),
        _ => eprintln!(
            "expected memory, merge, grow, add, increment, slots or recover, and how many"
        ),
    }
}

fn name(n: usize) -> String {
    format!("counter:{n:012}")
}

/// A number that tells nothing of `n` to a cache (the finaliser of SplitMix64).
fn scattered(n: usize) -> usize {
    let mut n = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (n ^ (n >> 31)) as usize
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    1024 * kib.unwrap_or(0_usize)
}

/// Merges a slot of `origin` into each of `count` counters; tells the nanoseconds that merging
/// took.
fn fill(counters: &mut Counters, origin: u64, count: usize) -> u128 {
    let mut nanoseconds = 0;
    for (version, first) in (0..count).step_by(ENTRIES).enumerate() {
        let names: Vec<String> = (first..count.min(first + ENTRIES)).map(name).collect();
        let delta = Delta {
            origin: OriginId(origin),
            after: version as u64,
            upto: version as u64 + 1,
            changes: names
                .iter()
                .map(|name| {
                    Change::slot(name, Slot::from(Numbers { plus: 1, ..Numbers::default() }))
                })
                .collect(),
        };
        let start = Instant::now();
        counters.merge(&delta).expect("there is room");
        nanoseconds += start.elapsed().as_nanos();
    }
    nanoseconds
}

fn memory(count: usize) {
    let mut counters = Counters::new(OriginId(1), 42);
    fill(&mut Counters::new(OriginId(1), 7), 2, ENTRIES);
    let before = resident_bytes();
    for (origin, origins) in [(2, "one origin"), (3, "two origins"), (4, "three origins")] {
        fill(&mut counters, origin, count);
        let bytes = resident_bytes() - before;
        println!("{count} counters of {origins}: {} bytes each", bytes / count);
    }
}

fn merge(count: usize) {
    let mut counters = Counters::new(OriginId(1), 42);
    for (origin, what) in [(2, "new names"), (3, "known names"), (4, "known names again")] {
        let nanoseconds = fill(&mut counters, origin, count);
        println!("{count} {what}: {} ns an entry", nanoseconds / count as u128);
    }
}

/// The table grows at the same counters in every round, the machine's other work comes when it
/// likes: so what counts is each counter's quickest round.
fn grow(count: usize) {
    let mut quickest = vec![u32::MAX; count];
    for _ in 0..3 {
        let mut counters = Counters::new(OriginId(1), 42);
        for (n, quickest) in quickest.iter_mut().enumerate() {
            let name = name(n);
            let start = Instant::now();
            counters.add(&name, 1).expect("there is room");
            let nanoseconds = u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX);
            *quickest = nanoseconds.min(*quickest);
            // As the driver does: a batch closes every now and then.
            if n % 64 == 63 {
                counters.close();
            }
        }
    }
    let mut worst: Vec<(u32, usize)> =
        quickest.into_iter().enumerate().map(|(n, nanoseconds)| (nanoseconds, n)).collect();
    worst.sort_unstable_by(|a, b| b.cmp(a));
    for (nanoseconds, n) in worst.into_iter().take(8) {
        println!("adding to new counter {n} took {} us", nanoseconds / 1000);
    }
}

fn add(count: usize) {
    let mut counters = Counters::new(OriginId(1), 42);
    for origin in 2..5 {
        fill(&mut counters, origin, count);
    }
    let names: Vec<String> = (0..1 << 20).map(|n| name(scattered(n) % count)).collect();
    for n in 0..count {
        counters.add(&name(n), 1).expect("there is room");
        if n % 64 == 63 {
            counters.close();
        }
    }
    for (what, mask) in [("one hot name", 0), ("random names", usize::MAX)] {
        for batch in [1, 64] {
            let mut rounds: Vec<u128> = (0..64)
                .map(|round| {
                    let start = Instant::now();
                    for step in 0..1 << 14 {
                        let n = (round << 14 | step) & mask;
                        counters.add(&names[n], 1).expect("it is in range");
                        if step % batch == batch - 1
                            && let Some(batch) = counters.close()
                        {
                            std::hint::black_box(counters.delta_of(&batch));
                        }
                    }
                    start.elapsed().as_nanos() >> 14
                })
                .collect();
            rounds.sort_unstable();
            let (median, best) = (rounds[rounds.len() / 2], rounds[0]);
            println!("{what}, batches of {batch}: median {median} ns an add, best {best} ns");
        }
    }
}

/// A node in memory that adds to so many counters in turn, sixteen additions a message, as one client
/// sends them in a pipeline.
fn increment(count: usize, steps: usize) {
    const PIPELINE: usize = 16;
    let mut node = Node::new(config(1, false), Time::ZERO);
    let names: Vec<CounterName> =
        (0..count).map(|n| CounterName::new(name(n)).expect("it is one")).collect();
    let mut effects = Effects::default();
    for step in 0..steps / PIPELINE {
        let name = |n| names[scattered(step * PIPELINE + n) % count].clone();
        let ops: Vec<Op> = (0..PIPELINE).map(|n| Op::Add { name: name(n), by: 1 }).collect();
        let input = Input::Request { token: 0, request: Request::from(ops) };
        node.handle(Time::ZERO, input, &mut effects);
        let batch = node.close_batch(Time::ZERO, &mut effects);
        node.handle(Time::ZERO, Input::Synced { batch }, &mut effects);
        std::hint::black_box(std::mem::take(&mut effects));
    }
}

/// One counter on which so many starts of nodes have counted, of which nobody had heard before and
/// of which everybody had, in another order.
fn slots(count: usize) {
    for count in [1, count / 10, count] {
        let delta = |origin: usize, name| Delta {
            origin: OriginId(2 + origin as u64),
            after: 0,
            upto: 1,
            changes: vec![Change::slot(
                name,
                Slot::from(Numbers { plus: 1, ..Numbers::default() }),
            )],
        };
        let mut counters = Counters::new(OriginId(1), 42);
        for what in ["as their origins come", "in another order"] {
            let before = resident_bytes();
            let start = Instant::now();
            for n in 0..count {
                let (origin, name) = match what {
                    "in another order" => (n * 7_368_787 % count, "other"),
                    _ => (n, "first"),
                };
                counters.merge(&delta(origin, name)).expect("there is room");
            }
            let nanoseconds = start.elapsed().as_nanos() / count as u128;
            let bytes = resident_bytes().saturating_sub(before) / count;
            println!("{count} slots of a counter, {what}: {nanoseconds} ns and {bytes} bytes each");
        }
    }
}

/// Three starts of a node, each of which adds to every counter and leaves a snapshot.
fn recover(count: usize) {
    let mut files = Memory::default();
    for origin in 1..4 {
        let mut state = Recovered::new(OriginId(origin), 42);
        let next = |state: &Recovered| state.next_start(NodeId(1), 1);
        let start = Instant::now();
        let (mut journal, ..) = storage::open(&mut files, &mut state, next).expect("it is sound");
        if origin > 1 {
            report(count, origin - 1, start);
        }
        let mut node = Node::recovered(config(origin, true), state, Time::ZERO);
        for n in 0..count {
            let name = CounterName::new(name(n)).expect("it is one");
            let input =
                Input::Request { token: 0, request: Request::from(vec![Op::Add { name, by: 1 }]) };
            let mut effects = Effects::default();
            node.handle(Time::ZERO, input, &mut effects);
            let batch = node.close_batch(Time::ZERO, &mut effects);
            node.handle(Time::ZERO, Input::Synced { batch }, &mut effects);
        }
        let number = journal.rotate(&mut files).expect("memory does not fail");
        let mut writer =
            SnapshotWriter::begin(&mut files, NodeId(1), number).expect("memory does not fail");
        let mut walk = node.begin_snapshot();
        while !walk.is_over() {
            let records = node.snapshot_step(&mut walk, 256 << 10);
            writer.append(&mut files, records).expect("memory does not fail");
        }
        let start = Instant::now();
        writer.publish(&mut files).expect("memory does not fail");
        let nanoseconds = start.elapsed().as_nanos() / count as u128;
        println!("reading the snapshot of them back: {nanoseconds} ns a counter");
    }
    let mut state = Recovered::new(OriginId(4), 42);
    let start = Instant::now();
    storage::check(&files, &mut state).expect("it is sound");
    report(count, 3, start);
}

fn config(origin: u64, is_kept: bool) -> Config {
    Config {
        node: NodeId(1),
        origin: OriginId(origin),
        address: Address::parse("localhost", 8088).expect("it is one"),
        boot: origin,
        cluster: String::new(),
        secret: None,
        seeds: Vec::new(),
        discovery: false,
        is_kept,
        settles: true,
        removes_after: RemovesAfter::default(),
        chance: [7; 32],
    }
}

fn report(count: usize, origins: u64, start: Instant) {
    let nanoseconds = start.elapsed().as_nanos() / count as u128;
    println!("recovering {count} counters of {origins} origins: {nanoseconds} ns a counter");
}
