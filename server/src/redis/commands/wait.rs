//! `WAIT peers timeout`, the timeout in milliseconds; 0 waits for ever.

use std::time::{Duration, Instant};

use quipu_core::identity::Version;
use quipu_core::query::{Await, Confirmed};
use tokio::time::sleep;

use crate::access::{Allowed, Confirm};
use crate::handle::{Handle, Unavailable};
use crate::redis::clients::Unblocked;
use crate::redis::command::Command;
use crate::redis::question::Question;
use crate::redis::session::Session;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::{errors, reply};
use crate::transport::stream::Stream;

pub(in crate::redis) const SPEC: Spec =
    Spec::new("wait", Class::Keyspace, 3, run, "Waits until peers have confirmed the last change");

/// How long the driver is asked to watch for a client that waits, before it is asked anew. A client
/// that has gone leaves its question behind for so long, however long it meant to wait.
const WATCH_TIME_MAX: Duration = Duration::from_secs(10);

/// Rest before the driver is asked anew when it answered early, as it does when too many wait.
const REST_WHEN_FULL: Duration = Duration::from_secs(1);

/// In Redis's words.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

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

/// Answers it, at once where another client ends the waiting or the client has ended its side.
pub(in crate::redis) async fn answer(
    handle: &Handle,
    session: &Session,
    stream: &Stream,
    (asked, peers, patience): (Allowed<Confirm>, usize, Option<Duration>),
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let version = session.version;
    let wait = &session.client.wait;
    wait.begin();
    let waited = tokio::select! {
        biased;
        waited = confirmed(handle, &asked, version, peers, patience) => Some(waited),
        how = wait.unblocked() => {
            if how == Unblocked::WithError {
                reply::error(out, UNBLOCKED.as_bytes());
                wait.end();
                return Ok(());
            }
            None
        }
        // It may have ended its own side only, and read on. One that has gone is found when it is
        // answered.
        () = stream.peer_has_ended() => None,
    };
    wait.end();
    let waited = match waited {
        Some(waited) => waited?,
        None => confirmed(handle, &asked, version, peers, Some(Duration::ZERO)).await?,
    };
    reply::integer(out, i64::try_from(waited).unwrap_or(i64::MAX));
    Ok(())
}

/// How many peers have confirmed a version, once they are enough or the patience is over; no patience at
/// all does not end.
async fn confirmed(
    handle: &Handle,
    asked: &Allowed<Confirm>,
    version: Version,
    peers: usize,
    patience: Option<Duration>,
) -> Result<usize, Unavailable> {
    // A patience beyond what a clock can tell has no end.
    let until = patience.and_then(|patience| Instant::now().checked_add(patience));
    let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
    loop {
        let watch = left().unwrap_or(WATCH_TIME_MAX).min(WATCH_TIME_MAX);
        let question = Await { version, peers, patience: Some(watch) };
        let answer = handle.ask(asked.covering(question)).await?;
        let (Confirmed::Waited(confirmed) | Confirmed::TooManyWait(confirmed)) = answer;
        if confirmed >= peers || left().is_some_and(|left| left.is_zero()) {
            return Ok(confirmed);
        }
        if matches!(answer, Confirmed::TooManyWait(_)) {
            sleep(left().unwrap_or(REST_WHEN_FULL).min(REST_WHEN_FULL)).await;
        }
    }
}
