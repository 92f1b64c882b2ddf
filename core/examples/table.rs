//! What the table of counters costs: bytes a counter, nanoseconds a step, and the worst stall.
//!
//! ```text
//! cargo run --release -p quipu-core --example table -- memory 1000000
//! cargo run --release -p quipu-core --example table -- merge 10000000
//! cargo run --release -p quipu-core --example table -- grow 10000000
//! cargo run --release -p quipu-core --example table -- add 1000000
//! ```
//!
//! Names have 20 bytes and the allocator is the server's, so that memory is what a node needs.
//! Steps are timed by the clock on the wall: on a machine that others share, run it more than once
//! and believe the smaller numbers.

// An example stands outside of the wall around the protocol: it measures.
#![expect(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Instant;

use quipu_core::counters::Counters;
use quipu_core::delta::{Delta, Entry};
use quipu_core::identity::OriginId;

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
        _ => eprintln!("expected memory, merge, grow or add, and how many counters"),
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
            entries: names.iter().map(|name| Entry { name, plus: 1, minus: 0, raise: 0 }).collect(),
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
    for origin in 2..5 {
        fill(&mut counters, origin, count);
    }
    let bytes = resident_bytes() - before;
    println!("{count} counters of three origins: {} bytes each", bytes / count);
}

fn merge(count: usize) {
    let mut counters = Counters::new(OriginId(1), 42);
    for (origin, what) in [(2, "new names"), (3, "known names"), (4, "known names again")] {
        let nanoseconds = fill(&mut counters, origin, count);
        println!("{count} {what}: {} ns an entry", nanoseconds / count as u128);
    }
}

fn grow(count: usize) {
    let mut counters = Counters::new(OriginId(1), 42);
    let mut worst: Vec<(u128, usize)> = Vec::new();
    for n in 0..count {
        let name = name(n);
        let start = Instant::now();
        counters.add(&name, 1).expect("there is room");
        let nanoseconds = start.elapsed().as_nanos();
        if worst.len() < 8 || worst.last().is_some_and(|last| last.0 < nanoseconds) {
            worst.push((nanoseconds, n));
            worst.sort_unstable_by(|a, b| b.cmp(a));
            worst.truncate(8);
        }
        // As the driver does: a batch closes every now and then.
        if n % 64 == 63 {
            counters.close();
        }
    }
    for (nanoseconds, n) in worst {
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
