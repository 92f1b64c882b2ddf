//! Feeds whatever libFuzzer comes up with to the parser of the Redis protocol.

#![no_main]

#[path = "../harness.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::feed(bytes));
