//! `quipu watch [PREFIX]`: what changes, a line each, as long as its output is read.
//!
//! The node tells it as events, and goes on where it was after the connection broke; what comes to
//! stdout is only what it told, what became of the connection goes to stderr.
//!
//! Signals are waited for by a thread that ends the program by itself: an operator who reads this
//! through a pipe may have stopped to, and then a write never returns to look whether it shall go
//! on.

mod lines;
mod stream;

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use self::lines::Lines;
use self::stream::Events;
use super::client::Client;
use super::{Asking, Failure, encoded};
use crate::words;

/// The rest before a node that went away is asked again: soon, as for one that is restarted, and
/// then less and less often.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a node takes.
const EVERY_MIN: Duration = Duration::from_millis(20);
const EVERY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// What the names begin with
    #[arg(default_value = "", hide_default_value = true, conflicts_with = "counters")]
    prefix: String,
    /// Only this counter; may be given up to 200 times
    // Whose name is missing would be watched as if all had been asked for.
    #[arg(long = "counter", value_name = "NAME", value_parser = words::counter)]
    counters: Vec<String>,
    /// How long to wait at least between two values of one counter: 20ms to 60s
    #[arg(long, value_name = "TIME", default_value = "100ms")]
    #[arg(value_parser = words::time_within(EVERY_MIN..=EVERY_MAX))]
    every: Duration,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Watch {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        end_on_signals()?;
        let path = self.path();
        let mut lines = Lines::new(self.asking.json);
        let mut behind = String::new();
        // What does not work at all is said in one line, as by every command.
        let mut events = Events::open(client, &path, &behind)?;
        loop {
            let broke = follow(&mut events, &mut lines, &mut behind, out)?;
            complain(&format!("{} went away: {broke}; asking again", client.node()));
            events = again(client, &path, &behind)?;
            complain(&format!("{} is back", client.node()));
        }
    }

    fn path(&self) -> String {
        let mut path = format!("/events?every={}ms", self.every.as_millis());
        if self.counters.is_empty() {
            path.push_str(&format!("&prefix={}", encoded(&self.prefix)));
        }
        for counter in &self.counters {
            path.push_str(&format!("&counter={}", encoded(counter)));
        }
        path
    }
}

/// Prints what comes until the connection breaks; why it did.
fn follow(
    events: &mut Events,
    lines: &mut Lines,
    behind: &mut String,
    out: &mut impl Write,
) -> Result<io::Error, Failure> {
    loop {
        let event = match events.next() {
            Ok(event) => event,
            Err(broke) => return Ok(broke),
        };
        lines.write(&event, out)?;
        out.flush()?;
        *behind = event.id;
    }
}

/// Asks until there is an answer, unless it is that the question makes no sense.
fn again(client: &Client, path: &str, behind: &str) -> Result<Events, Failure> {
    let mut pause = PAUSE_MIN;
    loop {
        thread::sleep(pause);
        pause = (2 * pause).min(PAUSE_MAX);
        match Events::open(client, path, behind) {
            // A node that starts, or has too many who watch, may have room later.
            Err(Failure::Refused { status: 500.., .. } | Failure::Refused { status: 429, .. }) => {}
            Err(Failure::Silent(..) | Failure::Slow(..) | Failure::Broken(..)) => {}
            other => return other,
        }
    }
}

fn end_on_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        std::process::exit(0);
    });
    Ok(())
}

/// Where stderr is not read, it is said in vain.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "quipu: {line}");
}
