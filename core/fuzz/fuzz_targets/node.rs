//! Feeds whatever libFuzzer comes up with to everything that reads a stranger's bytes.

#![no_main]

#[path = "../harness.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::feed(bytes));
