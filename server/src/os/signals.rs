//! What the system tells the process by signals, but for those that say how it ends by themselves.

use std::io;

use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{self, SignalKind, signal};

/// What asks a node to stop, or not to.
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    /// From now on they do not end the process by themselves.
    pub(crate) fn new() -> io::Result<Self> {
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        };
        survive_long_files()?;
        Ok(signals)
    }

    /// Waits until one asks the node to stop, and names it. The terminal from which a node was
    /// started may go while it counts, as with Redis.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: the node goes on; SIGTERM ends it");
                }
            }
        }
    }
}

/// Has a write to a file that may not grow (RLIMIT_FSIZE) fail, as on a full disk, where the system
/// would kill the process without a word. For the rest of its life.
fn survive_long_files() -> io::Result<()> {
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// The same for a program that has no runtime.
pub(crate) fn survive_long_files_alone() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async { survive_long_files() })
}
