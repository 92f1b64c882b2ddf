//! The fuzz harness over its corpus, and over seeded mutations of it.
//!
//! Fuzzing for hours finds more; this keeps what it has found, and runs with every test. An input
//! that breaks something is printed in hex: put it into the corpus.

#[path = "../fuzz/harness.rs"]
mod harness;

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Enough to bend every byte of the examples now and then, in about a second.
const MUTATIONS: u64 = 2000;

/// The corpus, in an order that is the same everywhere.
fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/node");
    let entries = std::fs::read_dir(&directory).expect("the corpus stands beside the harness");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect()
}

/// Tells what was fed when the harness panics.
struct Fed<'a>(&'a [u8], String);

impl Drop for Fed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{}: {hex}", self.1);
        }
    }
}

fn feed(bytes: &[u8], what: String) {
    let fed = Fed(bytes, what);
    harness::feed(fed.0);
}

fn below(chance: &mut ChaCha8Rng, bound: usize) -> usize {
    usize::try_from(chance.next_u64() % bound.max(1) as u64).expect("a small bound")
}

/// One example, bent a few times.
fn mutated(corpus: &[Vec<u8>], chance: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = corpus[below(chance, corpus.len())].clone();
    for _ in 0..=below(chance, 4) {
        let at = below(chance, bytes.len());
        match below(chance, 8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, chance.next_u32().to_le_bytes()[0]),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            // The largest number that postcard can say, and the largest length.
            3 => drop(bytes.splice(at..at, [0xff; 9].into_iter().chain([0x01]))),
            4 => {
                let other = &corpus[below(chance, corpus.len())];
                let from = below(chance, other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 if !bytes.is_empty() => bytes[at] = chance.next_u32().to_le_bytes()[0],
            _ if !bytes.is_empty() => bytes[at] ^= 1 << below(chance, 8),
            _ => {}
        }
    }
    bytes
}

#[test]
fn every_input_of_the_corpus_is_survived() {
    let corpus = corpus();
    assert!(corpus.len() >= 30, "an example of each frame and datagram");
    for (n, bytes) in corpus.iter().enumerate() {
        feed(bytes, format!("input {n} of the corpus"));
    }
}

#[test]
fn mutations_of_the_corpus_are_survived() {
    let corpus = corpus();
    for seed in 0..MUTATIONS {
        let bytes = mutated(&corpus, &mut ChaCha8Rng::seed_from_u64(seed));
        feed(&bytes, format!("mutation {seed}"));
    }
}

#[test]
fn random_bytes_are_survived() {
    for seed in 0..MUTATIONS / 4 {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut bytes = vec![0; below(&mut chance, 200)];
        chance.fill_bytes(&mut bytes);
        feed(&bytes, format!("random input {seed}"));
    }
}
