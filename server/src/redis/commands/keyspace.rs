//! Commands about all counters: read here, asked and answered in steps, so that the driver serves others between two of them.

use std::time::Duration;

use bytes::Bytes;
use quipu_core::name::CounterName;
use quipu_core::node::SCAN_NAMES_MAX;

use crate::access::{Allowed, Names};
use crate::handle::{Handle, Unavailable};
use crate::redis::command::Command;
use crate::redis::{errors, glob, reply};

/// Names that one `SCAN` looks at unless it says otherwise. As Redis has it.
const SCAN_COUNT: usize = 10;

/// Most names that `KEYS` tells: some megabytes of reply.
const KEYS_MAX: usize = 10_000;

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
#[derive(Debug)]
pub(in crate::redis) struct Scan {
    from: u64,
    count: usize,
    pattern: Option<Bytes>,
    /// Whether strings are asked for, which is what counters are.
    is_of_strings: bool,
}

/// Reads a `SCAN`.
pub(in crate::redis) fn scan(command: &Command<'_>) -> Result<Scan, &'static str> {
    let from = cursor(command.argument(1)).ok_or("ERR invalid cursor")?;
    let mut scan = Scan { from, count: SCAN_COUNT, pattern: None, is_of_strings: true };
    for at in (2..command.len()).step_by(2) {
        if at + 1 == command.len() {
            return Err(errors::SYNTAX);
        }
        if command.is(at, "count") {
            let count = command.integer(at + 1).ok_or(errors::NOT_AN_INTEGER)?;
            if count < 1 {
                return Err(errors::SYNTAX);
            }
            scan.count = usize::try_from(count).unwrap_or(usize::MAX).min(SCAN_NAMES_MAX);
        } else if command.is(at, "match") {
            scan.pattern = Some(command.shared(at + 1));
        } else if command.is(at, "type") {
            scan.is_of_strings = command.is(at + 1, "string");
        } else {
            return Err(errors::SYNTAX);
        }
    }
    Ok(scan)
}

/// A cursor is a number without a sign. Redis takes a leading zero; so be it.
fn cursor(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// `WAIT peers timeout`, the timeout in milliseconds; 0 waits for ever.
pub(in crate::redis) fn wait(
    command: &Command<'_>,
) -> Result<(usize, Option<Duration>), &'static str> {
    let peers = command.integer(1).ok_or(errors::NOT_AN_INTEGER)?;
    let timeout = command.integer(2).ok_or("ERR timeout is not an integer or out of range")?;
    let timeout = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
    let patience = (timeout > 0).then(|| Duration::from_millis(timeout));
    Ok((usize::try_from(peers).unwrap_or(0), patience))
}

/// Answers `DBSIZE`.
pub(in crate::redis) async fn tell_size(
    handle: &Handle,
    asked: &Allowed<Names>,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    reply::integer(out, i64::try_from(handle.size(asked).await?).unwrap_or(i64::MAX));
    Ok(())
}

/// Answers one step of a `SCAN`.
pub(in crate::redis) async fn tell_scanned(
    handle: &Handle,
    asked: &Allowed<Names>,
    scan: &Scan,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let (names, next) = handle.names(asked, scan.from, scan.count).await?;
    let is_wanted = |name: &&CounterName| {
        scan.is_of_strings
            && scan
                .pattern
                .as_ref()
                .is_none_or(|pattern| glob::matches(pattern, name.as_str().as_bytes()))
    };
    let names: Vec<&CounterName> = names.iter().filter(is_wanted).collect();
    reply::array(out, 2);
    reply::bulk(out, itoa::Buffer::new().format(next).as_bytes());
    reply::array(out, names.len());
    for name in names {
        reply::bulk(out, name.as_str().as_bytes());
    }
    Ok(())
}

/// Answers `KEYS`.
pub(in crate::redis) async fn tell_keys(
    handle: &Handle,
    asked: &Allowed<Names>,
    pattern: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let mut found = Vec::new();
    let mut from = 0;
    loop {
        let (names, next) = handle.names(asked, from, SCAN_NAMES_MAX).await?;
        let matching = |name: &CounterName| glob::matches(pattern, name.as_str().as_bytes());
        found.extend(names.into_iter().filter(matching));
        if found.len() > KEYS_MAX {
            let text = format!(
                "ERR KEYS tells at most {KEYS_MAX} names, and more match; use SCAN with MATCH"
            );
            reply::error(out, text.as_bytes());
            return Ok(());
        }
        if next == 0 {
            break;
        }
        from = next;
    }
    reply::array(out, found.len());
    for name in found {
        reply::bulk(out, name.as_str().as_bytes());
    }
    Ok(())
}
