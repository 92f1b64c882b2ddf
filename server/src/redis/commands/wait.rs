//! `WAIT peers timeout`, the timeout in milliseconds; 0 waits for ever.

use std::time::Duration;

use crate::access::Confirm;
use crate::redis::command::Command;
use crate::redis::errors;
use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("wait", Class::Keyspace, 3, run, "Waits until peers have confirmed the last change");

fn run(call: &mut Call<'_>) -> Next {
    match parsed(&call.command) {
        Ok((peers, patience)) => {
            call.ask(Confirm, |asked| Question::Wait { asked, peers, patience })
        }
        Err(text) => call.fail(text),
    }
}

fn parsed(command: &Command<'_>) -> Result<(usize, Option<Duration>), &'static str> {
    let peers = command.integer(1).ok_or(errors::NOT_AN_INTEGER)?;
    let timeout = command.integer(2).ok_or("ERR timeout is not an integer or out of range")?;
    let timeout = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
    let patience = (timeout > 0).then(|| Duration::from_millis(timeout));
    Ok((usize::try_from(peers).unwrap_or(0), patience))
}
