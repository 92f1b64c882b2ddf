//! `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`: all names, in steps, so that the driver
//! serves others between two of them.

use bytes::Bytes;
use quipu_core::node::SCAN_NAMES_MAX;

use crate::access::Names;
use crate::handle::Unavailable;
use crate::redis::command::Command;
use crate::redis::question::{Question, Scan};
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::walk::Walk;
use crate::redis::{errors, glob, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("scan", Class::Keyspace, -2, run, "Tells all names, step by step");

/// Names that one `SCAN` looks at unless it says otherwise. As Redis has it.
const SCAN_COUNT: usize = 10;

fn run(call: &mut Call<'_>) -> Next {
    match parsed(&call.command) {
        Ok(scan) => call.ask(Names, |names| Question::Scan(names, scan)),
        Err(text) => call.fail(text),
    }
}

fn parsed(command: &Command<'_>) -> Result<Scan, &'static str> {
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

/// Answers one step.
pub(in crate::redis) async fn answer(
    walk: Walk<'_>,
    scan: &Scan,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let is_wanted = |name: &str| {
        let matches = |pattern: &Bytes| glob::matches(pattern, name.as_bytes());
        scan.is_of_strings && scan.pattern.as_ref().is_none_or(matches)
    };
    let (names, next) = walk.existing(scan.from, scan.count, is_wanted).await?;
    reply::array(out, 2);
    reply::bulk(out, itoa::Buffer::new().format(next).as_bytes());
    reply::array(out, names.len());
    for name in &names {
        reply::bulk(out, walk.shown(name).as_bytes());
    }
    Ok(())
}
