//! The fuzz harness of the Redis protocol over its corpus, and over seeded mutations of it.
//!
//! Fuzzing for hours finds more; this keeps what it has found, and runs with every test. An input
//! that breaks something is printed: put it into the corpus.

#[path = "../../fuzz/harness.rs"]
mod harness;

use std::path::Path;

use crate::support::chance::Chance;

/// Enough to bend every byte of the examples now and then, in about a second.
const MUTATIONS: u64 = 3000;

/// The corpus, in an order that is the same everywhere.
fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/redis_parser");
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
            eprintln!("{}: {}", self.1, self.0.escape_ascii());
        }
    }
}

fn feed(bytes: &[u8], what: String) {
    let fed = Fed(bytes, what);
    harness::feed(fed.0);
}

/// A byte that means something to the protocol, most of the time.
fn byte(chance: &mut Chance) -> u8 {
    let telling = b"*$\r\n0123456789-+\"'\\x \0";
    match chance.below(4) {
        0 => chance.next().to_le_bytes()[0],
        _ => *chance.one_of(telling),
    }
}

/// One example, bent a few times.
fn mutated(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        match chance.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte(chance)),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => {
                let other = &corpus[chance.below(corpus.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[chance.below(other.len())..]);
            }
            _ if !bytes.is_empty() => bytes[at] = byte(chance),
            _ => {}
        }
    }
    bytes
}

#[test]
fn every_input_of_the_corpus_is_read_alike_however_it_is_cut() {
    let corpus = corpus();
    assert!(corpus.len() >= 20, "an example of everything that the parser tells apart");
    for (n, bytes) in corpus.iter().enumerate() {
        feed(bytes, format!("input {n} of the corpus"));
    }
}

#[test]
fn mutations_of_the_corpus_are_read_alike_however_they_are_cut() {
    let corpus: Vec<_> = corpus().into_iter().filter(|bytes| bytes.len() <= 512).collect();
    for seed in 0..MUTATIONS {
        feed(&mutated(&corpus, &mut Chance(seed)), format!("mutation {seed}"));
    }
}

#[test]
fn random_bytes_are_read_alike_however_they_are_cut() {
    for seed in 0..MUTATIONS {
        let mut chance = Chance(seed);
        let bytes: Vec<u8> = (0..chance.below(64)).map(|_| byte(&mut chance)).collect();
        feed(&bytes, format!("random input {seed}"));
    }
}
