//! `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`: all names, in steps, so that the driver
//! serves others between two of them.

use quipu_core::name::CounterName;
use quipu_core::node::SCAN_NAMES_MAX;
use quipu_core::query::{self, Scanned};

use crate::access::{Allowed, Names};
use crate::handle::{Handle, Unavailable};
use crate::redis::command::Command;
use crate::redis::question::{Question, Scan};
use crate::redis::spec::{Call, Class, Next, Spec};
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
    handle: &Handle,
    asked: &Allowed<Names>,
    scan: &Scan,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let step = asked.covering(query::Scan { from: scan.from, count: scan.count });
    let Scanned { names, next } = handle.ask(step).await?;
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
